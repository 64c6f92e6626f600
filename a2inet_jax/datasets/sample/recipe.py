"""The clips of the sample data set, drawn before any of them is made, and the records of those made."""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.datasets.sample import ffmpeg
from a2inet_jax.datasets.sample.distortions import DISTORTIONS, Distortion
from a2inet_jax.datasets.sample.sources import PRISTINE_CRF, SOURCES, Source

# Increase it when the code that makes or measures clips changes its output.
VERSION = 1


@dataclass(frozen=True)
class SampleClip:
    """A clip to make: a source and its distortion; None for the pristine clip."""

    source: Source
    distortion: Distortion | None

    @property
    def video_id(self) -> str:
        """Name of the clip, unique in the set."""
        return f"{self.source.name}__{self.distortion.label if self.distortion else 'pristine'}"

    @property
    def seed(self) -> int:
        """Seed of the clip's noise and losses."""
        return zlib.crc32(self.video_id.encode()) & 0x7FFFFFFF


@dataclass(frozen=True)
class SampleRecipe:
    """Everything that decides the clips and their labels."""

    sources: tuple[Source, ...] = SOURCES
    distortions: tuple[Distortion, ...] = DISTORTIONS
    number: int = 14  # of distorted clips of each content
    seed: int = 0

    def clips(self) -> list[SampleClip]:
        """Return all clips by content, the pristine one first."""
        drawn = draw(self.distortions, len(self.sources), self.number, self.seed)
        return [
            SampleClip(source, distortion)
            for source, distortions in zip(self.sources, drawn)
            for distortion in (None, *distortions)
        ]

    def fingerprint(self) -> str:
        """Return twelve hex digits that change with everything that may change a clip or a label.

        The hashed text contains the names of the classes and fields in `sources` and `distortions`. Renaming
        one would change the fingerprint, so that all clips would be made again.
        """
        recipe = (
            f"Recipe(sources={self.sources!r}, distortions={self.distortions!r}, "
            f"number={self.number!r}, seed={self.seed!r})"
        )
        text = f"({VERSION!r}, {ffmpeg.version()!r}, {PRISTINE_CRF!r}, {recipe})"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def draw(
    distortions: Sequence[Distortion], num_contents: int, number: int, seed: int
) -> list[list[Distortion]]:
    """Draw the distortions of each content so that VMAF spreads evenly and every kind is used.

    The range of VMAF is cut into `number` bins of equal width. For each bin, a content gets one distortion
    whose typical VMAF is in it. Of several, the one whose kind the content has least often is taken, then the
    one that all contents have least often, then a random one.

    Returns:
        `number` distortions for each content, worst first.

    Raises:
        ValueError: There are fewer distortions than `number`.
    """
    if number > len(distortions):
        raise ValueError(f"cannot draw {number} different ones of {len(distortions)} distortions")
    rng = np.random.default_rng(seed)
    vmaf = np.array([d.vmaf for d in distortions])
    edges = np.linspace(vmaf.min(), vmaf.max(), number + 1)
    uses: Counter[str] = Counter()
    drawn: list[list[Distortion]] = []
    for _ in range(num_contents):
        by_bin: dict[int, Distortion] = {}
        for index in rng.permutation(number):
            # Candidates: all distortions in the bin, or else the nearest one.
            middle, half = edges[index : index + 2].mean(), (edges[1] - edges[0]) / 2
            free = [d for d in distortions if d not in by_bin.values()]
            near = [d for d in free if abs(d.vmaf - middle) <= half * (1 + 1e-9)]
            near = near or [min(free, key=lambda d: abs(d.vmaf - middle))]
            # Choose the one that is used least.
            kinds = Counter(d.name for d in by_bin.values())
            random = rng.permutation(len(near))
            rank = [(kinds[d.name], uses[d.label], int(r)) for d, r in zip(near, random)]
            chosen = near[rank.index(min(rank))]
            uses[chosen.label] += 1
            by_bin[int(index)] = chosen
        drawn.append([by_bin[index] for index in sorted(by_bin)])
    return drawn


def read_label(clips: Path, video_id: str) -> dict[str, Any] | None:
    """Return the record of a complete clip (label, content, distortion, size); None for any other."""
    try:
        record = json.loads((clips / f"{video_id}.json").read_text())
        size = (clips / f"{video_id}.mp4").stat().st_size
    except FileNotFoundError:
        return None
    return record if record["bytes"] == size else None
