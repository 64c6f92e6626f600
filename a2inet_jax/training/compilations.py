"""The number of compiled programs, and the time that compiling them took."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import jax

from a2inet_jax.training import jitted_steps

_EVENT = "/jax/core/compile/backend_compile_duration"
# `pmap` names all of its programs "_fun", including those that only copy.
_NAMES = (jitted_steps.train_steps.__name__, jitted_steps.score_steps.__name__, "_fun")


@dataclass
class Compilations:
    """Seconds of each compilation of a program that trains or scores; cached programs take little."""

    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        count = len(self.seconds)
        programs = "1 program" if count == 1 else f"{count} programs"
        return f"compiled {programs} in {sum(self.seconds):.1f} s"


@contextmanager
def record_compilations() -> Iterator[Compilations]:
    """Record every compilation inside the `with` block."""
    compilations = Compilations()

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event == _EVENT and any(name in str(details.get("fun_name")) for name in _NAMES):
            compilations.seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
