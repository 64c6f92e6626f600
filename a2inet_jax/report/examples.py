"""The videos that a report shows: the best and the worst predictions, and small copies of their files."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import VideoError
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.video.ffmpeg import ffmpeg_command, last_line

PREVIEW_S, PREVIEW_PX = 10, 360  # longest duration, and largest shorter side


@dataclass(frozen=True)
class Example:
    """A video and its prediction by the model of a split that has it in the test set.

    Attributes:
        prediction: Of the test set.
        timestamps: Seconds from the start, [T].
        frame_scores: Score of each of these frames, in the unit of the label, [T].
        thumbnails: A few of the frames: seconds from the start, and RGB uint8 [h, w, 3].
        preview: Return value of `make_preview`, an MP4 file; empty if there is none.
        reason_no_preview: Why there is none; empty if there is, or none was asked for.
    """

    prediction: Prediction
    timestamps: NDArray[np.floating]
    frame_scores: NDArray[np.floating]
    thumbnails: Sequence[tuple[float, NDArray[np.uint8]]]
    preview: bytes = b""
    reason_no_preview: str = ""


@dataclass(frozen=True)
class Examples:
    """The examples of a run that a page shows.

    Attributes:
        best: Videos with good predictions.
        worst: Videos with bad predictions.
        reason_missing: Why there are none; empty if there are.
    """

    best: Sequence[Example] = ()
    worst: Sequence[Example] = ()
    reason_missing: str = ""


def choose(
    predictions: Sequence[Prediction], number: int
) -> tuple[list[Prediction], list[Prediction]]:
    """Return the best and the worst predictions, `number` of each, no video twice.

    The worst are those with the largest absolute error. The best are those with the smallest error in each
    of `number` equal chunks of the videos in the order of their MOS: a model that is right about bad videos
    only would otherwise seem right about all. A video that is in the test sets of several splits enters
    with its largest error among the worst, and with its smallest among the best.
    """

    def error(row: Prediction) -> tuple[float, int, str]:
        return abs(row.score - row.mos), row.split, row.video

    largest = {row.video: row for row in sorted(predictions, key=error)}
    worst = sorted(largest.values(), key=error, reverse=True)[:number]
    chosen = {row.video for row in worst}
    others = [row for row in predictions if row.video not in chosen]
    smallest = {row.video: row for row in sorted(others, key=error, reverse=True)}
    by_mos = sorted(smallest.values(), key=lambda row: (row.mos, row.video))
    chunks = [
        by_mos[i * len(by_mos) // number : (i + 1) * len(by_mos) // number] for i in range(number)
    ]
    return [min(chunk, key=error) for chunk in chunks if chunk], worst


def make_preview(video: VideoFile) -> bytes:
    """Re-encode the first `PREVIEW_S` seconds as a small MP4 (H.264, no sound) that browsers can play.

    The shorter side has `PREVIEW_PX` pixels at most. The same file gives the same bytes.

    Raises:
        VideoError: ffmpeg cannot read the file; gives its reason.
    """
    raw = video.raw
    layout = []
    if raw:
        size = f"{raw.width}x{raw.height}"
        layout = ["-f", "rawvideo", "-pixel_format", raw.pixel_format, "-video_size", size]
        layout += ["-framerate", f"{raw.frame_rate:g}"]
    # H.264 takes even sides only.
    short = f"trunc(min({PREVIEW_PX},min(iw,ih))/2)*2"
    scale = f"scale='if(gt(iw,ih),-2,{short})':'if(gt(iw,ih),{short},-2)',format=yuv420p"
    with tempfile.NamedTemporaryFile(suffix=".mp4") as copy:
        done = subprocess.run(
            [
                *ffmpeg_command(), "-y", *layout, "-i", f"file:{video.path}", "-map", "0:v:0",
                "-t", str(PREVIEW_S), "-vf", scale, "-c:v", "libx264", "-threads", "1", "-preset", "fast",
                "-crf", "28", "-maxrate", "600k", "-bufsize", "1200k", "-movflags", "+faststart",
                "-map_metadata", "-1", "-flags:v", "+bitexact", "-fflags", "+bitexact", f"file:{copy.name}",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )  # fmt: skip
        content = copy.read()
    if done.returncode or not content:
        raise VideoError(video.path, f"no preview can be made of it ({last_line(done.stderr)})")
    return content
