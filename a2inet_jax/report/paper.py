"""The numbers that the paper's Tables 2 to 7 give, which our own are shown beside."""

import csv
from functools import cache
from importlib import resources

# Title of a data set → what a table calls it, where that is something else: LSVQ's model is tested on these.
COLUMNS = {
    3: {
        "LSVQ": "LSVQ-test",
        "KoNViD-1k": "KoNViD-1k (cross)",
        "LIVE-VQC": "LIVE-VQC (cross)",
    }
}
WEIGHTED_AVERAGE = "W.A."


def number(table: int, dataset: str, row: str, metric: str) -> float | None:
    """A number of the paper, or None where it gives none.

    Args:
        table: the table's number, 2 to 7.
        dataset: the data set as the table names it, such as "KoNViD-1k" or "W.A.".
        row: the model as the table names it, such as "SQ+SS".
        metric: "srcc" or "plcc".
    """
    return _numbers().get((table, dataset, row, metric))


def datasets(table: int) -> list[str]:
    """The data sets of a table as it names them, in its order, without the weighted average."""
    named = dict.fromkeys(dataset for n, dataset, _, _ in _numbers() if n == table)
    return [dataset for dataset in named if dataset != WEIGHTED_AVERAGE]


def column(table: int, title: str) -> str | None:
    """What a table calls the data set of this title; None if it has no such data set."""
    wanted = COLUMNS.get(table, {}).get(title, title)
    return wanted if wanted in datasets(table) else None


@cache
def _numbers() -> dict[tuple[int, str, str, str], float]:
    text = resources.files(__package__).joinpath("paper_tables.csv").read_text("utf-8")
    return {
        (int(row["table"]), row["dataset"], row["model"], row["metric"].lower()): float(
            row["value"]
        )
        for row in csv.DictReader(text.splitlines())
    }
