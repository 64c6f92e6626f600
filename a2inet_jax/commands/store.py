"""`a2inet store`: see, check, mend and hand on stored features."""

import json
from collections.abc import Sequence
from pathlib import Path

from absl import app
from rich.table import Table

from a2inet_jax import atomic
from a2inet_jax.console import console, progress, say
from a2inet_jax.errors import StoreError
from a2inet_jax.features import store_check
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.features.store import Store, feature_files, recipes, several

_USAGE = "a2inet store verify|list|repair FOLDER ... [--json] | export FOLDER --out=FOLDER"


def store_command(arguments: Sequence[str], as_json: bool, out: Path | None) -> int:
    """Run `a2inet store`.

    Args:
      arguments: what to do, then folders.
      as_json: list: print a JSON object for each record.
      out: export: folder of the data set.

    Returns:
      The exit code: 1 if verify found something bad, or repair could not mend it.

    Raises:
      app.UsageError: there is no such command.
      StoreError: a folder is not a store.
      OSError: a folder can't be read or written.
    """
    match list(arguments):
        case ["verify", *names] if names:
            return max([_verify(_folder(name)) for name in names])
        case ["repair", *names] if names:
            return max([_repair(_folder(name)) for name in names])
        case ["list", *names] if names:
            for name in names:
                _list(_folder(name), as_json)
        case ["export", name] if out:
            _export(_folder(name), out)
        case _:
            raise app.UsageError(_USAGE)
    return 0


def _folder(name: str) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder: name one that `a2inet extract` wrote")
    return folder


def _verify(folder: Path) -> int:
    bad, good = _check(folder)
    for finding in bad:
        say(f"{finding.path}: {finding.problem}")
    for path in atomic.parts(folder):
        say(f"{path}: left behind, or being written")
    found = recipes(folder)
    if len(found) > 1:
        say(several(folder, found))
    say(f"{folder}: {good} good, {len(bad)} bad")
    if not good + len(bad):
        say(f"{folder} holds no feature files: name a folder that `a2inet extract` wrote")
        return 1
    if any(finding.damaged for finding in bad):
        say(f"`a2inet store repair {folder}` removes what is damaged")
    return int(bool(bad) or len(found) > 1)


def _repair(folder: Path) -> int:
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
    for path in atomic.sweep(folder):
        say(f"{path}: left behind; removed")
    say(f"{folder}: {good} good files left alone")
    if removed:
        say("`a2inet extract`, given as before, makes the removed ones again")
    found = recipes(folder)
    if len(found) > 1:
        say(several(folder, found))
    return int(left > 0 or len(found) > 1)


def _check(folder: Path) -> tuple[list[store_check.Finding], int]:
    """What is bad, and how many are good."""
    paths = feature_files(folder)
    bad, done = [], 0
    with progress("verify") as advance:
        for finding in store_check.check_all(paths):
            done += 1
            bad += [finding] if finding.problem else []
            advance(finding.path.name, done, len(paths))
    return bad, done - len(bad)


def _list(folder: Path, as_json: bool) -> None:
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
    console.print(table, crop=False, markup=False, highlight=False)
    frames, size = (sum(getattr(r, name) for r in records) for name in ("frames", "size"))
    say(f"{len(records)} videos, {frames} frames, {size / 1e6:.1f} MB")
    say(f"recipe {store.recipe.fingerprint()}:")
    for name, value in store.recipe.as_dict().items():
        say(f"  {name}: {value}")


def _export(folder: Path, out: Path) -> None:
    from a2inet_jax.features import export  # TFDS takes seconds to import

    store = Store.existing(folder)
    with progress("export") as advance:
        splits = export.export(store, out, advance)
    say(
        f"{out}: a TFDS data set of {splits} split{'s' * (splits > 1)}, for tfds.builder_from_directory"
    )
