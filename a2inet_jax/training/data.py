"""The data that is trained on: features of N videos, read when they are needed, and their labels."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from a2inet_jax.errors import DataError
from a2inet_jax.features.store import Store, matching_records

Video = tuple[np.ndarray, ...]  # a video's streams, each [T, D_i] float16


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Features and labels of N videos.

    Attributes:
        ids: Video ids.
        lengths: `[N]` int32, frames of each video.
        widths: D_i, the features of a frame in each stream.
        mos: `[N]` float64, labels in their own scale.
        digest: 16 hex characters that change with any id, label or feature.
        read: Function that returns the streams of video n, `[T, D_i]` float16 each; may be called from
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
        """Take features from memory.

        Args:
            ids: N ids.
            videos: The streams of each video, each `[T_i, D]` with the same T_i; kept as float16.
            mos: N labels.

        Raises:
            ValueError: Streams of a video differ in length, a video has no frame, or there are not as many
                ids as videos and labels.
        """
        labels = np.asarray(mos, np.float64)
        if not len(ids) == len(videos) == len(labels):
            raise ValueError(f"{len(ids)} ids, {len(videos)} videos and {len(labels)} labels")
        for video_id, video in zip(ids, videos):
            if len({len(stream) for stream in video}) != 1 or not len(video[0]):
                raise ValueError(
                    f"video {video_id} has streams of {[len(x) for x in video]} frames; "
                    "they must be equally long and not empty"
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
    def of_stores(cls, stores: Sequence[Store], ids: Sequence[str], mos: ArrayLike) -> Self:
        """Take features from the stores of the streams, which are read when they are needed.

        `read` compares a video's features with their checksum when it reads them for the first time.

        Args:
            stores: The store of each stream, with the features of all ids.
            ids: N ids.
            mos: N labels.

        Raises:
            FileNotFoundError: A video has no features in a store.
            StoreError: Features in a store cannot be used, or the stores' frames of a video differ.
        """
        labels = np.asarray(mos, np.float64)
        records = [matching_records(stores, video_id) for video_id in ids]
        content = hashlib.sha256()
        for video_id, label, each in zip(ids, labels, records, strict=True):
            checksums = [record.content_sha256 for record in each]
            content.update(f"{video_id} {label!r} {checksums}\n".encode())
        unverified = set(range(len(ids)))

        def read(n: int) -> Video:
            video = tuple(store.read(ids[n], n in unverified).features for store in stores)
            unverified.discard(n)
            return video

        return cls(
            ids=tuple(ids),
            lengths=np.array([each[0].frames for each in records], np.int32),
            widths=tuple(store.recipe.width for store in stores),
            mos=labels,
            digest=content.hexdigest()[:16],
            read=read,
        )

    @classmethod
    def concatenated(cls, groups: Mapping[str, Self]) -> Self:
        """Concatenate the data of several groups; each id gets its group's name, see `grouped_id`.

        Raises:
            ValueError: The groups' streams differ in width.
        """
        each = list(groups.values())
        if len({data.widths for data in each}) != 1:
            raise ValueError(
                f"features of widths {[data.widths for data in each]} cannot be concatenated"
            )
        sources = [(data, n) for data in each for n in range(len(data.ids))]

        def read(n: int) -> Video:
            data, index = sources[n]
            return data.read(index)

        content = "\n".join(f"{group} {data.digest}" for group, data in groups.items())
        return cls(
            ids=tuple(grouped_id(group, i) for group, data in groups.items() for i in data.ids),
            lengths=np.concatenate([data.lengths for data in each]),
            widths=each[0].widths,
            mos=np.concatenate([data.mos for data in each]),
            digest=hashlib.sha256(content.encode()).hexdigest()[:16],
            read=read,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all features, without padding."""
        return 2 * int(self.lengths.sum()) * sum(self.widths)

    def indices(self, ids: Sequence[str]) -> np.ndarray:
        """Return the indices of these videos, `[n]` int32.

        Raises:
            DataError: Some of them have no features.
        """
        if missing := [video_id for video_id in ids if video_id not in self._index_by_id]:
            raise DataError(
                f"{len(missing)} videos of the split have no features, {missing[0]} the first: "
                "extract them, or make the splits again"
            )
        return np.array([self._index_by_id[video_id] for video_id in ids], np.int32)

    @functools.cached_property
    def _index_by_id(self) -> dict[str, int]:
        return {video_id: n for n, video_id in enumerate(self.ids)}


def grouped_id(group: str, video_id: str) -> str:
    """Return the id of a group's video in the concatenated data of several groups."""
    return f"{group}\n{video_id}"
