"""List, fetch, add and verify pretrained networks.

a2inet weights get default i3d_kinetics400
a2inet weights add ~/Downloads/UNIQUE.pt --as=resnet34_unique
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2inet_jax.commands.options import add_command, add_group

if TYPE_CHECKING:
    from rich.console import Group


def add_verb(verbs: Any) -> None:
    """Declare `a2inet weights`."""
    actions = add_group(verbs, "weights", __doc__)

    add_command(actions, "list", _list)

    action = add_command(actions, "get", _get)
    action.add_argument("names", nargs="+", metavar="NAME", help="names of `a2inet weights list`")

    action = add_command(actions, "add", _add)
    action.add_argument("file", type=Path, metavar="FILE", help="a published checkpoint")
    action.add_argument(
        "--as", dest="name", required=True, metavar="NAME", help="name of the weights in it"
    )

    action = add_command(actions, "verify", _verify)
    action.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="names of `a2inet weights list` (default: all that are here)",
    )


def _list(options: argparse.Namespace) -> int:
    """List all networks with licences, sizes and origins.

    a2inet weights list
    """
    from a2inet_jax.console import console

    console.print(table(), crop=False)
    return 0


def _get(options: argparse.Namespace) -> int:
    """Fetch weights; `default` is the sample's pair.

    a2inet weights get default
    a2inet weights get i3d_kinetics400 vit_b_16
    """
    from a2inet_jax.backbones import weights
    from a2inet_jax.console import say

    for path in [path for each in options.names for path in weights.get(each)]:
        say(path)
    return 0


def _add(options: argparse.Namespace) -> int:
    """Add a file that you have downloaded.

    a2inet weights add ~/Downloads/UNIQUE.pt --as=resnet34_unique
    """
    from a2inet_jax.backbones import weights
    from a2inet_jax.console import say

    say(weights.add(options.file.expanduser(), options.name))
    return 0


def _verify(options: argparse.Namespace) -> int:
    """Check weights against their checksums.

    a2inet weights verify
    a2inet weights verify resnet18_fdim
    """
    from a2inet_jax.backbones import weights
    from a2inet_jax.console import say

    problems = weights.verify(*options.names)
    for each, problem in problems.items():
        say(f"{each}: {problem or 'good'}")
    return int(any(problems.values()))


def table() -> "Group":
    """Return all weights, whether they are here, what restricts their use, and their origins."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from a2inet_jax.backbones import weights
    from a2inet_jax.backbones.pretrained import PRETRAINED

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
        # On one line, so that an address can be copied whole.
        origins.append(Text(f"{name:<24} {entry.origin}", no_wrap=True, overflow="ignore"))
    return Group(rows, "", *notes, "", *origins)
