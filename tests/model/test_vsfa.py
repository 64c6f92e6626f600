"""VSFA's published files, compared to torch's own layers (`make_torch_expectations.py`)."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from a2inet_jax.backbones import torch_files
from a2inet_jax.errors import ConversionError
from a2inet_jax.model.vsfa import VSFA, convert, load_published
from tests.head_inputs import run
from tests.make_torch_expectations import EXPECTED, VSFA_LENGTHS, vsfa_features

PUBLISHED = EXPECTED / "vsfa_tiny.pt"


@pytest.fixture
def expected() -> dict[str, np.ndarray]:
    return dict(np.load(EXPECTED / "vsfa_scores.npz"))


def batch() -> tuple[tuple[np.ndarray], np.ndarray]:
    """Batch all videos, with NaN after their ends, after three features that VSFA does not use."""
    x = np.full((len(VSFA_LENGTHS), max(VSFA_LENGTHS), 9), np.nan, np.float32)
    mask = np.arange(max(VSFA_LENGTHS)) < np.array(VSFA_LENGTHS)[:, None]
    for b, n in enumerate(VSFA_LENGTHS):
        x[b, :n, 3:] = vsfa_features(n)
    return (x,), mask


def assert_scores(out: Any, expected: dict[str, np.ndarray], rtol: float) -> None:
    for b, n in enumerate(VSFA_LENGTHS):
        np.testing.assert_allclose(out.score[b], expected[f"score_{n}"], rtol=rtol, atol=rtol)
        frames = expected[f"frame_scores_{n}"]
        np.testing.assert_allclose(out.frame_scores[b, :n], frames, rtol=rtol, atol=rtol)


def test_a_published_file_scores_as_torch_does(expected: dict[str, np.ndarray]) -> None:
    """In float32, to 1e-5."""
    model, params = load_published(PUBLISHED)
    assert model == VSFA(tail=6, neck=5, hidden=4)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert_scores(run(model, params, *batch()), expected, 1e-5)


def test_the_conversion_is_exact(expected: dict[str, np.ndarray]) -> None:
    """In float64, to 1e-9."""
    tensors = {name: x.astype(np.float64) for name, x in torch_files.read(PUBLISHED).items()}
    with jax.enable_x64(True):
        model = VSFA(tail=6, neck=5, hidden=4, dtype=jnp.float64)
        out = jax.device_get(run(model, convert(tensors), *batch()))
    assert_scores(out, expected, 1e-9)


@pytest.mark.parametrize("unused", [True, False])
def test_the_unused_layer_may_be_missing(tmp_path: Path, unused: bool) -> None:
    tensors = {
        name: np.ascontiguousarray(x)
        for name, x in torch_files.read(PUBLISHED).items()
        if unused or not name.startswith("ann.fc.")
    }
    save_file(tensors, tmp_path / "vsfa.safetensors")
    _, params = load_published(tmp_path / "vsfa.safetensors")
    jax.tree.map(np.testing.assert_array_equal, params, load_published(PUBLISHED)[1])


def test_values_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    tensors = {name: np.array(x) for name, x in torch_files.read(PUBLISHED).items()}
    tensors["q.weight"].flat[1] = np.nan
    save_file(tensors, tmp_path / "vsfa.safetensors")
    with pytest.raises(
        ConversionError, match=r"(?s)vsfa\.safetensors .*q\.weight holds NaN or infinite values$"
    ):
        load_published(tmp_path / "vsfa.safetensors")


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            {"rnn.bias_hh_l0": None, "q.bias": None, "extra": np.ones(2)},
            ["missing: rnn.bias_hh_l0", "missing: q.bias", "unexpected: extra"],
        ),
        (
            {"rnn.weight_ih_l0": np.ones((12, 7)), "q.weight": np.ones((1, 2))},
            [
                "rnn.weight_ih_l0 has shape (12, 7), expected (6, 5)",
                "rnn.weight_hh_l0 has shape (12, 4), expected (6, 2)",
            ],
        ),
        ({"ann.fc0.weight": np.ones(7)}, ["ann.fc0.weight has shape (7,), expected (5, 1)"]),
        (
            {"q.bias": np.array([np.nan]), "rnn.bias_hh_l0": np.full(12, np.inf)},
            ["q.bias holds NaN or infinite", "rnn.bias_hh_l0 holds NaN or infinite"],
        ),
    ],
)
def test_other_networks_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray | None], messages: list[str]
) -> None:
    tensors = {**torch_files.read(PUBLISHED), **change}
    path = tmp_path / "other.safetensors"
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items() if v is not None}, path)
    with pytest.raises(
        ConversionError, match="is not a checkpoint of VSFA: the tensors are"
    ) as error:
        load_published(path)
    for message in (str(path), *messages):
        assert message in str(error.value)
