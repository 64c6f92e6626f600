"""Damaged streams: decord and ffmpeg refuse the same files, and read the same frames from the others."""

import random
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import VideoError
from a2inet_jax.video.decode import Decoder
from tests.clips import Clips


def read_frames(path: Path, max_decord_bytes: int) -> np.ndarray | None:
    try:
        decoder = Decoder(path, max_decord_bytes)
        return np.stack(list(decoder.read(range(decoder.info.num_frames))))
    except VideoError:
        return None


@pytest.mark.parametrize("bits", [2, 400])
@pytest.mark.parametrize(
    "name", ["h264.mp4", "h264.mkv", "av1.mp4", "hevc_10bit.mp4", "program.mpg", "vp9.webm"]
)
def test_decord_and_ffmpeg_agree(clips: Clips, tmp_path: Path, name: str, bits: int) -> None:
    whole = clips[name].read_bytes()
    path = tmp_path / name
    for seed in range(4):
        rng = random.Random(seed)
        damaged = bytearray(whole)
        for _ in range(bits):
            position = rng.randrange(int(0.3 * len(whole)), int(0.9 * len(whole)))
            damaged[position] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        by_decord, by_ffmpeg = read_frames(path, 1 << 30), read_frames(path, 0)
        assert (by_decord is None) == (by_ffmpeg is None)
        if by_decord is not None and by_ffmpeg is not None:
            np.testing.assert_array_equal(by_decord, by_ffmpeg)


@pytest.mark.parametrize("max_decord_bytes", [1 << 30, 0], ids=["decord", "ffmpeg"])
def test_reason_is_deterministic(clips: Clips, max_decord_bytes: int) -> None:
    reasons = set()
    for _ in range(3):
        with pytest.raises(VideoError) as caught:
            list(Decoder(clips["damaged_frames.mp4"], max_decord_bytes).read([0, 20]))
        reasons.add(caught.value.reason)
    assert len(reasons) == 1
