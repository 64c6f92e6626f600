"""Maps, frame entropy and frame scores of both streams of a video, as in the paper's Fig. 1.

A stream's map is the mean over the channels of |activation| in its network. The entropy of the semantic map
measures how much there is to see in a frame, the frame score of the quality stream how good it looks.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from a2inet_jax import build
from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.frame_features import feature_maps, join_tiles
from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.config import Experiment
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.passes import frames_at_once, run_passes, schedule
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.report.stream_maps import SHOWN, Analysis, frame_entropies
from a2inet_jax.run import RunFolder
from a2inet_jax.scoring import RunExtractor
from a2inet_jax.video.raw import RawFormat
from a2inet_jax.video.sampling import resize_short_side

# Of networks with four stages: stride 16, where objects are recognised and positions are still fine.
SHOWN_STAGE = 2
PENALTIES = 10.0 ** np.arange(8)  # of the ridge regression


class Analyst(RunExtractor):
    """The networks of a run, and a regression from its quality features to its labels. Close it.

    Attributes:
        label: As in `RunExtractor`; the unit of the frame scores.
        scale: Lowest and highest label of the data set that the regression was fitted to.
    """

    def __init__(self, run: Path) -> None:
        """Open a run's networks and fit the regression to its data set.

        Raises:
            FileNotFoundError: It is not a run, or its weights, data set or features are not here.
            RunError: An earlier version made it.
        """
        config = RunFolder(run).config()
        features = config.features
        self._chunk, self._spacing = features.chunk_frames, features.clip_spacing
        super().__init__(config, STREAMS)
        self._networks = self._extractor.networks
        self._probe, self.scale = _probe(config, self._extractor)
        dtype = jnp.dtype(features.dtype)

        @functools.partial(jax.jit, static_argnames="names")
        def look(
            params: Mapping[str, Params], frames_NxHxWx3: jax.Array, names: tuple[str, ...]
        ) -> dict[str, jax.Array]:
            maps = {}
            for name in names:
                network, seen = self._networks[name], frames_NxHxWx3
                if network.sampling.short_side:
                    seen = resize_short_side(seen, network.sampling.short_side)
                maps[name] = _maps(network.backbone, params[name], seen, dtype)
            return maps

        params = {name: each.params for name, each in self._networks.items()}
        self._look = functools.partial(look, params)

    def analyze(
        self,
        path: Path,
        raw: RawFormat | None = None,
        on_frames: Callable[[int, int], None] = lambda done, total: None,
    ) -> Analysis:
        """Analyze the frames of one video that the run would use.

        Scores are of the features that the run would extract; maps are of whole frames, also where its
        quality stream sees patches.

        Args:
            raw: The layout of frames in a file without a header.
            on_frames: Called with the number of frames decoded so far and of all.

        Raises:
            VideoError: It cannot be decoded, or its frames are too small; names the file and the reason.
        """
        _, features = self._extract(path, raw, on_frames)
        indices = features["quality"].frame_index
        info = self._reader.open(path, raw)
        chunk = frames_at_once(self._chunk, info.height, info.width)
        takes = {
            name: each.backbone.pass_shape(chunk, self._spacing)
            for name, each in self._networks.items()
        }
        work = schedule(len(indices), takes)
        rows = run_passes(self._reader.read(path, indices, chunk, raw), work, self._look)
        quality_maps, semantic_maps = (np.concatenate(rows[name]) for name in STREAMS)
        shown = np.unique(np.linspace(0, len(indices) - 1, SHOWN).round().astype(int))
        return Analysis(
            path=path,
            timestamps=features["quality"].timestamps,
            shown=shown,
            frames=np.concatenate(list(self._reader.read(path, indices[shown], raw=raw))),
            quality_maps=quality_maps[shown],
            semantic_maps=semantic_maps[shown],
            entropies=frame_entropies(semantic_maps),
            scores=self._probe.predict(features["quality"].features.astype(np.float64)),
        )


def _maps(
    backbone: Backbone, params: Params, frames_NxHxWx3: jax.Array, dtype: jnp.dtype
) -> jax.Array:
    """Maps [N, h, w] of frames."""

    def together(frames: jax.Array) -> jax.Array:
        maps = feature_maps(backbone, params, frames, dtype)
        chosen = maps[min(SHOWN_STAGE, len(maps) - 1)]
        strength = jnp.mean(jnp.abs(chosen.astype(jnp.float32)), axis=-1)
        return join_tiles(strength, backbone, *frames.shape[1:3])

    if backbone.clip_frames > 1:
        return jnp.repeat(together(frames_NxHxWx3), backbone.frames_per_row, axis=0)
    return jax.lax.map(lambda frame: together(frame[None])[0], frames_NxHxWx3)


def _probe(config: Experiment, extractor: Extractor) -> tuple[Pipeline, tuple[float, float]]:
    """Fit a ridge regression from the mean over time of the quality features to the labels of a data set.

    The penalty is the one with the smallest leave-one-out error. A linear function of the mean is the mean
    of that function of the frames, so its value for one frame is a frame score.

    Returns:
        The regression, and the lowest and highest label.
    """
    videos = build.labelled_videos(config)
    remedy = "run `a2inet extract`"
    if "quality" not in config.model.streams:
        remedy += " with the run's config and --config.model.streams=\"('quality', 'semantic')\""
    recipes = {"quality": extractor.recipes["quality"]}
    features = build.stored_features(config, videos, recipes, remedy)
    means = [features.read(n)[0].astype(np.float64).mean(axis=0) for n in range(len(videos))]
    probe = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(np.stack(means), features.mos)
    return probe, (float(features.mos.min()), float(features.mos.max()))
