"""A number in a cell of a list, as people write it."""

import math


def parse_number(cell: str) -> float:
    """The finite number that a cell holds; a decimal comma is read as a point.

    Raises:
      ValueError: it holds something else, such as 1_000, which Python alone takes for a number.
    """
    try:
        value = math.nan if "_" in cell else float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is not a number")
    return value


def parse_whole(cell: str) -> int:
    """The whole number that a cell holds; ValueError if it holds something else."""
    value = parse_number(cell)
    if not value.is_integer():
        raise ValueError(f"{cell!r} is not a whole number")
    return int(value)
