"""Custom data sets: what a CSV list may contain, and what is refused."""

from pathlib import Path

import pytest

from a2inet_jax.datasets import custom
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw_format import RawFormat


def write(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_list_needs_only_paths_and_labels(tmp_path: Path) -> None:
    listing = write(tmp_path, "\ufeffmos,path\n3.5,deep/b.mp4\n1e1,a.mp4\n")
    assert custom.read(listing) == [
        Video("deep/b.mp4", tmp_path / "deep/b.mp4", 3.5, "deep/b.mp4"),
        Video("a.mp4", tmp_path / "a.mp4", 10.0, "a.mp4"),
    ]


def test_optional_columns_for_content_and_raw_format(tmp_path: Path) -> None:
    listing = write(
        tmp_path,
        "path,mos,reference_id,width,height,pixel_format,frame_rate\n"
        "a.yuv,1,park,64,48,yuv422p,25\nb.mp4,2, park ,,,,\nc.mp4,3,,,,,\n",
    )
    videos = custom.read(listing)
    assert [video.reference_id for video in videos] == ["park", "park", "c.mp4"]
    assert [video.raw for video in videos] == [RawFormat(64, 48, "yuv422p", 25), None, None]


def test_optional_column_for_the_distortion(tmp_path: Path) -> None:
    listing = write(tmp_path, "path,mos,distortion\na.mp4,1,blur\nb.mp4,2\n")
    assert [video.distortion for video in custom.read(listing)] == ["blur", ""]


def test_case_and_blanks_are_ignored(tmp_path: Path) -> None:
    listing = write(tmp_path, "Path , MOS, Reference_ID\n a.mp4, 3.5 , park\nb.mp4,2,park \n")
    assert custom.read(listing) == [
        Video("a.mp4", tmp_path / "a.mp4", 3.5, "park"),
        Video("b.mp4", tmp_path / "b.mp4", 2.0, "park"),
    ]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_lists_with_decimal_commas(separator: str, tmp_path: Path) -> None:
    listing = write(tmp_path, "path;mos\na.mp4;3,5\nb, c.mp4;2\n".replace(";", separator))
    videos = custom.read(listing)
    assert [(video.video_id, video.mos) for video in videos] == [("a.mp4", 3.5), ("b, c.mp4", 2.0)]


def test_one_file_under_two_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    for other in (tmp_path / "a.mp4", "link.mp4"):
        listing = write(tmp_path, f"path,mos\na.mp4,1\nb.mp4,2\n{other},3\n")
        with pytest.raises(DataError, match="lines 2 and 4 both name"):
            custom.read(listing)
    different = write(tmp_path, "path,mos\na.mp4,1\nb.mp4,2\n")
    (tmp_path / "b.mp4").touch()
    assert len(custom.read(different)) == 2


def test_a_folder_is_read_by_its_list(tmp_path: Path) -> None:
    text = "path,mos\na.mp4,1\nb.mp4,2\n"
    only = write(tmp_path, text, "mine.CSV")
    assert custom.read(tmp_path) == custom.read(only)
    other = write(tmp_path, text.replace("2", "5"), "other.csv")
    with pytest.raises(DataError, match=r"2 CSV files \(mine\.CSV, other\.csv\).*labels\.csv"):
        custom.read(tmp_path)
    default = write(tmp_path, text.replace("2", "7"))
    assert custom.read(tmp_path) == custom.read(default) != custom.read(other)


def test_missing_lists_are_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv does not exist"):
        custom.read(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="has no CSV file"):
        custom.read(tmp_path)


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
def test_unsound_lists_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    listing = write(tmp_path, text)
    with pytest.raises(DataError, match=reason) as caught:
        custom.read(listing)
    assert str(caught.value).startswith(str(listing))
