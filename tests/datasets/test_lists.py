"""Videos and labels named by files, folders and CSV lists; lists that are refused."""

import os
from pathlib import Path

import pytest

from a2inet_jax.datasets import lists
from a2inet_jax.datasets.lists import check_ids, find_videos
from a2inet_jax.datasets.video import Video, VideoFile
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw import RawFormat


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


def write(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_list_needs_only_paths_and_labels(tmp_path: Path) -> None:
    listing = write(tmp_path, "\ufeffmos,path\n3.5,deep/b.mp4\n1e1,a.mp4\n")
    assert lists.read_labelled(listing) == [
        Video("deep/b.mp4", tmp_path / "deep/b.mp4", 3.5, "deep/b.mp4"),
        Video("a.mp4", tmp_path / "a.mp4", 10.0, "a.mp4"),
    ]


def test_optional_columns_for_content_and_raw_format(tmp_path: Path) -> None:
    listing = write(
        tmp_path,
        "path,mos,reference_id,width,height,pixel_format,frame_rate\n"
        "a.yuv,1,park,64,48,yuv422p,25\nb.mp4,2, park ,,,,\nc.mp4,3,,,,,\n",
    )
    videos = lists.read_labelled(listing)
    assert [video.reference_id for video in videos] == ["park", "park", "c.mp4"]
    assert [video.raw for video in videos] == [RawFormat(64, 48, "yuv422p", 25), None, None]


def test_optional_column_for_the_distortion(tmp_path: Path) -> None:
    listing = write(tmp_path, "path,mos,distortion\na.mp4,1,blur\nb.mp4,2\n")
    assert [video.distortion for video in lists.read_labelled(listing)] == ["blur", ""]


def test_case_and_blanks_of_a_labelled_list_are_ignored(tmp_path: Path) -> None:
    listing = write(tmp_path, "Path , MOS, Reference_ID\n a.mp4, 3.5 , park\nb.mp4,2,park \n")
    assert lists.read_labelled(listing) == [
        Video("a.mp4", tmp_path / "a.mp4", 3.5, "park"),
        Video("b.mp4", tmp_path / "b.mp4", 2.0, "park"),
    ]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_lists_with_decimal_commas(separator: str, tmp_path: Path) -> None:
    listing = write(tmp_path, "path;mos\na.mp4;3,5\nb, c.mp4;2\n".replace(";", separator))
    videos = lists.read_labelled(listing)
    assert [(video.video_id, video.mos) for video in videos] == [("a.mp4", 3.5), ("b, c.mp4", 2.0)]


def test_one_file_under_two_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    for other in (tmp_path / "a.mp4", "link.mp4"):
        listing = write(tmp_path, f"path,mos\na.mp4,1\nb.mp4,2\n{other},3\n")
        with pytest.raises(DataError, match="lines 2 and 4 both name"):
            lists.read_labelled(listing)
    different = write(tmp_path, "path,mos\na.mp4,1\nb.mp4,2\n")
    (tmp_path / "b.mp4").touch()
    assert len(lists.read_labelled(different)) == 2


def test_a_folder_is_read_by_its_list(tmp_path: Path) -> None:
    text = "path,mos\na.mp4,1\nb.mp4,2\n"
    only = write(tmp_path, text, "mine.CSV")
    assert lists.read_labelled(tmp_path) == lists.read_labelled(only)
    other = write(tmp_path, text.replace("2", "5"), "other.csv")
    with pytest.raises(DataError, match=r"2 CSV files \(mine\.CSV, other\.csv\).*labels\.csv"):
        lists.read_labelled(tmp_path)
    default = write(tmp_path, text.replace("2", "7"))
    assert (
        lists.read_labelled(tmp_path) == lists.read_labelled(default) != lists.read_labelled(other)
    )


def test_missing_lists_are_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv does not exist"):
        lists.read_labelled(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="has no CSV file"):
        lists.read_labelled(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,score\na.mp4,1\n", r"needs a column `mos`.* path, score$"),
        ("video,mos\na.mp4,1\n", "column `path`.* its columns are video, mos$"),
        ("path,mos\n", "has a header but no videos"),
        ("path,mos\na.mp4,1\nb.mp4,\n", r"line 3: .*is ''"),
        ("path,mos\na.mp4,1\nb.mp4\n", r"line 3: .*is ''"),
        ("path,mos\na.mp4,good\n", r"line 2: .*'good'"),
        ("path,mos\na.mp4,nan\n", r"line 2: .*'nan'"),
        ("path,mos\na.mp4,1_0\n", r"line 2: .*'1_0'"),
        ("path,mos,mos\na.mp4,1,2\n", "line 1 has the column `mos` more than once"),
        ("path,mos\na,b.mp4,2\n", "line 2 has 3 cells"),
        ("path,mos\na.mp4,1\n\nb.mp4,-inf\n", r"line 4: .*'-inf'"),
        ("path,mos\n,1\n", "line 2 has no path"),
        ("path,mos\na\0.mp4,1\n", r"line 2: .*'a\\x00\.mp4' is not the path of a file"),
        ("path,mos\na.mp4,1\nb.mp4,2\na.mp4,3\n", r"lines 2 and 4 both name a\.mp4"),
        ("path,mos\nx/../a.mp4,1\na.mp4,2\n", r"lines 2 and 3 both name a\.mp4"),
        ("path,mos\na.mp4,2.5\nb.mp4,2.50\n", "every `mos` is 2.5"),
        ("path,mos,width,height\na.yuv,1,64,\nb.yuv,2,64,48\n", "line 2: .*height"),
    ],
)
def test_unsound_labels_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    listing = write(tmp_path, text)
    with pytest.raises(DataError, match=reason) as caught:
        lists.read_labelled(listing)
    assert str(caught.value).startswith(str(listing))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_blanks_and_empty_lines_are_ignored(separator: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    text = '\ufeffpath; mos \r\n;\r\n a.mp4 ;"1"\n\n"b\nc;d"; "2,5"\n'
    file.write_text(text.replace(";", separator), newline="")
    assert lists.read_cells(file) == [
        (1, ["path", "mos"]),
        (3, ["a.mp4", "1"]),
        (6, [f"b\nc{separator}d", "2,5"]),
    ]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    for text in ("", "\n\n", ",,\n"):
        file.write_text(text)
        assert lists.read_cells(file) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "a,b\n1,2,3\n",
            "line 2 has 3 cells, but the first line has 2: put a cell that contains ','",
        ),
        (
            "a;b\n1;2;3\n",
            "line 2 has 3 cells, but the first line has 2: put a cell that contains ';'",
        ),
        # A decimal comma without quotes; the nameless columns come from a spreadsheet.
        ("a,b,,\n1,2,,\n1,2,5,\n", "line 3 has 4 cells, but the first line has 2"),
        ('a,b\n"1,2\n', "is not a CSV file in UTF-8"),
    ],
)
def test_lines_with_too_many_cells_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        lists.read_cells(file)
    assert str(file) in str(caught.value)


def test_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("number,title\n1,ä\n", encoding="latin-1")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        lists.read_cells(file)
    assert lists.read_cells(file, replace_undecodable=True)[1] == (2, ["1", "\ufffd"])
    file.write_text("number,title\n1,ä\n", encoding="utf-16")
    for replace_undecodable in (False, True):
        with pytest.raises(DataError, match="not a CSV file in UTF-8"):
            lists.read_cells(file, replace_undecodable)
