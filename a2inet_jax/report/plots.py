"""The report's figures as inline SVG that takes its colours and its font from the page."""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from a2inet_jax.evaluation.metrics import Logistic

# Stand-ins which `_svg` turns into the page's colours, so that one drawing suits light and dark pages.
INK, MUTED, LINE, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
COLOURS = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", SECOND: "second"}
RASTER_COLOUR = "#3f7fd6"  # pixels cannot follow the page
MANY_POINTS = (
    1000  # above, points become a picture: drawn, those of a table's runs would fill megabytes
)
WIDTH = 5.0  # inches, of 72 units each: a phone shows it at about its natural size
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "a2inet",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
}


def scatter(scores: ArrayLike, mos: ArrayLike, logistic: Logistic, label: str, name: str) -> str:
    """Labels against scores [n], with the fitted curve if there is one.

    `name`, here and below, must differ between the drawings of one page.
    """
    x, y = np.asarray(scores, np.float64), np.asarray(mos, np.float64)
    with mpl.rc_context(STYLE):
        figure, axes = _figure(4.2)
        many = x.size > MANY_POINTS
        colour = RASTER_COLOUR if many else ACCENT
        axes.scatter(x, y, s=14, color=colour, alpha=0.4, linewidths=0, rasterized=many)
        if logistic.converged:
            line = np.linspace(x.min(), x.max(), 200)
            axes.plot(line, logistic(line), color=SECOND, label="fitted logistic")
            axes.legend(loc="upper left")
        axes.set_xlabel("predicted score")
        axes.set_ylabel(label)
        return _svg(figure, name, f"{x.size} test predictions against {label}")


def learning_curves(history: Sequence[Mapping[str, float]], name: str) -> str:
    """Training loss and validation SRCC over the epochs: mean and spread (± std) over the splits.

    Args:
        history: rows with `epoch`, `train_loss` and, where there is a validation part, `val_srcc`;
            NaN where a value is missing.
        name: of the drawing.
    """
    panels = {"train_loss": "training loss", "val_srcc": "validation SRCC"}
    shown = {
        field: title
        for field, title in panels.items()
        if any(np.isfinite(row.get(field, np.nan)) for row in history)
    }
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout=ConstrainedLayoutEngine(hspace=0.08))
        grid = figure.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (field, title), colour in zip(
            grid, shown.items(), (SECOND, ACCENT), strict=False
        ):
            _band(axes, history, field, colour)
            axes.set_ylabel(title)
        grid[-1].set_xlabel("epoch")
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        epochs = {row["epoch"] for row in history}
        if len(epochs) == 1:  # there are no two whole numbers around it
            grid[-1].set_xticks(sorted(epochs))
        return _svg(figure, name, f"{' and '.join(shown.values())} over the epochs")


def spread(values: Mapping[str, Sequence[float]], metric: str, name: str) -> str:
    """One row of dots a model, a dot a split [S], with the median as a bar."""
    models = list(values)
    with mpl.rc_context(STYLE):
        figure, axes = _figure(0.7 + 0.36 * len(models))
        for place, model in enumerate(models):
            row = np.asarray(values[model], np.float64)
            colour = ACCENT if place == 0 else MUTED
            axes.scatter(row, np.full(row.size, place), s=22, color=colour, alpha=0.5, linewidths=0)
            median = float(np.median(row))
            axes.plot([median, median], [place - 0.32, place + 0.32], color=colour, linewidth=2.2)
        axes.set_yticks(range(len(models)), models)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{metric} of each split; bar: median")
        return _svg(figure, name, f"{metric} of each split for {len(models)} models")


def timeline(
    timestamps: ArrayLike,
    frame_scores: ArrayLike,
    mos: float,
    score: float,
    limits: tuple[float, float],
    label: str,
    name: str,
) -> str:
    """Frame scores [T] over time [T] in seconds, with the video's score and its label as lines."""
    t, q = np.asarray(timestamps, np.float64), np.asarray(frame_scores, np.float64)
    with mpl.rc_context(STYLE):
        figure, axes = _figure(1.75)
        axes.axhline(score, color=MUTED, linewidth=1.0, label="predicted")
        axes.axhline(mos, color=SECOND, linestyle=(0, (4, 2)), linewidth=1.2, label=label)
        marker = "o" if t.size <= 64 else None
        axes.plot(t, q, color=ACCENT, marker=marker, markersize=2.6, label="frame score")
        axes.set_ylim(*limits)
        axes.set_xlabel("seconds")
        axes.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderpad=0.2, handlelength=1.6
        )
        return _svg(figure, name, f"frame scores over {t.size} frames")


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), dpi=120, layout="constrained")
    return figure, figure.subplots()


def _band(axes: Axes, history: Sequence[Mapping[str, float]], name: str, colour: str) -> None:
    by_epoch: dict[float, list[float]] = {}
    for row in history:
        if np.isfinite(row.get(name, np.nan)):
            by_epoch.setdefault(row["epoch"], []).append(row[name])
    epochs = sorted(by_epoch)
    mean = np.array([np.mean(by_epoch[epoch]) for epoch in epochs])
    std = np.array([np.std(by_epoch[epoch]) for epoch in epochs])
    axes.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
    axes.plot(epochs, mean, color=colour, marker="o" if len(epochs) == 1 else None)


def _svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an `<svg>` element with ids of its own, a description, and the page's colours."""
    text = io.StringIO()
    empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(text, metadata=empty)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :].strip()
    opening, body = re.split(r"(?<=>)", drawing, maxsplit=1)
    box = re.search(r'viewBox="[^"]*"', opening)
    assert box is not None
    body = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|font-family: [^;]*; ", "", body, flags=re.S
    )
    # Ids must differ between the figures of one page.
    key = re.sub(r"[^A-Za-z0-9]", "-", name)
    body = re.sub(r'\bid="|href="#|url\(#', lambda match: f"{match[0]}{key}-", body)
    for stand_in, colour in COLOURS.items():
        body = body.replace(stand_in, f"var(--{colour})")
    return f'<svg {box[0]} role="img" aria-label="{escape(description)}">{body}'
