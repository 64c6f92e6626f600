"""VSFA's head, a baseline (Li et al., "Quality Assessment of In-the-Wild Videos", MM 2019), as published."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.backbones import torch_files
from a2inet_jax.config import Model, Pooling
from a2inet_jax.errors import ConfigError, ConversionError
from a2inet_jax.model.layers import Outputs
from a2inet_jax.model.masking import zero_padding
from a2inet_jax.model.temporal import TemporalNetwork

# A layer that VSFA's code creates and never calls.
_UNUSED = ("ann.fc.weight", "ann.fc.bias")


class VSFA(nn.Module):
    """The temporal network alone, on the concatenated features of the streams.

    `neck` and the following fields are those of `A2INet`.

    Attributes:
        tail: Number of last features used from each stream, 0 for all. VSFA itself uses only the last
            stage of a ResNet-50, the last 4096 of our 7680.
    """

    tail: int = Model.tail
    neck: int = Model.neck
    hidden: int = Model.hidden
    pooling: Pooling = Model.pooling
    tau: int = Model.tau
    beta: float = Model.beta
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, streams: Sequence[jax.Array], mask_BxT: jax.Array, keys_B: jax.Array | None = None
    ) -> Outputs:
        """Score a batch.

        Args:
            streams: One or more `[B, T, width]`, any float dtype; the padding may hold anything.
            mask_BxT: `[B, T]` bool, True for each video's frames, False after its end.
            keys_B: Unused, for compatibility with `A2INet`: nothing is random here.

        Returns:
            Video scores and frame scores.

        Raises:
            ConfigError: There is no stream, a stream has fewer than `tail` features, or `pooling` has
                none of its values.
        """
        widths = [stream.shape[-1] for stream in streams]
        if not widths or min(widths) < self.tail:
            raise ConfigError(
                f"VSFA takes streams of at least tail = {self.tail} features, not {widths}"
            )
        # If tail is 0, the slice from −0 takes all.
        used = [stream[..., -self.tail :] for stream in streams]
        return TemporalNetwork(
            self.neck, self.hidden, self.pooling, self.tau, self.beta, self.dtype, name="temporal"
        )(zero_padding(jnp.concatenate(used, axis=-1), mask_BxT), mask_BxT)


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
        ConversionError: It is another network's, or not finite; the message lists every wrong tensor.
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
        ConversionError: Tensors are missing, unexpected, of another shape or not finite; the message lists
            all.
    """
    _check(tensors)
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
    """Raise ConversionError with all tensors that are missing, unexpected, of another shape or not finite."""
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
    problems = problems or [
        f"{name} holds NaN or infinite values"
        for name in expected
        if not np.isfinite(tensors[name]).all()
    ]
    if problems:
        raise ConversionError(
            "the tensors are another network's, or damaged\n  " + "\n  ".join(problems)
        )
