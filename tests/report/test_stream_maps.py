"""Frame entropies, and the picture of `a2inet analyze`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import entropy

from a2inet_jax.report import stream_maps
from a2inet_jax.report.stream_maps import LEVELS, Analysis, frame_entropies


def test_entropy_of_the_histogram() -> None:
    maps = np.random.default_rng(0).gamma(2.0, size=(3, 20, 30))
    edges = np.linspace(maps.min(), maps.max(), LEVELS + 1)
    for found, frame in zip(frame_entropies(maps), maps):
        counts, _ = np.histogram(frame, edges)
        assert found == pytest.approx(entropy(counts, base=2))


def test_entropy_of_constant_and_uniform_maps() -> None:
    uniform = np.tile(np.arange(LEVELS, dtype=np.float64), (5, 1))
    np.testing.assert_allclose(
        frame_entropies(np.stack([uniform, 0 * uniform])), [np.log2(LEVELS), 0]
    )
    np.testing.assert_array_equal(frame_entropies(np.full((2, 4, 4), 3.0)), [0, 0])


def make_analysis(path: str, shown: int) -> Analysis:
    rng = np.random.default_rng(shown)
    return Analysis(
        path=Path(path),
        timestamps=np.arange(shown) / 2,
        shown=np.arange(shown),
        frames=rng.integers(0, 256, (shown, 72, 128, 3), dtype=np.uint8),
        quality_maps=rng.random((shown, 5, 8)),
        semantic_maps=rng.random((shown, 5, 8)),
        entropies=rng.random(shown),
        scores=rng.random(shown),
    )


def test_picture_of_videos_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "maps.png"
    sizes = []
    # Names with $ and _ are printed as they are.
    same_name = [make_analysis("$a$_$\\x$.mp4", 4), make_analysis("b/$a$_$\\x$.mp4", 2)]
    for videos in ([make_analysis("_a.mp4", 1)], same_name):
        stream_maps.write(videos, "MOS", (0.0, 1.0), path)
        with Image.open(path) as picture:
            picture.load()
            sizes.append(picture.size)
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] > 1.5 * sizes[0][1]
    assert [each.name for each in tmp_path.iterdir()] == ["maps.png"]


def test_values_beyond_the_labels_are_shaded(tmp_path: Path) -> None:
    pictures = {}
    for name, scale in (("within", (-1.0, 2.0)), ("beyond", (0.4, 0.5))):
        path = tmp_path / f"{name}.png"
        stream_maps.write([make_analysis("a.mp4", 4)], "MOS", scale, path)
        with Image.open(path) as picture:
            pictures[name] = np.asarray(picture.convert("L"), np.int16)
    within, beyond = pictures["within"], pictures["beyond"]
    shaded = (within == 255) & (beyond < 245) & (beyond > 230)
    # Of the frame scores' axes alone, at the bottom right.
    rows, columns = np.nonzero(shaded)
    assert shaded.sum() > 10_000
    assert rows.min() > within.shape[0] // 2
    assert columns.min() > within.shape[1] // 2
