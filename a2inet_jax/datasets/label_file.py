"""Label files of data sets: CSV, XLSX, plain text and MATLAB.

Each row knows its file and number, so that an error can name them.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.datasets.lists import parse_number, read_cells
from a2inet_jax.errors import DataError

_INSTALL = "reading it needs another package: pip install 'a2inet-jax[labels]'"
# Columns of the text lists that come with published code, which have no header.
_TEXT_COLUMNS = ("video", "duration", "fps", "mos")


@dataclass(frozen=True)
class LabelRow:
    """One row of a label file."""

    file: Path
    row_number: int  # from 1; a header counts
    cells: dict[str, Any]  # by lower-case column name

    def text(self, *columns: str) -> str:
        """Return the text in the first of these columns that the file has.

        Raises:
            DataError: The file has none of them, or the cell is empty.
        """
        if not (text := self._cell(columns)):
            raise self.error(f"column {columns[0]!r} is empty")
        return text

    def number_in(self, *columns: str) -> float:
        """Return the number in the first of these columns; a decimal comma is read as a point.

        Raises:
            DataError: As `text`, or the cell is not a finite number.
        """
        text = self.text(*columns)
        try:
            return parse_number(text)
        except ValueError:
            raise self.error(f"{text!r} is not a number") from None

    def is_empty(self, *columns: str) -> bool:
        """Return whether the cell in the first of these columns that the file has is empty."""
        return not self._cell(columns)

    def error(self, reason: str) -> DataError:
        """Return an error that names the file and the row."""
        return DataError(f"{self.file}: row {self.row_number}: {reason}")

    def _cell(self, columns: Sequence[str]) -> str:
        for column in columns:
            if column in self.cells:
                value = self.cells[column]
                # A spreadsheet may keep a numeric id as a float.
                if isinstance(value, float) and value.is_integer():
                    value = int(value)
                return _stripped(value)
        raise DataError(
            f"{self.file} has no column {' or '.join(map(repr, columns))}; its columns are "
            f"{', '.join(map(repr, self.cells))}"
        )


def read_rows(file: Path, sheet: str | None = None) -> list[LabelRow]:
    """Read a label file, without its empty rows.

    Args:
        file: `.csv` (separated by comma, semicolon or tab, with a header), `.xlsx` (with a header) or `.txt`
            (path, duration, fps, mos, without a header).
        sheet: Name of the sheet of an XLSX file; the first sheet if there is none of that name.

    Raises:
        DataError: The file cannot be read or has no rows.
    """
    lines: list[tuple[int, list[Any]]]
    if file.suffix.lower() == ".xlsx":
        lines = list(_read_sheet(file, sheet))
    else:
        # Names and labels are ASCII; titles beside them may be in any encoding.
        lines = read_cells(file, replace_undecodable=True)
    if file.suffix.lower() == ".txt":
        header: Sequence[Any] = _TEXT_COLUMNS
    else:
        header, lines = (lines[0][1], lines[1:]) if lines else ((), [])
    names = [_stripped(cell).lower() for cell in header]
    rows = []
    for number, cells in lines:
        if len(cells) > len(names) and any(cell not in (None, "") for cell in cells[len(names) :]):
            raise DataError(f"{file}: row {number} has more than {len(names)} columns")
        padded = [*cells, *[None] * (len(names) - len(cells))]
        by_name: dict[str, Any] = {}
        for name, cell in zip(names, padded):
            # Of columns with the same name the first counts.
            by_name.setdefault(name, cell)
        rows.append(LabelRow(file, number, by_name))
    if not rows:
        raise DataError(f"{file} has no rows")
    return rows


def _stripped(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def read_mat(file: Path) -> dict[str, Any]:
    """Read the variables of a MATLAB file of any version.

    Returns:
        By name: a list for a cell array or numbers, a str for a char array or a cell array of one, a dict for
        a struct, None for an object that cannot be read.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        import pymatreader

        # It warns of objects, which nobody may ask for.
        with warnings.catch_warnings(action="ignore"):
            variables = pymatreader.read_mat(file)
    except ImportError:
        raise DataError(f"{file}: {_INSTALL}") from None
    # Many kinds of errors come from a file that is not MATLAB's.
    except Exception as error:
        raise DataError(f"{file} is not a MATLAB file ({error})") from None
    return {name: _plain(value) for name, value in variables.items() if not name.startswith("__")}


def read_mat_rows(file: Path, paths: Mapping[str, Sequence[str]]) -> list[LabelRow]:
    """Make rows of vectors in a MATLAB file of any version.

    `paths` has, for each column of the rows, the name of the variable, or of a struct and its field.

    Raises:
        DataError: As `read_mat` and `mat_list`, or the vectors are empty or differ in length.
    """
    variables = read_mat(file)
    vectors = {column: mat_list(file, variables, *names) for column, names in paths.items()}
    lengths = {column: len(vector) for column, vector in vectors.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise DataError(f"{file} has no rows, or columns of different lengths: {lengths}")
    return [
        LabelRow(file, number, dict(zip(vectors, cells)))
        for number, cells in enumerate(zip(*vectors.values()), start=1)
    ]


def mat_list(file: Path, variables: dict[str, Any], *names: str) -> list[Any]:
    """Return a cell array or numbers from the result of `read_mat`: a variable, or a field of a struct.

    Raises:
        DataError: There is no such variable or field, or it is of another kind.
    """
    value: Any = variables
    for name in names:
        if not isinstance(value, dict) or name not in value:
            raise DataError(f"{file} has no {'.'.join(names)}")
        value = value[name]
    # A cell array of one name is read as the name.
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise DataError(f"{file}: {'.'.join(names)} is neither a cell array of char nor numbers")
    return value


def _read_sheet(file: Path, name: str | None) -> Iterator[tuple[int, list[Any]]]:
    try:
        import openpyxl
    except ImportError:
        raise DataError(f"{file}: {_INSTALL}") from None
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    # The error may come from zipfile, from the XML parser or from openpyxl.
    except Exception as error:
        raise DataError(f"{file} is not an XLSX file ({error})") from None
    try:
        sheet = book[name] if name in book.sheetnames else book.worksheets[0]
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if any(cell not in (None, "") for cell in cells):
                yield number, list(cells)
    finally:
        book.close()


def _plain(value: Any) -> Any:
    """Convert arrays of any shape to lists in MATLAB's order, and an empty cell to ""."""
    match value:
        case None:
            return None
        case str():
            return value.strip()
        case dict():
            return {name: _plain(field) for name, field in value.items()}
    cells = value if isinstance(value, list) else np.ravel(value, "F").tolist()
    return [
        (_plain(cell) or "") if isinstance(cell, np.ndarray | list | dict | str) else cell
        for cell in cells
    ]
