"""`a2inet weights`: which pretrained backbones there are, and to bring, add and check them."""

from collections.abc import Sequence
from pathlib import Path

from absl import app
from rich.console import Group
from rich.table import Table
from rich.text import Text

from a2inet_jax.backbones import weights
from a2inet_jax.backbones.pretrained import PRETRAINED
from a2inet_jax.console import console, say

_USAGE = "a2inet weights list | get NAME ... | add FILE --as=NAME | verify [NAME]"


def weights_command(arguments: Sequence[str], name: str | None) -> int:
    """Run `a2inet weights`.

    Args:
      arguments: what to do, then names; for add, the file.
      name: add: of the weights that the file holds.

    Returns:
      The exit code: 1 if verify found something bad.

    Raises:
      app.UsageError: there is no such command.
      WeightsError, DownloadError, PackageFileError, CheckpointError, ConversionError, FileNotFoundError: as
        `backbones.weights` has them.
    """
    match list(arguments):
        case ["list"]:
            console.print(table(), crop=False)
        case ["get", *names] if names:
            for path in [path for each in names for path in weights.get(each)]:
                say(path)
        case ["add", file] if name:
            say(weights.add(Path(file), name))
        case ["verify", *one] if len(one) <= 1:
            problems = weights.verify(*one)
            for each, problem in problems.items():
                say(f"{each}: {problem or 'good'}")
            return int(any(problems.values()))
        case _:
            raise app.UsageError(_USAGE)
    return 0


def table() -> Group:
    """All weights, whether they are here, what restricts their use, and where from; for the terminal."""
    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("name", "network", "trained on", "licence", "size", "here"):
        rows.add_column(title, no_wrap=title in ("name", "network"), overflow="fold")
    notes, origins = [], []
    for name, entry in PRETRAINED.items():
        licence = f"{entry.licence} *" if entry.restriction else entry.licence
        size = f"{entry.size_mb} MB" if entry.size_mb else "?"
        here = "yes" if weights.weights_path(name).exists() else "no"
        rows.add_row(name, entry.backbone, entry.trained_on, licence, size, here)
        notes += [f"* {name}: {entry.restriction}"] if entry.restriction else []
        # Not broken, so that an address can be copied whole.
        origins.append(Text(f"{name:<24} {entry.origin}", no_wrap=True, overflow="ignore"))
    return Group(rows, "", *notes, "", *origins)
