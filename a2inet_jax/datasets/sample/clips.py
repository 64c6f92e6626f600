"""The clips of the sample data set, each with its label beside it: made once, resumed after a kill."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from a2inet_jax.datasets.sample import distortions, ffmpeg, sources
from a2inet_jax.datasets.sample.distortions import Distortion
from a2inet_jax.datasets.sample.sources import Source

DISTORTED_PER_SOURCE = 14
_RECIPE = 1  # raised when the way of making clips changes without a change of the tables


@dataclasses.dataclass(frozen=True)
class Clip:
    """A finished clip.

    Attributes:
      video_id: source and distortion.
      reference_id: the content. Shots of one film share it.
      distortion: kind, "pristine" for the source itself.
      strength: 1 is the mildest, 0 for pristine.
      vmaf: mean VMAF over the frames of the clip as stored, against its pristine source; 0 to 100.
      frames: how many.
      height: pixels.
      width: pixels.
    """

    video_id: str
    reference_id: str
    distortion: str
    strength: int
    vmaf: float
    frames: int
    height: int
    width: int


def fingerprint(chosen: Sequence[Source], per_source: int) -> str:
    """Eight hexadecimal digits that change with anything that changes a clip or a label."""
    recipe = (_RECIPE, ffmpeg.version(), tuple(chosen), distortions.DISTORTIONS, per_source)
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]


def make(
    folder: Path,
    chosen: Sequence[Source],
    per_source: int,
    workers: int,
    on_progress: Callable[[str, int, int], None],
) -> list[Clip]:
    """Make every clip that is not there yet.

    A clip is complete when its label is written, which is last; so a job that was killed goes on where it was.

    Args:
      folder: for the clips, `<video_id>.mp4` and `<video_id>.json`.
      chosen: sources to take.
      per_source: distorted versions of each.
      workers: ffmpeg processes at a time; each runs on one thread.
      on_progress: called with the clip's name, clips done and clips in all.

    Returns:
      All clips, by video id.

    Raises:
      ClipError: ffmpeg failed on a clip.
      PackageFileError: a source could not be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(source, None) for source in chosen]
    drawn = {source.name: distortions.draw(source.name, per_source) for source in chosen}
    distorted = [(source, each) for source in chosen for each in drawn[source.name]]
    names = [_name(*job) for job in [*jobs, *distorted]]
    done = sum(_label(folder, name).exists() for name in names)
    on_progress("", done, len(names))
    if done < len(names):
        files = sources.locate(chosen)
        with ThreadPoolExecutor(workers) as pool:
            for stage in (jobs, distorted):  # distorted versions need their pristine source
                missing = [job for job in stage if not _label(folder, _name(*job)).exists()]
                tasks = {
                    pool.submit(_make_one, folder, source, distortion, files[source.file]): source
                    for source, distortion in missing
                }
                waiting = set(tasks)
                while waiting:
                    finished, waiting = wait(waiting, return_when=FIRST_EXCEPTION, timeout=0.5)
                    for task in finished:
                        if task.exception() is not None:
                            pool.shutdown(cancel_futures=True)
                        task.result()
                        done += 1
                    on_progress("", done, len(names))
    return sorted((_read(folder, name) for name in names), key=lambda clip: clip.video_id)


def content(source: Source) -> str:
    """The content that a source shows: the film for a shot of a film, else the picture."""
    return source.name.split("_")[0]


def _name(source: Source, distortion: Distortion | None) -> str:
    return f"{source.name}-{distortion.name if distortion else 'pristine'}"


def _label(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read(folder: Path, name: str) -> Clip:
    return Clip(**json.loads(_label(folder, name).read_text()))


def _make_one(folder: Path, source: Source, distortion: Distortion | None, file: Path) -> None:
    name = _name(source, distortion)
    pristine = folder / f"{_name(source, None)}.mp4"
    output = folder / f"{name}.mp4"
    if distortion is None:
        sources.make_pristine(source, file, output)
    else:
        size = (source.width, source.height)
        distortions.make_distorted(name, distortion, pristine, size, output)
    with tempfile.TemporaryDirectory(prefix="a2inet-") as work:
        vmaf, frames = ffmpeg.vmaf(name, output, pristine, Path(work))
    clip = Clip(
        video_id=name,
        reference_id=content(source),
        distortion=distortion.kind if distortion else "pristine",
        strength=distortion.strength if distortion else 0,
        vmaf=round(vmaf, 4),
        frames=frames,
        height=source.height,
        width=source.width,
    )
    part = folder / f".{name}.json.part"
    part.write_text(json.dumps(dataclasses.asdict(clip)))
    os.replace(part, _label(folder, name))
