"""How many programs were compiled, and how long that took."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import jax

from a2inet_jax.training import jitted_steps

_EVENT = "/jax/core/compile/backend_compile_duration"
# `pmap` calls every program of its own "_fun", those that copy included.
_NAMES = (jitted_steps.train_steps.__name__, jitted_steps.score_steps.__name__, "_fun")


@dataclass
class Compilations:
    """Seconds of each compilation of a program that trains or scores; from the cache they are short."""

    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        number = len(self.seconds)
        programs = "1 program" if number == 1 else f"{number} programs"
        return f"compiled {programs} in {sum(self.seconds):.1f} s"


@contextmanager
def counted() -> Iterator[Compilations]:
    """Counts what is compiled until it is left."""
    found = Compilations()

    def listen(event: str, duration_secs: float, **about: str | int) -> None:
        if event == _EVENT and any(name in str(about.get("fun_name")) for name in _NAMES):
            found.seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
