"""Which file of a folder a video is."""

from pathlib import Path

import pytest

from a2inet_jax.datasets.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_only_file_is_taken_wherever_it_lies(folder: Folder) -> None:
    assert folder.choose(["x/725.mp4"], "yfcc/725.mp4") == "x/725.mp4"
    assert folder.choose([], "yfcc/725.mp4") is None


def test_the_only_one_that_lies_as_expected_is_taken(folder: Folder) -> None:
    assert folder.choose(["copies/725.mp4", "A/YFCC/725.MP4"], "yfcc/725.mp4") == "A/YFCC/725.MP4"
    files = ["yfcc/725.mp4", "patches/yfcc/725.mp4"]
    assert folder.choose(files, "yfcc/725.mp4") == "yfcc/725.mp4"


@pytest.mark.parametrize(
    "files",
    [
        ["a/725.mp4", "b/725.mp4"],
        # Both end as is expected: whole videos, and patches of them.
        ["patches/yfcc/725.mp4", "videos/yfcc/725.mp4"],
    ],
)
def test_of_two_that_may_be_it_none_is_taken(files: list[str], folder: Folder) -> None:
    said = f"2 files for one video: {' and '.join(files)}.*at {folder.path}/yfcc/725.mp4"
    with pytest.raises(ValueError, match=said):
        folder.choose(files, "yfcc/725.mp4")
