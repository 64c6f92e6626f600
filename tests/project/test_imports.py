"""Imports: none that are slow before they are needed, and no circles among modules."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import a2inet_jax
from a2inet_jax.main import VERBS

ROOT = Path(a2inet_jax.__file__).parents[1]

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


def module_files(root: Path) -> dict[str, Path]:
    """Return the modules and packages below `a2inet_jax` in a folder, by dotted name."""
    paths = {path.relative_to(root): path for path in (root / "a2inet_jax").rglob("*.py")}
    names = {".".join(path.with_suffix("").parts): file for path, file in paths.items()}
    return {name.removesuffix(".__init__"): file for name, file in names.items()}


def imported_names(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of all imports in a tree, functions included, but not those for types alone."""
    match node:
        case ast.Import(names):
            yield from ((alias.name, "") for alias in names)
        case ast.ImportFrom(str(module), names, 0):
            yield from ((module, alias.name) for alias in names)
        case ast.If(ast.Name("TYPE_CHECKING")):
            for other in node.orelse:
                yield from imported_names(other)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from imported_names(child)


def import_graph(root: Path) -> dict[str, set[str]]:
    """Return the modules of the package that each of them imports, at its top or in a function."""
    files = module_files(root)
    graph = {}
    for name, file in files.items():
        pairs = imported_names(ast.parse(file.read_text()))
        found = {f"{module}.{x}" if f"{module}.{x}" in files else module for module, x in pairs}
        graph[name] = (found & files.keys()) - {name}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of a circle, each imported by the next; none if there is no circle."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other() -> None:
    graph = import_graph(ROOT)
    # The graph has what it should: an import at the top, one in a function, and none for types alone.
    assert "a2inet_jax.files" in graph["a2inet_jax.run"]
    assert "a2inet_jax.scoring" in graph["a2inet_jax"]
    assert "a2inet_jax.datasets.registry" in graph["a2inet_jax.commands.data"]
    assert "a2inet_jax.datasets.video" not in graph["a2inet_jax.commands.data"]
    assert circle(graph) == []


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("from a2inet_jax.one import x", True),
        ("def call():\n    import a2inet_jax.one", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a2inet_jax.one", False),
        ("import json", False),
    ],
)
def test_a_circle_is_found_wherever_the_import_is(
    second: str, expected: bool, tmp_path: Path
) -> None:
    package = tmp_path / "a2inet_jax"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text("from a2inet_jax import two\n")
    (package / "two.py").write_text(f"{second}\n")
    assert bool(circle(import_graph(tmp_path))) == expected
