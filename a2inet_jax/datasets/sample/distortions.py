"""What befalls the pristine clips: the ways in which people's videos go bad that VMAF judges well.

Left out, because VMAF mislabels them: colour casts, contrast, gamma, brightness and sharpening (it calls them
flawless or better), shake, freezes and stutter (it sees misaligned frames).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2inet_jax.datasets.sample import ffmpeg

# Decoders differ in what they can read, so a clip that is not H.264 or HEVC by nature is decoded by ffmpeg
# and kept as H.264 good enough to add nothing visible. Noise is kept at a coarser setting: it costs most.
KEEP = ffmpeg.h264(12)
KEEP_NOISE = ffmpeg.h264(20)
_RATE = ("-g", "24", "-bf", "0")


@dataclass(frozen=True)
class Distortion:
    """One kind of damage at one strength.

    Attributes:
      name: the kind.
      strength: 1 is the mildest of its kind.
      vmaf: its usual VMAF (median over the contents, measured); the draw spreads over it.
      filters: ffmpeg filters before coding; `{width}` and `{height}` are the clip's, `{seed}` its own number.
      codec: encoder under test whose result is decoded again; empty if `stored` is all there is.
      lost: share of the H.264 slices that never arrive.
      playback: filters after decoding.
      stored: encoder of the file that is kept and scored.
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
        """Name and strength, as they stand in a clip's id."""
        return f"{self.name}_{self.strength}"


def _av1(crf: int) -> tuple[str, ...]:
    return ("-c:v", "libsvtav1", "-preset", "9", "-crf", str(crf), "-svtav1-params", "lp=1")


def _mpeg2(scale: int) -> tuple[str, ...]:
    return ("-c:v", "mpeg2video", "-qscale:v", str(scale), "-g", "12")


def _mjpeg(scale: int) -> tuple[str, ...]:
    return ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-qscale:v", str(scale))


def _slices(crf: int) -> tuple[str, ...]:
    return (*ffmpeg.h264(crf), *_RATE, "-x264-params", "slices=8")


def _shrink(by: float) -> str:
    return f"scale=trunc({{width}}/{by}/2)*2:trunc({{height}}/{by}/2)*2:{ffmpeg.SWS}"


_ENLARGE = f"scale={{width}}:{{height}}:{ffmpeg.SWS}"
_TV_RANGE = f"scale=out_range=tv:{ffmpeg.SWS},format=yuv420p"


def _noise(amount: int) -> str:
    return f"noise=alls={amount}:allf=t:all_seed={{seed}}"


def _dark(gain: float, noise: int) -> str:
    luma, chroma = f"16+(val-16)*{gain}", f"128+(val-128)*{gain}"
    return f"lutyuv=y={luma}:u={chroma}:v={chroma},{_noise(noise)}"


def _bands(step: int) -> str:
    return f"lutyuv=y=floor(val/{step})*{step}+{step // 2}"


def _combed(frames: int) -> str:
    late = f"tpad=start={frames}:start_mode=clone"
    return (
        f"split[now][t];[t]{late}[late];[now][late]blend=shortest=1:all_expr='if(mod(Y,2),B,A)'"
    )


def _ghost(pixels: int, opacity: float) -> str:
    moved = f"crop={{width}}-{pixels}:{{height}}:0:0,pad={{width}}:{{height}}:{pixels}:0"
    return (
        f"split[direct][t];[t]{moved}[echo];"
        f"[direct][echo]blend=all_expr='A*{1 - opacity}+B*{opacity}'"
    )


DISTORTIONS: tuple[Distortion, ...] = (
    *(Distortion("h264", i, 0, stored=ffmpeg.h264(c)) for i, c in enumerate((24, 29, 33, 37, 41, 45, 48), 1)),
    *(Distortion("hevc", i, 0, stored=ffmpeg.hevc(c)) for i, c in enumerate((24, 29, 34, 39, 44, 48, 51), 1)),
    *(Distortion("av1", i, 0, codec=_av1(c)) for i, c in enumerate((35, 48, 56, 63), 1)),
    *(Distortion("mpeg2", i, 0, codec=_mpeg2(c)) for i, c in enumerate((6, 14, 24, 31), 1)),
    *(Distortion("mjpeg", i, 0, codec=_mjpeg(c), playback=_TV_RANGE) for i, c in enumerate((8, 16, 31), 1)),
    *(Distortion("rescale", i, 0, filters=f"{_shrink(b)},{_ENLARGE}") for i, b in enumerate((1.5, 2, 3, 4, 5, 7), 1)),
    *(Distortion("blur", i, 0, filters=f"gblur=sigma={s}") for i, s in enumerate((0.6, 0.9, 1.3, 1.8, 2.4, 3.2), 1)),
    *(Distortion("motion_blur", i, 0, filters=f"dblur=angle={a}:radius={r}") for i, (a, r) in enumerate(((0, 1), (0, 2), (0, 3), (0, 4)), 1)),
    *(Distortion("noise", i, 0, filters=_noise(n), stored=KEEP_NOISE) for i, n in enumerate((12, 24, 40, 64), 1)),
    *(Distortion("noise_h264", i, 0, filters=_noise(n), stored=ffmpeg.h264(c)) for i, (n, c) in enumerate(((16, 28), (24, 34), (32, 40), (32, 45)), 1)),
    *(Distortion("blur_h264", i, 0, filters=f"gblur=sigma={s}", stored=ffmpeg.h264(c)) for i, (s, c) in enumerate(((0.6, 28), (0.9, 32), (1.3, 36), (1.8, 40)), 1)),
    *(Distortion("half_h264", i, 0, filters=_shrink(2), codec=ffmpeg.h264(c), playback=_ENLARGE) for i, c in enumerate((18, 26, 32, 37, 41), 1)),
    *(Distortion("loss", i, 0, codec=_slices(24), lost=p) for i, p in enumerate((0.01, 0.04, 0.12, 0.3), 1)),
    *(Distortion("bands", i, 0, filters=_bands(s)) for i, s in enumerate((16, 24, 32, 48), 1)),
    *(Distortion("low_light", i, 0, filters=_dark(g, n), stored=KEEP_NOISE) for i, (g, n) in enumerate(((0.9, 6), (0.8, 10), (0.7, 14)), 1)),
    *(Distortion("interlace", i, 0, filters=_combed(n)) for i, n in enumerate((1, 2, 4), 1)),
    *(Distortion("ghost", i, 0, filters=_ghost(p, o)) for i, (p, o) in enumerate(((4, 0.12), (6, 0.2), (8, 0.3), (10, 0.42)), 1)),
)


def make_distorted(
    clip: str, distortion: Distortion, size: tuple[int, int], seed: int, pristine: Path, work: Path, output: Path
) -> None:
    """Damage a pristine clip.

    Args:
      clip: the clip's id, for error messages.
      distortion: what to do to it.
      size: height and width in pixels.
      seed: what noise and losses are drawn from.
      pristine: the file to start from.
      work: folder for what is in between.
      output: the file to write.

    Raises:
      ClipError: ffmpeg failed.
    """
    names = {"height": size[0], "width": size[1], "seed": seed}
    source, filters = ["-i", str(pristine)], distortion.filters.format(**names)
    if distortion.codec:
        suffix = ".h264" if distortion.lost else ".mkv"
        coded = work / f"coded{suffix}"
        ffmpeg.convert(clip, source, filters, distortion.codec, coded)
        source, filters = ["-i", str(coded)], distortion.playback.format(**names)
        if distortion.lost:
            lossy = work / "lossy.h264"
            rng = np.random.default_rng(seed)
            lossy.write_bytes(drop_slices(coded.read_bytes(), distortion.lost, rng))
            source = ["-f", "h264", "-framerate", str(ffmpeg.FPS), "-i", str(lossy)]
    ffmpeg.convert(clip, source, filters, distortion.stored, output)


def drop_slices(stream: bytes, share: float, rng: np.random.Generator) -> bytes:
    """Lose slices of an H.264 byte stream, as a network loses packets.

    The first slice of a picture always arrives, so that no picture vanishes and the clip keeps its length;
    pictures that stand alone (IDR) arrive whole.

    Args:
      stream: H.264 in Annex B format.
      share: probability that a slice is lost.
      rng: where losses are drawn.

    Returns:
      The stream without the lost slices.
    """
    start = b"\x00\x00\x01"
    head, *units = stream.split(start)
    kept = [head]
    for unit in units:
        is_slice = unit[0] & 0x1F == 1
        # first_mb_in_slice is an Exp-Golomb code: its first bit is set only when it is 0.
        is_first = len(unit) > 1 and bool(unit[1] & 0x80)
        if is_slice and not is_first and rng.random() < share:
            continue
        kept.append(unit)
    return start.join(kept)


def draw(number: int, rng: np.random.Generator, among: Sequence[Distortion] = DISTORTIONS) -> list[Distortion]:
    """Choose `number` distortions of one content with VMAF spread evenly.

    The distortions, ordered by their usual VMAF, are cut into `number` runs of equal VMAF range; one is drawn
    of each, preferring kinds that were not drawn yet.

    Raises:
      ValueError: fewer distortions than asked for.
    """
    if number > len(among):
        raise ValueError(f"cannot draw {number} of {len(among)} distortions")
    return []
