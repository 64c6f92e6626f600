"""Lists of videos and their labels, as data sets bring them: CSV, XLSX, plain text and MATLAB files.

A row knows where it stands, so that what is wrong with it can be said in full.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from a2inet_jax.datasets import separated
from a2inet_jax.datasets.number import parse_number

_EXTRA = "reading it needs another package: pip install 'a2inet-jax[labels]'"
_HDF5 = b"\x89HDF"
# What the lists that come with published code hold, which have no header.
_TEXT_COLUMNS = ("video", "duration", "fps", "mos")


@dataclass(frozen=True)
class Row:
    """One row of a list.

    Attributes:
      file: the list.
      number: of the row, from 1, a header included.
      cells: value of each column; column names are in lower case.
    """

    file: Path
    number: int
    cells: dict[str, Any]

    def text(self, *columns: str) -> str:
        """What stands in the first of these columns that the list has.

        Raises:
          ValueError: it has none of them, or the cell is empty.
        """
        value = self._cell(columns)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # an id that a spreadsheet keeps as a number
        if not (text := str("" if value is None else value).strip()):
            raise self.error(f"column {columns[0]!r} is empty")
        return text

    def number_in(self, *columns: str) -> float:
        """The number in the first of these columns that the list has; a decimal comma is read as a point.

        Raises:
          ValueError: as `text`, or it is not a finite number.
        """
        text = self.text(*columns)
        try:
            return parse_number(text)
        except ValueError:
            raise self.error(f"{text!r} is not a number") from None

    def empty(self, *columns: str) -> bool:
        """Whether nothing stands in the first of these columns that the list has."""
        return str("" if (value := self._cell(columns)) is None else value).strip() == ""

    def error(self, reason: str) -> ValueError:
        """An error that names the file and the row."""
        return ValueError(f"{self.file}: row {self.number}: {reason}")

    def _cell(self, columns: Sequence[str]) -> Any:
        for column in columns:
            if column in self.cells:
                return self.cells[column]
        raise ValueError(
            f"{self.file}: has no column {' or '.join(map(repr, columns))}, but "
            f"{', '.join(map(repr, self.cells))}"
        )


def rows(file: Path, sheet: str | None = None) -> list[Row]:
    """Read a list; rows without any content are left out.

    Args:
      file: `.csv` (separated by comma, semicolon or tab, with a header), `.xlsx` (with a header) or `.txt`
        (path, duration, fps, mos, without a header).
      sheet: which sheet of an XLSX file; the first if it has no such sheet.

    Raises:
      ValueError: the file can't be read, or holds no row; names it.
    """
    is_sheet = file.suffix.lower() == ".xlsx"
    lines: list[tuple[int, list[Any]]]
    # Names and numbers are ASCII; titles that come with them may be anything.
    lines = list(_sheet(file, sheet)) if is_sheet else separated.lines(file, foreign=True)
    if file.suffix.lower() == ".txt":
        header: Sequence[Any] = _TEXT_COLUMNS
    else:
        header, lines = (lines[0][1], lines[1:]) if lines else ((), [])
    names = [str("" if cell is None else cell).strip().lower() for cell in header]
    found = []
    for number, cells in lines:
        if len(cells) > len(names) and any(cell not in (None, "") for cell in cells[len(names) :]):
            raise ValueError(f"{file}: row {number}: has more than {len(names)} columns")
        padded = [*cells, *[None] * (len(names) - len(cells))]
        named: dict[str, Any] = {}
        for name, cell in zip(names, padded):
            named.setdefault(name, cell)  # of columns that share a name the first counts
        found.append(Row(file, number, named))
    if not found:
        raise ValueError(f"{file}: holds no rows")
    return found


def mat(file: Path) -> dict[str, Any]:
    """Read a MATLAB file of version 5 or 7.3.

    Returns:
      Variable → str of a char array, list of a cell array or of numbers, dict of a struct.

    Raises:
      ValueError: the file can't be read; names it.
    """
    with file.open("rb") as opened:
        # A MATLAB file of version 7.3 is HDF5 after 512 bytes that MATLAB leaves to itself.
        hdf5 = _HDF5 in (opened.read(4), opened.read(512)[508:])
    if hdf5:
        return _read_hdf5(file)
    try:
        found = scipy.io.loadmat(file, simplify_cells=True)
    except Exception as error:  # SciPy has no error of its own for a file that is not one
        raise ValueError(f"{file}: is not a MATLAB file ({error})") from None
    return {name: _plain(value) for name, value in found.items() if not name.startswith("__")}


def columns(file: Path, places: Mapping[str, Sequence[str]]) -> list[Row]:
    """Rows made of vectors of a MATLAB file.

    Args:
      file: the file.
      places: for each column of the rows, the variable, or the struct and its field.

    Raises:
      ValueError: as `mat` and `field`, or the vectors differ in length or are empty.
    """
    variables = mat(file)
    vectors = {column: field(file, variables, *names) for column, names in places.items()}
    lengths = {column: len(vector) for column, vector in vectors.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"{file}: holds no rows, or columns of several lengths: {lengths}")
    return [
        Row(file, number, dict(zip(vectors, cells)))
        for number, cells in enumerate(zip(*vectors.values()), start=1)
    ]


def field(file: Path, variables: dict[str, Any], *names: str) -> Any:
    """A variable, or a field of a struct, of what `mat` read; ValueError where it isn't there."""
    value: Any = variables
    for name in names:
        if not isinstance(value, dict) or name not in value:
            raise ValueError(f"{file}: has no {'.'.join(names)}")
        value = value[name]
    return value


def _sheet(file: Path, name: str | None) -> Iterator[tuple[int, list[Any]]]:
    try:
        import openpyxl
    except ImportError:
        raise ValueError(f"{file}: {_EXTRA}") from None
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except Exception as error:  # a ZIP's, an XML parser's or its own
        raise ValueError(f"{file}: is not an XLSX file ({error})") from None
    try:
        sheet = book[name] if name in book.sheetnames else book.worksheets[0]
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if any(cell not in (None, "") for cell in cells):
                yield number, list(cells)
    finally:
        book.close()


def _plain(value: Any) -> Any:
    """The same of what SciPy read, as Python's own types."""
    if isinstance(value, dict):
        return {name: _plain(field) for name, field in value.items()}
    if isinstance(value, str):
        return value.strip()
    return [
        item.strip() if isinstance(item, str) else item for item in np.ravel(value, "F").tolist()
    ]


def _read_hdf5(file: Path) -> dict[str, Any]:
    try:
        import h5py
    except ImportError:
        raise ValueError(f"{file}: {_EXTRA}") from None

    def read(node: Any) -> Any:
        if isinstance(node, h5py.Group):
            return {name: read(child) for name, child in node.items()}
        # MATLAB's arrays lie in it with their axes reversed: their order is the same.
        values = np.ravel(node[()])
        kind = node.attrs.get("MATLAB_class", b"")
        if node.attrs.get("MATLAB_empty", 0):
            return "" if kind == b"char" else []
        if kind == b"char":
            return "".join(map(chr, values)).strip()
        if values.dtype == object:
            return [read(node.file[reference]) for reference in values]
        return values.tolist()

    try:
        with h5py.File(file, "r") as opened:
            return {name: read(node) for name, node in opened.items() if not name.startswith("#")}
    except OSError as error:
        raise ValueError(f"{file}: is not a MATLAB file ({error})") from None
