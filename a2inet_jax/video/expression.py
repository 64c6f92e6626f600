"""Expressions of ffmpeg's filters."""

from collections.abc import Sequence


def any_of(terms: Sequence[str]) -> str:
    """Return an expression that is true if at least one term is true.

    The sum is nested as a balanced tree, because ffmpeg accepts only a hundred levels.
    """
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({any_of(terms[:middle])}+{any_of(terms[middle:])})"
