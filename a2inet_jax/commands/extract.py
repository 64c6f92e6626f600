"""`a2inet extract`: the features of a data set, or of any videos, into a store."""

import csv
import functools
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from a2inet_jax import atomic
from a2inet_jax.build import (
    Config,
    feature_folders,
    labelled_videos,
    open_extractor,
    open_store,
    plain,
)
from a2inet_jax.cache import cache_dir
from a2inet_jax.console import progress, say
from a2inet_jax.datasets import lists
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features import ray_engine
from a2inet_jax.features.extract import Failure, Work, default_decoders, extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.ray_engine import RayWork
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.features.store import Store


def extract(
    config: Config,
    paths: Sequence[Path] = (),
    out: Path | None = None,
    shard: tuple[int, int] = (0, 1),
    engine: str = "local",
    address: str | None = None,
    actors: int = 0,
) -> int:
    """Features of every video that has none yet; videos that fail are listed and give exit code 1.

    A stream that another store of the data set has is taken from there, but not by Ray, whose actors compute
    both.

    Args:
      config: its `features` say how; its data set is taken where no paths are given.
      paths: videos, folders and CSV files, in place of a data set.
      out: the store, for these.
      shard: (i, n): the i-th, from 0, of n parts; a video's id alone decides on its part. n processes with
        the same store do the whole work, whenever and wherever they run.
      engine: "local", the devices of this machine; "ray", those of a Ray cluster.
      address: of the cluster's head; a Ray of this machine is started if not given.
      actors: how many work at a time on the cluster; 0: as many as it has GPUs, or nodes if it has none.

    Raises:
      ValueError: paths without `out` or the reverse, or two videos with one id.
      OSError: the store can't be written.
      EngineError: the cluster can't do it; says why.
    """
    if engine == "ray":
        jax.config.update("jax_platforms", "cpu")  # the devices are the actors'
    fields = _anywhere(plain(config["features"]))
    videos = _videos(config, paths, out)
    first, step = shard
    mine = [video for video in videos if _part(video.video_id, step) == first]
    memory = int(fields["memory"] * 2**30)
    extractor = open_cached(fields, jax.local_devices(), memory)
    store = Store(out, extractor.recipe) if out else open_store(config, extractor)
    work: Work | RayWork
    with progress("extract") as advance:
        if engine == "ray":
            work = ray_engine.extract_all(
                mine,
                functools.partial(open_cached, fields, None, memory),
                store,
                advance,
                address=address,
                actors=actors,
                decoders=fields["decoders"],
                timeout_s=fields["timeout"],
            )
        else:
            decoders = fields["decoders"] or default_decoders()
            others = [] if out else feature_folders(config)
            work = extract_all(mine, extractor, store, advance, decoders, fields["timeout"], others)
    say(f"extract: {work}")
    say(f"Features: {store.folder}")
    listing = store.folder / (f"failures-{first}-of-{step}.csv" if step > 1 else "failures.csv")
    dataset = "" if paths else config["data"]["name"]
    return tell_failures(work.failures, len(mine), listing, dataset)


def open_cached(fields: Config, devices: Sequence[jax.Device] | None, memory: int) -> Extractor:
    """`open_extractor`, and what it compiles for a frame size serves later jobs and other processes."""
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
    return open_extractor(fields, devices, memory)


def tell_failures(
    failures: Sequence[Failure], videos: int, listing: Path, dataset: str = ""
) -> int:
    """Print videos that failed and what to do, and list them in a file, which is removed if there are none.

    Args:
      failures: the videos.
      videos: how many were asked for.
      listing: a CSV file: video, path, reason.
      dataset: name of the data set that they are of, if they are of one.

    Returns:
      The exit code.
    """
    if not failures:
        if listing.exists():
            listing.unlink()
        return 0
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["video", "path", "reason"])
    for each in failures:
        say(f"failed: {each.path}: {each.reason}", "red")
        table.writerow([each.video_id, each.path, each.reason])
    atomic.write(listing, text.getvalue().encode("utf-8", "surrogateescape"))
    say(f"{len(failures)} of {videos} videos have no features; listed in {listing}", "red")
    say("Mend or replace these files, and run the same command again.")
    if dataset:
        say(
            f"Or move them away: `a2inet data prepare {dataset}` then counts them as missing, and "
            "--config.data.allow_missing=True goes on without them."
        )
    return 1


def _part(video_id: str, parts: int) -> int:
    return zlib.crc32(video_id.encode(errors="surrogateescape")) % parts


def _anywhere(fields: dict[str, Any]) -> dict[str, Any]:
    """With paths of weights that hold in any working folder."""
    paths = {f"{stream}_weights": fields[f"{stream}_weights"] for stream in STREAMS}
    return fields | {
        name: str(Path(p).absolute()) for name, p in paths.items() if Path(p).is_file()
    }


def _videos(config: Config, paths: Sequence[Path], out: Path | None) -> list[VideoFile]:
    if bool(paths) != bool(out):
        raise ValueError(
            "videos of your own need a store: a2inet extract FILE|FOLDER|CSV --out=FOLDER"
        )
    videos = lists.videos(paths) if paths else list(labelled_videos(config))
    lists.check_ids(videos)
    return sorted(videos, key=lambda video: video.video_id)
