"""A2INet's head in PyTorch, for comparison with the JAX one: `python -m benchmarks.torch_head --help`.

It is idiomatic PyTorch: cuDNN's GRU, `Conv1d`, fused Adam, no loop over frames or videos. Modules are named
after the JAX parameters. Before anything is timed, scores and gradients of both heads are compared on a small
batch of videos of different lengths; the program ends if they differ.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import app, flags
from flax import traverse_util
from torch import Tensor, nn
from torch.nn import functional as F

from a2inet_jax.config import Model
from a2inet_jax.model.a2inet import A2INet as JaxA2INet
from a2inet_jax.training import losses

Step = Callable[[tuple[Tensor, Tensor], Tensor, Tensor], Tensor]

TOLERANCE = 1e-4  # of float32, relative to the largest entry of a parameter's gradient


def moments(x: Tensor, mask: Tensor, ddof: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return the deviation from the mean over a video's frames, zero in the padding, and σ `[B, 1, D]`."""
    x, valid = x.float(), mask[:, :, None]
    count = mask.sum(1)[:, None, None]
    deviation = (x - (x * valid).sum(1, keepdim=True) / count) * valid
    variance = deviation.square().sum(1, keepdim=True) / (count - ddof).clamp(min=1)
    return deviation, (variance + epsilon).sqrt()


class FGIN(nn.Module):
    """γ(Y) · n(X) + θ(Y) + n(X), where n normalizes over time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma_theta = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        """Return features `[B, T, D]`."""
        deviation, std = moments(x, mask, ddof=0, epsilon=1e-5)
        gamma, theta = self.gamma_theta(y).chunk(2, dim=-1)
        return torch.addcmul(theta, gamma + 1, (deviation / std).to(gamma.dtype))


class CGIN(nn.Module):
    """Both streams, each deformed by the other, concatenated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.quality_by_semantic, self.semantic_by_quality = FGIN(width), FGIN(width)

    def forward(self, quality: Tensor, semantic: Tensor, mask: Tensor) -> Tensor:
        """Return features `[B, T, 2D]`."""
        both = (
            self.quality_by_semantic(quality, semantic, mask),
            self.semantic_by_quality(semantic, quality, mask),
        )
        return torch.cat(both, dim=-1)


class Attention(nn.Module):
    """Single-head attention over a video's frames, with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return features `[B, T, C]`."""
        query, key, value = self.query_key_value(x).chunk(3, dim=-1)
        return x + F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, :])


class CAGI(nn.Module):
    """CGIN, then attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cgin, self.attention = CGIN(width), Attention(2 * width)

    def forward(self, quality: Tensor, semantic: Tensor, mask: Tensor) -> Tensor:
        """Return features `[B, T, 2D]`."""
        return self.attention(self.cgin(quality, semantic, mask), mask)


class Perception(nn.Module):
    """A convolution over time, gated per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(width, width // 4), nn.Linear(width // 4, width)
        self.convolution = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        """Return gated features `[B, T, D]`; `x` is zero in the padding."""
        gate = self.excite(self.squeeze(pooled).relu()).sigmoid()
        return gate * self.convolution(x.transpose(1, 2)).transpose(1, 2)


class CATM(nn.Module):
    """Quality saliency and content variation, concatenated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * width, width)
        self.quality_saliency, self.content_variation = Perception(width), Perception(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return features `[B, T, 2D]`."""
        x, valid = self.fc(x), mask[:, :, None]
        largest = x.masked_fill(~valid, torch.finfo(x.dtype).min).amax(1, keepdim=True)
        _, std = moments(x, mask, ddof=1, epsilon=1e-12)
        x = x * valid
        return torch.cat([self.quality_saliency(x, largest), self.content_variation(x, std)], -1)


def subjective_pooling(
    q: Tensor, mask: Tensor, tau: int = Model.tau, beta: float = Model.beta
) -> Tensor:
    """Pool frame scores `[B, T]` into scores `[B]`."""
    q = q * mask
    memory = -F.max_pool1d(F.pad(-q, (tau - 1, 0), value=-torch.inf), tau, stride=1)
    present = F.pad(q, (0, tau - 1)).unfold(1, tau, 1)
    valid = F.pad(mask, (0, tau - 1)).unfold(1, tau, 1)
    weight = (-present).masked_fill(~valid, torch.finfo(q.dtype).min).softmax(-1)
    pooled = beta * (weight * present).sum(-1) + (1 - beta) * memory
    return (pooled * mask).sum(1) / mask.sum(1)


class Temporal(nn.Module):
    """The GRU, the frame scores and their pooling."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.neck = nn.Linear(2 * width, 128)
        self.gru = nn.GRU(128, 32, batch_first=True)
        self.score = nn.Linear(32, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return scores `[B]`."""
        # No packed sequence is needed: padding comes last, so it affects no frame of the video.
        states, _ = self.gru(self.neck(x))
        return subjective_pooling(self.score(states)[:, :, 0].float(), mask)


class A2INet(nn.Module):
    """The whole head."""

    def __init__(self, width: int, quality: int, semantic: int) -> None:
        super().__init__()
        self.quality_fc, self.semantic_fc = nn.Linear(quality, width), nn.Linear(semantic, width)
        self.cagi, self.catm, self.temporal = CAGI(width), CATM(width), Temporal(width)

    def forward(self, streams: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """Return scores `[B]` of streams `[B, T, width]` with finite padding; `mask` as in `a2inet_jax`."""
        quality, semantic = self.quality_fc(streams[0]), self.semantic_fc(streams[1])
        return self.temporal(self.catm(self.cagi(quality, semantic, mask), mask), mask)


def loss(score: Tensor, label: Tensor) -> Tensor:
    """Return the mean absolute error plus the rank loss over all ordered pairs."""
    by_score, by_label = score[:, None] - score, label[:, None] - label
    phi = torch.where(by_label >= 0, 1, -1)
    return (score - label).abs().mean() + (by_label.abs() - phi * by_score).relu().mean()


def to_torch(params: Mapping[str, Any]) -> dict[str, Tensor]:
    """Convert parameters of the JAX head, or their gradients, to a state dict of this one.

    torch's GRU has two biases per gate; JAX keeps one for r and z, in the input's, so torch's second is zero.
    """
    state = {}
    for name, leaf in traverse_util.flatten_dict(dict(params), sep=".").items():
        array = np.asarray(leaf).T  # torch has the axes of linear layers and convolutions reversed
        if name.endswith("recurrent_bias"):
            array = np.concatenate([np.zeros(2 * len(array), array.dtype), array])
        for ours, torchs in (
            ("gru.input.kernel", "gru.weight_ih_l0"),
            ("gru.input.bias", "gru.bias_ih_l0"),
            ("recurrent_kernel", "weight_hh_l0"),
            ("recurrent_bias", "bias_hh_l0"),
            ("kernel", "weight"),
        ):
            if name.endswith(ours):
                name = name.removesuffix(ours) + torchs
                break
        state[name] = torch.tensor(array)
    return state


def check() -> None:
    """Raise RuntimeError unless both heads have the same scores and gradients in float32."""
    lengths, frames, width, widths = (20, 7, 1), 20, 16, (12, 10)
    rng = np.random.default_rng(0)
    mask = np.arange(frames) < np.array(lengths)[:, None]
    streams = tuple(
        rng.normal(size=(len(lengths), frames, w)).astype(np.float32) * mask[:, :, None]
        for w in widths
    )
    label = rng.uniform(size=len(lengths)).astype(np.float32)
    model = JaxA2INet(width)
    with jax.default_matmul_precision("highest"):
        params: Any = jax.jit(model.init)(jax.random.key(0), streams, mask)["params"]

        def jax_loss(p: Any) -> tuple[jax.Array, jax.Array]:
            score = model.apply({"params": p}, streams, mask).score  # type: ignore[union-attr]
            return losses.total(score, jnp.asarray(label), jnp.ones(len(label), bool)).total, score

        expected, jax_score = jax.jit(jax.grad(jax_loss, has_aux=True))(params)
    head = A2INet(width, *widths)
    head.load_state_dict(to_torch(params))
    score = head(tuple(map(torch.from_numpy, streams)), torch.from_numpy(mask))
    loss(score, torch.from_numpy(label)).backward()
    gradients: Any = {name: p.grad for name, p in head.named_parameters()}
    # JAX has these biases only once, in the input's.
    gradients["temporal.gru.bias_hh_l0"][: 2 * head.temporal.gru.hidden_size] = 0
    pairs = {name: (gradients[name], gradient) for name, gradient in to_torch(expected).items()}
    pairs["the scores"] = (score.detach(), torch.tensor(np.array(jax_score)))
    for name, (ours, theirs) in pairs.items():
        error = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-6))
        if not error < TOLERANCE:
            raise RuntimeError(f"the heads differ by {error:.1e} in {name}: nothing is timed")


def train_step(head: nn.Module, bf16: bool = False, compiled: bool = False) -> Step:
    """Return a training step: `step(streams, mask, label)` updates the head and returns the loss."""
    adam = torch.optim.Adam(head.parameters(), lr=1e-4, fused=True)
    device = next(head.parameters()).device.type
    forward = torch.compile(head) if compiled else head

    def step(streams: tuple[Tensor, Tensor], mask: Tensor, label: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            score = forward(streams, mask)
        value = loss(score, label)
        adam.zero_grad()
        value.backward()
        adam.step()
        return value.detach()

    return step


def random_batch(
    batch: int, frames: int, widths: tuple[int, int], device: str
) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Return streams, a mask of videos that end in the last quarter, and labels."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(batch, frames, w, generator=generator) for w in widths)
    lengths = torch.randint(frames * 3 // 4, frames + 1, (batch, 1), generator=generator)
    label = torch.rand(batch, generator=generator)
    mask = torch.arange(frames) < lengths
    return (first.to(device), second.to(device)), mask.to(device), label.to(device)


def seconds(run: Callable[[], object], device: str, repeats: int) -> float:
    """Return the shortest time of `run`, after two calls to warm up."""

    def once() -> float:
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return min([once() for _ in range(2 + repeats)][2:])


_WIDTH = flags.DEFINE_integer("width", 1024, "D")
_WIDTHS = flags.DEFINE_list("streams", ["1920", "7680"], "widths of the two streams")
_BATCH = flags.DEFINE_integer("batch", 8, "videos of a batch")
_FRAMES = flags.DEFINE_integer("frames", 240, "frames of a video")
_SPLITS = flags.DEFINE_integer("splits", 1, "heads trained one after another")
_STEPS = flags.DEFINE_integer("steps", 4, "steps per timed run")
_REPEATS = flags.DEFINE_integer("repeats", 5, "timed runs; the shortest counts")
_PRECISION = flags.DEFINE_enum(
    "precision", "fp32", ["fp32", "tf32", "bf16"], "of the matrix products"
)
_COMPILE = flags.DEFINE_bool("compile", False, "use torch.compile")


def main(argv: list[str]) -> None:
    """Check the head, then print milliseconds per step and split."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {argv[1:]}")
    check()
    if _PRECISION.value == "tf32":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    first, second = map(int, _WIDTHS.value)
    data = random_batch(_BATCH.value, _FRAMES.value, (first, second), device)
    heads = [A2INet(_WIDTH.value, first, second).to(device) for _ in range(_SPLITS.value)]
    steps = [train_step(head, _PRECISION.value == "bf16", _COMPILE.value) for head in heads]

    def run() -> None:
        for step in steps:
            for _ in range(_STEPS.value):
                step(*data)

    milliseconds = 1e3 * seconds(run, device, _REPEATS.value) / len(steps) / _STEPS.value
    print(f"torch {torch.__version__} {device}: {milliseconds:.2f} ms per step and split")


if __name__ == "__main__":
    app.run(main)
