"""`a2inet store`: stored features; listing, verifying, repairing and exporting them."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from a2inet_jax.commands.options import Parser, add_action
from a2inet_jax.errors import StoreError

if TYPE_CHECKING:
    from a2inet_jax.features.store_check import Finding

SUMMARY = "list, verify, repair and export stored features"
EXAMPLES = ("a2inet store verify features", "a2inet store export features --out=tfds")


def add_arguments(parser: Parser) -> None:
    """Declare the verb's actions and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    def add(name: str, summary: str, *examples: str, nargs: str | None = "+") -> Parser:
        action = add_action(actions, name, summary, *examples)
        action.add_argument(
            "folders", nargs=nargs, type=Path, metavar="FOLDER", help="a store of `a2inet extract`"
        )
        return action

    action = add(
        "list", "list a store's videos and its recipe", "a2inet store list features --json"
    )
    action.add_argument("--json", action="store_true", help="print a JSON object a video")
    action.set_defaults(handler=_list_all)

    action = add("verify", "check every array against its checksum", "a2inet store verify features")
    action.set_defaults(handler=lambda options: max(map(_verify, map(_folder, options.folders))))

    action = add(
        "repair",
        "remove damaged files, so that `a2inet extract` makes them again",
        "a2inet store repair features",
    )
    action.set_defaults(handler=lambda options: max(map(_repair, map(_folder, options.folders))))

    action = add(
        "export",
        "write a TFDS data set of array_record files",
        "a2inet store export features --out=tfds",
        nargs=None,
    )
    action.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the data set")
    action.set_defaults(handler=_export_one)


def _list_all(options: argparse.Namespace) -> int:
    for folder in options.folders:
        _list(_folder(folder), options.json)
    return 0


def _export_one(options: argparse.Namespace) -> int:
    _export(_folder(options.folders), options.out.expanduser())
    return 0


def _folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder: name one that `a2inet extract` wrote")
    return folder


def _verify(folder: Path) -> int:
    from a2inet_jax import files
    from a2inet_jax.console import say
    from a2inet_jax.features.store import mixed_recipes_message, recipes

    bad, good = _check(folder)
    for finding in bad:
        say(f"{finding.path}: {finding.problem}")
    for path in files.unfinished_files(folder):
        say(f"{path}: left over, or being written")
    found = recipes(folder)
    if len(found) > 1:
        say(mixed_recipes_message(folder, found))
    say(f"{folder}: {good} good, {len(bad)} bad")
    if not good + len(bad):
        say(f"{folder} holds no feature files: name a folder that `a2inet extract` wrote")
        return 1
    if any(finding.damaged for finding in bad):
        say(f"`a2inet store repair {folder}` removes what is damaged")
    return int(bool(bad) or len(found) > 1)


def _repair(folder: Path) -> int:
    from a2inet_jax import files
    from a2inet_jax.console import say
    from a2inet_jax.features import store_check
    from a2inet_jax.features.store import mixed_recipes_message, recipes

    bad, good = _check(folder)
    left = 0
    removed = False
    for finding in bad:
        if store_check.remove(finding):
            removed = True
            say(f"{finding.path}: {finding.problem}; removed")
        elif problem := store_check.check(finding.path).problem:
            left += 1
            say(f"{finding.path}: {problem}; left as it is")
    for path in files.sweep(folder):
        say(f"{path}: left over; removed")
    if not good + len(bad):
        say(f"{folder} holds no feature files: name a folder that `a2inet extract` wrote")
        return 1
    say(f"{folder}: {good} good files left alone")
    if removed:
        say("`a2inet extract`, with the same arguments, makes the removed ones again")
    found = recipes(folder)
    if len(found) > 1:
        say(mixed_recipes_message(folder, found))
    return int(left > 0 or len(found) > 1)


def _check(folder: Path) -> "tuple[list[Finding], int]":
    """Return the bad files, and the number of good ones."""
    from a2inet_jax.console import progress
    from a2inet_jax.features import store_check
    from a2inet_jax.features.store import feature_files

    paths = feature_files(folder)
    bad, done = [], 0
    with progress("verify") as advance:
        for finding in store_check.check_all(paths):
            done += 1
            bad += [finding] if finding.problem else []
            advance(finding.path.name, done, len(paths))
    return bad, done - len(bad)


def _list(folder: Path, as_json: bool) -> None:
    from rich.table import Table

    from a2inet_jax.console import console, say
    from a2inet_jax.features.recipe import STREAMS
    from a2inet_jax.features.store import Store

    store = Store.existing(folder)
    records = store.manifest()
    if as_json:
        for record in records:
            print(json.dumps({**vars(record), "path": str(record.path)}))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("video", overflow="fold")
    for title in ("frames", *STREAMS, "MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for record in records:
        widths = (str(record.widths[name]) for name in STREAMS)
        table.add_row(record.video_id, str(record.frames), *widths, f"{record.size / 1e6:.2f}")
    console.print(table, crop=False, markup=False, emoji=False, highlight=False)
    frames, size = (sum(getattr(r, name) for r in records) for name in ("frames", "size"))
    say(f"{len(records)} videos, {frames} frames, {size / 1e6:.1f} MB")
    say(f"recipe {store.recipe.fingerprint()}:")
    for name, value in store.recipe.as_dict().items():
        say(f"  {name}: {value}")


def _export(folder: Path, out: Path) -> None:
    from a2inet_jax.console import progress, say
    from a2inet_jax.features import export
    from a2inet_jax.features.store import Store

    store = Store.existing(folder)
    with progress("export") as advance:
        splits = export.export(store, out, advance)
    say(
        f"{out}: a TFDS data set of {splits} split{'s' * (splits > 1)}, for tfds.builder_from_directory"
    )
