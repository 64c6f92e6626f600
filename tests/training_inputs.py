"""A small model and synthetic features that it can learn from, shared by the tests of training."""

from collections.abc import Callable, Sequence
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.config import Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.model.ensemble import Ensemble
from a2inet_jax.model.layers import Outputs
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import Member, TrainedMember
from a2inet_jax.training.predict import predict

VIDEOS = 23
Uninterrupted = tuple[Path, list[TrainedMember], list[int]]  # folder, members, reported steps


class MeanPooling(nn.Module):
    """Two dense layers and the mean over frames; compiles in no time."""

    width: int = 8

    @nn.compact
    def __call__(
        self, streams: tuple[jax.Array, ...], mask: jax.Array, keys: jax.Array | None = None
    ) -> Outputs:
        x = jnp.concatenate(streams, axis=-1).astype(jnp.float32)
        x = jnp.where(mask[..., None], x, 0)
        frames = nn.Dense(1)(nn.relu(nn.Dense(self.width)(x)))[..., 0]
        frames = jnp.where(mask, frames, 0)
        return Outputs(frames.sum(axis=1) / jnp.maximum(mask.sum(axis=1), 1), frames)


def make_data(seed: int = 0, videos: int = VIDEOS, longest: int = 5) -> TrainingData:
    """Make videos of at least 2 frames; the label is a linear function of the features' means."""
    random = np.random.default_rng(seed)
    streams = [
        (random.normal(size=(n, 6)), random.normal(size=(n, 4)))
        for n in random.integers(2, longest + 1, size=videos)
    ]
    mos = [50 + 10 * (a.mean(axis=0).sum() - b.mean(axis=0).sum()) for a, b in streams]
    return TrainingData.of_arrays([f"v{n:02}" for n in range(videos)], streams, mos)


def make_split(data: TrainingData, train: int = 13, validation: int = 5) -> Split:
    """Split the videos in order: first the training set, then the validation set, then the test set."""
    ids = data.ids
    return Split(ids[:train], ids[train : train + validation], ids[train + validation :])


def make_members(
    data: TrainingData, train: Sequence[int] = (13, 9, 11), validation: int = 5, seed: int = 0
) -> list[Member]:
    """Make members whose training sets have these sizes, each drawn at random from the videos."""
    members = []
    for split_index, size in enumerate(train):
        ids = np.random.default_rng(split_index).permutation(data.ids).tolist()
        split = Split(
            tuple(ids[:size]), tuple(ids[size : size + validation]), tuple(ids[size + validation :])
        )
        members.append(Member(split_index, seed, split))
    return members


DATA = make_data()
MEMBERS = make_members(DATA)  # 13, 9 and 11 videos: 4, 3 and 3 steps
STEPS_PER_EPOCH = 4
CONFIG = Train(learning_rate=3e-2, batch_size=4, epochs=7, checkpoint_epochs=2)
CHECKPOINT_FOLDER = "splits_00-02_seeds_0-0"


def train(
    folder: Path,
    config: Train = CONFIG,
    members: list[Member] = MEMBERS,
    on_step: Callable[[int], None] = lambda _: None,
) -> list[TrainedMember]:
    """Train the members; `on_step` is called with the number of steps done."""
    callbacks = Callbacks(advance=lambda text, done, total: on_step(done))
    return loop.train(MeanPooling(), DATA, members, config, folder, callbacks)


def predict_tests(
    model: nn.Module,
    data: TrainingData,
    members: Sequence[Member],
    trained: Sequence[TrainedMember],
    config: Train,
) -> list[np.ndarray]:
    """Return the scores of each member's test set."""
    models = Ensemble.stack([x.params for x in trained], [x.label_range for x in trained])
    return predict(model, models, data, [data.indices(m.split.test) for m in members], config)


def train_uninterrupted(folder: Path) -> Uninterrupted:
    """Train without an interruption; return the folder, the members and the reported steps."""
    reported: list[int] = []
    return folder, train(folder, on_step=reported.append), reported


def assert_same(one: list[TrainedMember], other: list[TrainedMember]) -> None:
    """Assert that both are equal, bit for bit."""
    for a, b in zip(one, other, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
        assert a.history == b.history
        assert (a.epoch, a.label_range) == (b.epoch, b.label_range)


def assert_close(
    one: list[TrainedMember], other: list[TrainedMember], tolerance: float = 1e-5
) -> None:
    """Assert that both are equal within a tolerance, and have selected the same epoch."""
    for a, b in zip(one, other, strict=True):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance),
            a.params,
            b.params,
        )
        for found, expected in zip(a.history, b.history, strict=True):
            assert found == pytest.approx(expected, abs=tolerance)
        assert a.epoch == b.epoch
