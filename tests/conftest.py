"""Rules of every test: rank promotion is refused, and a program is compiled once in a run of tests."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

# A folder for this run alone. Workers and the processes of tests have it from the environment, which
# JAX reads when it is imported.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.mkdtemp(prefix="a2inet-compiled-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that no worker is left with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module", autouse=True)
def forget_programs() -> Iterator[None]:
    """Free a module's compiled programs, of which all together would need gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def quick_to_compile() -> Iterator[None]:
    """Compile with few optimizations: in half the time, where programs then run for a moment."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
