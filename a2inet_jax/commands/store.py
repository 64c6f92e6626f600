"""List, verify, repair and export stored features.

a2inet store verify features
a2inet store export features --out=tfds
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2inet_jax.commands.options import Parser, add_command, add_group

if TYPE_CHECKING:
    from a2inet_jax.features.record import Finding


def add_verb(verbs: Any) -> None:
    """Declare `a2inet store`."""
    actions = add_group(verbs, "store", __doc__)

    def add(name: str, handler: Callable[[argparse.Namespace], int]) -> Parser:
        action = add_command(actions, name, handler)
        action.add_argument(
            "folders",
            nargs="+",
            type=Path,
            metavar="FOLDER",
            help="a store of `a2inet extract`, or a folder of stores",
        )
        return action

    action = add("list", _list)
    action.add_argument("--json", action="store_true", help="print a JSON object a video")

    action = add("verify", _verify)

    action = add("repair", _repair)

    action = add("export", _export)
    action.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the data set")
    action.add_argument(
        "--format",
        choices=("tfds", "parquet", "npz"),
        default="tfds",
        help="a TFDS data set of array_record files, Parquet with a row a frame, or an npz file a video "
        "(default: tfds)",
    )


def _stores(options: argparse.Namespace) -> list[Path]:
    """Return the folders of all stores that are named."""
    from a2inet_jax.features.store import find_stores

    return list(dict.fromkeys(store for each in options.folders for store in find_stores(each)))


def _verify(options: argparse.Namespace) -> int:
    """Check every array against its checksums.

    a2inet store verify features
    """
    return max(map(_verify_store, _stores(options)))


def _verify_store(folder: Path) -> int:
    from a2inet_jax import files
    from a2inet_jax.console import say

    bad, good = _check(folder)
    for finding in bad:
        say(f"{finding.path}: {finding.problem}")
    for path in files.unfinished_files(folder):
        say(f"{path}: left over, or being written")
    say(f"{folder}: {good} good, {len(bad)} bad")
    if not good + len(bad):
        say(f"{folder} holds no feature files: name a folder that `a2inet extract` wrote")
        return 1
    if any(finding.damaged for finding in bad):
        say(f"`a2inet store repair {folder}` removes what is damaged")
    return int(bool(bad))


def _repair(options: argparse.Namespace) -> int:
    """Remove damaged files, so that `a2inet extract` makes them again.

    a2inet store repair features
    """
    return max(map(_repair_store, _stores(options)))


def _repair_store(folder: Path) -> int:
    from a2inet_jax import files
    from a2inet_jax.console import say
    from a2inet_jax.features import record

    bad, good = _check(folder)
    left = 0
    removed = False
    for finding in bad:
        if record.remove(finding):
            removed = True
            say(f"{finding.path}: {finding.problem}; removed")
        elif problem := record.check(finding.path).problem:
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
    return int(left > 0)


def _check(folder: Path) -> "tuple[list[Finding], int]":
    """Return the bad files, and the number of good ones; files removed in the meantime are left out."""
    from a2inet_jax.console import progress
    from a2inet_jax.features.record import check
    from a2inet_jax.features.store import feature_files

    paths = feature_files(folder)
    bad, done = [], 0
    with progress("verify") as advance:
        for path in paths:
            finding = check(path)
            if not path.exists() and not path.is_symlink():
                continue
            done += 1
            bad += [finding] if finding.problem else []
            advance(path.name, done, len(paths))
    return bad, done - len(bad)


def _list(options: argparse.Namespace) -> int:
    """List the videos of stores and the recipes.

    a2inet store list features --json
    """
    for folder in _stores(options):
        _list_store(folder, options.json)
    return 0


def _list_store(folder: Path, as_json: bool) -> None:
    from rich.table import Table

    from a2inet_jax.console import console, say
    from a2inet_jax.features.store import Store

    store = Store.existing(folder)
    records, recipe = store.manifest(), store.recipe
    if as_json:
        for record in records:
            names = ("video_id", "frames", "size", "source_sha256", "content_sha256")
            fields = {name: getattr(record, name) for name in names}
            store_fields = {"backbone": recipe.backbone, "width": recipe.width}
            print(json.dumps({**fields, **store_fields, "path": str(record.path)}))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("video", overflow="fold")
    for title in ("frames", "MB"):
        table.add_column(title, justify="right", no_wrap=True)
    sizes = [record.size for record in records]
    for record, size in zip(records, sizes, strict=True):
        table.add_row(record.video_id, str(record.frames), f"{size / 1e6:.2f}")
    console.print(table, crop=False, markup=False, emoji=False, highlight=False)
    frames = sum(record.frames for record in records)
    say(f"{folder}: {len(records)} videos, {frames} frames, {sum(sizes) / 1e6:.1f} MB")
    say(f"recipe {recipe.fingerprint()}:")
    for name, value in recipe.as_dict().items():
        say(f"  {name}: {value}")


def _export(options: argparse.Namespace) -> int:
    """Write stores of the same frames as one data set.

    a2inet store export features --out=tfds
    a2inet store export features --format=parquet --out=parquet
    """
    from a2inet_jax.console import progress, say
    from a2inet_jax.features.export import export
    from a2inet_jax.features.store import Store

    stores = [Store.existing(folder) for folder in _stores(options)]
    out = options.out.expanduser()
    with progress("export") as advance:
        number = export(stores, out, options.format, advance)
    plural = "s" * (number > 1)
    written = {
        "tfds": f"a TFDS data set of {number} split{plural}, for tfds.builder_from_directory",
        "parquet": f"{number} Parquet file{plural}, a row a frame",
        "npz": f"{number} npz file{plural}, one a video",
    }
    say(f"{out}: {written[options.format]}")
    return 0
