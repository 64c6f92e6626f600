"""Conversion to RGB matches ffmpeg bit for bit, tested on noise, which exposes every rounding."""

from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.video.decode import Decoder
from tests.clips import ffmpeg_frames, run_ffmpeg

_LOSSLESS = ["-c:v", "ffv1"]
_EVEN, _ODD = (128, 80), (97, 65)
# Pixel format, suffix, encoder options, (width, height) of the clips.
FORMATS = [
    *((name, "mkv", _LOSSLESS, (_EVEN, _ODD)) for name in ("yuv420p", "yuv422p", "yuv444p")),
    *(
        (f"{name}10le", "mkv", _LOSSLESS, (_EVEN, _ODD))
        for name in ("yuv420p", "yuv422p", "yuv444p")
    ),
    *((name, "mkv", _LOSSLESS, (_EVEN, _ODD)) for name in ("gray", "yuva420p", "rgb48le")),
    *((f"yuvj{name}p", "avi", ["-c:v", "mjpeg"], (_EVEN, _ODD)) for name in ("420", "422", "444")),
    ("argb", "mov", ["-c:v", "qtrle"], (_EVEN, _ODD)),
    ("yuva444p10le", "mov", ["-c:v", "prores_ks"], (_EVEN,)),
    ("yuv420p10le", "mp4", ["-c:v", "libx265", "-x265-params", "log-level=none"], (_EVEN,)),
]
TAGS = {
    "bt601": "setparams=colorspace=smpte170m:range=tv",
    "bt709": "setparams=colorspace=bt709:range=tv",
    "full range": "setparams=colorspace=bt709:range=pc",
}


def checked_frames(
    path: Path, size: tuple[int, int], filters: str, encoder: list[str]
) -> np.ndarray:
    """Make a video of noise, check that both decoders give exactly ffmpeg's frames, and return these."""
    width, height = size
    run_ffmpeg(
        *("-y", "-f", "lavfi", "-i", "testsrc2=s=128x80:r=10:d=0.6,noise=alls=40:allf=t", "-vf"),
        *(f"format=yuv444p,crop={width}:{height}:0:0:exact=1,{filters}", *encoder, str(path)),
    )
    theirs = ffmpeg_frames(path, height, width)
    for max_decord_bytes in (1 << 30, 0):
        decoder = Decoder(path, max_decord_bytes)
        ours = np.stack(list(decoder.read(range(decoder.info.num_frames))))
        assert ours.shape == theirs.shape == (6, height, width, 3)
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.max() <= 0
    return theirs


@pytest.mark.parametrize(
    ("pixel_format", "suffix", "encoder", "sizes"),
    FORMATS,
    ids=[f"{row[0]}.{row[1]}" for row in FORMATS],
)
def test_formats(
    tmp_path: Path,
    pixel_format: str,
    suffix: str,
    encoder: list[str],
    sizes: tuple[tuple[int, int], ...],
) -> None:
    for size in sizes:
        path = tmp_path / f"{size[0]}.{suffix}"
        checked_frames(path, size, f"format={pixel_format}", [*encoder, "-pix_fmt", pixel_format])


def test_tags(tmp_path: Path) -> None:
    pictures = [
        checked_frames(tmp_path / f"{name}.mkv", _EVEN, f"format=yuv444p,{tag}", _LOSSLESS)
        for name, tag in TAGS.items()
    ]
    # The same samples with another tag are another picture.
    for k, one in enumerate(pictures):
        for other in pictures[:k]:
            assert np.abs(one.astype(int) - other).mean() > 2
