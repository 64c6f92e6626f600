"""The numbers of the paper's tables."""

import pytest

from a2inet_jax.report import paper
from tests import paper_rows


@pytest.mark.parametrize(
    ("table", "dataset", "row", "metric", "value"),
    [
        (2, "KoNViD-1k", "A2INet FR(S+M)", "srcc", 0.8875),
        (2, "W.A.", "A2INet FR(S+S)", "plcc", 0.8631),
        (3, "LSVQ-1080p", "A2INet PR(S+M)", "srcc", 0.7741),
        (4, "LIVE-Qualcomm", "MS", "srcc", 0.6159),
        (5, "KoNViD-1k", "CAGI ViT+Swin", "srcc", 0.8548),
        (6, "LIVE-VQC", "CGIN (S+S)", "srcc", 0.8195),
        (5, "KoNViD-1k", "CAGI ViT+Swin", "plcc", None),
        (4, "KoNViD-1k", "no such row", "srcc", None),
        (9, "KoNViD-1k", "MS", "srcc", None),
    ],
)
def test_numbers(table: int, dataset: str, row: str, metric: str, value: float | None) -> None:
    assert paper.value(table, dataset, row, metric) == value


def test_rows_and_data_sets_are_in_the_order_of_the_paper() -> None:
    assert paper_rows.rows(4) == ["SQ", "SS", "MS", "SQ+SS", "SQ+MS", "SS+MS"]
    assert [len(paper_rows.rows(table)) for table in range(1, 9)] == [0, 20, 10, 6, 24, 10, 7, 0]
    assert paper.datasets(2) == [
        "LIVE-Qualcomm", "CVD2014", "LIVE-VQC", "YouTube-UGC", "KoNViD-1k",
    ]  # fmt: skip
    assert paper.datasets(4) == ["LIVE-Qualcomm", "LIVE-VQC", "KoNViD-1k"]


def test_every_value_is_a_correlation() -> None:
    found = [
        value
        for table in range(2, 8)
        for row in paper_rows.rows(table)
        for dataset in [*paper.datasets(table), paper.WEIGHTED_AVERAGE]
        for metric in ("srcc", "plcc")
        if (value := paper.value(table, dataset, row, metric)) is not None
    ]
    assert len(found) == 444
    assert 0.5 < min(found) < max(found) < 1


def test_data_set_names_by_title() -> None:
    assert paper.dataset_name(2, "KoNViD-1k") == "KoNViD-1k"
    assert paper.dataset_name(3, "KoNViD-1k") == "KoNViD-1k (cross)"
    assert paper.dataset_name(3, "LSVQ") == "LSVQ-test"
    assert paper.dataset_name(3, "LSVQ-1080p") == "LSVQ-1080p"
    assert paper.dataset_name(4, "CVD2014") is None
    assert paper.dataset_name(2, "sample") is None
