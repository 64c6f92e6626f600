"""Distortions of the pristine clips: those defects of user videos that VMAF judges well.

VMAF mislabels colour casts, gamma, raised contrast and sharpening (it rates them as flawless or better),
lowered contrast and with it low light (a luma gain of 0.7 gets 27), and shake, freezes and stutter (it
compares misaligned frames). These are left out, and so are ghosts, since it is not known whether VMAF judges
them as people do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.datasets.sample import ffmpeg
from a2inet_jax.datasets.sample.ffmpeg import options

# Not every decoder reads every codec, so the result of another codec than H.264 and HEVC is decoded by ffmpeg
# and stored as H.264 of a quality that adds nothing visible. Noise, which costs the most bits, is stored at a
# lower quality.
KEEP = ffmpeg.h264(15)
KEEP_NOISE = ffmpeg.h264(25)


@dataclass(frozen=True)
class Distortion:
    """One kind of distortion at one strength.

    Attributes:
        strength: 1 is the mildest of its kind.
        vmaf: Its typical VMAF, measured as the median over the contents; the draw spreads over it.
        filters: ffmpeg filters before encoding; `{width}`, `{height}` and `{seed}` are those of the clip.
        codec: Options of an encoder whose result is decoded again; empty if only `stored` encodes.
        lost: Fraction of the H.264 slices that are lost.
        playback: ffmpeg filters after decoding.
        stored: Options of the encoder of the file that is stored and measured.
    """

    name: str
    strength: int
    vmaf: float
    filters: str = ""
    codec: tuple[str, ...] = ()
    lost: float = 0.0
    playback: str = ""
    stored: tuple[str, ...] = KEEP

    @property
    def label(self) -> str:
        """Name and strength, as in a clip's id."""
        return f"{self.name}_{self.strength}"


def _av1(crf: int) -> tuple[str, ...]:
    return options(f"-c:v libsvtav1 -preset 9 -crf {crf} -svtav1-params lp=1")


def _slices(crf: int) -> tuple[str, ...]:
    return ffmpeg.h264(crf) + options("-g 24 -bf 0 -x264-params slices=8")


def _shrink(factor: float) -> str:
    return f"scale=trunc({{width}}/{factor}/2)*2:trunc({{height}}/{factor}/2)*2:{ffmpeg.SWS}"


_ENLARGE = f"scale={{width}}:{{height}}:{ffmpeg.SWS}"
_TV_RANGE = f"scale=out_range=tv:{ffmpeg.SWS},format=yuv420p"


def _noise(amount: int) -> str:
    # The noise of a sensor is mostly in luma, the only channel that VMAF measures.
    chroma = amount // 3
    return f"noise=all_seed={{seed}}:allf=t:c0s={amount}:c1s={chroma}:c2s={chroma}"


def _bands(step: int) -> str:
    return f"lutyuv=y=floor(val/{step})*{step}+{step // 2}"


def _combed(frames: int) -> str:
    delay = f"tpad=start={frames}:start_mode=clone"
    return f"split[now][t];[t]{delay}[late];[now][late]blend=shortest=1:all_expr='if(mod(Y,2),B,A)'"


def _kind(
    name: str, make: Callable[..., dict[str, Any]], *grades: tuple[float, ...]
) -> list[Distortion]:
    """Return the strengths of one kind, mildest first.

    Each grade is a typical VMAF, followed by the parameters from which `make` returns fields of `Distortion`.
    """
    return [
        Distortion(name, strength, vmaf, **make(*parameters))
        for strength, (vmaf, *parameters) in enumerate(grades, 1)
    ]


DISTORTIONS: tuple[Distortion, ...] = (
    *_kind(
        "h264",
        lambda crf: {"stored": ffmpeg.h264(crf)},
        *((91, 24), (82, 29), (70, 33), (53, 37), (32, 41), (17, 45), (14, 48)),
    ),
    *_kind(
        "hevc",
        lambda crf: {"stored": ffmpeg.hevc(crf)},
        *((94, 24), (87, 29), (74, 34), (54, 39), (34, 44), (17, 48), (9, 51)),
    ),
    *_kind("av1", lambda crf: {"codec": _av1(crf)}, (97, 35), (96, 48), (93, 56), (76, 63)),
    *_kind(
        "mpeg2",
        lambda q: {"codec": options(f"-c:v mpeg2video -qscale:v {q} -g 12")},
        *((95, 6), (84, 14), (72, 24), (65, 31)),
    ),
    *_kind(
        "mjpeg",
        lambda q: {
            "codec": options(f"-c:v mjpeg -pix_fmt yuvj420p -qscale:v {q}"),
            "playback": _TV_RANGE,
        },
        *((94, 8), (87, 16), (76, 31)),
    ),
    *_kind(
        "rescale",
        lambda factor: {"filters": f"{_shrink(factor)},{_ENLARGE}"},
        *((93, 1.5), (86, 2), (71, 3), (51, 4), (33, 5), (17, 6)),
    ),
    *_kind(
        "blur",
        lambda sigma: {"filters": f"gblur=sigma={sigma}"},
        *((87, 0.6), (75, 0.9), (61, 1.3), (42, 1.8), (24, 2.4), (12, 2.9)),
    ),
    *_kind(
        "motion_blur",
        lambda radius: {"filters": f"dblur=angle=0:radius={radius}"},
        *((74, 1), (41, 2), (18, 3), (7, 4)),
    ),
    *_kind(
        "noise",
        lambda amount: {"filters": _noise(amount), "stored": KEEP_NOISE},
        *((89, 12), (84, 24), (72, 40), (61, 56)),
    ),
    *_kind(
        "noise_h264",
        lambda amount, crf: {"filters": _noise(amount), "stored": ffmpeg.h264(crf)},
        *((83, 16, 28), (59, 24, 34), (26, 32, 40), (12, 32, 45)),
    ),
    *_kind(
        "blur_h264",
        lambda sigma, crf: {"filters": f"gblur=sigma={sigma}", "stored": ffmpeg.h264(crf)},
        *((74, 0.6, 28), (54, 0.9, 32), (32, 1.3, 36), (12, 1.8, 40)),
    ),
    *_kind(
        "half_h264",
        lambda crf: {"filters": _shrink(2), "codec": ffmpeg.h264(crf), "playback": _ENLARGE},
        *((80, 18), (65, 26), (44, 32), (25, 37), (11, 41)),
    ),
    *_kind(
        "loss",
        lambda fraction: {"codec": _slices(24), "lost": fraction},
        *((91, 0.01), (80, 0.04), (69, 0.12), (48, 0.3)),
    ),
    *_kind(
        "bands",
        lambda step: {"filters": _bands(step)},
        *((91, 16), (81, 24), (72, 32), (59, 48)),
    ),
    *_kind("interlace", lambda frames: {"filters": _combed(frames)}, (76, 1), (59, 2), (40, 4)),
)


def make_distorted(
    distortion: Distortion,
    size: tuple[int, int],
    seed: int,
    pristine: Path,
    work: Path,
    output: Path,
) -> None:
    """Distort a pristine clip, with intermediate files in folder `work`; ClipError if ffmpeg fails.

    `size` is height and width in pixels; `seed` is that of noise and losses.
    """
    names = {"height": size[0], "width": size[1], "seed": seed}
    source, filters = ["-i", str(pristine)], distortion.filters.format(**names)
    if distortion.codec:
        suffix = ".h264" if distortion.lost else ".mkv"
        coded = work / f"coded{suffix}"
        ffmpeg.convert(source, filters, distortion.codec, coded)
        source, filters = ["-i", str(coded)], distortion.playback.format(**names)
        if distortion.lost:
            lossy = work / "lossy.h264"
            rng = np.random.default_rng(seed)
            lossy.write_bytes(drop_slices(coded.read_bytes(), distortion.lost, rng))
            source = ["-f", "h264", "-framerate", str(ffmpeg.FPS), "-i", str(lossy)]
    ffmpeg.convert(source, filters, distortion.stored, output)


def drop_slices(stream: bytes, fraction: float, rng: np.random.Generator) -> bytes:
    """Drop random slices of an H.264 byte stream, as a network loses packets.

    The first slice of every picture is kept, so that no picture disappears and the clip keeps its length;
    pictures that are decoded independently (IDR) are kept whole. The stream is in Annex B format, and
    `fraction` is the probability that a slice is lost.
    """
    start_code = b"\x00\x00\x01"
    head, *units = stream.split(start_code)
    kept = [head]
    for unit in units:
        is_slice = unit[0] & 0x1F == 1
        # first_mb_in_slice is an Exp-Golomb code, whose first bit is set only if the value is 0.
        is_first = len(unit) > 1 and bool(unit[1] & 0x80)
        if is_slice and not is_first and rng.random() < fraction:
            continue
        kept.append(unit)
    return start_code.join(kept)
