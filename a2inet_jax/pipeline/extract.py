"""`a2inet extract`: the features of a data set, or of any videos, into a store."""

import csv
import functools
import io
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from a2inet_jax import files
from a2inet_jax.build import feature_folders, labelled_videos, open_extractor, open_store
from a2inet_jax.config import Experiment, Features
from a2inet_jax.console import progress, say
from a2inet_jax.datasets import lists
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError
from a2inet_jax.features import ray_engine
from a2inet_jax.features.extract import (
    ExtractionSummary,
    Failure,
    extract_all,
)
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.ray_engine import RayExtractionSummary
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.features.store import Store
from a2inet_jax.files import cache_dir


def extract(
    config: Experiment,
    paths: Sequence[Path] = (),
    out: Path | None = None,
    shard: tuple[int, int] = (0, 1),
    engine: str = "local",
    address: str | None = None,
    actors: int = 0,
) -> int:
    """Extract the features of every video that has none yet; list those that fail.

    A stream that another store of the data set has is reused, but not by Ray, whose actors compute both.

    Args:
        config: The experiment; its data set is taken where no paths are given.
        paths: Videos, folders and CSV files, in place of a data set.
        out: The store of these.
        shard: (i, n): the i-th, from 0, of n shards; a video's id alone decides on its shard. n processes
            with the same store do the whole work, whenever and wherever they run.
        engine: "local", the devices of this machine; "ray", those of a Ray cluster.
        address: The cluster's head; None starts Ray on this machine.
        actors: Number of Ray actors; 0: as many as the cluster has GPUs, or nodes if it has none.

    Returns:
        The exit code: 1 if videos failed.

    Raises:
        ConfigError: Paths without `out` or the reverse.
        DataError: Two videos have one id.
        OSError: The store cannot be written.
        EngineError: The cluster cannot do the work.
    """
    if engine == "ray":
        jax.config.update("jax_platforms", "cpu")  # the devices are the actors'
    features = _with_absolute_paths(config.features)
    videos = _videos(config, paths, out)
    first, step = shard
    mine = [video for video in videos if _shard(video.video_id, step) == first]
    extractor = open_cached(features, jax.local_devices())
    store = Store(out, extractor.recipe) if out else open_store(config, extractor)
    work: ExtractionSummary | RayExtractionSummary
    with progress("extract") as advance:
        if engine == "ray":
            work = ray_engine.extract_all(
                mine,
                functools.partial(open_cached, features),
                store,
                advance,
                address=address,
                actors=actors,
                decoders=features.num_decoders,
                timeout_s=features.timeout_s,
            )
        else:
            others = [] if out else feature_folders(config)
            work = extract_all(
                mine,
                extractor,
                store,
                advance,
                features.num_decoders,
                features.timeout_s,
                others,
            )
    say(f"extract: {work}")
    say(f"Features: {store.folder}")
    listing = store.folder / (f"failures-{first}-of-{step}.csv" if step > 1 else "failures.csv")
    dataset = "" if paths else config.data.name
    return report_failures(work.failures, len(mine), listing, dataset)


def open_cached(features: Features, devices: Sequence[jax.Device] | None = None) -> Extractor:
    """Open an extractor whose compiled programs serve later jobs and other processes too."""
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
    return open_extractor(features, devices)


def report_failures(
    failures: Sequence[Failure], videos: int, listing: Path, dataset: str = ""
) -> int:
    """Print the videos that failed and the remedy, and list them in a file; remove it if there are none.

    Args:
        failures: The videos.
        videos: Number of all videos.
        listing: A CSV file: video, path, reason.
        dataset: Name of their data set, if they are of one.

    Returns:
        The exit code: 1 if there are any.
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
    files.write(listing, text.getvalue().encode("utf-8", "surrogateescape"))
    say(f"{len(failures)} of {videos} videos have no features; listed in {listing}", "red")
    say("Repair or replace these files, and run the same command again.")
    if dataset:
        say(
            f"Or move them away: `a2inet data prepare {dataset}` then counts them as missing, and "
            "--config.data.allow_missing=True continues without them."
        )
    return 1


def _shard(video_id: str, shards: int) -> int:
    return zlib.crc32(video_id.encode(errors="surrogateescape")) % shards


def _with_absolute_paths(features: Features) -> Features:
    """The same with paths of weights that hold in any working folder."""
    paths = {f"{stream}_weights": getattr(features, f"{stream}_weights") for stream in STREAMS}
    absolute: dict[str, Any] = {
        name: str(Path(p).absolute()) for name, p in paths.items() if Path(p).is_file()
    }
    return replace(features, **absolute)


def _videos(config: Experiment, paths: Sequence[Path], out: Path | None) -> list[VideoFile]:
    if bool(paths) != bool(out):
        raise ConfigError(
            "videos of your own need a store: a2inet extract FILE|FOLDER|CSV --out=FOLDER"
        )
    videos = lists.find_videos(paths) if paths else list(labelled_videos(config))
    lists.check_ids(videos)
    return sorted(videos, key=lambda video: video.video_id)
