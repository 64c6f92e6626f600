"""Imports that the package and the help of the command line do without, so that both are there at once."""

import subprocess
import sys

import pytest

from a2inet_jax.main import VERBS

# Each takes a tenth of a second or more.
SLOW = {
    "absl",
    "decord",
    "flax",
    "grain",
    "huggingface_hub",
    "jax",
    "jaxlib",
    "matplotlib",
    "ml_collections",
    "numpy",
    "optax",
    "orbax",
    "pyarrow",
    "scipy",
    "sklearn",
    "tensorflow_datasets",
}


def imported(code: str, *arguments: str) -> set[str]:
    """Top-level modules that a new interpreter has imported after this code; what it prints is dropped."""
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    command = [sys.executable, "-c", report + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_the_report_of_imports_sees_numpy() -> None:
    assert imported("import numpy") & SLOW == {"numpy"}


def test_the_package_imports_nothing_slow() -> None:
    modules = imported("import a2inet_jax; a2inet_jax.load")
    assert "a2inet_jax" in modules
    assert not modules & SLOW


@pytest.mark.parametrize(
    "arguments", [(), ("--version",), *((verb,) for verb in VERBS)], ids=" ".join
)
def test_help_imports_nothing_slow(arguments: tuple[str, ...]) -> None:
    option = () if "--version" in arguments else ("--help",)
    modules = imported("from a2inet_jax.main import run; run()", *arguments, *option)
    assert "a2inet_jax" in modules
    assert not modules & SLOW
