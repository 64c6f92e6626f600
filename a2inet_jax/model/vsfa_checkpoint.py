"""Conversion of VSFA's published checkpoints to parameters of our `VSFA`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones import torch_files
from a2inet_jax.backbones.convert import not_finite
from a2inet_jax.errors import ConversionError
from a2inet_jax.model.vsfa import VSFA

# A layer that VSFA's code creates and never calls.
_UNUSED = ("ann.fc.weight", "ann.fc.bias")


def load_published(path: Path) -> tuple[VSFA, dict[str, Any]]:
    """Load VSFA as trained by its authors, from the file that they publish (`models/VSFA.pt`).

    It takes features of the backbone `resnet50_imagenet` at full resolution, of every frame, and uses
    their last stage. Scores are on the scale of its training labels divided by the largest.

        model, params = load_published(Path("VSFA.pt"))
        score = model.apply({"params": params}, (semantic_BxTx7680,), mask_BxT).score

    Args:
        path: A state dict written by `torch.save`; torch is not needed.

    Returns:
        The model, with the file's sizes, and its parameters in float32.

    Raises:
        FileNotFoundError: The file does not exist.
        CheckpointError: The file is not a checkpoint.
        ConversionError: It is another network's; the message lists every wrong tensor.
    """
    try:
        params = convert(torch_files.read(path))
    except ConversionError as error:
        raise ConversionError(f"{path} is not a checkpoint of VSFA: {error}") from None
    width, neck = params["temporal"]["neck"]["kernel"].shape
    hidden = len(params["temporal"]["gru"]["recurrent_bias"])
    model = VSFA(tail=width, neck=neck, hidden=hidden)
    return model, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)


def convert(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Convert VSFA's state dict to our parameters.

    torch's GRU adds two biases to each gate. Only the sum of those of r and z matters, so b_hr and
    b_hz are added to the input's biases; b_hn is multiplied by the reset gate and stays.

    Args:
        tensors: Weights and biases of `ann.fc0`, `rnn` and `q`, by torch's names.

    Returns:
        Nested parameters, of the tensors' dtype.

    Raises:
        ConversionError: Tensors are missing, unexpected, of another shape, or not finite; all are listed.
    """
    _check(tensors)
    if bad := not_finite(tensors):
        raise ConversionError(f"it has values that are not finite: {', '.join(bad)}")
    hidden = tensors["q.weight"].size
    is_r_or_z = np.arange(3 * hidden) < 2 * hidden
    bias_hh = tensors["rnn.bias_hh_l0"]
    gru = {
        "input": {
            "kernel": tensors["rnn.weight_ih_l0"].T,
            "bias": tensors["rnn.bias_ih_l0"] + np.where(is_r_or_z, bias_hh, 0),
        },
        "recurrent_kernel": tensors["rnn.weight_hh_l0"].T,
        "recurrent_bias": bias_hh[2 * hidden :],
    }
    neck, score = (
        {"kernel": tensors[f"{name}.weight"].T, "bias": tensors[f"{name}.bias"]}
        for name in ("ann.fc0", "q")
    )
    return {"temporal": {"neck": neck, "gru": gru, "score": score}}


def _check(tensors: Mapping[str, np.ndarray]) -> None:
    """Raise ConversionError with all tensors that are missing, unexpected or of another shape."""
    found = {name: array.shape for name, array in tensors.items() if name not in _UNUSED}

    def size(name: str) -> int:
        return tensors[name].size if name in tensors else 0

    neck, hidden = size("ann.fc0.bias"), size("q.weight")
    expected = {
        "ann.fc0.weight": (neck, size("ann.fc0.weight") // max(neck, 1)),
        "ann.fc0.bias": (neck,),
        "rnn.weight_ih_l0": (3 * hidden, neck),
        "rnn.weight_hh_l0": (3 * hidden, hidden),
        "rnn.bias_ih_l0": (3 * hidden,),
        "rnn.bias_hh_l0": (3 * hidden,),
        "q.weight": (1, hidden),
        "q.bias": (1,),
    }
    problems = [f"missing: {name}" for name in expected if name not in found]
    problems += [f"unexpected: {name}" for name in found if name not in expected]
    # The expected shapes are known only if no tensor is missing.
    problems = problems or [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if found[name] != shape
    ]
    if problems:
        raise ConversionError("the tensors are another network's\n  " + "\n  ".join(problems))
