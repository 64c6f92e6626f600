"""`a2inet extract`: the features of a data set, or of any videos, into stores."""

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from a2inet_jax import files
from a2inet_jax.build import features_folder, labelled_videos, open_extractor
from a2inet_jax.config import Experiment, Features
from a2inet_jax.console import progress, say
from a2inet_jax.datasets import lists
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError
from a2inet_jax.features import ray
from a2inet_jax.features.extract import Extraction, Failure, extract_all, missing
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.features.store import Store, open_stores


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

    Each network of the model's streams has a store. What a store has is not computed again, whichever
    experiment it was extracted for.

    Args:
        config: The experiment.
        paths: Videos, folders and CSV files, in place of its data set.
        out: Folder of the stores of these.
        shard: (i, n): the i-th, from 0, of n shards; a video's id alone decides on its shard. n processes
            with the same stores do the whole work, whenever and wherever they run.
        engine: "local", the devices of this machine; "ray", those of a Ray cluster.
        address: The cluster's head; None starts Ray on this machine.
        actors: Number of Ray actors; 0: as many as the cluster has GPUs, or nodes if it has none.

    Returns:
        The exit code: 1 if videos failed.

    Raises:
        ConfigError: Paths without `out` or the reverse.
        DataError: Two videos have one id.
        OSError: A store cannot be written.
        EngineError: The cluster cannot do the work.
    """
    if engine == "ray":
        jax.config.update("jax_platforms", "cpu")  # the devices are the actors'
    config = replace(config, features=_with_absolute_paths(config.features))
    videos = _videos(config, paths, out)
    first, step = shard

    def shard_of(video: VideoFile) -> int:
        return zlib.crc32(video.video_id.encode(errors="surrogateescape")) % step

    mine = [video for video in videos if shard_of(video) == first]
    extractor = open_cached(config, jax.local_devices())
    folder = out or features_folder(config)
    features = config.features
    work: Extraction
    with progress("extract") as advance:
        if engine == "ray":
            work = ray.extract_all(
                mine,
                functools.partial(open_cached, config),
                folder,
                extractor.recipes,
                advance,
                address=address,
                actors=actors,
                decoders=features.num_decoders,
                timeout_s=features.timeout_s,
            )
        else:
            work = extract_all(
                mine, extractor, folder, advance, features.num_decoders, features.timeout_s
            )
    say(f"extract: {work}")
    stores = open_stores(folder, extractor.recipes)
    for path in {store.folder: None for store in stores.values()}:
        say(f"Features: {path}")
    listing = f"failures-{first}-of-{step}.csv" if step > 1 else "failures.csv"
    return report_failures(work.failures, mine, stores, listing, "" if paths else config.data.name)


def open_cached(config: Experiment, devices: Sequence[jax.Device] | None = None) -> Extractor:
    """Open an extractor whose compiled programs serve later jobs and other processes too."""
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(files.cache_dir() / "compiled"))
    return open_extractor(config, devices)


def report_failures(
    failures: Sequence[Failure],
    videos: Sequence[VideoFile],
    stores: Mapping[str, Store],
    listing: str,
    dataset: str,
) -> int:
    """Print the videos that failed and the remedy, and list them in each store that lacks them.

    The list is the CSV file `listing` in a store, which is removed if the store lacks none. The exit code is
    1 if there are failures.
    """
    for each in failures:
        say(f"failed: {each.path}: {each.reason}", "red")
    failed = {each.video_id: each for each in failures}
    listings = []
    for store in {store.folder: store for store in stores.values()}.values():
        path = store.folder / listing
        lacking = missing([v for v in videos if v.video_id in failed], {"": store})
        rows = [(v.video_id, v.path, failed[v.video_id].reason) for v in lacking]
        if rows:
            files.write_csv(path, ["video", "path", "reason"], rows)
            listings.append(str(path))
        elif path.exists():
            path.unlink()
    if not failures:
        return 0
    listed = " and ".join(listings)
    say(f"{len(failures)} of {len(videos)} videos have no features; listed in {listed}", "red")
    say("Repair or replace these files, and run the same command again.")
    if dataset:
        say(
            f"Or move them away: `a2inet data prepare {dataset}` then counts them as missing, and "
            "--config.data.allow_missing=True continues without them."
        )
    return 1


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
            "videos of your own need a folder for their features: a2inet extract FILE|FOLDER|CSV --out=FOLDER"
        )
    videos = lists.find_videos(paths) if paths else list(labelled_videos(config))
    lists.check_ids(videos)
    return sorted(videos, key=lambda video: video.video_id)
