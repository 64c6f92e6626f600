"""All data sets by name: prepare one, read its videos, and name its files.

A name is that of a built-in data set, or the path of a custom one: a CSV list, or a folder with one. For any
other name, every function but `label_name` raises ConfigError. TFDS takes seconds to import, so it is
imported only where a data set is prepared or read.
"""

import hashlib
import os
import re
from pathlib import Path

from a2inet_jax.config import Data
from a2inet_jax.datasets import lists
from a2inet_jax.datasets.catalog import DATASETS, DatasetInfo
from a2inet_jax.datasets.scan import Progress
from a2inet_jax.datasets.video import Video, missing_videos
from a2inet_jax.errors import ConfigError

# A test set of LSVQ, not a data set to train on.
TEST_ONLY = "lsvq_1080p"
NAMES: tuple[str, ...] = tuple(DATASETS)

# Version of the built-in data sets' video ids. Whether the file of an id is still the same is checked by the
# feature store.
_VERSION = "1"


def info(name: str) -> DatasetInfo:
    """Return title, labels and caveats of a data set, prepared or not.

    The title of a custom data set is its path as given. It contains a slash or ends in .csv, so that it is
    not the title of a built-in one.
    """
    if name in DATASETS:
        return DATASETS[name]
    is_path = "/" in name or name.lower().endswith(".csv")
    if is_path or (name and Path(name).exists()):
        return DatasetInfo(name, name if is_path else f"{name}/")
    raise ConfigError(
        f"no data set {name!r}: known are {', '.join(NAMES)}, and the path of any CSV file with paths and "
        "labels, or of a folder with one"
    )


def label_name(name: str) -> str:
    """Return the name of a data set's labels; a custom data set need not exist any more."""
    return DATASETS[name].label if name in DATASETS else "MOS"


def slug(name: str) -> str:
    """Return a data set's name as that of a file or folder; for a custom one, the last part of its path."""
    if _is_built_in(name):
        return name
    path = _custom_path(name)
    stem = path.stem if path.suffix.lower() == ".csv" else path.name
    plain = re.sub(r"[^\w.-]+", "_", stem).lstrip(".") or "own"
    return f"{plain}-own" if plain in DATASETS else plain


def unique_slug(name: str) -> str:
    """Return `slug` made unique: custom data sets in two folders may have one slug."""
    return slug(name) if _is_built_in(name) else f"{slug(name)}-{version(name)}"


def prepare(
    name: str,
    data_dir: Path,
    on_progress: Progress,
    manual_dir: Path | None = None,
) -> list[Path]:
    """Make the missing parts of a data set and its index; quick when everything is there.

    The clips of the sample are made. For the other built-in data sets, labels and videos must be in
    `manual_dir`.

    Args:
        name: The data set.
        data_dir: The data folder.
        on_progress: Called as videos are made or probed.
        manual_dir: Folder of the downloaded data set; None: `manual/<name>` in the data folder
            (`manual/lsvq` for lsvq_1080p), or the same as the last time.

    Returns:
        Expected paths of the labelled videos that are missing, sorted.

    Raises:
        ConfigError: The folder of the data set is not known.
        DataError: The labels are not sound.
        FileNotFoundError: The labels are missing; says which files were looked for.
        ClipError: A clip of the sample could not be made.
        PackageFileError: The source of a clip of the sample could not be fetched.
    """
    if name == "sample":
        from a2inet_jax.datasets.sample import prepare as sample
        from a2inet_jax.datasets.sample.recipe import SampleRecipe

        sample.prepare(data_dir, None, on_progress, SampleRecipe())
        return []
    if _is_built_in(name):
        from a2inet_jax.datasets import builder

        default = data_dir / "manual" / ("lsvq" if name == "lsvq_1080p" else name)
        folder = manual_dir or (default if default.is_dir() else None)
        return sorted(builder.prepare(name, data_dir, folder, on_progress))
    return sorted(
        video.path for video in missing_videos(lists.read_labelled(Path(name).expanduser()))
    )


def list_videos(name: str, data_dir: Path) -> list[Video]:
    """Return all labelled videos of a prepared data set, sorted by video id; files may be missing.

    Raises:
        DataError: The list of a custom data set is not sound.
        FileNotFoundError: The data set was not prepared.
    """
    if name == "sample":
        from a2inet_jax.datasets.sample import prepare as sample
        from a2inet_jax.datasets.sample import sample_dataset_builder
        from a2inet_jax.datasets.sample.recipe import SampleRecipe

        return sample_dataset_builder.read(sample.folder(data_dir, SampleRecipe()))
    if _is_built_in(name):
        from a2inet_jax.datasets import builder

        return builder.read(name, data_dir)
    return sorted(lists.read_labelled(Path(name).expanduser()), key=lambda video: video.video_id)


def load(name: str, data_dir: Path, allow_missing: bool = Data.allow_missing) -> list[Video]:
    """Return the labelled videos of a prepared data set whose files exist, sorted by video id.

    Raises:
        DataError: The list of a custom data set is not sound.
        FileNotFoundError: The data set was not prepared, or videos are missing: all of them, or any unless
            `allow_missing` leaves them out.
    """
    videos = list_videos(name, data_dir)
    missing = missing_videos(videos)
    if missing and (not allow_missing or len(missing) == len(videos)):
        first = ", ".join(str(video.path) for video in missing[:3])
        more = ", ..." if len(missing) > 3 else ""
        remedy = "; training with --config.data.allow_missing=True continues without them"
        raise FileNotFoundError(
            f"{len(missing)} of {len(videos)} videos of {name} are missing: {first}{more}. "
            f"`a2inet data verify {name}` lists them{'' if allow_missing else remedy}"
        )
    left_out = {video.video_id for video in missing}
    return [video for video in videos if video.video_id not in left_out]


def list_unlabelled(name: str, data_dir: Path) -> list[str]:
    """Return the ids of videos that a prepared data set lists without a label, sorted.

    `list_videos` does not return these videos.

    Raises:
        FileNotFoundError: The data set was not prepared.
    """
    if name == "sample" or not _is_built_in(name):
        return []
    from a2inet_jax.datasets import builder

    return sorted(builder.without_mos(name, data_dir))


def version(name: str) -> str:
    """Return the version of a data set's video ids; features of another version cannot be reused."""
    if name == "sample":
        from a2inet_jax.datasets.sample.recipe import SampleRecipe

        return SampleRecipe().fingerprint()
    if _is_built_in(name):
        return _VERSION
    return hashlib.sha256(os.fsencode(_custom_path(name))).hexdigest()[:12]


def _is_built_in(name: str) -> bool:
    return info(name).name in DATASETS


def _custom_path(name: str) -> Path:
    """Return the path that identifies a custom data set: the folder, if its list has the default name."""
    path = Path(name).expanduser().resolve()
    return path.parent if path.name == lists.DEFAULT_LIST else path
