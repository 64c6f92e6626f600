"""Text files of cells that are separated by commas, semicolons or tabs."""

import csv
from pathlib import Path


def lines(file: Path, foreign: bool = False) -> list[tuple[int, list[str]]]:
    """The lines of a file in UTF-8 that have any content; the first may be a header.

    The separator is the one that the first line has most of. Blanks around cells don't count.

    Args:
      file: the file.
      foreign: letters in other encodings do no harm: they are in cells that nobody needs.

    Returns:
      The line's number, from 1, and its cells, for each.

    Raises:
      ValueError: the file is in another encoding, a quote in it is never closed, or a line has cells that
        the first one has none above; names the file.
    """
    try:
        errors = "replace" if foreign else "strict"
        with file.open(newline="", encoding="utf-8-sig", errors=errors) as opened:
            head = opened.readline()
            if "\0" in head:
                raise csv.Error("it has zero bytes, as UTF-16 does")
            opened.seek(0)
            separator = max(",;\t", key=head.count)
            reader = csv.reader(opened, delimiter=separator, skipinitialspace=True, strict=True)
            found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: is not a CSV file in UTF-8 ({error})") from None
    found = [(number, cells) for number, cells in found if any(cells)]
    for number, cells in found[1:]:
        _check(file, number, cells, found[0][1], separator)
    return found


def _check(file: Path, number: int, cells: list[str], head: list[str], separator: str) -> None:
    wide = len(head)
    if separator == ",":
        # A decimal comma without quotes may push a cell under a column that has no name.
        wide = max(place for place, name in enumerate(head, start=1) if name)
    if any(cells[wide:]):
        raise ValueError(
            f"{file}: line {number} has {len(cells)} cells and the first line {wide}: a cell with a "
            f"{separator!r} in it stands in quotes"
        )
