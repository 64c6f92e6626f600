"""Random access to distant frames gives the same frames as sequential decoding, in all codecs."""

import functools
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.video.decode import Decoder
from a2inet_jax.video.sampling import frame_indices
from tests.clips import Clips, run_ffmpeg

_SOURCE = ["-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=4", "-pix_fmt", "yuv420p"]
_X265 = ["-c:v", "libx265", "-x265-params"]
STREAMS = {
    "h264, B-frames.mp4": ["-c:v", "libx264", "-g", "12", "-bf", "3"],
    "h264, open.mp4": ["-c:v", "libx264", "-g", "12", "-bf", "3", "-flags", "-cgop"],
    "h264, open.mkv": ["-c:v", "libx264", "-x264-params", "open-gop=1:keyint=12:bframes=3"],
    "h264, refresh.mkv": ["-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=12"],
    "h264, long.mp4": ["-c:v", "libx264", "-g", "250"],
    "hevc, open.mp4": [*_X265, "log-level=none:open-gop=1:keyint=12:bframes=3"],
    "av1.mp4": ["-c:v", "libsvtav1", "-preset", "12", "-g", "12", "-svtav1-params", "lp=1"],
    "vp9.webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "12"],
    "mpeg4, B-frames.avi": ["-c:v", "mpeg4", "-bf", "2", "-g", "12"],
    "mpeg4, B-frames.mp4": ["-c:v", "mpeg4", "-bf", "2", "-g", "12"],
    "mpeg2, B-frames.mpg": ["-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "3"],
    "mpeg2, B-frames.mkv": ["-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "3"],
}


@functools.cache
def decode_in_sequence(path: Path) -> np.ndarray:
    decoder = Decoder(path, 1 << 30)
    return np.stack(list(decoder.read(range(decoder.info.num_frames))))


@pytest.mark.parametrize("ahead_bytes", [1 << 30, 0], ids=["decord", "ffmpeg"])
@pytest.mark.parametrize("name", STREAMS)
def test_distant_frames_equal_those_decoded_in_sequence(
    clips: Clips, name: str, ahead_bytes: int
) -> None:
    path = clips.folder / f"far apart, {name}"
    if not path.exists():
        run_ffmpeg("-y", *_SOURCE, *STREAMS[name], str(path))
    frames = decode_in_sequence(path)
    assert len(frames) == len(np.unique(frames, axis=0)) == 100
    decoder = Decoder(path, ahead_bytes)
    for indices in (frame_indices(100, 8), frame_indices(100, 60), np.array([0, 99]), [50]):
        found = np.stack(list(decoder.read(list(indices))))
        np.testing.assert_array_equal(found, frames[indices])


# Below and above the number of frames that are selected one by one.
@pytest.mark.parametrize("kept", [600, 5_200])
def test_both_decoders_give_the_same_frames_of_a_long_video(clips: Clips, kept: int) -> None:
    path = clips.folder / "11000_frames.mp4"
    if not path.exists():
        run_ffmpeg(
            *("-y", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=100:d=110", "-c:v", "libx264"),
            *("-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)),
        )
    indices = frame_indices(11_000, kept).tolist()
    frames = zip(Decoder(path, 1 << 30).read(indices), Decoder(path, 0).read(indices), strict=True)
    assert all(np.array_equal(one, other) for one, other in frames)
