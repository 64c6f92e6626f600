"""Where the programs run: on one device, or on all local ones with each batch split between them.

A step is a program of its own, not a turn of a compiled loop over the epoch: XLA's CPU backend runs a
convolution's gradient inside loops about ten times slower, and the call costs a fraction of a millisecond.
"""

import functools
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
        """Scores `[n]` and frame scores `[n, T]` of the order's valid rows, float64 on the host."""


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
        for rows, where in zip(*order):
            state, losses = _jit_step(model, settings, state, data, rows, where)
            history.append(losses)
        return state, history

    def score(
        self, model: nn.Module, params: Any, data: Data, order: Order
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Runner`."""
        outputs = [_jit_score(model, params, data, *rows) for rows in zip(*order)]
        return _flat(outputs, order)


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
        return jax.tree.map(lambda x: np.asarray(x.addressable_shards[0].data)[0, ...], tree)

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
        return _flat(outputs, order)

    def _deal(self, rows: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        # [B] → [devices, B / devices]
        return tuple(x.reshape(self.devices, -1) for x in rows)


def runner(parallel: str) -> Runner:
    """The one of this name: "jit" or "pmap"."""
    return OneDevice() if parallel == "jit" else LocalDevices()


def _flat(outputs: list[Any], order: Order) -> tuple[np.ndarray, np.ndarray]:
    if not outputs:
        return np.zeros(0), np.zeros((0, 0))
    score, frames = zip(*jax.device_get(outputs))
    valid = order.where.reshape(-1)
    score_n = np.concatenate([s.reshape(-1) for s in score])[valid]
    frames_nxT = np.concatenate([f.reshape(-1, f.shape[-1]) for f in frames])[valid]
    return score_n.astype(np.float64), frames_nxT.astype(np.float64)


def _step(
    model: nn.Module,
    settings: Settings,
    state: TrainState,
    data: Data,
    rows: jax.Array,
    where: jax.Array,
    axis: str | None = None,
) -> tuple[TrainState, Losses]:
    return step.train_step(model, settings, state, gather(data, rows, where), axis)


def _score(
    model: nn.Module, params: Any, data: Data, rows: jax.Array, where: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return step.score(model, params, gather(data, rows, where))


# Model and settings are constants of the programs, equal for all splits of a run: one compilation.
_jit_step = jax.jit(_step, static_argnums=(0, 1))
_jit_score = jax.jit(_score, static_argnums=0)
_pmap_step = jax.pmap(functools.partial(_step, axis=AXIS), AXIS, static_broadcasted_argnums=(0, 1))
_pmap_score = jax.pmap(_score, AXIS, static_broadcasted_argnums=0)
_pmap_copy = jax.pmap(lambda _, tree: tree, in_axes=(0, None))
