"""Data sets made and indexed, and what is said of them."""

from collections.abc import Sequence
from pathlib import Path

from a2inet_jax.config import Data
from a2inet_jax.console import progress, say
from a2inet_jax.datasets import registry
from a2inet_jax.datasets.video import Video

_SHOWN = 5


def prepare(data: Data) -> int:
    """Make what is missing of a data set and its index, and say what is there.

    Returns:
        The exit code: 1 if videos are missing, unless `data.allow_missing` is set.

    Raises:
        DataError, OSError: As `registry.prepare`.
    """
    manual_dir = Path(data.manual_dir).expanduser() if data.manual_dir else None
    with progress("prepare") as advance:
        missing = registry.prepare(data.name, data.path, advance, manual_dir)
    videos = registry.list_videos(data.name, data.path)
    say(f"{data.name}: {summary(videos)}, {len(missing)} of them missing")
    say_unlabelled(registry.list_unlabelled(data.name, data.path))
    if missing:
        say_problems([(str(path), "is missing") for path in missing])
        say(f"`a2inet data verify {data.name}` lists everything that is wrong")
    return int(bool(missing) and not data.allow_missing)


def summary(videos: Sequence[Video]) -> str:
    """Return the number of videos and contents and the range of their labels, in words."""
    labels = [video.mos for video in videos]
    contents = len({video.reference_id for video in videos})
    spread = f"labels {min(labels):.4g} to {max(labels):.4g}"
    return f"{len(videos)} videos of {contents} contents, {spread}"


def say_problems(problems: Sequence[tuple[str, str]]) -> None:
    """Print the first of these paths and reasons, in red."""
    for path, reason in problems[:_SHOWN]:
        say(f"{path}: {reason}", "red")
    if len(problems) > _SHOWN:
        say(f"... and {len(problems) - _SHOWN} more", "red")


def say_unlabelled(names: Sequence[str]) -> None:
    """Print the first of the videos that are left out for want of a label."""
    if names:
        say(f"Left out, since the list has no label for them ({len(names)}): {some(names)}")


def some(names: Sequence[str]) -> str:
    """Return the first of these names."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
