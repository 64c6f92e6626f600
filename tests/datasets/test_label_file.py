"""Label files in the formats in which data sets come, sound and broken."""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from a2inet_jax.datasets import label_file
from a2inet_jax.errors import DataError
from tests.dataset_inputs import MAT_7_3_HEAD, cells, save_mat_7_3, save_xlsx


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_list_with_a_header(separator: str, tmp_path: Path) -> None:
    text = "\ufeffVideo; MOS;more\nA001.mp4;80.5;\n;;\n\nB001.mp4; 12 ;x\n".replace(";", separator)
    first, second = label_file.read_rows(write(tmp_path, "list.csv", text))
    assert (first.row_number, first.text("video"), first.number_in("mos")) == (2, "A001.mp4", 80.5)
    assert (second.row_number, second.text("name", "video"), second.number_in("mos")) == (
        5,
        "B001.mp4",
        12,
    )
    assert first.is_empty("more")
    assert not second.is_empty("more")


def test_a_list_without_a_header(tmp_path: Path) -> None:
    (row,) = label_file.read_rows(write(tmp_path, "labels.txt", "a/b c.mp4, -1, -1, 67.75\n"))
    assert (row.row_number, row.text("video"), row.number_in("mos")) == (1, "a/b c.mp4", 67.75)


def test_decimal_comma_and_columns_without_a_name(tmp_path: Path) -> None:
    text = "Content;File_name;Realignment MOS;;\nCity;Test01_City_D01;-6,5;1;2\n;;;;\n"
    (row,) = label_file.read_rows(write(tmp_path, "list.csv", text))
    assert row.number_in("mos", "realignment mos") == -6.5
    assert row.text("") == "1"


@pytest.mark.parametrize(
    ("cell", "message"),
    [("", "'mos' is empty"), ("nan", "'nan'"), ("-inf", "'-inf'"), ("good", "'good'")],
)
def test_an_error_in_a_label_names_file_and_row(cell: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, "list.csv", f"video,mos\na,1\nb,{cell}\n")
    with pytest.raises(DataError, match=rf"list\.csv: row 3: .*{message}"):
        label_file.read_rows(file)[1].number_in("mos")


def test_the_error_for_a_missing_column_lists_those_of_the_file(tmp_path: Path) -> None:
    (row,) = label_file.read_rows(write(tmp_path, "list.csv", "clip,score\na,1\n"))
    with pytest.raises(
        DataError, match=r"list\.csv has no column 'mos' or 'dmos'; its columns are 'clip', "
    ):
        row.number_in("mos", "dmos")


def test_broken_lists(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"empty\.csv has no rows"):
        label_file.read_rows(write(tmp_path, "empty.csv", "video,mos\n"))
    with pytest.raises(DataError, match=r"none\.txt has no rows"):
        label_file.read_rows(write(tmp_path, "none.txt", "\n"))
    with pytest.raises(DataError, match=r"wide\.csv: line 2 has 3 cells, but the first line has 2"):
        label_file.read_rows(write(tmp_path, "wide.csv", "video,mos\na,1,2\n"))
    (short,) = label_file.read_rows(write(tmp_path, "short.csv", "video,mos\na\n"))
    assert short.is_empty("mos")
    for name in ("list.xlsx", "data.mat"):
        file = write(tmp_path, name, "no such thing" * 100)
        with pytest.raises(DataError, match=f"{name} is not an? "):
            (label_file.read_rows if name == "list.xlsx" else label_file.read_mat)(file)
    hdf5 = tmp_path / "cut.mat"
    hdf5.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(DataError, match=r"cut\.mat is not a MATLAB file"):
        label_file.read_mat(hdf5)


@pytest.mark.parametrize("version", [5, 7.3])
def test_damaged_matlab_files_are_refused(version: float, tmp_path: Path) -> None:
    file = tmp_path / "data.mat"
    if version == 5:
        scipy.io.savemat(file, {"mos": np.arange(1000.0)})
    else:
        save_mat_7_3(file, {"mos": list(range(1000))})
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:130] + bytes(len(whole) - 130)):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"data\.mat (is not a MATLAB file|has no mos)"):
            label_file.read_mat_rows(file, {"mos": ("mos",)})


def test_cells_that_are_empty_or_alone(tmp_path: Path) -> None:
    """Of both versions: an empty name is seen to be empty, and a list of one name is a list."""
    old, new = tmp_path / "old.mat", tmp_path / "new.mat"
    scipy.io.savemat(old, {"names": cells(["A001.mp4"]), "mos": np.array([[80.5]])})
    save_mat_7_3(new, {"names": ["A001.mp4"], "mos": [80.5]})
    for file in (old, new):
        (row,) = label_file.read_mat_rows(file, {"video": ("names",), "mos": ("mos",)})
        assert (row.text("video"), row.number_in("mos")) == ("A001.mp4", 80.5)
    scipy.io.savemat(old, {"names": cells(["A001.mp4", ""]), "mos": np.array([80.5, 1.0])})
    save_mat_7_3(new, {"names": ["A001.mp4", ""], "mos": [80.5, 1.0]})
    for file in (old, new):
        _, row = label_file.read_mat_rows(file, {"video": ("names",), "mos": ("mos",)})
        with pytest.raises(DataError, match="row 2: column 'video' is empty"):
            row.text("video")


def test_an_object_of_matlab_is_refused_and_does_not_disturb(tmp_path: Path) -> None:
    file = tmp_path / "data.mat"
    save_mat_7_3(file, {"mos": [1.0, 2.0], "names": [1.0, 2.0]})
    with h5py.File(file, "r+") as opened:
        opened["names"].attrs["MATLAB_class"] = np.bytes_("string")
    assert label_file.read_mat(file) == {"mos": [1.0, 2.0], "names": None}
    with pytest.raises(DataError, match=r"data\.mat: names is neither a cell array of char nor"):
        label_file.read_mat_rows(file, {"video": ("names",), "mos": ("mos",)})


def test_a_sheet(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    file = tmp_path / "list.xlsx"
    rows: list[list[Any]] = [
        ["vid", "MOS full"],
        ["Vlog_480P-5ebd", 3.637],
        [None, None],
        [8536919744, None],
    ]
    save_xlsx(file, {"About": [["nothing"]], "MOS": rows})
    first, second = label_file.read_rows(file, "MOS")
    assert (first.row_number, first.text("vid"), first.number_in("mos full")) == (
        2,
        "Vlog_480P-5ebd",
        3.637,
    )
    assert (second.row_number, second.text("vid"), second.is_empty("mos full")) == (
        4,
        "8536919744",
        True,
    )
    assert label_file.LabelRow(file, 1, {"vid": 5.0}).text("vid") == "5"
    with pytest.raises(DataError, match=r"list\.xlsx has no rows"):
        label_file.read_rows(file, "no such sheet")


def test_matlab_files_of_both_versions_read_the_same(tmp_path: Path) -> None:
    names, scores = ["A001.mp4", "B001.mp4"], [80.232, 27.2485]
    save_mat_7_3(tmp_path / "new.mat", {"s": {"names": names}, "mos": scores, "note": "text "})
    old = {"s": {"names": cells(names)}, "mos": np.array(scores)[:, None], "note": "text "}
    scipy.io.savemat(tmp_path / "old.mat", old)
    expected = {"s": {"names": names}, "mos": scores, "note": "text"}
    for file in (tmp_path / "new.mat", tmp_path / "old.mat"):
        assert label_file.read_mat(file) == expected
        rows = label_file.read_mat_rows(file, {"video": ("s", "names"), "mos": ("mos",)})
        assert [(row.row_number, row.text("video"), row.number_in("mos")) for row in rows] == [
            (1, "A001.mp4", 80.232),
            (2, "B001.mp4", 27.2485),
        ]
        with pytest.raises(DataError, match=r"\.mat has no s\.scores"):
            label_file.read_mat_rows(file, {"mos": ("s", "scores")})


def test_vectors_of_different_lengths_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.mat"
    scipy.io.savemat(file, {"video_list": cells(["a", "b"]), "mos": np.array([1.0, 2, 3])})
    with pytest.raises(DataError, match=r"data\.mat has .*'video': 2, 'mos': 3"):
        label_file.read_mat_rows(file, {"video": ("video_list",), "mos": ("mos",)})


def test_errors_name_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.setitem(sys.modules, "pymatreader", None)
    with pytest.raises(DataError, match=r"list\.xlsx: .*pip install 'a2inet-jax\[labels\]'"):
        label_file.read_rows(write(tmp_path, "list.xlsx", ""))
    old, new = tmp_path / "old.mat", tmp_path / "new.mat"
    scipy.io.savemat(old, {"mos": np.ones(3)})
    new.write_bytes(MAT_7_3_HEAD.ljust(512, b"\0") + b"\x89HDF")
    for file in (old, new):
        with pytest.raises(DataError, match=r"\.mat: .*pip install 'a2inet-jax\[labels\]'"):
            label_file.read_mat(file)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"new\.mat: .*pip install 'a2inet-jax\[labels\]'"):
        label_file.read_mat(new)
