"""List, prepare and verify data sets; read published splits.

a2inet data prepare konvid_1k --config.data.manual_dir=~/KoNViD-1k
a2inet data verify clips/labels.csv --full
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2inet_jax.commands.options import Parser, add_command, add_group, add_override_help

if TYPE_CHECKING:
    from a2inet_jax.config import Data
    from a2inet_jax.datasets.verify import VerifyResult
    from a2inet_jax.datasets.video import Video


def add_verb(verbs: Any) -> None:
    """Declare `a2inet data`."""
    actions = add_group(verbs, "data", __doc__)

    def add(name: str, handler: Callable[[argparse.Namespace], int]) -> Parser:
        action = add_command(actions, name, handler)
        action.takes_overrides = True
        group = action.add_argument_group("config", "the group `data` alone")
        add_override_help(group, "data.manual_dir=FOLDER")
        if name != "list":
            action.add_argument(
                "name",
                metavar="NAME",
                help="a name of `a2inet data list`, or a CSV file or folder of yours",
            )
        return action

    action = add("list", _list)
    action.add_argument("--json", action="store_true", help="print a JSON object a data set")

    add("prepare", _prepare)

    action = add("verify", _verify)
    action.add_argument(
        "--full", action="store_true", help="decode every frame, not only the first"
    )
    action.add_argument("--json", action="store_true", help="print a JSON object")

    action = add("splits", _splits)
    action.add_argument("file", type=Path, metavar="FILE", help="the published splits")
    action.add_argument(
        "listing",
        type=Path,
        nargs="?",
        metavar="LIST",
        help="the list that its indices refer to, if it has none of its own",
    )
    action.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the file that is written (default: data/splits/NAME-published.json)",
    )


def _fields(options: argparse.Namespace) -> "Data":
    """Return the `data` group of the config: defaults, overrides, and the data set that is named."""
    for override in options.overrides:
        if not override.startswith("data.") or override.startswith("data.name="):
            options.error(f"--config.{override}: only fields of data, and not its name, apply here")
    from a2inet_jax import config_file
    from a2inet_jax.config import config_dict

    config = config_dict()
    config.data.name = getattr(options, "name", "")
    return config_file.resolve(config, options.overrides).data


def _prepare(options: argparse.Namespace) -> int:
    """Make what is missing of a data set and its index.

    a2inet data prepare sample
    a2inet data prepare konvid_1k --config.data.manual_dir=~/KoNViD-1k
    """
    data = _fields(options)
    from a2inet_jax.pipeline.prepare import prepare

    return prepare(data)


def _list(options: argparse.Namespace) -> int:
    """List the data sets that have a name, and whether they are prepared.

    a2inet data list
    a2inet data list --json
    """
    folder = _fields(options).path
    from rich.table import Table

    from a2inet_jax.console import console, say
    from a2inet_jax.datasets import registry

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("name", "data set", "prepared", "label"):
        table.add_column(title, no_wrap=True)
    table.add_column("homepage", overflow="fold")
    for name in registry.NAMES:
        info = registry.info(name)
        try:
            videos: int | None = len(registry.list_videos(name, folder))
        except FileNotFoundError:
            videos = None
        if options.json:
            print(json.dumps({**vars(info), "videos": videos}))
        prepared = "no" if videos is None else f"{videos} videos"
        table.add_row(name, info.title, prepared, info.label, info.homepage)
    if not options.json:
        console.print(table, crop=False, markup=False, emoji=False, highlight=False, soft_wrap=True)
        say("A CSV file with columns path and mos is a data set as well: name it by its path.")
    return 0


def _verify(options: argparse.Namespace) -> int:
    """Check that a data set's videos are here and can be decoded.

    a2inet data verify sample
    a2inet data verify clips/labels.csv --full
    """
    data = _fields(options)
    from a2inet_jax import files
    from a2inet_jax.console import progress, say
    from a2inet_jax.datasets import registry
    from a2inet_jax.datasets.verify import verify

    # The list and the files may have changed since the data set was prepared.
    name, folder = data.name, data.path
    registry.list_videos(name, folder)  # fails if it was never prepared
    if name != "sample":
        with progress("prepare") as advance:
            registry.prepare(name, folder, advance)
    videos, unlabelled = registry.list_videos(name, folder), registry.list_unlabelled(name, folder)
    with progress("verify") as advance:
        found = verify(videos, advance, options.full)
    # All problems go into a file, the first ones onto the screen.
    if options.json:
        print(json.dumps(_record(name, found, unlabelled)))
    else:
        _say_findings(name, videos, unlabelled, found, options.full)
    listing = folder / f"{registry.unique_slug(name)}-problems.csv"
    wrong = [(video, "is missing") for video in found.missing] + found.undecodable
    if not wrong:
        listing.unlink(missing_ok=True)
        return 0
    rows = ((video.video_id, video.path, reason) for video, reason in wrong)
    files.write_csv(listing, ["video", "path", "problem"], rows)
    if not options.json:
        say(f"All of them, by id: {listing}")
    return 1


def _say_findings(
    name: str,
    videos: "Sequence[Video]",
    unlabelled: Sequence[str],
    found: "VerifyResult",
    full: bool,
) -> None:
    from a2inet_jax.console import say
    from a2inet_jax.pipeline.prepare import say_problems, say_unlabelled, summary

    say_problems([(str(video.path), reason) for video, reason in found.undecodable])
    say_problems([(str(video.path), "is missing") for video in found.missing])
    say_unlabelled(unlabelled)
    say(
        f"{name}: {summary(videos)}; {len(found.present)} good, {len(found.missing)} missing, "
        f"{len(found.undecodable)} cannot be decoded"
        + ("" if full else " (first frames; --full tries all)")
    )
    say(f"Fingerprint of ids, labels and contents: {found.fingerprint}")


def _splits(options: argparse.Namespace) -> int:
    """Read splits that others published.

    a2inet data splits konvid_1k KoNViD-1kinfo.mat
    a2inet data splits clips/labels.csv published.json list.csv --out=splits.json
    """
    data = _fields(options)
    folder = data.path
    from a2inet_jax.console import say
    from a2inet_jax.datasets import published_splits, registry, splits
    from a2inet_jax.pipeline.prepare import some

    # Read, restrict and save them.
    videos = registry.list_videos(data.name, folder)
    found = published_splits.read(
        options.file, options.listing, videos, allow_missing=data.allow_missing
    )
    name = f"{registry.unique_slug(data.name)}-published.json"
    path = options.out or folder / "splits" / name
    splits.save(found.splits, path)

    # Say what they are, and what a comparison by them means.
    first = found.splits[0]
    sizes = f"{len(first.train)} to train, {len(first.validation)} to validate, {len(first.test)} to test on"
    say(f"{path}: {len(found.splits)} split{'s' * (len(found.splits) > 1)}, the first with {sizes}")
    for names, what in (
        (found.unknown, "Left out, since the data set lacks them"),
        (found.unused, "In no subset, since the published list lacks them"),
    ):
        if names:
            say(f"{what} ({len(names)}): {some(names)}")
    if leaking := splits.count_shared_contents(found.splits, videos):
        contents = len({video.reference_id for video in videos})
        say(
            f"{leaking} of {contents} contents have videos in two subsets of a split: compare results "
            "with others by these splits only; they may be higher than by splits.kind=content"
        )
    say(f"Use them by --config.splits.kind=file --config.splits.file={path}")
    return 0


def _record(name: str, found: "VerifyResult", unlabelled: Sequence[str]) -> dict[str, Any]:
    missing = [{"video": video.video_id, "path": str(video.path)} for video in found.missing]
    undecodable = [
        {"video": video.video_id, "path": str(video.path), "reason": reason}
        for video, reason in found.undecodable
    ]
    return {
        "name": name,
        "good": len(found.present),
        "missing": missing,
        "undecodable": undecodable,
        "unlabelled": list(unlabelled),
        "fingerprint": found.fingerprint,
    }
