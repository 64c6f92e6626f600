"""Results on the terminal: the models of one run, or several runs on several data sets."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from a2inet_jax.evaluation import protocol

Content = Mapping[str, Any]  # of a `metrics.json`
MATRIX = ("srcc", "plcc")
_LEGEND = (
    "Below each median: its 95 % interval, for the same models on other contents.\n"
    "PLCC and RMSE after a four-parameter logistic."
)


def of_run(content: Content) -> Group:
    """The models of a run beside each other, the best of each metric in bold."""
    models = protocol.models(content)
    summaries = {name: model["summary"] for name, model in models.items()}
    best = {metric: protocol.best(summaries, metric) for metric in protocol.METRICS}
    data = content["data"]
    shown = _table(f"{data['name']}, labels: {data['label']}; {_trainings(content)}", "Model")
    for heading in protocol.METRICS.values():
        shown.add_column(heading, justify="right", no_wrap=True)
    for name, model in models.items():
        cells = [_cell(model, metric, name in best[metric]) for metric in protocol.METRICS]
        shown.add_row(protocol.title(name), *cells)
    notes = [data["note"], *protocol.remarks(content)]
    return Group(
        shown,
        _text([f"Epoch: {content['epoch_rule']}.", _LEGEND, *filter(None, notes)]),
        _text(protocol.comparisons(content)),
    )


def of_runs(
    rows: Mapping[str, Mapping[str, Content]],
    averages: Mapping[str, Mapping[str, float]],
    comparisons: Sequence[str],
) -> Group:
    """Runs below each other, beside each other the data sets that they are tested on.

    Args:
        rows: for each run's name the contents of its results, by the data set's name.
        averages: for each run that has one, the average over the data sets of each of `MATRIX`.
        comparisons: of runs with each other, in words.
    """
    titles = {name: cell["data"]["name"] for cells in rows.values() for name, cell in cells.items()}
    shown = _table("Median over the trainings of each run", "Run")
    heads = [(name, metric) for name in titles for metric in MATRIX]
    for name, metric in heads:
        heading = Text(f"{titles[name]}\n{protocol.METRICS[metric]}")
        shown.add_column(heading, justify="right", min_width=11)
    for metric in MATRIX if averages else ():
        shown.add_column(f"W.A.\n{protocol.METRICS[metric]}", justify="right", no_wrap=True)
    best = {
        (name, metric): protocol.best(
            {run: _own(cells[name])["summary"] for run, cells in rows.items() if name in cells},
            metric,
        )
        for name, metric in heads
    }
    for run, cells in rows.items():
        content = next(iter(cells.values()))
        row = [Text(run).append(f"\n{_about(content)}", "dim")]
        for name, metric in heads:
            bold = len(rows) > 1 and run in best[name, metric]
            row.append(
                _cell(_own(cells[name]), metric, bold, spread=False) if name in cells else Text("–")
            )
        for metric in MATRIX if averages else ():
            row.append(Text(f"{averages[run][metric]:.3f}" if run in averages else "–"))
        shown.add_row(*row)
    rules = {run: next(iter(cells.values()))["epoch_rule"] for run, cells in rows.items()}
    notes = [content["data"]["note"] for cells in rows.values() for content in cells.values()]
    said: dict[str, list[str]] = {}  # by which runs
    for run, cells in rows.items():
        for remark in (
            remark for content in cells.values() for remark in protocol.remarks(content)
        ):
            said.setdefault(remark, []).append(run)
    notes += [f"{', '.join(dict.fromkeys(runs))}: {remark}" for remark, runs in said.items()]
    if averages:
        notes.append("W.A.: average over the data sets, weighted by their videos.")
    return Group(
        shown,
        _text([f"Epoch: {_rules(rules)}.", _LEGEND, *dict.fromkeys(filter(None, notes))]),
        _text(comparisons),
    )


def _table(title: str, first: str) -> Table:
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, leading=1)
    shown.add_column(first)
    return shown


def _cell(model: Content, metric: str, bold: bool, spread: bool = True) -> Text:
    """Median, with its standard deviation if there is room, and the interval below."""
    median = protocol.cell(model["summary"], metric)
    text = Text(median if spread else median.split()[0], "bold" if bold else "")
    return text.append("\n" + protocol.interval(model, metric), "not bold dim")


def _own(content: Content) -> Content:
    """The run's own model among those of its results."""
    return content["models"][content["model"]]


def _about(content: Content) -> str:
    trained_on = content.get("trained_on", content["data"]["name"])
    return f"{protocol.title(content['model'])} on {trained_on}\n{_trainings(content)}"


def _trainings(content: Content) -> str:
    return protocol.trainings(len(_own(content)["splits"]), content["seeds"])


def _rules(rules: Mapping[str, str]) -> str:
    """The epoch rule of all runs, or that of each."""
    if len(set(rules.values())) == 1:
        return next(iter(rules.values()))
    return ", ".join(f"{rule} ({run})" for run, rule in rules.items())


def _text(paragraphs: Sequence[str]) -> Text:
    """Text in which nothing is markup; an empty line behind it."""
    return Text("\n".join(paragraphs) + "\n" * bool(paragraphs))
