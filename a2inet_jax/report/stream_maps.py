"""The picture of `a2inet analyze`: frames, the maps of both streams, and two curves over time."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from a2inet_jax import atomic

SHOWN = 4  # frames of a video
LEVELS = 64  # of a map's histogram
WIDTH = 10.0  # inches
DPI = 120
COLOURS = ("#2f6fce", "#d1582a", "#3a9a5b", "#8a57b8", "#b08a1e", "#4a4a4a")
LINES = ("-", "--", ":")  # with more videos than colours


@dataclass(frozen=True)
class Analysis:
    """What the streams see of one video.

    Attributes:
      path: the video.
      timestamps: of the frames that were looked at, seconds, [T].
      shown: those of them that are shown, [n] int.
      frames: the shown ones, [n, H, W, 3] uint8.
      quality_maps: of the shown ones, [n, h, w].
      semantic_maps: of the shown ones, [n, h, w].
      entropies: frame entropy of the semantic map, bits, [T].
      scores: frame score from the quality stream, in the labels' unit, [T].
    """

    path: Path
    timestamps: np.ndarray
    shown: np.ndarray
    frames: np.ndarray
    quality_maps: np.ndarray
    semantic_maps: np.ndarray
    entropies: np.ndarray
    scores: np.ndarray


def frame_entropies(maps_TxHxW: np.ndarray) -> np.ndarray:
    """Shannon entropy of the values in the map of each frame, bits, [T].

    −Σ p log₂ p over a histogram of `LEVELS` equal bins between the smallest and the largest value of all
    frames: 0 where a map is flat, log₂ `LEVELS` at most.
    """
    low, high = float(maps_TxHxW.min()), float(maps_TxHxW.max())
    entropies = []
    for values in maps_TxHxW.reshape(len(maps_TxHxW), -1):
        counts, _ = np.histogram(values, bins=LEVELS, range=(low, high))
        p = counts[counts > 0] / values.size
        entropies.append(-np.sum(p * np.log2(p)) + 0.0)  # no −0
    return np.array(entropies)


def write(analyses: Sequence[Analysis], label: str, path: Path) -> None:
    """Draw videos one under the other, and their curves together; whole or not at all.

    Maps of one stream have one scale of colours for all videos, so that they can be compared.

    Args:
      analyses: of one video or more.
      label: kind of label that the frame scores are in.
      path: of the PNG file.

    Raises:
      FolderError: it can't be written.
    """
    heights = [_block_height(each) for each in analyses]
    curves = 2.6
    figure = Figure(figsize=(WIDTH, sum(heights) + curves), dpi=DPI, layout="constrained")
    blocks = figure.subfigures(
        len(analyses) + 1, 1, height_ratios=[*heights, curves], squeeze=False
    )
    scales = {}
    for name in ("quality_maps", "semantic_maps"):
        maps = [getattr(each, name) for each in analyses]
        scales[name] = min(map(np.min, maps)), max(map(np.max, maps))
    for block, each, name in zip(blocks[:, 0], analyses, _names(analyses)):
        _block(block, each, name, scales)
    entropy, score = blocks[-1, 0].subplots(1, 2)
    for number, each in enumerate(analyses):
        _curve(entropy, each.timestamps, each.entropies, number)
        _curve(score, each.timestamps, each.scores, number)
    entropy.set_title(f"semantic: frame entropy, bits (at most {np.log2(LEVELS):.0f})", loc="left")
    score.set_title(f"quality: frame score, {label}", loc="left")
    if len(analyses) > 1:
        # Names given here: those of lines that begin with _ would be left out, and $ would be mathematics.
        legend = score.legend(score.lines, _names(analyses), fontsize=7, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    atomic.write(path, picture.getvalue())


def _block_height(analysis: Analysis) -> float:
    """Inches: three rows of pictures in the frames' aspect, and a line of text."""
    height, width = analysis.frames.shape[1:3]
    return 0.4 + 3 * (0.9 * WIDTH / SHOWN) * height / width


def _block(
    block: SubFigure, analysis: Analysis, name: str, scales: Mapping[str, tuple[float, float]]
) -> None:
    block.suptitle(name, x=0.01, ha="left", fontsize=10, fontweight="bold", parse_math=False)
    rows = block.subplots(3, SHOWN, squeeze=False)
    for axes in rows.flat:
        axes.set_axis_off()
    extent = (0, analysis.frames.shape[2], analysis.frames.shape[1], 0)
    for column, place in enumerate(analysis.shown):
        frame, quality, semantic = rows[:, column]
        frame.imshow(analysis.frames[column])
        frame.set_title(f"{analysis.timestamps[place]:.2f} s", fontsize=8)
        for axes, maps in ((quality, "quality_maps"), (semantic, "semantic_maps")):
            axes.imshow(
                getattr(analysis, maps)[column],
                extent=extent,
                cmap="magma",
                vmin=scales[maps][0],
                vmax=scales[maps][1],
                interpolation="bilinear",
            )
    for axes, text in zip(rows[:, 0], ("frame", "quality", "semantic")):
        axes.text(
            -0.03,
            0.5,
            text,
            transform=axes.transAxes,
            rotation=90,
            ha="right",
            va="center",
            fontsize=8,
        )


def _curve(axes: Axes, times: np.ndarray, values: np.ndarray, number: int) -> None:
    axes.plot(
        times,
        values,
        color=COLOURS[number % len(COLOURS)],
        linestyle=LINES[number // len(COLOURS) % len(LINES)],
        marker="o" if len(values) <= 64 else None,
        markersize=3,
        linewidth=1.5,
    )
    axes.set_xlabel("seconds")
    axes.title.set_fontsize(9)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _names(analyses: Sequence[Analysis]) -> list[str]:
    """File names, with their folders where two are alike."""
    names = [each.path.name for each in analyses]
    return names if len(set(names)) == len(names) else [str(each.path) for each in analyses]
