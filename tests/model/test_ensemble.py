"""The file of a run's models: what is written is read back, and anything else is refused by name."""

import json
import struct
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util
from safetensors import safe_open

import a2inet_jax
from a2inet_jax import config_file, files
from a2inet_jax.errors import RunError
from a2inet_jax.model import ensemble
from a2inet_jax.model.ensemble import Ensemble
from a2inet_jax.model.vsfa import VSFA
from tests.head_inputs import parameters

RANGES = [(0.0, 100.0), (20.0, 60.0)]
MODEL = VSFA(neck=4, hidden=3, tau=2)
KERNEL = "temporal/neck/kernel"


def make_models() -> Ensemble:
    streams = (np.zeros((1, 2, 5), np.float16),)
    params = parameters(MODEL, streams, np.ones((1, 2), bool), dtype=np.float32)
    return Ensemble.stack([params, jax.tree.map(lambda x: 2 * x, params)], RANGES)


def rewritten(path: Path, name: str, change: Any) -> None:
    """Change an array of the file, and write the checksum of the changed arrays."""
    with safe_open(path, framework="numpy") as file:
        tensors = {key: file.get_tensor(key) for key in sorted(file.keys())}
    tensors[name] = change(tensors[name].copy())
    metadata = {"sha256": files.sha256_of_arrays(tensors)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


def with_first(value: float) -> Any:
    def change(array: np.ndarray) -> np.ndarray:
        array.flat[0] = value
        return array

    return change


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the models of a run that has nothing else but its config."""
    config = config_file.load("sample").to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    ensemble.save(tmp_path / "model.safetensors", make_models())
    return tmp_path / "model.safetensors"


def assert_refused(path: Path, message: str) -> None:
    """Assert that the file is refused as it is, and where a run is opened for scoring."""
    with pytest.raises(RunError, match=message) as error:
        ensemble.load(path)
    assert str(path) in str(error.value)
    with pytest.raises(RunError, match=message):
        a2inet_jax.load(path.parent)


def test_models_are_read_back_and_equal_ones_have_equal_bytes(path: Path, tmp_path: Path) -> None:
    models, found = make_models(), ensemble.load(path)
    jax.tree.map(np.testing.assert_array_equal, found.params, models.params)
    np.testing.assert_array_equal(found.label_ranges, RANGES)
    for n in range(5):
        ensemble.save(tmp_path / str(n), found)
        assert (tmp_path / str(n)).read_bytes() == path.read_bytes()


def test_scores_are_in_the_scale_of_the_labels(path: Path) -> None:
    models = ensemble.load(path)
    streams = (np.random.default_rng(0).normal(size=(7, 5)).astype(np.float16),)
    score_S, frames_SxT = models.scores(MODEL, streams)
    assert score_S.dtype == frames_SxT.dtype == np.float64
    for s, (low, high) in enumerate(RANGES):
        params = jax.tree.map(lambda x, s=s: x[s], models.params)
        batch = tuple(x[None] for x in streams)
        out: Any = jax.jit(MODEL.apply)({"params": params}, batch, np.ones((1, 7), bool))
        np.testing.assert_allclose(score_S[s], low + (high - low) * out.score[0], rtol=1e-4)
        expected = low + (high - low) * out.frame_scores[0]
        np.testing.assert_allclose(frames_SxT[s], expected, rtol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_name(path: Path, value: float) -> None:
    rewritten(path, KERNEL, with_first(value))
    assert_refused(path, f"{KERNEL} holds NaN or infinite values")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_first(np.nan), "label_ranges holds NaN"),
        (with_first(100.0), "label_ranges is not a lowest and a highest label"),
        (lambda x: x[:, ::-1], "label_ranges is not a lowest and a highest label"),
        (lambda x: x[:, :1], "label_ranges is not a lowest and a highest label"),
    ],
)
def test_label_ranges_must_be_finite_and_ascending(path: Path, change: Any, message: str) -> None:
    rewritten(path, "label_ranges", lambda x: np.ascontiguousarray(change(x)))
    assert_refused(path, message)


def test_any_changed_byte_is_refused(path: Path) -> None:
    content = path.read_bytes()
    (header,) = struct.unpack("<Q", content[:8])
    refused = 0
    # The header byte by byte, and of the arrays every thirteenth.
    for n in (*range(8 + header), *range(8 + header, len(content), 13)):
        changed = bytearray(content)
        changed[n] ^= 1
        path.write_bytes(changed)
        try:
            found = ensemble.load(path)
        except RunError:
            refused += 1
        else:
            # Such as the padding of the header: the arrays are the same.
            jax.tree.map(np.testing.assert_array_equal, found.params, make_models().params)
            np.testing.assert_array_equal(found.label_ranges, RANGES)
            assert n < 8 + header
    assert refused > 0.9 * (header + (len(content) - header) / 13)
    changed = bytearray(content)
    changed[-1] ^= 1
    path.write_bytes(changed)
    assert_refused(path, "its checksum differs.: restore the file, or train it again")


def test_a_file_without_a_checksum_is_an_earlier_versions(path: Path) -> None:
    models = make_models()
    tensors = traverse_util.flatten_dict(models.params, sep="/")
    tensors["label_ranges"] = models.label_ranges
    path.write_bytes(safetensors.numpy.save(tensors))
    assert_refused(path, "no checksum, so an earlier version wrote it: train it again")


def test_a_damaged_or_missing_file_is_named(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])
    assert_refused(path, "is damaged or incomplete")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="train the run first"):
        ensemble.load(path)
