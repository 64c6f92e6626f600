"""Script that makes tests/expected/transformer_features.npz: features from PyTorch's transformers.

Run it as `python -m tests.make_transformer_expectations --maniqa=FOLDER` with the `bench` group and einops
installed. FOLDER is a checkout of https://github.com/IIGROUP/MANIQA at commit
f573d862401243c45641951a0303b8059c1c8577, which brings its own timm.

The file holds features of narrow networks, so that tests are fast. The script also compares networks of full
width and fails if ours differ. References compute in float64. Weights are random but reproducible from their
names.
"""

import argparse
import functools
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast
from unittest import mock

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.backbones import convert, maniqa, swin3d, vit
from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.frame_features import pool_stages
from tests.make_torch_expectations import EXPECTED, noise, random_tensor

NARROW = {"vit_b_16": vit.ViTB16(48), "swin3d_t": swin3d.Swin3DT(24), "maniqa": maniqa.Maniqa(48)}
LAYOUTS = {"vit_b_16": vit.LAYOUTS, "swin3d_t": swin3d.LAYOUTS, "maniqa": maniqa.LAYOUTS}
# Frames, height, width. A window is 8×7×7 tokens of 2×4×4 pixels; each stage halves height and width.
CLIPS = (
    (18, 66, 90),  # shifts along all axes, sides that don't fit patches, windows or merging
    (5, 28, 121),  # an odd length; shifts along the width only
    (1, 23, 17),  # less than a window along each axis
)
# Fractions of the largest value, by our compute dtype; pooling is always float32.
TOLERANCES = {"float64": 1e-6, "float32": 1e-5}

# From a module's output to tokens [rows, positions, channels].
Tokens = Callable[[Any], Any]

# Scales of random tensors, by pattern. Tokens before a layer norm are small, so that its ε has an effect.
# MANIQA's channel attention has no norm before it: with larger keys and queries its softmax would pick single
# channels, and rounding errors would grow a thousandfold.
SCALES = {
    "conv_proj.*": 0.05,
    "*patch_embed.proj.*": 0.05,
    "*class_token": 0.05,
    "*cls_token": 0.05,
    "*pos_embed*": 0.05,
    "conv[12].*": 0.01,
    "*.c_[qk].*": 0.15,
}


def named_tensor(name: str, shape: Sequence[int]) -> np.ndarray:
    """Return `random_tensor` at the scale that the tensor needs; embeddings are not weights of a sum."""
    values = random_tensor(name, shape)
    if len(shape) == 3:
        values *= np.sqrt(np.prod(shape[1:])).astype(np.float32)
    for pattern, scale in SCALES.items():
        if fnmatchcase(name, pattern):
            values *= np.float32(scale)
    return values


def inputs(name: str) -> dict[str, np.ndarray]:
    """Return frames or clips for a network in [−1, 1], float32, by the keys of their expected features."""
    if name != "swin3d_t":
        return {name: (noise(224, 224) / 127.5 - 1).astype(np.float32)}
    clips = {}
    for frames, height, width in CLIPS:
        rows = noise(frames * height, width).reshape(1, frames, height, width, 3)
        clips[f"{name}_{frames}x{height}x{width}"] = (rows / 127.5 - 1).astype(np.float32)
    return clips


@functools.cache
def parameter_shapes(name: str, network: nn.Module) -> Params:
    """Return the shapes of a network's parameters."""
    x = next(iter(inputs(name).values()))
    return jax.eval_shape(network.init, jax.random.key(0), x)["params"]


def checkpoint(name: str) -> dict[str, np.ndarray]:
    """Return random tensors of the narrow network, by the names of its reference.

    Tensors that features don't need are included, but empty.
    """
    shapes = parameter_shapes(name, NARROW[name])
    needed = convert.tensor_shapes(shapes, LAYOUTS[name][0])
    with np.load(EXPECTED / "transformer_features.npz") as file:
        names = [str(each) for each in file[f"{name}_tensors"]]
    assert needed.keys() <= set(names)
    return {each: named_tensor(each, needed.get(each, (0,))) for each in names}


def params_from(name: str, tensors: Mapping[str, np.ndarray]) -> Params:
    """Convert a checkpoint to parameters of the narrow network."""
    shapes = parameter_shapes(name, NARROW[name])
    return convert.convert(tensors, shapes, LAYOUTS[name])


def pooled(network: nn.Module, params: Params, x: np.ndarray) -> np.ndarray:
    """Run the network and pool its only map to mean and deviation, [rows, 2C] float32."""

    def run(params: Params, x: jax.Array) -> jax.Array:
        (found,) = cast(list[jax.Array], network.apply({"params": params}, x))
        return pool_stages([found.reshape(-1, *found.shape[-3:])])

    with jax.default_matmul_precision("highest"):
        # It runs once, so compilation dominates.
        compiled = jax.jit(run).lower(params, x).compile({"xla_backend_optimization_level": "0"})
        return np.asarray(compiled(params, x))


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error relative to the largest value, of means or deviations, whichever is worse."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    pairs = zip(np.split(found, 2, axis=-1), np.split(expected, 2, axis=-1))
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6)) for a, b in pairs)


def expected_features(key: str) -> np.ndarray:
    """Return the narrow reference's features of one of the inputs."""
    with np.load(EXPECTED / "transformer_features.npz") as file:
        return file[key]


def assert_equal_features(
    network: nn.Module, params: Params, x: np.ndarray, expected: np.ndarray
) -> list[float]:
    """Assert that our features equal the reference's in float64 and in float32; return both errors."""
    errors = []
    for dtype, tolerance in TOLERANCES.items():
        with jax.enable_x64(dtype == "float64"):
            errors.append(error(pooled(network.clone(dtype=dtype), params, x), expected))
        assert errors[-1] <= tolerance, (dtype, errors[-1])
    return errors


def _vit(width: int) -> tuple[Any, Any, Tokens]:
    models = importlib.import_module("torchvision.models.vision_transformer")
    network = models.VisionTransformer(224, 16, 12, 12, width, 4 * width)
    return network, network.encoder.ln, lambda found: found[:, 1:]


def _swin(width: int) -> tuple[Any, Any, Tokens]:
    models = importlib.import_module("torchvision.models.video.swin_transformer")
    depths, heads = (list(numbers) for numbers in zip(*swin3d.STAGES))
    network = models.SwinTransformer3d([2, 4, 4], width, depths, heads, [8, 7, 7])
    return network, network.norm, lambda found: found[0].flatten(1, 2)


def _maniqa(width: int) -> tuple[Any, Any, Tokens]:
    """Build the repository's network without fetching its encoder's weights."""
    encoders = importlib.import_module("timm.models.vision_transformer")
    encoder = encoders.VisionTransformer(patch_size=8, embed_dim=width)
    with mock.patch("timm.create_model", return_value=encoder):
        network = importlib.import_module("models.maniqa").MANIQA(embed_dim=width, dim_mlp=width)
    return network, network.swintransformer2, lambda found: found.flatten(2).transpose(1, 2)


def _randomise(torch: Any, network: Any) -> None:
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and not name.endswith("attn_mask"):
            state[name] = torch.from_numpy(named_tensor(name, tensor.shape))
    network.load_state_dict(state)


def _reference(torch: Any, network: Any, last: Any, tokens: Tokens, x: np.ndarray) -> np.ndarray:
    """Pool the tokens of the module `last` to mean and deviation, [rows, 2C] float64."""
    outputs: list[Any] = []
    hook = last.register_forward_hook(lambda *args: outputs.append(args[2]))
    channels_first = np.moveaxis(x, -1, 1).copy()
    # MANIQA creates a tensor on a GPU for its scores, whatever it runs on.
    with torch.no_grad(), mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
        network.double().eval()(torch.from_numpy(channels_first).double())
    hook.remove()
    (output,) = outputs
    found = tokens(output)
    deviation = found.std(1) if found.shape[1] > 1 else torch.zeros_like(found[:, 0])
    return torch.cat([found.mean(1), deviation], -1).numpy()


def main() -> None:
    """Write the file and compare the networks of full width."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--maniqa", type=Path, required=True, help="checkout of IIGROUP/MANIQA")
    sys.path.insert(0, str(parser.parse_args().maniqa.resolve()))
    torch = importlib.import_module("torch")
    kept: dict[str, np.ndarray] = {}
    for name, build in (("vit_b_16", _vit), ("swin3d_t", _swin), ("maniqa", _maniqa)):
        for ours in (NARROW[name], type(NARROW[name])()):
            network, last, tokens = build(ours.width)
            _randomise(torch, network)
            tensors = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
            params = convert.convert(tensors, parameter_shapes(name, ours), LAYOUTS[name])
            for key, x in inputs(name).items():
                expected = _reference(torch, network, last, tokens, x)
                errors = assert_equal_features(ours, params, x, expected)
                print(f"{key}, width {ours.width}: within", *(f"{error:.1e}" for error in errors))
                if ours is NARROW[name]:
                    kept[key] = expected.astype(np.float32)
                    kept[f"{name}_tensors"] = np.array(list(tensors))
    np.savez_compressed(EXPECTED / "transformer_features.npz", allow_pickle=False, **kept)


if __name__ == "__main__":
    main()
