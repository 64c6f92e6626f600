"""`a2inet config`: the fields of an experiment; showing one, and comparing two."""

import argparse
import json

from a2inet_jax.commands.options import Parser, add_action, add_config, experiment

SUMMARY = "show an experiment's fields, compare two, explain all"
EXAMPLES = (
    "a2inet config show --config=sample --config.train.epochs=20",
    "a2inet config diff sample sample_motion",
)


def add_arguments(parser: Parser) -> None:
    """Declare the verb's actions and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    action = add_action(
        actions,
        "show",
        "print the fields of an experiment, overrides applied",
        "a2inet config show --config=sample --config.train.epochs=20",
    )
    add_config(action)
    action.add_argument("--json", action="store_true", help="print a JSON object")
    action.set_defaults(handler=lambda options, action=action: _show(action, options))

    action = add_action(
        actions,
        "diff",
        "print the fields in which two experiments differ; exit code 1 if they do",
        "a2inet config diff sample sample_motion",
        "a2inet config diff sample runs/demo",
    )
    action.add_argument(
        "configs", nargs=2, metavar="CONFIG", help="as after --config=, or a run's config.json"
    )
    action.set_defaults(handler=_diff)

    action = add_action(
        actions,
        "fields",
        "print every field with its default, what it takes and what it means",
        "a2inet config fields",
    )
    action.set_defaults(handler=_fields)


def _show(parser: Parser, options: argparse.Namespace) -> int:
    from a2inet_jax.console import say

    config = experiment(parser, options)
    if options.json:
        print(json.dumps(config.to_dict(), indent=1))
        return 0
    for path, value in _flat(config.to_dict()).items():
        say(f"{path} = {value!r}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    """Print the differing fields; the exit code is 1 if there are any, as diff has it."""
    from a2inet_jax.console import say

    first, second = (_flat(_load(spec)) for spec in options.configs)
    differing = [path for path in first if first[path] != second[path]]
    for path in differing:
        say(f"{path}: {first[path]!r} → {second[path]!r}")
    return int(bool(differing))


def _load(spec: str) -> dict[str, object]:
    """Return the fields of a config, or of a run by its folder or its config.json."""
    from pathlib import Path

    from a2inet_jax import config_file

    path = Path(spec)
    if path.name == "config.json" or path.is_dir():
        from a2inet_jax.run import RunFolder

        return RunFolder(path if path.is_dir() else path.parent).config().to_dict()
    return config_file.load(spec).to_dict()


def _fields(options: argparse.Namespace) -> int:
    from a2inet_jax.config import describe
    from a2inet_jax.console import say

    for path, default, takes, doc in describe():
        say(f"{path} = {default!r}", "bold")
        say(f"    {doc} ({takes})")
    return 0


def _flat(fields: dict[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
