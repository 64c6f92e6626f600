"""Where the programs run: on one device, or on all local ones with each batch split between them.

A step is a program of its own, not a turn of a compiled loop over the epoch: XLA's CPU backend runs a
convolution's gradient inside loops about ten times slower, and the call costs a fraction of a millisecond.
"""

from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.training import step
from a2inet_jax.training.batches import Data, Order, gather
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.state import TrainState

AXIS = "data"


class Runner(Protocol):
    """One way to run; each gives the same numbers up to rounding."""

    def width(self, batch_size: int) -> int:
        """Places that a batch needs to hold `batch_size` rows."""

    def put(self, tree: Any) -> Any:
        """Brings arrays to where the other methods use them."""

    def get(self, tree: Any) -> Any:
        """Brings arrays back as NumPy arrays; waits for them."""

    def train(
        self, model: nn.Module, settings: Settings, state: TrainState, data: Data, order: Order
    ) -> tuple[TrainState, list[Losses]]:
        """A step for each batch; does not wait for the results. State and data as `put`."""

    def score(
        self, model: nn.Module, params: Any, data: Data, order: Order
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores `[S, B]` and frame scores `[S, B, T]` of the order's rows. Parameters as `put`."""


class OneDevice:
    """`jit` on the default device."""

    def width(self, batch_size: int) -> int:
        """As many places as rows."""
        return batch_size

    def put(self, tree: Any) -> Any:
        """Onto the device."""
        return jax.tree.map(jnp.asarray, tree)

    def get(self, tree: Any) -> Any:
        """To the host."""
        return jax.device_get(tree)

    def train(
        self, model: nn.Module, settings: Settings, state: TrainState, data: Data, order: Order
    ) -> tuple[TrainState, list[Losses]]:
        """See `Runner`."""
        history = []
        for index, where in zip(*order):
            state, losses = _jit_step(model, settings, state, data, index, where)
            history.append(losses)
        return state, history

    def score(
        self, model: nn.Module, params: Any, data: Data, order: Order
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Runner`."""
        outputs = [_jit_score(model, params, data, *rows) for rows in zip(*order)]
        score, frames = zip(*jax.device_get(outputs))
        return np.stack(score), np.stack(frames)


class LocalDevices:
    """`pmap`: parameters and data on each local device, a part of every batch for each."""

    def __init__(self) -> None:
        self.devices = jax.local_device_count()

    def width(self, batch_size: int) -> int:
        """`batch_size`, rounded up to a multiple of the devices."""
        return -(-batch_size // self.devices) * self.devices

    def put(self, tree: Any) -> Any:
        """A copy onto every device."""
        return _pmap_copy(np.zeros(self.devices), tree)

    def get(self, tree: Any) -> Any:
        """The first device's copy, to the host."""
        return jax.device_get(jax.tree.map(lambda x: x[0], tree))

    def train(
        self, model: nn.Module, settings: Settings, state: TrainState, data: Data, order: Order
    ) -> tuple[TrainState, list[Losses]]:
        """See `Runner`."""
        history = []
        for rows in zip(*order):
            state, losses = _pmap_step(model, settings, state, data, *self._deal(rows))
            history.append(losses)
        return state, history

    def score(
        self, model: nn.Module, params: Any, data: Data, order: Order
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Runner`."""
        outputs = [_pmap_score(model, params, data, *self._deal(rows)) for rows in zip(*order)]
        score, frames = zip(*jax.device_get(outputs))
        return np.stack([s.reshape(-1) for s in score]), np.stack(
            [f.reshape(-1, f.shape[-1]) for f in frames]
        )

    def _deal(self, rows: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        # [B] → [devices, B / devices]
        return tuple(x.reshape(self.devices, -1) for x in rows)


def runner(parallel: str) -> Runner:
    """The one of this name: "jit" or "pmap"."""
    return OneDevice() if parallel == "jit" else LocalDevices()


def _step(
    model: nn.Module,
    settings: Settings,
    state: TrainState,
    data: Data,
    index: jax.Array,
    where: jax.Array,
    axis: str | None = None,
) -> tuple[TrainState, Losses]:
    return step.train_step(model, settings, state, gather(data, index, where), axis)


def _step_over_devices(*arguments: Any) -> tuple[TrainState, Losses]:
    return _step(*arguments, axis=AXIS)


def _score(
    model: nn.Module, params: Any, data: Data, index: jax.Array, where: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return step.score(model, params, gather(data, index, where))


# Model and settings are constants of the programs, equal for all splits of a run: one compilation.
_jit_step = jax.jit(_step, static_argnums=(0, 1))
_jit_score = jax.jit(_score, static_argnums=0)
_pmap_step = jax.pmap(_step_over_devices, AXIS, static_broadcasted_argnums=(0, 1))
_pmap_score = jax.pmap(_score, AXIS, static_broadcasted_argnums=0)
_pmap_copy = jax.pmap(lambda _, tree: tree, in_axes=(0, None))
