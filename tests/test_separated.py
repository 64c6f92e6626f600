"""Cells of text files, whatever separates them."""

from pathlib import Path

import pytest

from a2inet_jax.datasets import separated


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_blanks_and_empty_lines_do_not_count(separator: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    text = '\ufeffpath; mos \r\n;\r\n a.mp4 ;"1"\n\n"b\nc;d"; "2,5"\n'
    file.write_text(text.replace(";", separator), newline="")
    assert separated.lines(file) == [
        (1, ["path", "mos"]),
        (3, ["a.mp4", "1"]),
        (6, [f"b\nc{separator}d", "2,5"]),
    ]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    for text in ("", "\n\n", ",,\n"):
        file.write_text(text)
        assert separated.lines(file) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2,3\n", "line 2 has 3 cells and the first line 2: a cell with a ','"),
        ("a;b\n1;2;3\n", "line 2 has 3 cells and the first line 2: a cell with a ';'"),
        # A decimal comma without quotes, under columns that a spreadsheet left behind.
        ("a,b,,\n1,2,,\n1,2,5,\n", "line 3 has 4 cells and the first line 2"),
        ('a,b\n"1,2\n', "is not a CSV file in UTF-8"),
    ],
)
def test_cells_that_are_out_of_place(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        separated.lines(file)
    assert str(file) in str(caught.value)


def test_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("number,title\n1,ä\n", encoding="latin-1")
    with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
        separated.lines(file)
    assert separated.lines(file, foreign=True)[1] == (2, ["1", "\ufffd"])
    file.write_text("number,title\n1,ä\n", encoding="utf-16")
    for foreign in (False, True):
        with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
            separated.lines(file, foreign)
