"""Which frames of a video are used, and where the quality stream looks in them.

Full resolution (FR): every frame, whole, at its own size. Preprocessed (PR): 128 frames at equal
intervals; the semantic stream sees them with their shorter side at 540 pixels, the quality stream four
patches of 768×768.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from a2inet_jax.config import Features


@dataclass(frozen=True)
class Sampling:
    """How a video is fed to the two backbones.

    Attributes:
      frames: number of frames at equal intervals; None for all.
      short_side: of the frames that the semantic stream sees, pixels; None for the video's own size.
      patches: of each frame for the quality stream; 0 for the whole frame.
      patch_size: side of a patch, pixels.
      seed: of the patches' places.
      clip_spacing: a clip spans so many times its length of these frames, and takes them evenly.
    """

    frames: int | None = None
    short_side: int | None = None
    patches: int = 0
    patch_size: int = Features.patch_size_px
    seed: int = 0
    clip_spacing: int = 1


FR = Sampling()
PR = Sampling(frames=128, short_side=540, patches=4)


def frame_indices(total: int, frames: int | None) -> np.ndarray:
    """Frames at equal intervals: the middle one of each of `frames` equal parts of the video.

    Index k is ⌊(2k + 1) · total / (2 · frames)⌋, in integers, so that it's the same on every machine.

    Args:
      total: frames that the video has, at least 1.
      frames: frames wanted; None for all.

    Returns:
      [min(total, frames)] int32, strictly ascending. All frames where the video has no more than wanted.
    """
    if frames is None or total <= frames:
        return np.arange(total, dtype=np.int32)
    middles = 2 * np.arange(frames, dtype=np.int64) + 1
    return (middles * total // (2 * frames)).astype(np.int32)


def patch_places(video_id: str, height: int, width: int, sampling: Sampling) -> np.ndarray:
    """Where the patches lie, the same in every frame of a video.

    Each place is read off the SHA-256 of seed, video id and patch number: no generator's state or version
    plays a part.

    Args:
      video_id: name of the video.
      height: of a frame, pixels.
      width: of a frame, pixels.
      sampling: number and size of the patches, seed.

    Returns:
      [patches, 2] int32, (top, left) of each. 0 along a side that is no longer than a patch.
    """
    spare = [max(side - sampling.patch_size, 0) + 1 for side in (height, width)]
    places = np.zeros((sampling.patches, 2), np.int32)
    for k in range(sampling.patches):
        digest = hashlib.sha256(
            f"{sampling.seed}/{k}/{video_id}".encode(errors="surrogateescape")
        ).digest()
        draws = (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big"))
        places[k] = [draw % count for draw, count in zip(draws, spare)]
    return places
