"""Show an experiment's fields, compare two, explain all.

a2inet config show --config=sample --config.train.epochs=20
a2inet config diff sample sample_motion
"""

import argparse
import json
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2inet_jax.commands.options import add_command, add_config, add_group, experiment

if TYPE_CHECKING:
    from a2inet_jax.config import Experiment


def add_verb(verbs: Any) -> None:
    """Declare `a2inet config`."""
    actions = add_group(verbs, "config", __doc__)

    action = add_command(actions, "show", _show)
    add_config(action)
    action.add_argument("--json", action="store_true", help="print a JSON object")

    action = add_command(actions, "diff", _diff)
    action.add_argument(
        "configs", nargs=2, metavar="CONFIG", help="as after --config=, or a run's config.json"
    )

    add_command(actions, "fields", _fields)


def _show(options: argparse.Namespace) -> int:
    """Print the fields of an experiment, overrides applied.

    a2inet config show --config=sample --config.train.epochs=20
    """
    config = experiment(options)
    from a2inet_jax.config import describe
    from a2inet_jax.console import say

    if options.json:
        print(json.dumps(config.to_dict(), indent=1))
        return 0
    for path, *_ in describe():
        say(f"{path} = {attrgetter(path)(config)!r}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    """Print the fields in which two experiments differ; exit code 1 if they do.

    a2inet config diff sample sample_motion
    a2inet config diff sample runs/demo
    """
    from a2inet_jax.config import describe
    from a2inet_jax.console import say

    configs = [_load(spec) for spec in options.configs]
    differ = False
    for path, *_ in describe():
        first, second = map(attrgetter(path), configs)
        if first != second:
            say(f"{path}: {first!r} → {second!r}")
            differ = True
    return int(differ)


def _load(spec: str) -> "Experiment":
    """Return a config, or that of a run by its folder or its config.json."""
    from a2inet_jax import config_file

    path = Path(spec)
    if path.name == "config.json" or path.is_dir():
        from a2inet_jax.run import RunFolder

        return RunFolder(path if path.is_dir() else path.parent).config()
    return config_file.load(spec)


def _fields(options: argparse.Namespace) -> int:
    """Print every field with its default, what it takes and what it means.

    a2inet config fields
    """
    from a2inet_jax.config import describe
    from a2inet_jax.console import say

    for path, default, takes, doc in describe():
        say(f"{path} = {default!r}", "bold")
        say(f"    {doc} ({takes})")
    return 0
