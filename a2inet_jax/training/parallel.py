"""Where the programs run: thin wrappings of the same functions, with the same numbers but for rounding.

`jit` on one device, or over a mesh of all devices of all processes, which splits and batches are spread over
and where XLA puts the communication in; or `pmap` over the local devices, which every batch is split over.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from a2inet_jax.config import Parallel
from a2inet_jax.training import jitted_steps
from a2inet_jax.training.jitted_steps import Inputs, MemberMap

AXIS = "data"


class Jitted:
    """`jit` over a mesh `split` × `data` of some devices, one or many.

    As many devices as divide the number of members share these; the others split the batches.

    Attributes:
        create: `programs.create`, like the next four with `lift` and `axis` filled in.
        train: `programs.train_steps`; uses the state given up.
        score: `programs.score_steps`.
        snapshot: `programs.snapshot`.
        keep: `programs.keep`; uses the best parameters given up.
    """

    def __init__(self, devices: Sequence[jax.Device], members: int) -> None:
        splits = math.gcd(members, len(devices))
        grid = np.array(devices).reshape(splits, -1)
        self.mesh = Mesh(grid, ("split", AXIS), axis_types=(AxisType.Auto,) * 2)
        lift: MemberMap = jitted_steps.vmap_or_map() if len(devices) == 1 else _over_mesh
        every, by_split = self._sharding(), self._sharding("split")
        self.create = jax.jit(
            functools.partial(jitted_steps.create, lift=lift),
            static_argnums=(0, 1, 2),
            out_shardings=by_split,
        )
        self.train = jax.jit(
            functools.partial(jitted_steps.train_steps, lift=lift),
            static_argnums=(0, 1, 2),
            donate_argnums=4,
            out_shardings=(by_split, every),
        )
        self.score = jax.jit(
            functools.partial(jitted_steps.score_steps, lift=lift),
            static_argnums=(0, 1),
            out_shardings=every,
        )
        self.snapshot = jax.jit(jitted_steps.snapshot, out_shardings=(by_split, every))
        self.keep = jax.jit(jitted_steps.keep, donate_argnums=0, out_shardings=by_split)
        self._everywhere = jax.jit(lambda tree: tree, out_shardings=every)

    def width(self, batch_size: int) -> int:
        """Places of a batch: `batch_size`, rounded up to a multiple of the devices that split it."""
        devices = self.mesh.shape[AXIS]
        return -(-batch_size // devices) * devices

    def needed(self, members: int, width: int) -> np.ndarray:
        """`[S, B]` bool: the places of a batch that this process's devices work on."""
        found = np.zeros((members, width), bool)
        sharding = self._sharding("split", AXIS)
        for index in sharding.addressable_devices_indices_map(found.shape).values():
            found[index] = True
        return found

    def put_frames(self, frames: Any) -> Any:
        """Brings features to every device."""
        return self._place(frames, self._sharding())

    def put_inputs(self, inputs: Inputs) -> Inputs:
        """Brings a call's inputs, leaves `[S, K, B, ...]`, to the devices that work on them."""
        return self._place(inputs, self._sharding("split", None, AXIS))

    def put(self, tree: Any) -> Any:
        """Brings arrays `[S, ...]`, such as a state, to the devices."""
        # Copied: JAX may use NumPy's memory as it is, and training gives its state's memory away.
        return self._place(jax.tree.map(np.array, tree), self._sharding("split"))

    def get(self, tree: Any) -> Any:
        """Brings arrays back to the host, shaped as `programs` has them; waits for them."""
        if jax.process_count() > 1:  # what other processes hold comes here first
            tree = self._everywhere(tree)
            return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)
        return jax.device_get(tree)

    def scores(self, result: Any) -> np.ndarray:
        """What `score` gave, `[S, K, B]`, on the host."""
        return np.asarray(result.addressable_data(0))

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def _place(self, tree: Any, sharding: NamedSharding) -> Any:
        def place(x: np.ndarray) -> jax.Array:
            return jax.make_array_from_callback(x.shape, sharding, x.__getitem__)

        return jax.tree.map(place, tree)


class LocalDevices:
    """`pmap`: states and features on each local device, a part of every batch for each.

    Attributes and methods are those of `Jitted`; trees on the devices have a leading axis of devices.
    """

    def __init__(self) -> None:
        if jax.process_count() > 1:
            raise ValueError("parallel='pmap' uses one process's devices; take 'mesh' with several")
        self.devices = jax.local_device_count()
        lift = jitted_steps.vmap_or_map()
        create = jax.jit(
            functools.partial(jitted_steps.create, lift=lift), static_argnums=(0, 1, 2)
        )
        self.create: Callable[..., Any] = lambda *arguments: self.put(create(*arguments))
        self.train = jax.pmap(
            functools.partial(jitted_steps.train_steps, lift=lift, axis=AXIS),
            AXIS,
            static_broadcasted_argnums=(0, 1, 2),
            donate_argnums=4,
        )
        self.score = jax.pmap(
            functools.partial(jitted_steps.score_steps, lift=lift),
            static_broadcasted_argnums=(0, 1),
        )
        self.snapshot = jax.pmap(jitted_steps.snapshot)
        self.keep = jax.pmap(jitted_steps.keep, in_axes=(0, 0, None), donate_argnums=0)
        self._copy = jax.pmap(lambda _, tree: tree, in_axes=(0, None))

    def width(self, batch_size: int) -> int:
        """As `Jitted.width`."""
        return -(-batch_size // self.devices) * self.devices

    def needed(self, members: int, width: int) -> np.ndarray:
        """As `Jitted.needed`: all."""
        return np.ones((members, width), bool)

    def put_frames(self, frames: Any) -> Any:
        """As `Jitted.put_frames`."""
        # Straight from the host: `put` holds a second copy on the device for a moment.
        mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
        sharding = NamedSharding(mesh, PartitionSpec(AXIS))

        def place(x: np.ndarray) -> jax.Array:
            shape = (self.devices, *x.shape)
            return jax.make_array_from_callback(shape, sharding, lambda _: x[None])

        return jax.tree.map(place, frames)

    def put_inputs(self, inputs: Inputs) -> Inputs:
        """As `Jitted.put_inputs`; left on the host, from where `pmap` deals them out."""

        def deal(x: Any) -> np.ndarray:  # [S, K, B, ...] → [devices, S, K, B / devices, ...]
            return np.moveaxis(x.reshape(*x.shape[:2], self.devices, -1, *x.shape[3:]), 2, 0)

        return jax.tree.map(deal, inputs)

    def put(self, tree: Any) -> Any:
        """As `Jitted.put`: a copy onto every device."""
        return self._copy(np.zeros(self.devices), tree)

    def get(self, tree: Any) -> Any:
        """As `Jitted.get`: the first device's copy."""
        return jax.tree.map(lambda x: np.asarray(x.addressable_shards[0].data)[0, ...], tree)

    def scores(self, result: Any) -> np.ndarray:
        """As `Jitted.scores`."""
        dealt = np.moveaxis(np.asarray(result), 0, 2)  # [S, K, devices, B / devices]
        return dealt.reshape(*dealt.shape[:2], -1)


Runner = Jitted | LocalDevices


@functools.cache
def runner(parallel: Parallel, members: int) -> Runner:
    """The one that `Train.parallel` names, for this many members; made once, with its programs."""
    if parallel == "pmap":
        return LocalDevices()
    if parallel == "mesh":
        return Jitted(jax.devices(), members)
    if jax.process_count() > 1:
        raise ValueError("parallel='jit' uses one device; take 'mesh' with several processes")
    return Jitted(jax.devices()[:1], members)


def _over_mesh(function: Callable[..., Any]) -> Callable[..., Any]:
    """`programs.side_by_side`, which tells XLA that members lie along the mesh's `split` axis."""
    return lambda shared, *each: jax.vmap(
        lambda *one: function(shared, *one), spmd_axis_name="split"
    )(*each)
