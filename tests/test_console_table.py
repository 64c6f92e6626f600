"""What the terminal shows of results."""

import io
import re
from typing import Any

import pytest
from rich.console import Console, RenderableType

from a2inet_jax.report import console_table


def model(srcc: float, rmse: float = 5.0, splits: int = 10) -> dict[str, Any]:
    values = {"srcc": srcc, "plcc": srcc, "krcc": srcc, "rmse": rmse}
    logistic = {"converged": True, "reason": ""}
    return {
        "splits": [values | {"logistic": logistic}] * splits,
        "summary": {
            name: {"median": value, "std": 0.0712 if splits > 1 else None}
            for name, value in values.items()
        },
        "interval": {name: [value - 0.1, value + 0.05] for name, value in values.items()},
    }


def content(
    models: dict[str, Any] | None = None, rule: str = "last", title: str = "sample"
) -> dict[str, Any]:
    models = models or {"a2inet": model(0.85)}
    pair = {"difference": 0.01, "interval": [-0.02, 0.04], "p": 0.4, "reason": ""}
    return {
        "model": "a2inet",
        "seeds": 1,
        "data": {"name": title, "videos": 100, "label": "VMAF", "note": "Not [people] but VMAF."},
        "epoch_rule": rule,
        "models": models,
        "paired": {name: pair for name in models if name != "a2inet"},
    }


def printed(shown: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
    console.print(shown)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def plain_text(shown: str) -> str:
    """Without the codes for bold and dim."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


def test_models_stand_in_order_and_the_best_is_bold() -> None:
    models = {"svr": model(0.71, 9.0), "mine": model(0.6, 2.0), "a2inet": model(0.85)}
    shown = printed(console_table.of_run(content(models, "best_test")))
    places = [shown.index(name) for name in ("A2INet", "SVR on", "mine")]
    assert places == sorted(places)
    assert "\x1b[1m0.850 (0.071)" in shown
    assert "0.710 (0.071)" in shown
    assert "\x1b[1m0.710" not in shown
    assert "\x1b[1m2.00 (0.07)" in shown  # a small error is the good one
    assert "0.750–0.900" in shown
    for said in ("best_test", "10 splits", "optimistic", "[people]", "no difference shown"):
        assert said in shown
    assert "optimistic" not in printed(console_table.of_run(content(models)))


def test_one_split_and_what_is_not_defined() -> None:
    one = model(0.85, splits=1)
    one["interval"]["srcc"] = None
    shown = printed(console_table.of_run(content({"a2inet": one})))
    assert "1 split" in shown
    assert "0.850 (" not in shown
    assert "–" in shown


def test_runs_by_data_sets() -> None:
    across = content({"a2inet": model(0.5)}, title="KoNViD-1k")
    across |= {"trained_on": "sample", "mapping": "logistic fitted on KoNViD-1k"}
    across |= {"ranges": {"trained": [0.0, 100.0], "tested": [1.0, 5.0]}}
    rows = {
        "runs/one": {"sample": content(), "konvid_1k": across},
        "runs/[two]": {"sample": content({"a2inet": model(0.75)}, "best_val")},
    }
    averages = {"runs/one": {"srcc": 0.6123, "plcc": 0.7123}}
    shown = printed(console_table.of_runs(rows, averages, ["one − two: so much"]), 120)
    plain = plain_text(shown)
    assert re.search(r"\x1b\[1m *0\.850", shown)
    assert not re.search(r"\x1b\[1m *0\.750", shown)
    assert "A2INet on sample" in plain
    first = next(line for line in plain.splitlines() if "runs/one" in line)
    second = next(line for line in plain.splitlines() if "runs/[two]" in line)
    assert first.split()[-2:] == ["0.612", "0.712"]
    assert second.split()[-4:] == ["–"] * 4  # neither KoNViD-1k nor an average
    for said in (
        "last (runs/one), best_val (runs/[two])",
        "runs/one: Trained on sample (labels 0.00 to 100.00), tested on KoNViD-1k (1.00 to 5.00)",
        "weighted by their videos",
        "one − two: so much",
    ):
        assert said in " ".join(plain.split())
    assert plain.count("Not [people] but VMAF.") == 1


@pytest.mark.parametrize("width", [80, 110])
def test_no_number_is_cut(width: int) -> None:
    models = {
        "a2inet": model(0.8, 16.6),
        "concat": model(0.7, 16.95),
        "vsfa": model(0.8, 17.1),
        "svr": model(0.6, 18.0),
    }
    shown = printed(console_table.of_run(content(models)), width)
    assert "…" not in shown
    assert shown.count("(0.071)") == 12
    assert max(len(line) for line in plain_text(shown).splitlines()) <= width
