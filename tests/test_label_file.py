"""Lists of labels in the formats in which data sets bring them, sound and broken."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from a2inet_jax.datasets import label_file
from tests.dataset_inputs import cells, save_mat_7_3, save_xlsx


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_list_with_a_header(separator: str, tmp_path: Path) -> None:
    text = "\ufeffVideo; MOS;more\nA001.mp4;80.5;\n;;\n\nB001.mp4; 12 ;x\n".replace(";", separator)
    first, second = label_file.rows(write(tmp_path, "list.csv", text))
    assert (first.number, first.text("video"), first.number_in("mos")) == (2, "A001.mp4", 80.5)
    assert (second.number, second.text("name", "video"), second.number_in("mos")) == (
        5,
        "B001.mp4",
        12,
    )
    assert first.empty("more")
    assert not second.empty("more")


def test_a_list_without_a_header(tmp_path: Path) -> None:
    (row,) = label_file.rows(write(tmp_path, "labels.txt", "a/b c.mp4, -1, -1, 67.75\n"))
    assert (row.number, row.text("video"), row.number_in("mos")) == (1, "a/b c.mp4", 67.75)


def test_decimal_comma_and_columns_without_a_name(tmp_path: Path) -> None:
    text = "Content;File_name;Realignment MOS;;\nCity;Test01_City_D01;-6,5;1;2\n;;;;\n"
    (row,) = label_file.rows(write(tmp_path, "list.csv", text))
    assert row.number_in("mos", "realignment mos") == -6.5
    assert row.text("") == "1"


@pytest.mark.parametrize(
    ("cell", "said"),
    [("", "'mos' is empty"), ("nan", "'nan'"), ("-inf", "'-inf'"), ("good", "'good'")],
)
def test_a_label_that_is_none_is_told_with_file_and_row(
    cell: str, said: str, tmp_path: Path
) -> None:
    file = write(tmp_path, "list.csv", f"video,mos\na,1\nb,{cell}\n")
    with pytest.raises(ValueError, match=rf"list\.csv: row 3: .*{said}"):
        label_file.rows(file)[1].number_in("mos")


def test_a_missing_column_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    (row,) = label_file.rows(write(tmp_path, "list.csv", "clip,score\na,1\n"))
    with pytest.raises(ValueError, match=r"list\.csv: has no column 'mos' or 'dmos', but 'clip', "):
        row.number_in("mos", "dmos")


def test_broken_lists(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty\.csv: holds no rows"):
        label_file.rows(write(tmp_path, "empty.csv", "video,mos\n"))
    with pytest.raises(ValueError, match=r"none\.txt: holds no rows"):
        label_file.rows(write(tmp_path, "none.txt", "\n"))
    with pytest.raises(ValueError, match=r"wide\.csv: line 2 has 3 cells and the first line 2"):
        label_file.rows(write(tmp_path, "wide.csv", "video,mos\na,1,2\n"))
    (short,) = label_file.rows(write(tmp_path, "short.csv", "video,mos\na\n"))
    assert short.empty("mos")
    for name in ("list.xlsx", "data.mat"):
        file = write(tmp_path, name, "no such thing" * 100)
        with pytest.raises(ValueError, match=f"{name}: is not an? "):
            (label_file.rows if name == "list.xlsx" else label_file.mat)(file)
    hdf5 = tmp_path / "cut.mat"
    hdf5.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    pytest.importorskip("h5py")
    with pytest.raises(ValueError, match=r"cut\.mat: is not a MATLAB file"):
        label_file.mat(hdf5)


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
    first, second = label_file.rows(file, "MOS")
    assert (first.number, first.text("vid"), first.number_in("mos full")) == (
        2,
        "Vlog_480P-5ebd",
        3.637,
    )
    assert (second.number, second.text("vid"), second.empty("mos full")) == (4, "8536919744", True)
    assert label_file.Row(file, 1, {"vid": 5.0}).text("vid") == "5"
    with pytest.raises(ValueError, match=r"list\.xlsx: holds no rows"):
        label_file.rows(file, "none of these")


def test_a_matlab_file_of_either_version_reads_the_same(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    names, scores = ["A001.mp4", "B001.mp4"], [80.232, 27.2485]
    save_mat_7_3(tmp_path / "new.mat", {"s": {"names": names}, "mos": scores, "note": "text "})
    old = {"s": {"names": cells(names)}, "mos": np.array(scores)[:, None], "note": "text "}
    scipy.io.savemat(tmp_path / "old.mat", old)
    expected = {"s": {"names": names}, "mos": scores, "note": "text"}
    for file in (tmp_path / "new.mat", tmp_path / "old.mat"):
        assert label_file.mat(file) == expected
        rows = label_file.columns(file, {"video": ("s", "names"), "mos": ("mos",)})
        assert [(row.number, row.text("video"), row.number_in("mos")) for row in rows] == [
            (1, "A001.mp4", 80.232),
            (2, "B001.mp4", 27.2485),
        ]
        with pytest.raises(ValueError, match=r"\.mat: has no s\.scores"):
            label_file.columns(file, {"mos": ("s", "scores")})


def test_vectors_of_several_lengths_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.mat"
    scipy.io.savemat(file, {"video_list": cells(["a", "b"]), "mos": np.array([1.0, 2, 3])})
    with pytest.raises(ValueError, match=r"data\.mat: .*'video': 2, 'mos': 3"):
        label_file.columns(file, {"video": ("video_list",), "mos": ("mos",)})


def test_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"list\.xlsx: .*pip install 'a2inet-jax\[labels\]'"):
        label_file.rows(write(tmp_path, "list.xlsx", ""))
    hdf5 = tmp_path / "data.mat"
    hdf5.write_bytes(b"\x89HDF")
    with pytest.raises(ValueError, match=r"data\.mat: .*pip install 'a2inet-jax\[labels\]'"):
        label_file.mat(hdf5)
