"""Videos named by folders and CSV lists, and lists that are refused."""

import os
from pathlib import Path

import pytest

from a2inet_jax.datasets.lists import check_ids, find_videos
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw_format import RawFormat


def test_videos_of_a_folder_are_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.MP4", "deep/a.mkv", "notes.txt", "deep/frames.yuv"):
        (tmp_path / name).touch()
    assert find_videos([tmp_path]) == [
        VideoFile("b.MP4", tmp_path / "b.MP4"),
        VideoFile("deep/a.mkv", tmp_path / "deep" / "a.mkv"),
    ]


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no videos .*\.mp4"):
        find_videos([tmp_path])


def test_a_list_gives_the_layout_of_raw_video(tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    # With a byte order mark, as spreadsheets write it.
    listing.write_text(
        "\ufeffpath,mos,width,height,pixel_format,frame_rate\n"
        "deep/a.yuv,1,1920,1080,yuvj420p,45\nb.yuv,2,64,48,,\nc.mp4,3,,,,\n"
        # A list may have the size of any video.
        "e.MP4,4,960,540,,29.97\n"
    )
    assert find_videos([listing, Path("there/d.mp4")]) == [
        VideoFile("deep/a.yuv", tmp_path / "deep/a.yuv", raw=RawFormat(1920, 1080, "yuvj420p", 45)),
        VideoFile("b.yuv", tmp_path / "b.yuv", raw=RawFormat(64, 48)),
        VideoFile("c.mp4", tmp_path / "c.mp4"),
        VideoFile("e.MP4", tmp_path / "e.MP4"),
        VideoFile("d.mp4", Path("there/d.mp4")),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file\nx.mp4\n", "column `path`"),
        ("path\n", "has a header but no videos"),
        ("", "column `path`"),
        ("path,width\n,1\n", "line 2 has no path"),
        ("path,width,height\na.yuv,x,1\n", "line 2: .*'x'"),
        ("path,width,height\na.mp4,,\nb.yuv,0,8\n", "line 3: .*0×8"),
        ("path,width,height\nb.yuv,8,\n", "line 2: .*height"),
        ("path,width,height\n\n\nb.yuv,8,\n", "line 4: "),
        ("path,width,height\na.yuv,6_4,48\n", "line 2: '6_4' is not a number"),
        ("path,width,height\na.yuv,64.5,48\n", "line 2: '64.5' is not a whole number"),
        ("path,width,height,frame_rate\na.yuv,64,48,inf\n", "line 2: 'inf' is not a number"),
        ("path,mos,Path\na.mp4,1,b.mp4\n", "line 1 has the column `path` more than once"),
        (
            "path,mos\na.mp4,1\nb, c.mp4,1\n",
            "line 3 has 3 cells, but the first line has 2: .*quotes",
        ),
        ('path\n"a.mp4\n', "not a CSV file"),
    ],
)
def test_broken_lists_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    listing = tmp_path / "list.csv"
    listing.write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        find_videos([listing])
    assert str(listing) in str(caught.value)


def test_blanks_and_the_case_of_columns_are_ignored(tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    # As from a spreadsheet: columns without a name, rows that are too short or too long.
    listing.write_text(
        ' Path , WIDTH,Height,,\n a.yuv , 64 ,48.0,,\n"b, c.mp4",,, \nd.mp4\ne.yuv,8, "8",,,\n'
    )
    assert find_videos([listing]) == [
        VideoFile("a.yuv", tmp_path / "a.yuv", raw=RawFormat(64, 48)),
        VideoFile("b, c.mp4", tmp_path / "b, c.mp4"),
        VideoFile("d.mp4", tmp_path / "d.mp4"),
        VideoFile("e.yuv", tmp_path / "e.yuv", raw=RawFormat(8, 8)),
    ]


def test_two_videos_with_one_id_are_refused(tmp_path: Path) -> None:
    one, two = VideoFile("a", tmp_path / "1" / "a"), VideoFile("a", tmp_path / "2" / "a")
    check_ids([one, VideoFile("b", two.path)])
    with pytest.raises(DataError, match="both called 'a'") as caught:
        check_ids([one, two])
    assert str(one.path) in str(caught.value)
    assert str(two.path) in str(caught.value)


def test_a_list_in_another_encoding_is_refused(tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    for encoding in ("latin-1", "utf-16"):
        listing.write_text("path\nä.mp4\n", encoding=encoding)
        with pytest.raises(DataError, match="is not a CSV file in UTF-8") as caught:
            find_videos([listing])
        assert str(listing) in str(caught.value)


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.MTS").touch()
    (tmp_path / "videos" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "videos" / "deep" / "cycle").symlink_to(tmp_path / "videos")
    assert [video.video_id for video in find_videos([tmp_path / "videos"])] == ["link/a.MTS"]


def test_an_unreadable_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.mp4").touch()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="locked"):
        find_videos([tmp_path])
