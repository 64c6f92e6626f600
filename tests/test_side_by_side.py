"""Results beside the paper's, in each of the forms that they are shown in."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from a2inet_jax.report import paper, side_by_side
from a2inet_jax.report.columns import columns, notes, other_columns
from a2inet_jax.report.latex import escaped, to_latex
from a2inet_jax.report.side_by_side import FIELDS, terminal, to_csv, to_html
from tests import paper_rows

TITLES = {
    "sample": ("sample", "VMAF", "No person has rated these clips."),
    "konvid_1k": ("KoNViD-1k", "MOS", ""),
    "live_vqc": ("LIVE-VQC", "MOS", ""),
    "live_qualcomm": ("LIVE-Qualcomm", "MOS", ""),
    "lsvq": ("LSVQ", "MOS", ""),
}


def filled(srcc: float, row: str) -> dict[str, Any]:
    def summary(median: float) -> dict[str, float]:
        return {"median": median, "mean": median, "std": 0.02, "min": 0.0, "max": 1.0}

    return {
        "run": f"runs/{row}",
        "splits": 10,
        "seeds": 1,
        "epoch_rule": "best_val",
        "summary": {"srcc": summary(srcc), "plcc": summary(srcc + 0.01)},
        "interval": {"srcc": [srcc - 0.04, srcc + 0.03], "plcc": None},
        "remarks": [],
    }


def sheet(table: int | None, *datasets: str, **changes: Any) -> dict[str, Any]:
    """Three rows: 0.7, 0.8, and one that was skipped."""
    names = paper_rows.rows(table)[-3:] if table else ["a", "b", "<c>"]
    first, second, third = names
    rows = [
        {"row": first, "cells": {name: filled(0.7, first) for name in datasets}},
        {"row": second, "cells": {name: filled(0.8, second) for name in datasets}},
        {"row": third, "cells": {name: {"skipped": "no weights of x_y & z"} for name in datasets}},
    ]
    described = [
        dict(zip(("title", "label", "note"), TITLES[name], strict=True), name=name, videos=9)
        for name in datasets
    ]
    return {
        "table": table,
        "title": f"Table {table}: Features" if table else "3 runs",
        "metrics": ["plcc", "srcc"],
        "datasets": described,
        "rows": rows,
        "weighted_average": {},
        "notes": [],
        "comparisons": ["first − second: +0.100 SRCC: better"],
    } | changes


def printed(shown: dict[str, Any], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
    console.print(terminal(shown, width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_our_numbers_stand_beside_the_papers() -> None:
    text = printed(sheet(4, "konvid_1k"), 80)
    row = next(line for line in plain(text).splitlines() if line.strip().startswith("SQ+MS"))
    assert row.split() == ["SQ+MS", "0.810", "0.8465", "0.800", "0.760–0.830", "0.8499"]
    assert "\x1b[1m0.800" in text  # the best of the column
    assert "\x1b[1m0.700" not in text
    skipped = next(line for line in plain(text).splitlines() if line.strip().startswith("SS+MS"))
    assert skipped.split() == ["SS+MS", "–", "0.8287", "–", "0.8278"]
    assert "– SS+MS on KoNViD-1k: no weights of x_y & z" in plain(text)
    assert "on other data" not in text


@pytest.mark.parametrize("table", [2, 4, 5, 6, 7])
def test_nothing_is_cut_on_a_terminal_of_80_columns(table: int) -> None:
    text = plain(printed(sheet(table, "sample", "konvid_1k"), 80))
    assert "…" not in text
    assert all(row in text for row in paper_rows.rows(table)[-3:])


def test_papers_numbers_on_other_data_stand_apart() -> None:
    shown = sheet(4, "sample")
    assert [column.dataset for column in columns(shown)] == ["sample"] * 2
    assert all(cell.paper is None for column in columns(shown) for cell in column.cells)
    found = other_columns(shown)
    assert list(dict.fromkeys(column.dataset for column in found)) == paper.datasets(4)
    assert all(cell.ours is None for column in found for cell in column.cells)
    for text in (plain(printed(shown, 80)), to_html(shown), to_latex(shown)):
        assert "The paper, on other data: compare the order, not the values" in text
        assert "0.8499" in text
    # Beside a data set of the paper's, those that are left; without one of others', none.
    assert {column.dataset for column in other_columns(sheet(4, "sample", "konvid_1k"))} == {
        "LIVE-Qualcomm",
        "LIVE-VQC",
    }
    assert other_columns(sheet(4, "konvid_1k")) == []
    assert other_columns(sheet(None, "sample")) == []


def test_table_3_is_of_models_that_lsvq_trained() -> None:
    cell = columns(sheet(3, "lsvq", "konvid_1k"))[3].cells[0]
    assert cell.paper == paper.number(3, "KoNViD-1k (cross)", "A2INet FR(S+S)", "srcc")
    found = columns(sheet(3, "live_vqc", "konvid_1k"))
    assert all(cell.paper is None for column in found for cell in column.cells)
    assert other_columns(sheet(3, "live_vqc", "konvid_1k"))


def test_weighted_average_is_a_column_of_its_own() -> None:
    names = paper_rows.rows(2)[-3:]
    average = {names[0]: {"plcc": 0.71, "srcc": 0.7}}
    shown = sheet(2, "konvid_1k", "live_vqc", weighted_average=average)
    last = columns(shown)[-1]
    assert (last.dataset, last.metric) == ("W.A.", "srcc")
    assert [cell.ours for cell in last.cells] == [0.7, None, None]
    # The paper's is of its five data sets: it is no number of these two.
    assert all(cell.paper is None for cell in last.cells)
    assert len(columns(sheet(2, "konvid_1k", "live_vqc"))) == 4


def test_weighted_average_of_the_same_data_sets_has_the_papers() -> None:
    shown = sheet(2, "konvid_1k", "live_vqc", "live_qualcomm")
    shown["datasets"] += [
        {"name": name, "title": title, "videos": 9, "label": "MOS", "note": ""}
        for name, title in (("cvd2014", "CVD2014"), ("youtube_ugc", "YouTube-UGC"))
    ]
    shown["weighted_average"] = {
        name: {"plcc": 0.8, "srcc": 0.8} for name in paper_rows.rows(2)[-2:]
    }
    assert columns(shown)[-1].cells[-1].paper == 0.8794
    assert columns(shown)[-1].cells[-2].epoch_rule == "best_val"
    for row in shown["rows"]:
        for cell in row["cells"].values():
            if "skipped" not in cell:
                cell["epoch_rule"] = "best_test"
    assert "best_test (optimistic)" in to_csv([shown])
    assert {cell.epoch_rule for cell in columns(shown)[-1].cells} == {"", "best_test (optimistic)"}


def test_notes_say_what_the_numbers_are() -> None:
    shown = sheet(4, "sample")
    first, second = (row["cells"]["sample"] for row in shown["rows"][:2])
    for cell in (first, second):
        cell |= {"splits": 3, "seeds": 2, "epoch_rule": "best_test"}
    said = notes(shown)
    assert said[0].startswith("Medians over 6 trainings (3 splits × 2 seeds). Epoch: best_test")
    assert "optimistic" in said[0]
    assert "sample: 9 videos, labels: VMAF. No person has rated these clips." in said
    assert "PLCC after the four-parameter logistic." in said
    first["remarks"], second["remarks"] = ["of one", "of all"], ["of all"]
    assert notes(shown)[-3:] == [
        "SQ+SS on sample: of one",
        "of all",
        "– SS+MS on sample: no weights of x_y & z",
    ]


def test_rows_that_lack_the_same_are_told_together() -> None:
    shown = sheet(4, "sample", "konvid_1k", "live_vqc")
    cells = shown["rows"][1]["cells"]
    cells["live_vqc"] = shown["rows"][2]["cells"]["live_vqc"]
    assert notes(shown)[-1] == (
        "– SS+MS on sample, KoNViD-1k; SQ+MS, SS+MS on LIVE-VQC: no weights of x_y & z"
    )


def test_ties_are_all_the_best_and_one_number_is_not() -> None:
    shown = sheet(None, "sample")
    shown["rows"][0]["cells"]["sample"]["summary"]["srcc"]["median"] = 0.8001
    column = columns(shown)[1]
    assert column.best == [True, True, False]
    shown["rows"] = shown["rows"][1:]
    column = columns(shown)[1]
    assert column.best == [False, False]
    lower = columns({**shown, "rows": sheet(None, "sample")["rows"]})[1]
    rmse = type(lower)(lower.dataset, "rmse", lower.cells)
    assert rmse.best == [True, False, False]


def test_csv_is_in_long_form() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv([sheet(4, "konvid_1k")]))))
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
    other = list(csv.DictReader(io.StringIO(to_csv([sheet(4, "sample")]))))
    assert len(other) == 3 * 2 * 4
    assert all(line["ours"] == "" for line in other if line["dataset"] != "sample")


@pytest.mark.parametrize("shown", [sheet(4, "sample", "konvid_1k"), sheet(None, "sample")])
def test_latex_is_whole(shown: dict[str, Any]) -> None:
    text = to_latex(shown)
    assert re.findall(r"\\(begin|end)\{([a-z*]+)\}", text)[0] == ("begin", "table*")
    stack = []
    for what, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if what == "begin":
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


def test_latex_escapes_what_it_would_read() -> None:
    assert escaped("50% of $x_1$ #2 & {~^\\}") == (
        r"50\% of \$x\_1\$ \#2 \& \{\textasciitilde{}\textasciicircum{}\textbackslash{}\}"
    )
    assert escaped("AdaIN S->Q,\n  0.7–0.8") == r"AdaIN S$\to$Q, 0.7--0.8"
    assert escaped("[new] *") == "{[}new] {*}"
    shown = sheet(None, "sample")
    shown["rows"][0]["cells"]["sample"]["interval"]["srcc"] = [-0.1, 0.2]
    assert "$-$0.100--0.200" in to_latex(shown)


def test_html_is_escaped_and_marks_ours() -> None:
    text = to_html(sheet(None, "sample"), "b")
    assert "&lt;c&gt;" in text
    assert "<c>" not in text
    row = re.search(r'<tr class="ours">(.*?)</tr>', text)
    assert row
    assert "0.800<small>0.760–0.830</small>" in row[1]
    assert "<small>paper <b>0.8499</b></small>" in to_html(sheet(4, "konvid_1k"))


def test_written_files_are_the_same_each_time(tmp_path: Path) -> None:
    shown = sheet(4, "sample")
    side_by_side.write(tmp_path / "new", shown)
    files = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    assert sorted(files) == ["table.csv", "table.json", "table.tex"]
    assert json.loads(files["table.json"]) == shown
    side_by_side.write(tmp_path / "new", shown)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == files
    side_by_side.write(tmp_path, shown, [sheet(6, "konvid_1k")], "results")
    assert (tmp_path / "results.tex").read_text().count(r"\begin{table*}") == 2
    assert (tmp_path / "results.csv").read_text().count("table,dataset") == 1
    assert json.loads((tmp_path / "results.json").read_text())["more"][0]["table"] == 6
