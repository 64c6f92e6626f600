"""What is trained on: the features of N videos, read when they are needed, and their labels."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from a2inet_jax.features.store import Store

Video = tuple[np.ndarray, ...]  # a video's streams, each [T, D_i] float16


@dataclass(frozen=True, eq=False)
class TrainingData:
    """N videos.

    Attributes:
        ids: Their ids.
        lengths: `[N]` int32, their frames.
        widths: Features of a frame in each stream.
        mos: `[N]` float64, the labels in their own scale.
        digest: 16 hex characters that change with any id, label or feature.
        read: Gives the streams of video n, one `[T, D]` float16 array each; may be called by
            several threads at once.
    """

    ids: tuple[str, ...]
    lengths: np.ndarray
    widths: tuple[int, ...]
    mos: np.ndarray
    digest: str
    read: Callable[[int], Video]

    @classmethod
    def of_arrays(cls, ids: Sequence[str], videos: Sequence[Video], mos: ArrayLike) -> Self:
        """Features in memory.

        Args:
            ids: N ids.
            videos: For each id its streams, each `[T_i, D]` with the same T_i; kept as float16.
            mos: N labels.

        Raises:
            ValueError: Streams of a video differ in length, a video has no frame, or the counts of
                ids, videos and labels differ.
        """
        labels = np.asarray(mos, np.float64)
        if not len(ids) == len(videos) == len(labels):
            raise ValueError(f"{len(ids)} ids, {len(videos)} videos and {len(labels)} labels")
        for video_id, video in zip(ids, videos):
            if len({len(stream) for stream in video}) != 1 or not len(video[0]):
                raise ValueError(
                    f"video {video_id}: streams of {[len(x) for x in video]} frames; "
                    "they must be as long as each other and not empty"
                )
        kept = [tuple(np.ascontiguousarray(x, np.float16) for x in video) for video in videos]
        content = hashlib.sha256()
        for video_id, video, label in zip(ids, kept, labels):
            content.update(f"{video_id} {label!r} {[x.shape for x in video]}\n".encode())
            for stream in video:
                content.update(stream.data)
        return cls(
            ids=tuple(ids),
            lengths=np.array([len(video[0]) for video in kept], np.int32),
            widths=tuple(x.shape[1] for x in kept[0]),
            mos=labels,
            digest=content.hexdigest()[:16],
            read=kept.__getitem__,
        )

    @classmethod
    def of_store(
        cls, store: Store, ids: Sequence[str], mos: ArrayLike, streams: Sequence[str]
    ) -> Self:
        """Features on disk, read when they are needed.

        Args:
            store: Has the features of all ids; FileNotFoundError or StoreError says what is wrong.
            ids: N ids.
            mos: N labels.
            streams: Which streams, "quality" or "semantic", in the model's order.
        """
        labels = np.asarray(mos, np.float64)
        records = [store.record(video_id) for video_id in ids]
        content = hashlib.sha256(f"{list(streams)}\n".encode())
        for record, label in zip(records, labels, strict=True):
            content.update(f"{record.video_id} {label!r} {record.content_sha256}\n".encode())
        return cls(
            ids=tuple(ids),
            lengths=np.array([record.frames for record in records], np.int32),
            widths=tuple(records[0].widths[name] for name in streams),
            mos=labels,
            digest=content.hexdigest()[:16],
            read=lambda n: store.streams(ids[n], streams),
        )

    @classmethod
    def joined(cls, groups: Mapping[str, Self]) -> Self:
        """Those of several groups as one, each id with its group before it: see `in_group`.

        Raises:
            ValueError: Streams of the groups differ in width.
        """
        parts = list(groups.values())
        if len({part.widths for part in parts}) != 1:
            raise ValueError(
                f"features of widths {[part.widths for part in parts]} can't be joined"
            )
        places = [(part, n) for part in parts for n in range(len(part.ids))]

        def read(n: int) -> Video:
            part, row = places[n]
            return part.read(row)

        content = "\n".join(f"{group} {part.digest}" for group, part in groups.items())
        return cls(
            ids=tuple(in_group(group, i) for group, part in groups.items() for i in part.ids),
            lengths=np.concatenate([part.lengths for part in parts]),
            widths=parts[0].widths,
            mos=np.concatenate([part.mos for part in parts]),
            digest=hashlib.sha256(content.encode()).hexdigest()[:16],
            read=read,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all features, without padding."""
        return 2 * int(self.lengths.sum()) * sum(self.widths)

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """Numbers `[n]` int32 of these videos; ValueError names those that have no features."""
        if missing := [video_id for video_id in ids if video_id not in self._numbers]:
            raise ValueError(
                f"no features of {len(missing)} videos of the split, {missing[0]} the first: "
                "extract them, or make the splits again"
            )
        return np.array([self._numbers[video_id] for video_id in ids], np.int32)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {video_id: n for n, video_id in enumerate(self.ids)}


def in_group(group: str, video_id: str) -> str:
    """The id of a group's video among those of several groups."""
    return f"{group}\n{video_id}"
