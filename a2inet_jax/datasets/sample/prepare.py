"""Makes the sample data set: clips, their labels, and the index over them. May be killed at any moment.

    <data_dir>/sample/recipe-<fingerprint>/clips/<video id>.mp4    a clip
                                          /clips/<video id>.json   its label, written last: the clip is done
                                          /sample/1.0.0/           TFDS index

Another recipe, or another ffmpeg, has its own folder.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from a2inet_jax import atomic
from a2inet_jax.datasets.sample import ffmpeg
from a2inet_jax.datasets.sample.distortions import make_distorted
from a2inet_jax.datasets.sample.recipe import Clip, Recipe
from a2inet_jax.datasets.sample.sources import File, locate, make_pristine
from a2inet_jax.errors import ClipError

Progress = Callable[[str, int, int], None]


def folder(data_dir: Path, recipe: Recipe) -> Path:
    """Where the set of a recipe lies under the data folder."""
    return data_dir / "sample" / f"recipe-{recipe.fingerprint()}"


def prepare(
    data_dir: Path, workers: int | None, on_progress: Progress, recipe: Recipe | None = None
) -> Path:
    """Make what is missing of the sample data set: clips, labels, index. Quick when all is there.

    Args:
      data_dir: the data folder.
      workers: how many clips are made at once, each on one thread; None: one for each CPU.
      on_progress: called with (video id, clips done, clips in all).
      recipe: what to make; the default is the sample data set.

    Returns:
      The set's folder.

    Raises:
      PackageFileError: a source could not be fetched.
      ClipError: a clip could not be made; those that were done stay.
    """
    recipe = recipe or Recipe()
    home = folder(data_dir, recipe)
    clips = home / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    wanted = recipe.clips()
    missing = [clip for clip in wanted if read_label(clips, clip.video_id) is None]
    on_progress("", len(wanted) - len(missing), len(wanted))
    if missing:
        files = locate([clip.source for clip in missing])
        done = len(wanted) - len(missing)
        # The pristine clips come first: the others are made from them and measured against them.
        pristine = [clip for clip in missing if clip.distortion is None]
        distorted = [clip for clip in missing if clip.distortion is not None]
        for stage in (pristine, distorted):
            for name in _make_all(stage, clips, files, workers or _cpus()):
                done += 1
                on_progress(name, done, len(wanted))
    atomic.sweep(clips)  # what a killed job left, as are ffmpeg's files under way
    for part in clips.glob(".*.part*.mp4"):
        part.unlink()
    # TFDS takes seconds to import; those who only make clips should not pay for it.
    from a2inet_jax.datasets.sample import sample_dataset_builder

    sample_dataset_builder.write(home, clips)
    return home


def read_label(clips: Path, video_id: str) -> dict[str, Any] | None:
    """The record of a clip that is done: label, content, distortion, size; None if it is not done."""
    try:
        record = json.loads((clips / f"{video_id}.json").read_text())
        size = (clips / f"{video_id}.mp4").stat().st_size
    except FileNotFoundError:
        return None
    return record if record["bytes"] == size else None


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _make_all(
    missing: Sequence[Clip], clips: Path, files: dict[File, Path], workers: int
) -> Iterator[str]:
    pool = ThreadPoolExecutor(workers)  # threads, for the work is done by ffmpeg's processes
    try:
        jobs: dict[Future[None], str] = {
            pool.submit(_make, clip, clips, files[clip.source.file]): clip.video_id
            for clip in missing
        }
        for job in as_completed(jobs):
            job.result()
            yield jobs[job]
    finally:
        pool.shutdown(cancel_futures=True)


def _make(clip: Clip, clips: Path, file: Path) -> None:
    """Make and measure one clip; its label, written last, says that it is whole."""
    source, distortion = clip.source, clip.distortion
    output = clips / f"{clip.video_id}.mp4"
    pristine = clips / f"{Clip(source, None).video_id}.mp4"
    with tempfile.TemporaryDirectory(prefix="a2inet-") as name:
        work = Path(name)
        if distortion is None:
            make_pristine(source, file, output)
        else:
            size = (source.height, source.width)
            make_distorted(clip.video_id, distortion, size, clip.seed, pristine, work, output)
        score, frames = ffmpeg.vmaf(clip.video_id, output, pristine, work)
    if frames != source.frames:
        raise ClipError(f"{clip.video_id}: has {frames} frames, not {source.frames}")
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
    atomic.write(label, (json.dumps(record, indent=1) + "\n").encode())
