"""The numbers of the paper's Tables 2 to 7, to compare ours with."""

import csv
from functools import cache
from importlib import resources

# Table → title of a data set → its name in that table, if it is another one.
DATASET_NAMES = {
    3: {"LSVQ": "LSVQ-test", "KoNViD-1k": "KoNViD-1k (cross)", "LIVE-VQC": "LIVE-VQC (cross)"}
}
WEIGHTED_AVERAGE = "W.A."


def value(table: int, dataset: str, row: str, metric: str) -> float | None:
    """Return a number of the paper, or None if the paper does not have it.

    Args:
        table: Number of the table, 2 to 7.
        dataset: Name of the data set in that table, such as "KoNViD-1k" or "W.A.".
        row: Name of the model in that table, such as "SQ+SS".
        metric: "srcc" or "plcc".
    """
    return _values().get((table, dataset, row, metric))


def datasets(table: int) -> list[str]:
    """Return the names of a table's data sets, in its order, without the weighted average."""
    names = dict.fromkeys(dataset for n, dataset, _, _ in _values() if n == table)
    return [dataset for dataset in names if dataset != WEIGHTED_AVERAGE]


def dataset_name(table: int, title: str) -> str | None:
    """Return the name in a table of the data set with this title; None if the table does not have it."""
    name = DATASET_NAMES.get(table, {}).get(title, title)
    return name if name in datasets(table) else None


@cache
def _values() -> dict[tuple[int, str, str, str], float]:
    text = resources.files(__package__).joinpath("paper_tables.csv").read_text("utf-8")
    return {
        (int(table), dataset, row, metric.lower()): float(number)
        for table, dataset, row, metric, number in list(csv.reader(text.splitlines()))[1:]
    }
