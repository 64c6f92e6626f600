"""Runners: two thin wrappings of the jitted steps for one or many devices.

But for rounding, both give the same numbers. `JitRunner` uses `jit` on one device, or over a mesh of all
devices of all processes, which members and batches are sharded over and where XLA inserts the communication.
`PmapRunner` uses `pmap` over the local devices, each of which takes a share of every batch.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from a2inet_jax.config import Parallel
from a2inet_jax.errors import ConfigError
from a2inet_jax.training import step
from a2inet_jax.training.step import Inputs, MemberMap

AXIS = "data"


class JitRunner:
    """`jit` over a mesh `split` × `data` of one or many devices.

    The members are sharded over as many devices as divide their number; the others shard the batches.

    Attributes:
        create: `step.create`; like the next four, with `member_map` and `axis` filled in.
        train: `step.train_steps`; donates `state`.
        score: `step.score_steps`.
        snapshot: `step.snapshot`.
        keep: `step.keep`; donates `best`.
    """

    def __init__(self, devices: Sequence[jax.Device], members: int) -> None:
        member_devices = math.gcd(members, len(devices))
        grid = np.array(devices).reshape(member_devices, -1)
        self.mesh = Mesh(grid, ("split", AXIS), axis_types=(AxisType.Auto,) * 2)
        member_map: MemberMap = step.vmap_or_map() if len(devices) == 1 else _vmap_members_over_mesh
        replicated, by_member = self._sharding(), self._sharding("split")
        self.create = jax.jit(
            functools.partial(step.create, member_map=member_map),
            static_argnums=(0, 1, 2),
            out_shardings=by_member,
        )
        self.train = jax.jit(
            functools.partial(step.train_steps, member_map=member_map),
            static_argnums=(0, 1, 2),
            donate_argnums=4,
            out_shardings=(by_member, replicated),
        )
        self.score = jax.jit(
            functools.partial(step.score_steps, member_map=member_map),
            static_argnums=(0, 1),
            out_shardings=replicated,
        )
        self.snapshot = jax.jit(step.snapshot, out_shardings=(by_member, replicated))
        self.keep = jax.jit(step.keep, donate_argnums=0, out_shardings=by_member)
        self._replicate = jax.jit(lambda tree: tree, out_shardings=replicated)

    def padded_batch_size(self, batch_size: int) -> int:
        """Round a batch size up to a multiple of the devices that shard a batch."""
        devices = self.mesh.shape[AXIS]
        return -(-batch_size // devices) * devices

    def local_slots(self, members: int, slots: int) -> np.ndarray:
        """Return which slots of a batch this process's devices work on, `[S, B]` bool."""
        local_SxB = np.zeros((members, slots), bool)
        sharding = self._sharding("split", AXIS)
        for index in sharding.addressable_devices_indices_map(local_SxB.shape).values():
            local_SxB[index] = True
        return local_SxB

    def put_features(self, features: Any) -> Any:
        """Copy features to every device."""
        return self._put(features, self._sharding())

    def put_inputs(self, inputs: Inputs) -> Inputs:
        """Shard a chunk's inputs, leaves `[S, K, B, ...]`, over the devices."""
        return self._put(inputs, self._sharding("split", None, AXIS))

    def put(self, tree: Any) -> Any:
        """Shard arrays `[S, ...]`, such as a state, over the devices."""
        # Copied, because JAX may use NumPy's memory in place, and training donates its state.
        return self._put(jax.tree.map(np.array, tree), self._sharding("split"))

    def get(self, tree: Any) -> Any:
        """Wait for arrays, and copy them to the host, shaped as in `step`."""
        if jax.process_count() > 1:
            # A process can only read its own shards, so every device gets all of them first.
            tree = self._replicate(tree)
            return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)
        return jax.device_get(tree)

    def scores(self, result: Any) -> np.ndarray:
        """Copy the result of `score`, `[S, K, B]`, to the host."""
        return np.asarray(result.addressable_data(0))

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def _put(self, tree: Any, sharding: NamedSharding) -> Any:
        def put(x: np.ndarray) -> jax.Array:
            return jax.make_array_from_callback(x.shape, sharding, x.__getitem__)

        return jax.tree.map(put, tree)


class PmapRunner:
    """`pmap`: a copy of states and features on each local device, and a share of every batch.

    Attributes and methods are those of `JitRunner`; trees on the devices have a leading device axis.
    """

    def __init__(self) -> None:
        if jax.process_count() > 1:
            raise ConfigError(
                "train.parallel 'pmap' uses the devices of one process; use 'mesh' with several"
            )
        self.devices = jax.local_device_count()
        member_map = step.vmap_or_map()
        create = jax.jit(
            functools.partial(step.create, member_map=member_map),
            static_argnums=(0, 1, 2),
        )
        self.create: Callable[..., Any] = lambda *arguments: self.put(create(*arguments))
        self.train = jax.pmap(
            functools.partial(step.train_steps, member_map=member_map, axis=AXIS),
            AXIS,
            static_broadcasted_argnums=(0, 1, 2),
            donate_argnums=4,
        )
        self.score = jax.pmap(
            functools.partial(step.score_steps, member_map=member_map),
            static_broadcasted_argnums=(0, 1),
        )
        self.snapshot = jax.pmap(step.snapshot)
        self.keep = jax.pmap(step.keep, in_axes=(0, 0, None), donate_argnums=0)
        self._replicate = jax.pmap(lambda _, tree: tree, in_axes=(0, None))

    def padded_batch_size(self, batch_size: int) -> int:
        """Round a batch size up to a multiple of the devices."""
        return -(-batch_size // self.devices) * self.devices

    def local_slots(self, members: int, slots: int) -> np.ndarray:
        """Return True for every slot, `[S, B]` bool: all devices are this process's."""
        return np.ones((members, slots), bool)

    def put_features(self, features: Any) -> Any:
        """Copy features to every device."""
        # Straight from the host: `put` needs the memory of a second copy on the device for a moment.
        mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
        sharding = NamedSharding(mesh, PartitionSpec(AXIS))

        def put(x: np.ndarray) -> jax.Array:
            shape = (self.devices, *x.shape)
            return jax.make_array_from_callback(shape, sharding, lambda _: x[None])

        return jax.tree.map(put, features)

    def put_inputs(self, inputs: Inputs) -> Inputs:
        """Split a chunk's inputs by device; they stay on the host, from where `pmap` copies them."""

        def split(x: Any) -> np.ndarray:  # [S, K, B, ...] → [devices, S, K, B / devices, ...]
            return np.moveaxis(x.reshape(*x.shape[:2], self.devices, -1, *x.shape[3:]), 2, 0)

        return jax.tree.map(split, inputs)

    def put(self, tree: Any) -> Any:
        """Copy arrays `[S, ...]`, such as a state, to every device."""
        return self._replicate(np.zeros(self.devices), tree)

    def get(self, tree: Any) -> Any:
        """Wait for arrays, and copy those of the first device to the host."""
        return jax.tree.map(lambda x: np.asarray(x.addressable_shards[0].data)[0, ...], tree)

    def scores(self, result: Any) -> np.ndarray:
        """Copy the result of `score` to the host, and merge the devices' shares into `[S, K, B]`."""
        # [devices, S, K, B / devices] → [S, K, devices, B / devices]
        by_device = np.moveaxis(np.asarray(result), 0, 2)
        return by_device.reshape(*by_device.shape[:2], -1)


Runner = JitRunner | PmapRunner


@functools.cache
def make_runner(parallel: Parallel, members: int) -> Runner:
    """Return the runner that `Train.parallel` names; cached, with its compiled programs.

    Raises:
        ConfigError: There are several processes, and `parallel` is not "mesh".
    """
    if parallel == "pmap":
        return PmapRunner()
    if parallel == "mesh":
        return JitRunner(jax.devices(), members)
    if jax.process_count() > 1:
        raise ConfigError("train.parallel 'jit' uses one device; use 'mesh' with several processes")
    return JitRunner(jax.devices()[:1], members)


def _vmap_members_over_mesh(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map as `step.vmap_members`, with the members sharded along the mesh's `split` axis."""
    return lambda shared, *each: jax.vmap(
        lambda *one: function(shared, *one), spmd_axis_name="split"
    )(*each)
