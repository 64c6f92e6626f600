"""The rows of the paper's tables, from `paper_tables.csv`."""

import csv
from importlib import resources


def rows(table: int) -> list[str]:
    """Return the models of a table in the order of the paper; none if there is no such table."""
    text = resources.files("a2inet_jax.report").joinpath("paper_tables.csv").read_text("utf-8")
    lines = csv.DictReader(text.splitlines())
    return list(dict.fromkeys(line["model"] for line in lines if line["table"] == str(table)))
