"""The features of a whole data set: those that a store lacks are extracted, what fails is listed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from a2inet_jax.datasets.video import Video
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.store import Store, StoreError
from a2inet_jax.video.decode import VideoError


@dataclass(frozen=True)
class Failure:
    """A video that could not be described, and why."""

    video_id: str
    path: Path
    reason: str


def extract_all(
    videos: Sequence[Video],
    extractor: Extractor,
    store: Store,
    on_progress: Callable[[str, int, int], None],
) -> list[Failure]:
    """Extract the features that a store lacks. A video that fails is listed, and the rest goes on.

    What is in the store is left as it is, so that a job that was killed goes on where it was; unless it is
    damaged, or the video's file is another by its size. Features of videos that are gone are kept.

    Args:
      videos: all videos of the data set.
      extractor: with the recipe of the store.
      store: where the features go.
      on_progress: called with (video id, videos done, videos in all), at the start and after each video.

    Returns:
      The videos that failed, in order.

    Raises:
      ValueError: extractor and store have different recipes.
      OSError: the store can't be written.
    """
    if extractor.recipe != store.recipe:
        raise ValueError(
            f"the extractor and {store.folder} differ: {extractor.recipe.differences(store.recipe)}"
        )
    missing = set(store.missing(video.video_id for video in videos))
    todo = [video for video in videos if video.video_id in missing or not _is_current(video, store)]
    done = len(videos) - len(todo)
    on_progress("", done, len(videos))
    failures = []
    for video in todo:
        try:
            features = extractor.extract(video.path, video.video_id)
            store.write(video.video_id, features, video.path.stat().st_size)
        except VideoError as error:
            failures.append(Failure(video.video_id, video.path, error.reason))
        done += 1
        on_progress(video.video_id, done, len(videos))
    return failures


def _is_current(video: Video, store: Store) -> bool:
    try:
        source_bytes = store.source_bytes(video.video_id)
    except StoreError:
        return False
    return not video.path.exists() or video.path.stat().st_size == source_bytes
