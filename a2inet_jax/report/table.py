"""The results table: rows of runs, models or the paper, columns of data sets, numbers in the cells."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import EvaluatedDataset, Results


class RunResults(NamedTuple):
    """A run's folder, and the content of its metrics.json for a data set."""

    run: Path
    results: Results


@dataclass(frozen=True)
class Cell:
    """The results of a model on a data set.

    Attributes:
        run: Folder of the run.
        splits: Number of splits.
        seeds: Ensemble members of each split.
        epoch_rule: `train.epoch_rule`.
        summary: Metric → "median", "std" and the like over the splits.
        interval: Metric → both ends of the median's 95 % interval, or None.
        remarks: Warnings for readers of the numbers.
        model: Title of the model, if rows are runs.
        trained_on: Title of the data set that the run was trained on, if it is another one.
    """

    run: str
    splits: int
    seeds: int
    epoch_rule: str
    summary: Mapping[str, Mapping[str, float | None]]
    interval: Mapping[str, Sequence[float] | None]
    remarks: Sequence[str] = ()
    model: str = ""
    trained_on: str = ""

    @classmethod
    def of(cls, run_results: RunResults, model: str = "") -> Self:
        """Make the cell of a run's own model, or of the one of its baselines that is named."""
        results = run_results.results
        name = model or results["model"]
        found = results["models"][name]
        return cls(
            run=str(run_results.run),
            splits=len(found["splits"]) // results["seeds"],
            seeds=results["seeds"],
            epoch_rule=results["epoch_rule"],
            summary=found["summary"],
            interval=found["interval"],
            remarks=protocol.remarks({**results, "models": {name: found}, "model": name}),
            model="" if model else protocol.model_title(name),
            trained_on=results.get("trained_on", ""),
        )


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: Name of the run or model; that of the paper's row in a table of the paper.
        cells: Name of a data set → the results on it, or the reason why there are none.
    """

    name: str
    cells: Mapping[str, Cell | str]


@dataclass(frozen=True)
class ResultsTable:
    """Results of rows on data sets.

    Attributes:
        title: Such as "Table 4: Features".
        metrics: Their names.
        datasets: By the key of their cells; one that no run was tested on has 0 videos.
        number: Number of the paper's table, if the rows have its names.
        notes: Further texts for readers.
        comparisons: Paired comparisons of the rows, a sentence each.
    """

    title: str
    metrics: Sequence[str]
    datasets: Mapping[str, EvaluatedDataset]
    rows: Sequence[Row]
    number: int | None = None
    notes: Sequence[str] = ()
    comparisons: Sequence[str] = ()

    def cells(self) -> Iterator[tuple[str, str, Cell]]:
        """Yield name of the row, key of the data set and cell of those that have results."""
        for row in self.rows:
            for key in self.datasets:
                if isinstance(cell := row.cells.get(key), Cell):
                    yield row.name, key, cell

    @property
    def weighted_average(self) -> dict[str, dict[str, float]]:
        """Row → metric → average over the data sets, weighted by their videos, of rows that have all.

        It is empty for one data set, and for Table 3, which has none in the paper.
        """
        if len(self.datasets) < 2 or self.number == 3:
            return {}
        videos = {key: data.videos for key, data in self.datasets.items()}
        medians: dict[str, dict[str, Any]] = defaultdict(dict)
        for row, key, cell in self.cells():
            medians[row][key] = {m: cell.summary[m]["median"] for m in self.metrics}
        return {
            row: {
                metric: protocol.weighted_average({n: each[n][metric] for n in videos}, videos)
                for metric in self.metrics
            }
            for row, each in medians.items()
            if each.keys() == videos.keys()
        }

    def without_notes(self, shown: Sequence[str]) -> "ResultsTable":
        """Return the table without those notes of data sets that are shown elsewhere."""
        datasets = {
            key: replace(data, note="" if data.note in shown else data.note)
            for key, data in self.datasets.items()
        }
        return replace(self, datasets=datasets)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `table.json`; a cell without results is `{"skipped": reason}`."""

        def plain(cell: Cell | str) -> dict[str, Any]:
            if isinstance(cell, str):
                return {"skipped": cell}
            optional = ("model", "trained_on")
            return {k: v for k, v in asdict(cell).items() if v or k not in optional}

        return {
            "table": self.number,
            "title": self.title,
            "metrics": list(self.metrics),
            "datasets": [
                asdict(data) | {"name": key, "title": data.name}
                for key, data in self.datasets.items()
            ],
            "rows": [
                {"row": row.name, "cells": {name: plain(cell) for name, cell in row.cells.items()}}
                for row in self.rows
            ],
            "weighted_average": self.weighted_average,
            "notes": list(self.notes),
            "comparisons": list(self.comparisons),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Make the table that `to_json` wrote."""

        def cell(found: Mapping[str, Any]) -> Cell | str:
            return found["skipped"] if "skipped" in found else Cell(**found)

        return cls(
            title=content["title"],
            metrics=content["metrics"],
            datasets={
                d["name"]: EvaluatedDataset(d["title"], d["videos"], d["label"], d["note"])
                for d in content["datasets"]
            },
            rows=[
                Row(row["row"], {name: cell(found) for name, found in row["cells"].items()})
                for row in content["rows"]
            ],
            number=content["table"],
            notes=content["notes"],
            comparisons=content["comparisons"],
        )
