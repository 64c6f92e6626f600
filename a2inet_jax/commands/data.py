"""`a2inet data`: which data sets there are, and whether one is here, whole, and split as others did."""

import csv
import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from absl import app
from rich.table import Table

from a2inet_jax import atomic
from a2inet_jax.console import console, progress, say
from a2inet_jax.datasets import published_splits, registry, splits
from a2inet_jax.datasets.scan import Progress
from a2inet_jax.datasets.verify import Findings, verify
from a2inet_jax.datasets.video import Video

_USAGE = (
    "a2inet data list [--json] | prepare NAME [--manual_dir=FOLDER] | verify NAME [--full] [--json] | "
    "splits NAME FILE [LIST.csv] [--out=FILE] [--allow_missing]"
)
_SHOWN = 5


def data_command(
    arguments: Sequence[str],
    data_dir: Path,
    manual_dir: Path | None,
    full: bool,
    as_json: bool,
    out: Path | None,
    allow_missing: bool,
) -> int:
    """Run `a2inet data`.

    Args:
      arguments: what to do, then the data set's name; for splits, the published file, and the list that its
        numbers are of if it has none itself.
      data_dir: the data folder.
      manual_dir: prepare: where the user has put the data set.
      full: verify: decode every frame, not the first alone.
      as_json: list, verify: print JSON objects.
      out: splits: the file that is written; `splits/<name>-published.json` in the data folder otherwise, with
        the name that `index.file_name` gives.
      allow_missing: prepare: missing videos are not a failure. splits: leave out videos that the data set
        lacks.

    Returns:
      The exit code: 1 if videos are missing or can't be decoded.

    Raises:
      app.UsageError: there is no such command.
      ValueError: there is no such data set, or a file is not sound.
      OSError: a file is missing or can't be written.
    """
    match list(arguments):
        case ["list"]:
            _list(data_dir, as_json)
        case ["prepare", name]:
            return prepare(name, data_dir, manual_dir, allow_missing)
        case ["verify", name]:
            return _verify(name, data_dir, full, as_json)
        case ["splits", name, file]:
            _splits(name, data_dir, Path(file), None, out, allow_missing)
        case ["splits", name, file, listing]:
            _splits(name, data_dir, Path(file), Path(listing), out, allow_missing)
        case _:
            raise app.UsageError(_USAGE)
    return 0


def _list(data_dir: Path, as_json: bool) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("name", "data set", "prepared", "label"):
        table.add_column(title, no_wrap=True)
    table.add_column("homepage", overflow="fold")
    for name in registry.NAMES:
        about = registry.info(name)
        try:
            videos: int | None = len(registry.labelled(name, data_dir))
        except FileNotFoundError:
            videos = None
        if as_json:
            print(json.dumps({**vars(about), "videos": videos}))
        prepared = "no" if videos is None else f"{videos} videos"
        table.add_row(name, about.title, prepared, about.label, about.homepage)
    if not as_json:
        console.print(table, crop=False, markup=False, highlight=False)
        say("A CSV file with columns path and mos is a data set as well: name it by its path.")


def prepare(name: str, data_dir: Path, manual_dir: Path | None, allow_missing: bool) -> int:
    """Make what is missing of a data set and its index, and say what is there of it.

    Args:
      name: the data set.
      data_dir: the data folder.
      manual_dir: where the user has put the data set; None: where it was the last time.
      allow_missing: missing videos are not a failure.

    Returns:
      The exit code: 1 if videos are missing, unless that is allowed.

    Raises:
      ValueError, OSError, RuntimeError: as `index.prepare`.
    """
    with progress("prepare") as advance:
        missing = registry.prepare(name, data_dir, advance, manual_dir)
    videos = registry.labelled(name, data_dir)
    say(f"{name}: {_summary(videos)}, {len(missing)} of them missing")
    _tell_unlabelled(registry.unlabelled(name, data_dir))
    if missing:
        _tell([(str(path), "is missing") for path in missing])
        say(f"`a2inet data verify {name}` lists all that is wrong")
    return int(bool(missing) and not allow_missing)


def _verify(name: str, data_dir: Path, full: bool, as_json: bool) -> int:
    def watched(title: str) -> AbstractContextManager[Progress]:
        return nullcontext(lambda *_: None) if as_json else progress(title)

    registry.labelled(name, data_dir)  # fails if it was never prepared
    if name != "sample":
        with watched("prepare") as advance:  # the list and the files may be others by now
            registry.prepare(name, data_dir, advance)
    videos, unlabelled = registry.labelled(name, data_dir), registry.unlabelled(name, data_dir)
    with watched("verify") as advance:
        found = verify(videos, advance, full)
    if as_json:
        print(json.dumps(_record(name, found, unlabelled)))
    else:
        _tell_found(name, videos, unlabelled, found, full)
    listing = data_dir / f"{registry.file_name(name)}-problems.csv"
    wrong = [(video, "is missing") for video in found.missing] + found.undecodable
    if not wrong:
        listing.unlink(missing_ok=True)
        return 0
    _write(listing, wrong)
    if not as_json:
        say(f"All of them, by id: {listing}")
    return 1


def _tell_found(
    name: str, videos: Sequence[Video], unlabelled: Sequence[str], found: Findings, full: bool
) -> None:
    _tell([(str(video.path), reason) for video, reason in found.undecodable])
    _tell([(str(video.path), "is missing") for video in found.missing])
    _tell_unlabelled(unlabelled)
    say(
        f"{name}: {_summary(videos)}; {len(found.present)} good, {len(found.missing)} missing, "
        f"{len(found.undecodable)} can't be decoded"
        + ("" if full else " (first frames; --full tries all)")
    )
    say(f"Fingerprint of ids, labels and contents: {found.fingerprint}")


def _splits(
    name: str,
    data_dir: Path,
    file: Path,
    listing: Path | None,
    out: Path | None,
    allow_missing: bool,
) -> None:
    videos = registry.labelled(name, data_dir)
    found = published_splits.read(file, listing, videos, allow_missing=allow_missing)
    path = out or data_dir / "splits" / f"{registry.file_name(name)}-published.json"
    splits.save(found.splits, path)
    first = found.splits[0]
    sizes = f"{len(first.train)} to train, {len(first.validation)} to validate, {len(first.test)} to test on"
    say(f"{path}: {len(found.splits)} split{'s' * (len(found.splits) > 1)}, the first with {sizes}")
    for names, what in (
        (found.unknown, "Left out, since the data set lacks them"),
        (found.unused, "In no part, since the published list lacks them"),
    ):
        if names:
            say(f"{what} ({len(names)}): {_some(names)}")
    if leaking := splits.leaks(found.splits, videos):
        contents = len({video.reference_id for video in videos})
        say(
            f"{leaking} of {contents} contents have videos in two parts of a split: compare results "
            "with others by these splits only; they may be higher than by splits.kind=content"
        )
    say(f"Take them by --config.splits.kind=file --config.splits.file={path}")


def _summary(videos: Sequence[Video]) -> str:
    labels = [video.mos for video in videos]
    contents = len({video.reference_id for video in videos})
    spread = f"labels {min(labels):.4g} to {max(labels):.4g}"
    return f"{len(videos)} videos of {contents} contents, {spread}"


def _record(name: str, found: Findings, unlabelled: Sequence[str]) -> dict[str, Any]:
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


def _write(listing: Path, wrong: Sequence[tuple[Video, str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["video", "path", "problem"])
    table.writerows([video.video_id, video.path, reason] for video, reason in wrong)
    atomic.write(listing, text.getvalue().encode("utf-8", "surrogateescape"))


def _tell(wrong: Sequence[tuple[str, str]]) -> None:
    for path, reason in wrong[:_SHOWN]:
        say(f"{path}: {reason}", "red")
    if len(wrong) > _SHOWN:
        say(f"... and {len(wrong) - _SHOWN} more", "red")


def _tell_unlabelled(names: Sequence[str]) -> None:
    if names:
        say(f"Not taken, since the list has no label for them ({len(names)}): {_some(names)}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
