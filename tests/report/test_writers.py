"""Results beside the paper's, in every output format."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from a2inet_jax.evaluation.protocol import EvaluatedDataset
from a2inet_jax.files import csv_text
from a2inet_jax.report import page, paper, sections, writers
from a2inet_jax.report.columns import columns, notes, other_columns
from a2inet_jax.report.table import Cell, ResultsTable, Row
from a2inet_jax.report.writers import FIELDS, escaped, terminal, to_latex
from tests import paper_rows

DATASETS = {
    "sample": ("sample", "VMAF", "No person has rated these clips."),
    "konvid_1k": ("KoNViD-1k", "MOS", ""),
    "live_vqc": ("LIVE-VQC", "MOS", ""),
    "live_qualcomm": ("LIVE-Qualcomm", "MOS", ""),
    "lsvq": ("LSVQ", "MOS", ""),
    "cvd2014": ("CVD2014", "MOS", ""),
    "youtube_ugc": ("YouTube-UGC", "MOS", ""),
}


def make_cell(srcc: float, row: str) -> Cell:
    def summary(median: float) -> dict[str, float]:
        return {"median": median, "mean": median, "std": 0.02, "min": 0.0, "max": 1.0}

    return Cell(
        run=f"runs/{row}",
        splits=10,
        seeds=1,
        epoch_rule="best_val",
        summary={"srcc": summary(srcc), "plcc": summary(srcc + 0.01)},
        interval={"srcc": [srcc - 0.04, srcc + 0.03], "plcc": None},
        remarks=[],
    )


def make_table(number: int | None, *datasets: str, without: str = "") -> ResultsTable:
    """Return a table of three rows: SRCC 0.7, SRCC 0.8, and a skipped one; `without` is skipped in all."""
    first, second, third = paper_rows.rows(number)[-3:] if number else ["a", "b", "<c>"]
    skipped = "no weights of x_y & z"
    cells: dict[str, Cell | str] = {
        first: make_cell(0.7, first), second: make_cell(0.8, second), third: skipped
    }  # fmt: skip
    return ResultsTable(
        title=f"Table {number}: Features" if number else "3 runs",
        metrics=["plcc", "srcc"],
        datasets={
            name: EvaluatedDataset(title, 9, label, note)
            for name in datasets
            for title, label, note in [DATASETS[name]]
        },
        rows=[
            Row(row, {name: skipped if name == without else cell for name in datasets})
            for row, cell in cells.items()
        ],
        number=number,
        notes=[],
        comparisons=["first − second: +0.100 SRCC: better"],
    )


def with_cell(table: ResultsTable, i: int, dataset: str, **changes: Any) -> ResultsTable:
    """Return the table with changes in a cell of row i."""
    row = table.rows[i]
    cell = row.cells[dataset]
    assert isinstance(cell, Cell)
    row = replace(row, cells={**row.cells, dataset: replace(cell, **changes)})
    return replace(table, rows=[*table.rows[:i], row, *table.rows[i + 1 :]])


def print_table(table: ResultsTable, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
    console.print(terminal(table, width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def to_html(table: ResultsTable, ours: str = "") -> str:
    macros: Any = page.TEMPLATES.get_template("macros.html").module
    return str(macros.results(sections.table_context(table), ours))


def to_csv(table: ResultsTable) -> str:
    return csv_text(FIELDS, writers.csv_rows([table]))


def without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_our_numbers_are_beside_the_papers() -> None:
    text = print_table(make_table(4, "konvid_1k"), 80)
    row = next(
        line for line in without_styles(text).splitlines() if line.strip().startswith("SQ+MS")
    )
    assert row.split() == ["SQ+MS", "0.810", "0.8465", "0.800", "0.760–0.830", "0.8499"]
    assert "\x1b[1m0.800" in text  # the best of the column
    assert "\x1b[1m0.700" not in text
    skipped = next(
        line for line in without_styles(text).splitlines() if line.strip().startswith("SS+MS")
    )
    assert skipped.split() == ["SS+MS", "–", "0.8287", "–", "0.8278"]
    assert "– SS+MS on KoNViD-1k: no weights of x_y & z" in without_styles(text)
    assert "on other data" not in text


@pytest.mark.parametrize("number", [2, 4, 5, 6, 7])
def test_nothing_is_cut_on_a_terminal_of_80_columns(number: int) -> None:
    text = without_styles(print_table(make_table(number, "sample", "konvid_1k"), 80))
    assert "…" not in text
    assert all(row in text for row in paper_rows.rows(number)[-3:])


def test_papers_numbers_on_other_data_are_separate() -> None:
    table = make_table(4, "sample")
    assert [column.dataset for column in columns(table)] == ["sample"] * 2
    assert all(cell.paper is None for column in columns(table) for cell in column.entries)
    found = other_columns(table)
    assert list(dict.fromkeys(column.dataset for column in found)) == paper.datasets(4)
    assert all(cell.ours is None for column in found for cell in column.entries)
    for text in (without_styles(print_table(table, 80)), to_html(table), to_latex(table)):
        assert (
            "Results of the paper on other data sets: compare the ranking, not the values" in text
        )
        assert "0.8499" in text
    # Those of the paper's data sets that we do not have; none if the paper has all of ours.
    assert {column.dataset for column in other_columns(make_table(4, "sample", "konvid_1k"))} == {
        "LIVE-Qualcomm",
        "LIVE-VQC",
    }
    assert other_columns(make_table(4, "konvid_1k")) == []
    assert other_columns(make_table(None, "sample")) == []


def test_table_3_is_for_models_trained_on_lsvq() -> None:
    cell = columns(make_table(3, "lsvq", "konvid_1k"))[3].entries[0]
    assert cell.paper == paper.value(3, "KoNViD-1k (cross)", "A2INet FR(S+S)", "srcc")
    found = columns(make_table(3, "live_vqc", "konvid_1k"))
    assert all(cell.paper is None for column in found for cell in column.entries)
    assert other_columns(make_table(3, "live_vqc", "konvid_1k"))


def test_weighted_average_has_its_own_column() -> None:
    table = make_table(2, "konvid_1k", "live_vqc")
    # The second row has no results on one of the data sets.
    row = replace(table.rows[1], cells={**table.rows[1].cells, "live_vqc": "no weights"})
    table = replace(table, rows=[table.rows[0], row, table.rows[2]])
    assert table.weighted_average.keys() == {table.rows[0].name}
    last = columns(table)[-1]
    assert (last.dataset, last.metric) == ("W.A.", "srcc")
    assert [entry.ours for entry in last.entries] == [pytest.approx(0.7), None, None]
    # The paper's average is over its five data sets and not comparable with one over two.
    assert all(entry.paper is None for entry in last.entries)
    assert len(columns(make_table(2, "konvid_1k", "live_vqc", without="live_vqc"))) == 4


def test_weighted_average_of_the_same_data_sets_has_the_papers_number() -> None:
    names = ("konvid_1k", "live_vqc", "live_qualcomm", "cvd2014", "youtube_ugc")
    table = make_table(2, *names)
    assert table.weighted_average.keys() == {row.name for row in table.rows[:2]}
    last = columns(table)[-1]
    assert last.entries[-2].paper == paper.value(2, "W.A.", table.rows[1].name, "srcc")
    assert last.entries[-1].paper == 0.8794
    assert last.entries[-2].epoch_rule == "best_val"
    for i in (0, 1):
        for name in names:
            table = with_cell(table, i, name, epoch_rule="best_test")
    assert "best_test (optimistic)" in to_csv(table)
    found = {entry.epoch_rule for entry in columns(table)[-1].entries}
    assert found == {"", "best_test (optimistic)"}


def test_notes_describe_the_numbers() -> None:
    table = make_table(4, "sample")
    for i in (0, 1):
        table = with_cell(table, i, "sample", splits=3, seeds=2, epoch_rule="best_test")
    found = notes(table)
    assert found[0].startswith("Medians over 3 splits × 2 seeds. Epoch: best_test")
    assert "optimistic" in found[0]
    assert "sample: 9 videos, labels: VMAF. No person has rated these clips." in found
    assert "PLCC is computed after the four-parameter logistic." in found
    table = with_cell(table, 0, "sample", remarks=["of one", "of all"])
    table = with_cell(table, 1, "sample", remarks=["of all"])
    assert notes(table)[-3:] == [
        "SQ+SS on sample: of one",
        "of all",
        "– SS+MS on sample: no weights of x_y & z",
    ]


def test_rows_skipped_for_the_same_reason_share_a_note() -> None:
    table = make_table(4, "sample", "konvid_1k", "live_vqc")
    cells = {**table.rows[1].cells, "live_vqc": table.rows[2].cells["live_vqc"]}
    rows = [table.rows[0], replace(table.rows[1], cells=cells), table.rows[2]]
    table = replace(table, rows=rows)
    assert notes(table)[-1] == (
        "– SS+MS on sample, KoNViD-1k; SQ+MS, SS+MS on LIVE-VQC: no weights of x_y & z"
    )


def test_all_ties_are_the_best_but_a_single_number_is_not() -> None:
    table = make_table(None, "sample")
    all_rows = table.rows
    summary = {"srcc": {"median": 0.8001, "std": 0.02}, "plcc": {"median": 0.7, "std": 0.02}}
    table = with_cell(table, 0, "sample", summary=summary)
    column = columns(table)[1]
    assert column.best == [True, True, False]
    table = replace(table, rows=table.rows[1:])
    column = columns(table)[1]
    assert column.best == [False, False]
    full = columns(replace(table, rows=all_rows))[1]
    rmse = type(full)(full.dataset, "rmse", full.entries)
    assert rmse.best == [True, False, False]


def test_csv_has_one_number_a_line() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(make_table(4, "konvid_1k")))))
    assert list(lines[0]) == list(FIELDS)
    found = next(line for line in lines if line["row"] == "SQ+SS" and line["metric"] == "srcc")
    assert found == {
        "table": "4", "dataset": "KoNViD-1k", "row": "SQ+SS", "metric": "srcc", "ours": "0.7",
        "low": "0.66", "high": "0.73", "std": "0.02", "paper": "0.8435", "difference": "-0.1435",
        "run": "runs/SQ+SS", "epoch_rule": "best_val", "splits": "10", "trained_on": "KoNViD-1k",
        "skipped": "",
    }  # fmt: skip
    skipped = next(line for line in lines if line["row"] == "SS+MS")
    assert (skipped["ours"], skipped["difference"]) == ("", "")
    assert skipped["skipped"] == "no weights of x_y & z"
    other = list(csv.DictReader(io.StringIO(to_csv(make_table(4, "sample")))))
    assert len(other) == 3 * 2 * 4
    assert all(line["ours"] == "" for line in other if line["dataset"] != "sample")


@pytest.mark.parametrize(
    "table", [make_table(4, "sample", "konvid_1k"), make_table(None, "sample")]
)
def test_latex_is_well_formed(table: ResultsTable) -> None:
    text = to_latex(table)
    assert re.findall(r"\\(begin|end)\{([a-z*]+)\}", text)[0] == ("begin", "table*")
    stack = []
    for command, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if command == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    braces = re.sub(r"\\[{}]", "", text)
    depth = 0
    for character in braces:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert text.isascii()
    for tabular in re.findall(r"\\begin\{tabular\}\{@\{\}l(r+)@\{\}\}(.*?)\\end", text, re.S):
        width = 1 + len(tabular[0])
        rules = [int(n) for n in re.findall(r"\\cmidrule\(lr\)\{(\d+)-", tabular[1])]
        assert rules == list(range(2, width, 2))  # two metrics each
        for line in re.findall(r"^(.*) \\\\$", tabular[1], re.M):
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + spans == width
    assert r"\textbf{0.800}" in text
    assert r"x\_y \& z" in text


def test_latex_escapes_special_characters() -> None:
    assert escaped("50% of $x_1$ #2 & {~^\\}") == (
        r"50\% of \$x\_1\$ \#2 \& \{\textasciitilde{}\textasciicircum{}\textbackslash{}\}"
    )
    assert escaped("AdaIN S->Q,\n  0.7–0.8") == r"AdaIN S$\to$Q, 0.7--0.8"
    assert escaped("[new] *") == "{[}new] {*}"
    table = make_table(None, "sample")
    table = with_cell(table, 0, "sample", interval={"srcc": [-0.1, 0.2], "plcc": None})
    assert "$-$0.100--0.200" in to_latex(table)


def test_html_is_escaped_and_marks_our_row() -> None:
    text = to_html(make_table(None, "sample"), "b")
    assert "&lt;c&gt;" in text
    assert "<c>" not in text
    row = re.search(r'<tr class="ours">(.*?)</tr>', text)
    assert row
    assert "0.800<small>0.760–0.830</small>" in row[1]
    assert "<small>paper <b>0.8499</b></small>" in to_html(make_table(4, "konvid_1k"))


def test_files_are_the_same_each_time(tmp_path: Path) -> None:
    table = make_table(4, "sample")
    writers.write(tmp_path / "new", table)
    files = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    assert sorted(files) == ["table.csv", "table.json", "table.tex"]
    assert json.loads(files["table.json"]) == table.to_json()
    assert ResultsTable.from_json(json.loads(files["table.json"])) == table
    writers.write(tmp_path / "new", table)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == files
    writers.write(tmp_path, table, [make_table(6, "konvid_1k")], "results")
    assert (tmp_path / "results.tex").read_text().count(r"\begin{table*}") == 2
    assert (tmp_path / "results.csv").read_text().count("table,dataset") == 1
    assert json.loads((tmp_path / "results.json").read_text())["more"][0]["table"] == 6
