"""VSFA's published checkpoints as parameters of our `VSFA`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones import checkpoint
from a2inet_jax.errors import ConversionError
from a2inet_jax.model.vsfa import VSFA

_UNUSED = ("ann.fc.weight", "ann.fc.bias")  # a layer that VSFA's code makes and never calls


def load_published(path: Path) -> tuple[VSFA, dict[str, Any]]:
    """VSFA as its authors trained it, from the file that they publish (`models/VSFA.pt`).

    Its features are those of the backbone `resnet50_imagenet` at full resolution, every frame, of
    which it takes the last stage. Scores are in its training labels divided by the largest.

        model, params = load_published(Path("VSFA.pt"))
        score = model.apply({"params": params}, (semantic_BxTx7680,), mask_BxT).score

    Args:
        path: What `torch.save` wrote of a state dict; torch is not needed.

    Returns:
        The model, with sizes as the file has them, and its parameters in float32.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not a checkpoint, or it is another network's; every wrong tensor is listed.
    """
    try:
        params = convert(checkpoint.read(path))
    except ConversionError as error:
        raise ConversionError(f"{path} is not a checkpoint of VSFA: {error}") from None
    width, neck = params["temporal"]["neck"]["kernel"].shape
    hidden = len(params["temporal"]["gru"]["recurrent_bias"])
    model = VSFA(tail=width, neck=neck, hidden=hidden)
    return model, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)


def convert(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Our parameters from VSFA's state dict.

    torch's GRU adds two biases to each gate. Those of r and z are only ever seen as a sum, so b_hr
    and b_hz are added to the input's biases; b_hn stands inside of the reset gate and stays.

    Args:
        tensors: `ann.fc0`, `rnn` and `q` as torch names their weights and biases.

    Returns:
        Nested parameters, of the tensors' dtype.

    Raises:
        ConversionError: Tensors are missing, unexpected or of another shape; all are listed.
    """
    _check(tensors)
    hidden = tensors["q.weight"].size
    of_r_and_z = np.arange(3 * hidden) < 2 * hidden
    bias_hh = tensors["rnn.bias_hh_l0"]
    gru = {
        "input": {
            "kernel": tensors["rnn.weight_ih_l0"].T,
            "bias": tensors["rnn.bias_ih_l0"] + np.where(of_r_and_z, bias_hh, 0),
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
    # Only with all tensors there are the sizes known that the shapes follow from.
    problems = problems or [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if found[name] != shape
    ]
    if problems:
        raise ConversionError("the tensors are another network's\n  " + "\n  ".join(problems))
