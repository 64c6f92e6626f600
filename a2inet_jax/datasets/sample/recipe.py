"""What the sample data set consists of: a list of clips, decided before any is made."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from a2inet_jax.datasets.sample import ffmpeg
from a2inet_jax.datasets.sample.distortions import DISTORTIONS, Distortion
from a2inet_jax.datasets.sample.sources import PRISTINE_CRF, SOURCES, Source

# Raise it when the code that makes or measures clips changes what comes out.
VERSION = 1


@dataclass(frozen=True)
class Clip:
    """One clip to make: a source, and what befalls it (None: nothing)."""

    source: Source
    distortion: Distortion | None

    @property
    def video_id(self) -> str:
        """Name of the clip, unique in the set."""
        return f"{self.source.name}__{self.distortion.label if self.distortion else 'pristine'}"

    @property
    def seed(self) -> int:
        """What this clip's noise and losses are drawn from."""
        return zlib.crc32(self.video_id.encode()) & 0x7FFFFFFF


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the clips and their labels.

    Attributes:
      sources: the contents.
      distortions: what may befall them.
      number: distorted clips of each content.
      seed: of the draw that gives each content its distortions.
    """

    sources: tuple[Source, ...] = SOURCES
    distortions: tuple[Distortion, ...] = DISTORTIONS
    number: int = 14
    seed: int = 0

    def clips(self) -> list[Clip]:
        """All clips, content by content, the pristine one first."""
        drawn = draw(self.distortions, len(self.sources), self.number, self.seed)
        return [
            Clip(source, distortion)
            for source, distortions in zip(self.sources, drawn)
            for distortion in (None, *distortions)
        ]

    def fingerprint(self) -> str:
        """Twelve hex digits that change with anything that may change a clip or a label."""
        decisive = (VERSION, ffmpeg.version(), PRISTINE_CRF, self)
        return hashlib.sha256(repr(decisive).encode()).hexdigest()[:12]


def draw(
    distortions: Sequence[Distortion], contents: int, number: int, seed: int
) -> list[list[Distortion]]:
    """Give each content its distortions, so that VMAF spreads evenly and all kinds get their turn.

    The range of VMAF is cut into `number` equal parts. Each content gets one distortion whose usual VMAF lies
    in each part: of a kind that it has least of, then the one used least so far, then by chance.

    Returns:
      One list of `number` distortions a content, from bad to good.

    Raises:
      ValueError: there are fewer distortions than asked for.
    """
    if number > len(distortions):
        raise ValueError(f"cannot draw {number} different ones of {len(distortions)} distortions")
    rng = np.random.default_rng(seed)
    usual = np.array([d.vmaf for d in distortions])
    edges = np.linspace(usual.min(), usual.max(), number + 1)
    used: Counter[str] = Counter()
    drawn: list[list[Distortion]] = []
    for _ in range(contents):
        mine: dict[int, Distortion] = {}
        for part in rng.permutation(number):
            middle, half = edges[part : part + 2].mean(), (edges[1] - edges[0]) / 2
            free = [d for d in distortions if d not in mine.values()]
            near = [d for d in free if abs(d.vmaf - middle) <= half * (1 + 1e-9)]
            near = near or [min(free, key=lambda d: abs(d.vmaf - middle))]
            kinds = Counter(d.name for d in mine.values())
            chance = rng.permutation(len(near))
            rank = [(kinds[d.name], used[d.label], int(c)) for d, c in zip(near, chance)]
            chosen = near[rank.index(min(rank))]
            used[chosen.label] += 1
            mine[int(part)] = chosen
        drawn.append([mine[part] for part in sorted(mine)])
    return drawn
