"""Text files whose cells are separated by commas, semicolons or tabs."""

import csv
from pathlib import Path

from a2inet_jax.errors import DataError


def lines(file: Path, replace_undecodable: bool = False) -> list[tuple[int, list[str]]]:
    """Read the non-empty lines of a file in UTF-8; the first may be a header.

    The separator is the one that occurs most often in the first line. Blanks around cells are stripped.
    `replace_undecodable` replaces characters of another encoding instead of refusing the file; it is for
    files in which only cells that nobody reads can have such characters.

    Returns:
        Line number, from 1, and cells of each line.

    Raises:
        DataError: The file has another encoding, a quote in it is never closed, or a line has more cells
            than the first.
    """
    try:
        errors = "replace" if replace_undecodable else "strict"
        with file.open(newline="", encoding="utf-8-sig", errors=errors) as opened:
            first = opened.readline()
            if "\0" in first:
                raise csv.Error("it has zero bytes, as UTF-16 does")
            opened.seek(0)
            separator = max(",;\t", key=first.count)
            reader = csv.reader(opened, delimiter=separator, skipinitialspace=True, strict=True)
            found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a CSV file in UTF-8 ({error})") from None
    found = [(number, cells) for number, cells in found if any(cells)]
    for number, cells in found[1:]:
        _check_width(file, number, cells, found[0][1], separator)
    return found


def _check_width(
    file: Path, number: int, cells: list[str], header: list[str], separator: str
) -> None:
    width = len(header)
    if separator == ",":
        # A decimal comma without quotes may push a cell under a column that has no name.
        width = max(column for column, name in enumerate(header, start=1) if name)
    if any(cells[width:]):
        raise DataError(
            f"{file}: line {number} has {len(cells)} cells, but the first line has {width}: put a cell that "
            f"contains {separator!r} in quotes"
        )
