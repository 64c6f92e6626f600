"""Streams that another store has: a network that was run on a video once need not be run again.

The stores of a data set differ in their pairs of networks, and each network is in several pairs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from a2inet_jax.errors import StoreError
from a2inet_jax.features.recipe import STREAMS, Recipe
from a2inet_jax.features.record import VideoFeatures, content_sha256
from a2inet_jax.features.store import Store


@dataclass(frozen=True)
class Loan:
    """What is known of a video.

    Attributes:
      streams: name → features, [T, D] float16.
      frame_index: which frames they describe, [T] int32; None if nothing is known.
      timestamps: when these are shown, seconds, [T] float64; None if nothing is known.
    """

    streams: Mapping[str, np.ndarray] = field(default_factory=dict)
    frame_index: np.ndarray | None = None
    timestamps: np.ndarray | None = None

    def whole(self) -> VideoFeatures | None:
        """The features, if both streams are known."""
        if self.frame_index is None or self.timestamps is None or len(self.streams) < len(STREAMS):
            return None
        return VideoFeatures(
            **self.streams, frame_index=self.frame_index, timestamps=self.timestamps
        )


def lenders(recipe: Recipe, folders: Iterable[Path]) -> list[tuple[Store, dict[str, str]]]:
    """The stores that have a stream which a recipe asks for.

    Args:
      recipe: what is asked for.
      folders: of stores; those of the recipe itself, of several recipes or of none are left out.

    Returns:
      Stores, in the order of their folders, and for each which of our streams is which of its own.
    """
    found = []
    for folder in sorted(folders):
        try:
            store = Store.existing(folder)
        except StoreError:
            continue
        same = {
            ours: theirs
            for ours in STREAMS
            for theirs in STREAMS
            if recipe.stream(ours) == store.recipe.stream(theirs)
        }
        if same and store.recipe != recipe:
            found.append((store, same))
    return found


def borrow(
    video_id: str, source: str, from_stores: Iterable[tuple[Store, Mapping[str, str]]]
) -> Loan:
    """What stores have of a video.

    Args:
      video_id: name of the video.
      source: of its file; features of another file are not taken.
      from_stores: as `lenders` gives them.
    """
    streams: dict[str, np.ndarray] = {}
    loan = Loan()
    for store, same in from_stores:
        wanted = {ours: theirs for ours, theirs in same.items() if ours not in streams}
        if not wanted:
            continue
        try:
            if store.source(video_id) != source:
                continue
            stored = store.read(video_id)
            if content_sha256(stored) != store.record(video_id).content_sha256:
                continue  # a copy would have a checksum that fits
        except (FileNotFoundError, StoreError):
            continue  # they are computed
        streams |= {ours: getattr(stored, theirs) for ours, theirs in wanted.items()}
        loan = Loan(streams, stored.frame_index, stored.timestamps)
    return loan
