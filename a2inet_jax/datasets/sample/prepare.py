"""Preparation of the sample data set: clips, labels and index. It may be killed at any time and resumed.

    <data_dir>/sample/recipe-<fingerprint>/clips/<video id>.mp4    a clip
                                          /clips/<video id>.json   its label, written after the clip
                                          /sample/1.0.0/           TFDS index

Another recipe or another version of ffmpeg has a folder of its own.
"""

import json
import tempfile
from concurrent.futures import as_completed
from pathlib import Path

from a2inet_jax.datasets.sample import ffmpeg
from a2inet_jax.datasets.sample.distortions import make_distorted
from a2inet_jax.datasets.sample.recipe import SampleClip, SampleRecipe, read_label
from a2inet_jax.datasets.sample.sources import locate, make_pristine
from a2inet_jax.datasets.scan import Progress
from a2inet_jax.errors import ClipError
from a2inet_jax.files import sweep, write
from a2inet_jax.video.reader import cancelling_pool
from a2inet_jax.video.worker import num_cpus


def folder(data_dir: Path, recipe: SampleRecipe) -> Path:
    """Return the folder of a recipe's clips and index."""
    return data_dir / "sample" / f"recipe-{recipe.fingerprint()}"


def prepare(
    data_dir: Path, workers: int | None, on_progress: Progress, recipe: SampleRecipe
) -> Path:
    """Make the missing clips, labels and index of the sample data set; quick when everything is there.

    Args:
        data_dir: The data folder.
        workers: Number of clips that are made at a time, each on one thread; None: one for each CPU.
        on_progress: Called before the first clip and after each.
        recipe: The clips to make.

    Returns:
        The folder of the data set.

    Raises:
        PackageFileError: A source could not be fetched.
        ClipError: A clip could not be made; finished ones are kept.
    """
    home = folder(data_dir, recipe)
    clips = home / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    wanted = recipe.clips()
    missing = [clip for clip in wanted if read_label(clips, clip.video_id) is None]
    done = len(wanted) - len(missing)
    on_progress("", done, len(wanted))
    files = locate([clip.source for clip in missing])
    # Pristine clips first: the others are made from them and measured against them.
    pristine = [clip for clip in missing if clip.distortion is None]
    distorted = [clip for clip in missing if clip.distortion is not None]
    for stage in (pristine, distorted):
        # Threads suffice, since ffmpeg's processes do the work.
        with cancelling_pool(workers or num_cpus()) as submit:
            jobs = {submit(_make, clip, clips, files[clip.source.file]): clip for clip in stage}
            for job in as_completed(jobs):
                job.result()
                done += 1
                on_progress(jobs[job].video_id, done, len(wanted))
    # Delete what a killed job left: its own temporary files, and those of ffmpeg.
    sweep(clips)
    for partial in clips.glob(".*.part*.mp4"):
        partial.unlink()
    # Imported here because TFDS takes seconds to import.
    from a2inet_jax.datasets.sample import sample_dataset_builder

    sample_dataset_builder.write(home, clips)
    return home


def _make(clip: SampleClip, clips: Path, file: Path) -> None:
    """Make and measure one clip; its label is written last, as a mark that the clip is complete."""
    source, distortion = clip.source, clip.distortion
    output = clips / f"{clip.video_id}.mp4"
    pristine = clips / f"{SampleClip(source, None).video_id}.mp4"
    with tempfile.TemporaryDirectory(prefix="a2inet-") as temporary:
        work = Path(temporary)
        try:
            if distortion is None:
                make_pristine(source, file, output)
            else:
                size = (source.height, source.width)
                make_distorted(distortion, size, clip.seed, pristine, work, output)
            score, frames = ffmpeg.vmaf(output, pristine, work)
        except ClipError as error:
            raise ClipError(f"{clip.video_id}: {error}") from None
    if frames != source.frames:
        raise ClipError(f"{clip.video_id} has {frames} frames, not {source.frames}")
    record = {
        "video_id": clip.video_id,
        "reference_id": source.name,
        "distortion": distortion.name if distortion else "pristine",
        "strength": distortion.strength if distortion else 0,
        "mos": score,
        "frames": frames,
        "height": source.height,
        "width": source.width,
        "bytes": output.stat().st_size,
    }
    label = output.with_suffix(".json")
    write(label, (json.dumps(record, indent=1) + "\n").encode())
