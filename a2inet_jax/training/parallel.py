"""Where the compiled programs run: on one device, or on all local ones with each batch split between them."""

import functools
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.training import step
from a2inet_jax.training.batches import Data, Order
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.state import TrainState

AXIS = "data"


class Runner(Protocol):
    """One way to run; each gives the same numbers up to rounding.

    `put` brings a tree of arrays to where it is used and `get` brings it back as NumPy arrays; `width` is the
    number of places that a batch needs for `batch_size` rows.
    """

    def width(self, batch_size: int) -> int: ...
    def put(self, tree: Any) -> Any: ...
    def get(self, tree: Any) -> Any: ...
    def train_epoch(
        self, model: nn.Module, settings: Settings, state: TrainState, data: Data, order: Order
    ) -> tuple[TrainState, Losses]: ...
    def score(
        self, model: nn.Module, params: Any, data: Data, order: Order
    ) -> tuple[np.ndarray, np.ndarray]: ...


class OneDevice:
    """`jit` on the default device."""

    def width(self, batch_size: int) -> int:
        """`batch_size`."""
        return batch_size

    def put(self, tree: Any) -> Any:
        """Onto the device."""
        return jax.tree.map(jnp.asarray, tree)

    def get(self, tree: Any) -> Any:
        """To the host."""
        return jax.device_get(tree)

    def train_epoch(
        self, model: nn.Module, settings: Settings, state: TrainState, data: Data, order: Order
    ) -> tuple[TrainState, Losses]:
        """See `step.train_epoch`."""
        return _jit_epoch(model, settings, state, data, order)

    def score(
        self, model: nn.Module, params: Any, data: Data, order: Order
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `step.score`; on the host."""
        return jax.device_get(_jit_score(model, params, data, order))


class LocalDevices:
    """`pmap` over the local devices: parameters and data on each, a part of every batch for each."""

    def __init__(self) -> None:
        self.devices = jax.local_device_count()

    def width(self, batch_size: int) -> int:
        """`batch_size`, rounded up to a multiple of the devices; the places beyond are masked."""
        return -(-batch_size // self.devices) * self.devices

    def put(self, tree: Any) -> Any:
        """A copy onto every device."""
        return _pmap_copy(np.zeros(self.devices), tree)

    def get(self, tree: Any) -> Any:
        """The first device's copy, to the host."""
        return jax.device_get(jax.tree.map(lambda x: x[0], tree))

    def train_epoch(
        self, model: nn.Module, settings: Settings, state: TrainState, data: Data, order: Order
    ) -> tuple[TrainState, Losses]:
        """See `step.train_epoch`; arguments but `order` as `put` gave them, results likewise."""
        return _pmap_epoch(model, settings, state, data, self._deal(order))

    def score(
        self, model: nn.Module, params: Any, data: Data, order: Order
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `step.score`; on the host."""
        score, frames = jax.device_get(_pmap_score(model, params, data, self._deal(order)))
        return np.concatenate(score, axis=1), np.concatenate(frames, axis=1)

    def _deal(self, order: Order) -> Order:
        # [S, D·b] → [D, S, b]: each device gets b neighbouring places of every batch.
        index, where = (
            np.stack(np.split(x, self.devices, axis=1)) for x in (order.index, order.where)
        )
        return Order(index, where, np.full(self.devices, order.steps))


def runner(parallel: str) -> Runner:
    """The one of this name: "jit" or "pmap"."""
    return {"jit": OneDevice, "pmap": LocalDevices}[parallel]()


# Model and settings are constants of the programs, equal for all splits of a run: one compilation.
_jit_epoch = jax.jit(step.train_epoch, static_argnums=(0, 1))
_jit_score = jax.jit(step.score, static_argnums=0)
_pmap_epoch = jax.pmap(
    functools.partial(step.train_epoch, axis=AXIS), AXIS, static_broadcasted_argnums=(0, 1)
)
_pmap_score = jax.pmap(step.score, AXIS, static_broadcasted_argnums=0)
_pmap_copy = jax.pmap(lambda _, tree: tree, in_axes=(0, None))
