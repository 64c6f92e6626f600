"""The figures of a page, as inline SVG with the page's own colours and font."""

import io
import re
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from a2inet_jax.metrics import Logistic
from a2inet_jax.report.examples import Example

# Placeholders that `_svg` replaces by the page's colours, so that one drawing suits light and dark pages.
INK, MUTED, LINE, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
COLOURS = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", SECOND: "second"}
# Colours of groups of points, which stand out on light and on dark pages, and can be pixels.
GROUP_COLOURS = (
    "#3f7fd6", "#d8632c", "#2f9e6e", "#a564c9", "#c08a1c", "#1d9bb5", "#d44d80", "#7e8f2c", "#7d74d8",
    "#b8644f", "#5a9440", "#7b8594",
)  # fmt: skip
MARKERS = "os^D"  # repeated, so that neighbours differ without their colours
LEGEND_COLUMNS = 4
NAME_WIDTH = 24  # characters of a line of a row's name
# More points than this are rasterised: as vectors, those of a table's runs would take megabytes.
MAX_VECTOR_POINTS = 1000
WIDTH = 5.0  # inches of 72 CSS pixels: about the width of a phone
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "a2inet",
    "font.size": 10.5,
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
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.6,
}


def scatter(
    scores: ArrayLike,
    mos: ArrayLike,
    groups: Sequence[str],
    logistic: Logistic,
    label: str,
    name: str,
) -> Markup:
    """Draw labels against scores [n] on equal axes, with the identity line and the fitted curve if any.

    `groups` [n] gives each point its colour. With one group, or more than there are colours, all points have
    one colour. `name` is unique on the page, here and in the other functions.
    """
    x, y = np.asarray(scores, np.float64), np.asarray(mos, np.float64)
    found = sorted(set(groups))
    if not 1 < len(found) <= len(GROUP_COLOURS):
        groups, found = [""] * x.size, [""]
    with mpl.rc_context(STYLE):
        legend_rows = -(-(len(found) + 2) // LEGEND_COLUMNS)
        figure, axes = _figure(WIDTH + 0.22 * legend_rows)
        raster = x.size > MAX_VECTOR_POINTS
        style: dict[str, Any] = {"s": 15, "alpha": 0.6, "linewidths": 0, "rasterized": raster}
        for i, group in enumerate(found):
            here = np.array([each == group for each in groups])
            marker, colour = MARKERS[i % len(MARKERS)], GROUP_COLOURS[i]
            axes.scatter(x[here], y[here], label=group, marker=marker, color=colour, **style)
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        margin = 0.03 * max(float(high - low), 1e-6)
        limits = low - margin, high + margin
        axes.plot(
            limits, limits, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="identity"
        )
        if logistic.converged:
            line = np.linspace(x.min(), x.max(), 200)
            axes.plot(line, logistic(line), color=INK, label="fitted logistic")
        axes.set(
            xlim=limits, ylim=limits, aspect="equal", xlabel=f"predicted {label}", ylabel=label
        )
        shown = [each for each in zip(*axes.get_legend_handles_labels(), strict=True) if each[1]]
        figure.legend(*zip(*shown), loc="outside lower center", ncols=LEGEND_COLUMNS)
        return _svg(figure, name, f"{x.size} test predictions against {label}")


def learning_curves(history: Sequence[Mapping[str, float]], name: str) -> Markup:
    """Draw training loss and validation SRCC over the epochs: mean ± std over the splits.

    Rows of the history have `epoch`, `train_loss` and, if there is a validation set, `val_srcc`; NaN for
    missing values.
    """
    panels = {"train_loss": "training loss", "val_srcc": "validation SRCC"}
    shown = {
        column: title
        for column, title in panels.items()
        if any(np.isfinite(row.get(column, np.nan)) for row in history)
    }
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout=ConstrainedLayoutEngine(hspace=0.08))
        grid = figure.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
        for axes, column, colour in zip(grid, shown, (SECOND, ACCENT)):
            _band(axes, history, column, colour)
            axes.set_ylabel(shown[column])
        grid[-1].set_xlabel("epoch")
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        epochs = {row["epoch"] for row in history}
        if len(epochs) == 1:  # the locator needs two integers within the range
            grid[-1].set_xticks(sorted(epochs))
        return _svg(figure, name, f"{' and '.join(shown.values())} over the epochs")


def dots_by_row(values: Mapping[str, Sequence[float]], metric: str, name: str) -> Markup:
    """Draw a row of dots for each model or run, a dot for each split [S], with the median as a bar."""
    models = list(values)
    labels = [textwrap.fill(model, NAME_WIDTH) for model in models]
    row_height = 0.2 + 0.17 * max(label.count("\n") + 1 for label in labels)
    with mpl.rc_context(STYLE):
        figure, axes = _figure(0.7 + row_height * len(models))
        for y, model in enumerate(models):
            x_S = np.asarray(values[model], np.float64)
            colour = ACCENT if y == 0 else MUTED
            axes.scatter(x_S, np.full(x_S.size, y), s=22, color=colour, alpha=0.5, linewidths=0)
            median = float(np.median(x_S))
            axes.plot([median, median], [y - 0.32, y + 0.32], color=colour, linewidth=2.2)
        axes.set_yticks(range(len(models)), labels)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{metric} of each split; bar: median")
        return _svg(figure, name, f"{metric} of each split for {len(models)} models")


def timeline(example: Example, limits: tuple[float, float], label: str, name: str) -> Markup:
    """Draw frame scores over time, on an axis of these limits, with the video's score and label as lines."""
    t, q = (np.asarray(x, np.float64) for x in (example.timestamps, example.frame_scores))
    with mpl.rc_context(STYLE):
        figure, axes = _figure(1.75)
        axes.axhline(example.prediction.score, color=MUTED, linewidth=1.0, label="predicted")
        axes.axhline(
            example.prediction.mos, color=SECOND, linestyle=(0, (4, 2)), linewidth=1.2, label=label
        )
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


def _band(axes: Axes, history: Sequence[Mapping[str, float]], column: str, colour: str) -> None:
    """Draw the mean over the splits as a line, and one standard deviation to either side as a band."""
    by_epoch: dict[float, list[float]] = defaultdict(list)
    for row in history:
        if np.isfinite(row.get(column, np.nan)):
            by_epoch[row["epoch"]].append(row[column])
    epochs = sorted(by_epoch)
    mean = np.array([np.mean(by_epoch[epoch]) for epoch in epochs])
    std = np.array([np.std(by_epoch[epoch]) for epoch in epochs])
    axes.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
    axes.plot(epochs, mean, color=colour, marker="o" if len(epochs) == 1 else None)


def _svg(figure: Figure, name: str, description: str) -> Markup:
    """Return the figure as an `<svg>` element with unique ids, a description and the page's colours."""
    text = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(text, metadata=no_metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    opening, body = re.split(r"(?<=>)", svg, maxsplit=1)
    view_box = re.search(r'viewBox="[^"]*"', opening)
    assert view_box is not None
    body = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|font-family: [^;]*; ", "", body, flags=re.S
    )
    # Ids must be unique on the page.
    key = re.sub(r"[^A-Za-z0-9]", "-", name)
    body = re.sub(r'\bid="|href="#|url\(#', lambda match: f"{match[0]}{key}-", body)
    for placeholder, colour in COLOURS.items():
        body = body.replace(placeholder, f"var(--{colour})")
    opening = Markup('<svg {} role="img" aria-label="{}">').format(Markup(view_box[0]), description)
    return opening + Markup(body)
