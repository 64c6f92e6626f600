"""Expressions as ffmpeg's filters evaluate them."""

from collections.abc import Sequence


def any_of(terms: Sequence[str]) -> str:
    """An expression that is true where one of these is. Sums nest, and ffmpeg takes a hundred levels."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({any_of(terms[:middle])}+{any_of(terms[middle:])})"
