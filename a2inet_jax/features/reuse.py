"""Reuse of stored streams: a network that was run on a video for one store need not be run for another.

The stores of a data set differ in their pairs of networks, and a network may be in several pairs.
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
class ReusedStreams:
    """Streams of a video that other stores have.

    Attributes:
        streams: Name of a stream → its features, `[T, D]` float16.
        frame_index: Indices of their frames, `[T]` int32; None if there are no streams.
        timestamps: Times of these frames, seconds, `[T]` float64; None if there are no streams.
    """

    streams: Mapping[str, np.ndarray] = field(default_factory=dict)
    frame_index: np.ndarray | None = None
    timestamps: np.ndarray | None = None

    def complete(self) -> VideoFeatures | None:
        """Return the video's features if both streams are there, else None."""
        if self.frame_index is None or self.timestamps is None or len(self.streams) < len(STREAMS):
            return None
        return VideoFeatures(
            **self.streams, frame_index=self.frame_index, timestamps=self.timestamps
        )


def reusable_stores(recipe: Recipe, folders: Iterable[Path]) -> list[tuple[Store, dict[str, str]]]:
    """Find the stores that have a stream of a recipe.

    Args:
        recipe: The recipe whose streams are needed.
        folders: Folders of stores. Those of the recipe itself, of several recipes or without a store
            are left out.

    Returns:
        The stores in the order of their folders, and for each a mapping from the names of our streams
        to those of its equal ones.
    """
    found = []
    for folder in sorted(folders):
        try:
            store = Store.existing(folder)
        except StoreError:
            continue
        equal_streams = {
            ours: theirs
            for ours in STREAMS
            for theirs in STREAMS
            if recipe.stream(ours) == store.recipe.stream(theirs)
        }
        if equal_streams and store.recipe != recipe:
            found.append((store, equal_streams))
    return found


def reuse_streams(
    video_id: str, source: str, stores: Iterable[tuple[Store, Mapping[str, str]]]
) -> ReusedStreams:
    """Read the streams of a video that other stores have.

    Args:
        video_id: Id of the video.
        source: Signature of its file; features of a different file are not reused.
        stores: Result of `reusable_stores`.
    """
    streams: dict[str, np.ndarray] = {}
    reused = ReusedStreams()
    for store, equal_streams in stores:
        needed = {ours: theirs for ours, theirs in equal_streams.items() if ours not in streams}
        if not needed:
            continue
        # What cannot be reused is computed instead.
        try:
            if store.source(video_id) != source:
                continue
            stored = store.read(video_id)
            # A copy of damaged features would get a checksum that matches them.
            if content_sha256(stored) != store.record(video_id).content_sha256:
                continue
        except (FileNotFoundError, StoreError):
            continue
        streams |= {ours: getattr(stored, theirs) for ours, theirs in needed.items()}
        reused = ReusedStreams(streams, stored.frame_index, stored.timestamps)
    return reused
