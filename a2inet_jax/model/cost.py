"""Cost of a head: parameters and floating-point operations, module by module."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.extend.core import Jaxpr, jaxprs_in_params
from rich.table import Table

from a2inet_jax.errors import ConfigError

_DEPTH = 2  # levels of the module tree that are listed separately
_UNCOUNTED = ("while", "cond", "conv_general_dilated")


@dataclass(frozen=True)
class Cost:
    """Cost of one video; a FLOP is an addition or a multiplication.

    Attributes:
        frames: Length of the video.
        parameters: Number of parameters by module, such as "cagi/attention".
        forward: FLOPs of scoring the video, by the same modules.
        training_step: FLOPs of the scores and of their gradient with respect to the parameters.
    """

    frames: int
    parameters: Mapping[str, int]
    forward: Mapping[str, int]
    training_step: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, totals first."""
        return {
            "parameters": sum(self.parameters.values()),
            "forward_flops": sum(self.forward.values()),
            "training_flops": self.training_step,
            "modules": {
                name: {"parameters": self.parameters[name], "forward_flops": self.forward[name]}
                for name in self.parameters
            },
        }


def measure(model: nn.Module, widths: Sequence[int], frames: int) -> Cost:
    """Count parameters and FLOPs on the traced program, without compiling or running it.

    Matrix products are counted, two FLOPs for each multiplication with its addition; everything else
    is far below 1 % of a head at the paper's sizes. The body of a `scan`, such as the GRU's loop over
    time, counts as often as it runs, whereas a compiler's own analysis counts it once.

    Args:
        model: A head.
        widths: Features of each stream.
        frames: Length of the video.

    Returns:
        The cost of a batch of one video.

    Raises:
        ConfigError: There are no frames.
        ValueError: The program has an operation that is not counted here.
    """
    if frames < 1:
        raise ConfigError(f"frames is {frames}: take 1 or more")

    # The program, traced with shapes alone.
    streams = tuple(jax.ShapeDtypeStruct((1, frames, width), jnp.float32) for width in widths)
    mask = jax.ShapeDtypeStruct((1, frames), bool)
    params = jax.eval_shape(model.init, jax.random.key(0), streams, mask)["params"]

    def score(params: Any, streams: Any, mask: Any) -> jax.Array:
        outputs: Any = model.apply({"params": params}, streams, mask)
        return outputs.score.sum()

    # Parameters and FLOPs of each module.
    parameters: dict[str, int] = {}
    for path, leaf in flatten_dict(params).items():
        name = "/".join(path[:-1][:_DEPTH])
        parameters[name] = parameters.get(name, 0) + leaf.size
    forward: dict[str, int] = {}
    for scope, flops in _products(jax.make_jaxpr(score)(params, streams, mask).jaxpr):
        # A scope is the model's class, its modules' names, and parts that flax and JAX add.
        inside = scope.removeprefix(f"{type(model).__name__}/") + "/"
        module = next(name for name in parameters if inside.startswith(f"{name}/"))
        forward[module] = forward.get(module, 0) + flops
    gradient = jax.make_jaxpr(jax.grad(score))(params, streams, mask)
    return Cost(
        frames,
        # In the order of use.
        {name: parameters[name] for name in forward},
        forward,
        sum(flops for _, flops in _products(gradient.jaxpr)),
    )


def table(name: str, cost: Cost) -> Table:
    """Return a model's cost as a table for the terminal."""
    shown = Table(title=f"{name}, a video of {cost.frames} frames")
    shown.add_column("module")
    shown.add_column("parameters", justify="right")
    shown.add_column("MFLOPs", justify="right")

    def add(label: str, parameters: int | None, flops: int) -> None:
        shown.add_row(label, f"{parameters:,}" if parameters else "", f"{flops / 1e6:,.2f}")

    for module, parameters in cost.parameters.items():
        add(module, parameters, cost.forward[module])
    shown.add_section()
    add("all, to score it", sum(cost.parameters.values()), sum(cost.forward.values()))
    add("all, in a training step", None, cost.training_step)
    return shown


def _products(jaxpr: Jaxpr, scope: str = "", times: int = 1) -> Iterator[tuple[str, int]]:
    """Yield scope and FLOPs of each matrix product, including those inside loops and calls."""
    for equation in jaxpr.eqns:
        kind = equation.primitive.name
        inside = f"{scope}/{equation.source_info.name_stack}".strip("/")
        if kind in _UNCOUNTED:
            raise ValueError(f"{inside} has a `{kind}`, whose FLOPs are not counted here")
        if kind == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left: Any = equation.invars[0].aval
            out: Any = equation.outvars[0].aval
            summed = math.prod(left.shape[axis] for axis in contracted)
            yield inside, times * 2 * math.prod(out.shape) * summed
        iterations = equation.params["length"] if kind == "scan" else 1
        for inner in jaxprs_in_params(equation.params):
            yield from _products(inner, inside, times * iterations)
