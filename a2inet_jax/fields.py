"""Fields of a configuration: made with default, meaning and bounds, checked, and explained in words."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from dataclasses import field as dataclass_field
from typing import Any, Literal, get_args, get_origin

from a2inet_jax.errors import ConfigError

_KINDS = {bool: "True or False", int: "an integer", float: "a number", str: "text"}


def field(
    default: Any,
    doc: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    was: str = "",
) -> Any:
    """Return a dataclass field; a `Literal` as its type lists the values that it takes.

    Args:
        doc: The meaning, with the unit.
        at_least: The smallest value.
        above: A bound that the value exceeds.
        below: A bound that the value stays under.
        was: The name in earlier versions, if it was another.
    """
    limits = {"at_least": at_least, "above": above, "below": below}
    return dataclass_field(default=default, metadata={"doc": doc, "was": was, **limits})


@dataclass(frozen=True)
class Checked:
    """A group of fields that checks itself: `ConfigError` lists everything that is wrong."""

    def __post_init__(self) -> None:
        if problems := wrong_values(type(self), vars(self)):
            raise ConfigError("; ".join(problems))


def wrong_values(group: Any, values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what is wrong with those of the values that belong to fields of a group."""
    known = {each.name: each for each in fields(group)}
    return [
        f"{prefix}{name} is {values[name]!r}; it takes {allowed(known[name])}"
        for name in sorted(known.keys() & values.keys())
        if not _fits(values[name], known[name])
    ]


def allowed(one: Field[Any]) -> str:
    """Return the values that a field takes, in words."""
    if one.default is MISSING:
        return "a group of fields"
    limits = one.metadata
    if choices := _choices(one):
        some = "some of " if isinstance(one.default, tuple) else "one of "
        return some + ", ".join(each or '""' for each in choices)
    words = {"at_least": "at least", "above": "above", "below": "below"}
    bounds = [f"{words[key]} {limits[key]:g}" for key in words if limits[key] is not None]
    return " ".join([_KINDS[type(one.default)], " and ".join(bounds)]).strip()


def _fits(value: Any, one: Field[Any]) -> bool:
    if one.default is MISSING:
        return is_dataclass(value) or isinstance(value, Mapping)
    kind = type(one.default)
    if kind is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right = is_number and math.isfinite(value)
    else:
        right = type(value) is kind
    if not right:
        return False
    limits = one.metadata
    chosen, choices = value if kind is tuple else (value,), _choices(one)
    return (
        (not choices or all(each in choices for each in chosen))
        and (limits["at_least"] is None or value >= limits["at_least"])
        and (limits["above"] is None or value > limits["above"])
        and (limits["below"] is None or value < limits["below"])
    )


def _choices(one: Field[Any]) -> tuple[str, ...]:
    """The values of a field whose type is a `Literal` or a tuple of it; () for any other."""
    kind: Any = one.type
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()
