"""The picture of `a2inet analyze`: frames, the maps of both streams, and two curves over time."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from a2inet_jax import files

SHOWN = 4  # frames of each video
LEVELS = 64  # bins of a map's histogram
WIDTH = 10.0  # inches
DPI = 120
COLOURS = ("#2f6fce", "#d1582a", "#3a9a5b", "#8a57b8", "#b08a1e", "#4a4a4a")
LINES = ("-", "--", ":")  # they change if there are more videos than colours


@dataclass(frozen=True)
class Analysis:
    """Maps, entropies and frame scores of one video.

    Attributes:
        path: The video.
        timestamps: Times of the analyzed frames in seconds, [T].
        shown: Indices of those that are shown, [n] int.
        frames: Shown frames, [n, H, W, 3] uint8.
        quality_maps: Maps of the quality stream for the shown frames, [n, h, w].
        semantic_maps: Maps of the semantic stream for the shown frames, [n, h, w].
        entropies: Frame entropies of the semantic map in bits, [T].
        scores: Frame scores from the quality stream, in the unit of the labels, [T].
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
    """Return the Shannon entropy of the values in each frame's map in bits, [T].

    It is −Σ p log₂ p over a histogram of `LEVELS` equal bins between the smallest and the largest value of
    all frames: 0 for a constant map, log₂ `LEVELS` at most.
    """
    low, high = float(maps_TxHxW.min()), float(maps_TxHxW.max())
    entropy_T = []
    for values in maps_TxHxW.reshape(len(maps_TxHxW), -1):
        counts, _ = np.histogram(values, bins=LEVELS, range=(low, high))
        p = counts[counts > 0] / values.size
        entropy_T.append(-np.sum(p * np.log2(p)) + 0.0)  # no −0
    return np.array(entropy_T)


def write(analyses: Sequence[Analysis], label: str, scale: tuple[float, float], path: Path) -> None:
    """Draw the videos below each other and their curves together; write whole or not at all.

    The maps of a stream have one colour scale for all videos, so that they can be compared.

    Args:
        analyses: Those of at least one video.
        label: Name of the labels, in whose unit the frame scores are.
        scale: Lowest and highest label; the frame scores' axis shades what is beyond them.
        path: A PNG file.

    Raises:
        FolderError: The file cannot be written.
    """
    heights = [_block_height(each) for each in analyses]
    curves_height = 2.6
    figure = Figure(figsize=(WIDTH, sum(heights) + curves_height), dpi=DPI, layout="constrained")
    blocks = figure.subfigures(
        len(analyses) + 1, 1, height_ratios=[*heights, curves_height], squeeze=False
    )
    # Frames and maps, with one colour scale for each stream.
    scales = {}
    for name in ("quality_maps", "semantic_maps"):
        maps = [getattr(each, name) for each in analyses]
        scales[name] = min(map(np.min, maps)), max(map(np.max, maps))
    for block, each, name in zip(blocks[:, 0], analyses, _names(analyses)):
        _block(block, each, name, scales)
    # Curves of all videos together.
    entropy_axes, score_axes = blocks[-1, 0].subplots(1, 2)
    for index, each in enumerate(analyses):
        _curve(entropy_axes, each.timestamps, each.entropies, index)
        _curve(score_axes, each.timestamps, each.scores, index)
    entropy_axes.set_title(
        f"semantic: frame entropy, bits (at most {np.log2(LEVELS):.0f})", loc="left"
    )
    score_axes.set_title(f"quality: frame score, {label}", loc="left")
    _shade_beyond(score_axes, scale)
    if len(analyses) > 1:
        # Names are passed here: as labels of the lines, those that begin with _ would be left out.
        legend = score_axes.legend(score_axes.lines, _names(analyses), fontsize=7, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    files.write(path, picture.getvalue())


def _block_height(analysis: Analysis) -> float:
    """Return the height in inches of three rows of pictures with the frames' aspect, and a line of text."""
    height, width = analysis.frames.shape[1:3]
    return 0.4 + 3 * (0.9 * WIDTH / SHOWN) * height / width


def _block(
    block: SubFigure, analysis: Analysis, name: str, scales: Mapping[str, tuple[float, float]]
) -> None:
    """Draw a video's frames and, below each, its maps."""
    block.suptitle(name, x=0.01, ha="left", fontsize=10, fontweight="bold", parse_math=False)
    rows = block.subplots(3, SHOWN, squeeze=False)
    for axes in rows.flat:
        axes.set_axis_off()
    extent = (0, analysis.frames.shape[2], analysis.frames.shape[1], 0)
    for column, index in enumerate(analysis.shown):
        frame_axes, quality_axes, semantic_axes = rows[:, column]
        frame_axes.imshow(analysis.frames[column])
        frame_axes.set_title(f"{analysis.timestamps[index]:.2f} s", fontsize=8)
        for axes, maps in ((quality_axes, "quality_maps"), (semantic_axes, "semantic_maps")):
            low, high = scales[maps]
            style = {"cmap": "magma", "vmin": low, "vmax": high, "interpolation": "bilinear"}
            axes.imshow(getattr(analysis, maps)[column], extent=extent, **style)
    style = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 8}
    for axes, text in zip(rows[:, 0], ("frame", "quality", "semantic")):
        axes.text(-0.03, 0.5, text, transform=axes.transAxes, **style)


def _curve(axes: Axes, times: np.ndarray, values: np.ndarray, index: int) -> None:
    colour = COLOURS[index % len(COLOURS)]
    line = LINES[index // len(COLOURS) % len(LINES)]
    marker = "o" if len(values) <= 64 else None
    axes.plot(times, values, line, color=colour, marker=marker, markersize=3, linewidth=1.5)
    axes.set_xlabel("seconds")
    axes.title.set_fontsize(9)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _shade_beyond(axes: Axes, scale: tuple[float, float]) -> None:
    """Shade the values beyond the labels' range, where a regression extrapolates."""
    bottom, top = axes.get_ylim()
    for start, end in ((bottom, min(scale[0], top)), (max(scale[1], bottom), top)):
        if start < end:
            axes.axhspan(start, end, color="#000000", alpha=0.07, linewidth=0)
    axes.set_ylim(bottom, top)
    if bottom < scale[0] or top > scale[1]:
        axes.set_xlabel(f"seconds; shaded: beyond the labels, {scale[0]:.1f} to {scale[1]:.1f}")


def _names(analyses: Sequence[Analysis]) -> list[str]:
    """Return the videos' file names, with their folders if two are equal."""
    names = [each.path.name for each in analyses]
    return names if len(set(names)) == len(names) else [str(each.path) for each in analyses]
