"""From the name of a data set to its labelled videos: the door to all data sets.

A name is that of a built-in data set, or the path of a CSV file, or of a folder that holds one, of the user's
own. TFDS takes seconds to import, so it is imported only where a data set is prepared or read.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from a2inet_jax.datasets import custom
from a2inet_jax.datasets.catalog import DATASETS, DatasetInfo
from a2inet_jax.datasets.video import Video, absent

TEST_ONLY = "lsvq_1080p"  # a test part of LSVQ, not a set to train on
NAMES: tuple[str, ...] = tuple(DATASETS)

# Of the ids of the built-in data sets. Whether the file behind an id is the same is for the store to see.
_VERSION = "1"


def info(name: str) -> DatasetInfo:
    """Title, labels and caveats of a data set, prepared or not.

    One's own goes by its path, as it is given: it has a slash or ends in .csv, and so is not the title of
    another.

    Raises:
      ValueError: the name is that of no data set, and no path.
    """
    if name in DATASETS:
        return DATASETS[name]
    if "/" in name or name.lower().endswith(".csv") or (name and Path(name).exists()):
        return DatasetInfo(
            name, name if "/" in name or name.lower().endswith(".csv") else f"{name}/"
        )
    raise ValueError(
        f"no data set {name!r}: known are {', '.join(NAMES)}, and any CSV file, or folder with one, that "
        "is named by its path"
    )


def label(name: str) -> str:
    """What a data set's labels are called; it need not be there any more."""
    return DATASETS[name].label if name in DATASETS else "MOS"


def slug(name: str) -> str:
    """A data set's name as that of a file or folder; one's own goes by the last part of its path.

    Raises:
      ValueError: as `about`.
    """
    if _is_built_in(name):
        return name
    path = _own(name)
    stem = path.stem if path.suffix.lower() == ".csv" else path.name
    plain = re.sub(r"[^\w.-]+", "_", stem).lstrip(".") or "own"
    return f"{plain}-own" if plain in DATASETS else plain


def file_name(name: str) -> str:
    """As `slug`, and no two data sets share it: one's own in two folders may have one slug.

    Raises:
      ValueError: as `about`.
    """
    return slug(name) if _is_built_in(name) else f"{slug(name)}-{version(name)}"


def prepare(
    name: str,
    data_dir: Path,
    on_progress: Callable[[str, int, int], None],
    manual_dir: Path | None = None,
) -> list[Path]:
    """Make what is missing of a data set's index under the data folder; quick when all is there.

    The sample's clips are made; of the other built-in data sets, labels and videos must be in `manual_dir`.

    Args:
      name: the data set.
      data_dir: the data folder.
      on_progress: called with (video id, videos done, videos in all).
      manual_dir: where the user has put the data set; None: `manual/<name>` in the data folder (lsvq_1080p
        lies with lsvq), or where it was the last time.

    Returns:
      Where videos are expected that have a label and are not there, sorted.

    Raises:
      ValueError: there is no data set of that name, or its labels are not sound; says where.
      FileNotFoundError: the labels are not there; says what was looked for.
      ClipError: a clip of the sample could not be made.
      PackageFileError: the source of a clip of the sample could not be fetched.
    """
    if name == "sample":
        from a2inet_jax.datasets.sample import prepare as sample

        sample.prepare(data_dir, None, on_progress)
        return []
    if _is_built_in(name):
        from a2inet_jax.datasets import builder

        usual = data_dir / "manual" / ("lsvq" if name == "lsvq_1080p" else name)
        folder = manual_dir or (usual if usual.is_dir() else None)
        return sorted(builder.prepare(name, data_dir, folder, on_progress))
    return sorted(video.path for video in absent(custom.read(Path(name).expanduser())))


def labelled(name: str, data_dir: Path) -> list[Video]:
    """All labelled videos of a prepared data set, those whose files are missing too.

    Returns:
      The videos, sorted by video id.

    Raises:
      ValueError: there is no data set of that name, or a list of one's own is not sound.
      FileNotFoundError: it was not prepared.
    """
    if name == "sample":
        from a2inet_jax.datasets.sample import prepare as sample
        from a2inet_jax.datasets.sample import sample_dataset_builder
        from a2inet_jax.datasets.sample.recipe import Recipe

        return sample_dataset_builder.read(sample.folder(data_dir, Recipe()))
    if _is_built_in(name):
        from a2inet_jax.datasets import builder

        videos = builder.read(name, data_dir)
    else:
        videos = custom.read(Path(name).expanduser())
    return sorted(videos, key=lambda video: video.video_id)


def load(name: str, data_dir: Path, allow_missing: bool = False) -> list[Video]:
    """The labelled videos of a prepared data set.

    Args:
      name: the data set.
      data_dir: the data folder.
      allow_missing: leave out videos that are not there; without it, each must be.

    Returns:
      The videos, sorted by video id.

    Raises:
      ValueError: as `labelled`.
      FileNotFoundError: it was not prepared, or videos of it are missing.
    """
    videos = labelled(name, data_dir)
    missing = absent(videos)
    if missing and (not allow_missing or len(missing) == len(videos)):
        first = ", ".join(str(video.path) for video in missing[:3])
        more = ", ..." if len(missing) > 3 else ""
        remedy = "" if allow_missing else "; config.data.allow_missing goes on without them"
        raise FileNotFoundError(
            f"{len(missing)} of {len(videos)} videos of {name} are missing: {first}{more}. "
            f"`a2inet data verify {name}` lists them{remedy}"
        )
    left_out = {video.video_id for video in missing}
    return [video for video in videos if video.video_id not in left_out]


def unlabelled(name: str, data_dir: Path) -> list[str]:
    """Ids of videos that a prepared data set's list has without a label, sorted; `labelled` lacks them.

    Raises:
      ValueError, FileNotFoundError: as `labelled`.
    """
    if name == "sample" or not _is_built_in(name):
        return []
    from a2inet_jax.datasets import builder

    return sorted(builder.without_mos(name, data_dir))


def version(name: str) -> str:
    """What the ids of a data set are a version of: features of one version don't serve another.

    Raises:
      ValueError: as `about`.
    """
    if name == "sample":
        from a2inet_jax.datasets.sample.recipe import Recipe

        return Recipe().fingerprint()
    if _is_built_in(name):
        return _VERSION
    return hashlib.sha256(os.fsencode(_own(name))).hexdigest()[:12]


def _is_built_in(name: str) -> bool:
    return info(name).name in DATASETS


def _own(name: str) -> Path:
    """What tells one's own data set from others: all folders have a list of the usual name."""
    path = Path(name).expanduser().resolve()
    return path.parent if path.name == custom.LISTING else path
