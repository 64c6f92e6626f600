"""The choice of a video's file among those of a folder."""

from pathlib import Path

import pytest

from a2inet_jax.datasets.scan import Folder
from a2inet_jax.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_single_file_is_taken_wherever_it_is(folder: Folder) -> None:
    assert folder.choose(["x/725.mp4"], "yfcc/725.mp4") == "x/725.mp4"
    assert folder.choose([], "yfcc/725.mp4") is None


def test_of_several_the_one_at_the_expected_path_is_taken(folder: Folder) -> None:
    assert folder.choose(["copies/725.mp4", "A/YFCC/725.MP4"], "yfcc/725.mp4") == "A/YFCC/725.MP4"
    files = ["yfcc/725.mp4", "patches/yfcc/725.mp4"]
    assert folder.choose(files, "yfcc/725.mp4") == "yfcc/725.mp4"


@pytest.mark.parametrize(
    "files",
    [
        ["a/725.mp4", "b/725.mp4"],
        # Both end in the expected path: whole videos, and patches of them.
        ["patches/yfcc/725.mp4", "videos/yfcc/725.mp4"],
    ],
)
def test_an_ambiguous_choice_is_refused(files: list[str], folder: Folder) -> None:
    message = f"2 files for one video: {' and '.join(files)}.*to {folder.path}/yfcc/725.mp4"
    with pytest.raises(DataError, match=message):
        folder.choose(files, "yfcc/725.mp4")
