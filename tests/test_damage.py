"""Damaged streams: both ways of decoding refuse the same files, and see the same in those that they read."""

import random
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import VideoError
from a2inet_jax.video.decode import Decoder
from tests.clips import Clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def frames_of(path: Path, ahead_bytes: int) -> np.ndarray | None:
    try:
        decoder = Decoder(path, ahead_bytes)
        return np.stack(list(decoder.read(range(decoder.info.frames))))
    except VideoError:
        return None


@pytest.mark.parametrize("bits", [2, 400])
@pytest.mark.parametrize(
    "name", ["h264.mp4", "h264.mkv", "av1.mp4", "hevc_10bit.mp4", "program.mpg", "vp9.webm"]
)
def test_both_ways_agree(clips: Clips, tmp_path: Path, name: str, bits: int) -> None:
    whole = clips[name].read_bytes()
    path = tmp_path / name
    for seed in range(4):
        chance = random.Random(seed)
        damaged = bytearray(whole)
        for _ in range(bits):
            place = chance.randrange(int(0.3 * len(whole)), int(0.9 * len(whole)))
            damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        one, other = frames_of(path, 1 << 30), frames_of(path, 0)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("ahead_bytes", [1 << 30, 0], ids=["decord", "ffmpeg"])
def test_the_reason_is_the_same_each_time(clips: Clips, ahead_bytes: int) -> None:
    reasons = set()
    for _ in range(3):
        with pytest.raises(VideoError) as caught:
            list(Decoder(clips["damaged_frames.mp4"], ahead_bytes).read([0, 20]))
        reasons.add(caught.value.reason)
    assert len(reasons) == 1
