"""Cells of text files with different separators."""

from pathlib import Path

import pytest

from a2inet_jax.datasets import delimited
from a2inet_jax.errors import DataError


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_blanks_and_empty_lines_are_ignored(separator: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    text = '\ufeffpath; mos \r\n;\r\n a.mp4 ;"1"\n\n"b\nc;d"; "2,5"\n'
    file.write_text(text.replace(";", separator), newline="")
    assert delimited.lines(file) == [
        (1, ["path", "mos"]),
        (3, ["a.mp4", "1"]),
        (6, [f"b\nc{separator}d", "2,5"]),
    ]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    for text in ("", "\n\n", ",,\n"):
        file.write_text(text)
        assert delimited.lines(file) == []


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
        delimited.lines(file)
    assert str(file) in str(caught.value)


def test_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("number,title\n1,ä\n", encoding="latin-1")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        delimited.lines(file)
    assert delimited.lines(file, replace_undecodable=True)[1] == (2, ["1", "\ufffd"])
    file.write_text("number,title\n1,ä\n", encoding="utf-16")
    for replace_undecodable in (False, True):
        with pytest.raises(DataError, match="not a CSV file in UTF-8"):
            delimited.lines(file, replace_undecodable)
