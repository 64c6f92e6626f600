"""The rows of the paper's tables as `paper_tables.csv` has them."""

import csv
from importlib import resources


def rows(table: int) -> list[str]:
    """The models of a table in the paper's order; none where there is no such table."""
    text = resources.files("a2inet_jax.report").joinpath("paper_tables.csv").read_text("utf-8")
    lines = csv.DictReader(text.splitlines())
    return list(dict.fromkeys(line["model"] for line in lines if line["table"] == str(table)))
