"""Numbers in the cells of a list, as people write them."""

import math


def parse_number(cell: str) -> float:
    """Return the finite number in a cell; a decimal comma is read as a point.

    Raises:
        ValueError: The cell holds something else, such as 1_000, which Python would take for a number.
    """
    try:
        value = math.nan if "_" in cell else float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is not a number")
    return value


def parse_whole(cell: str) -> int:
    """Return the whole number in a cell.

    Raises:
        ValueError: The cell holds something else.
    """
    value = parse_number(cell)
    if not value.is_integer():
        raise ValueError(f"{cell!r} is not a whole number")
    return int(value)
