"""A frozen network, with all that decides the numbers of its features."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.frame_features import extract_features
from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.config import Features
from a2inet_jax.errors import ConfigError
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.video.sampling import (
    FR,
    Sampling,
    patch_positions,
    resize_short_side,
    short_side_size,
)


@dataclass(frozen=True)
class Network:
    """A frozen backbone, and what it sees of a video: frames, resized or cut into patches or both.

    Attributes:
        backbone: The backbone.
        params: Its parameters.
        sha256: SHA-256 of the published checkpoint that they come from.
        sampling: Frames, sizes and patches.
        dtype: Dtype of the computation.
    """

    backbone: Backbone
    params: Params
    sha256: str
    sampling: Sampling = FR
    dtype: str = Features.dtype

    @property
    def recipe(self) -> Recipe:
        """The recipe of its features."""
        backbone = self.backbone
        return Recipe(
            backbone.name,
            self.sha256,
            backbone.normalization,
            backbone.width,
            self.sampling,
            self.dtype,
        )

    def check_sides(self) -> None:
        """Raise a ConfigError if its frames or patches are too small for the backbone, whatever the video."""
        sampling, backbone = self.sampling, self.backbone
        sides = {
            "short_side_px": sampling.short_side,
            "patch_size_px": sampling.patch_size if sampling.patches else None,
        }
        for field, side in sides.items():
            if side is not None and side < backbone.min_side_px:
                raise ConfigError(
                    f"features.{field} is {side}: {backbone.name} needs at least "
                    f"{backbone.min_side_px} pixels a side"
                )

    def view_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what it sees of a frame of this size, in pixels."""
        height, width = self._resized(height, width)
        if self.sampling.patches:
            return min(height, self.sampling.patch_size), min(width, self.sampling.patch_size)
        return height, width

    def patch_positions(self, video_id: str, height: int, width: int) -> np.ndarray:
        """Return top and left of the patches of a video's frames, `[P, 2]` int32; P = 0: whole frames."""
        positions_Px2 = patch_positions(video_id, *self._resized(height, width), self.sampling)
        if len(positions_Px2) and np.all(positions_Px2 == positions_Px2[:1]):
            # Equal patches have equal features, and the mean of those is any of them.
            return positions_Px2[:1]
        return positions_Px2

    def features(
        self, params: Params, frames_NxHxWx3: jax.Array, positions_Px2: jax.Array
    ) -> jax.Array:
        """Extract the features of frames; those of patches are averaged over the patches of a frame.

        Args:
            params: The backbone's parameters, on the device.
            frames_NxHxWx3: RGB, uint8.
            positions_Px2: Result of `patch_positions`.

        Returns:
            `[N, backbone.width]` float32, one row a frame.
        """
        backbone, dtype = self.backbone, jnp.dtype(self.dtype)
        if self.sampling.short_side:
            frames_NxHxWx3 = resize_short_side(frames_NxHxWx3, self.sampling.short_side)
        num_patches = positions_Px2.shape[0]
        if num_patches == 0:
            return extract_features(backbone, params, frames_NxHxWx3, dtype)
        num_frames, height, width, _ = frames_NxHxWx3.shape
        size = self.sampling.patch_size
        patch_shape = (num_frames, min(height, size), min(width, size), 3)
        sum_NxD = jnp.zeros((num_frames, backbone.width), jnp.float32)
        # One patch after the other: all at once they would need P times the memory.
        for top, left in positions_Px2:
            patch = jax.lax.dynamic_slice(frames_NxHxWx3, (0, top, left, 0), patch_shape)
            sum_NxD += extract_features(backbone, params, patch, dtype)
        return sum_NxD / num_patches

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.sampling.short_side:
            return short_side_size(height, width, self.sampling.short_side)
        return height, width
