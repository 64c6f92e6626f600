"""What the two streams see of a video, as in the paper's Fig. 1: `a2inet analyze`.

The map of a stream is the mean over the channels of |activation| in its network. The frame entropy of the
semantic map tells how much there is to see, the frame score of the quality stream how good it looks.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

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
from a2inet_jax.checksum import sha256
from a2inet_jax.console import say
from a2inet_jax.datasets import registry
from a2inet_jax.datasets.video import VideoFile, is_there
from a2inet_jax.errors import VideoError
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.passes import frames_at_once, run_passes, schedule
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.report import stream_maps
from a2inet_jax.report.stream_maps import SHOWN, Analysis, frame_entropies
from a2inet_jax.run import RunFolder
from a2inet_jax.training.data import TrainingData
from a2inet_jax.video.raw_format import RawFormat
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.resize import resize_short_side

SHOWN_STAGE = (
    2  # of networks with four: stride 16, where things are recognised and places still are fine
)
PENALTIES = 10.0 ** np.arange(8)  # of the ridge regression


class Analyst:
    """The networks of a run, and a regression from its quality features to its labels. Close it.

    Attributes:
      label: kind of label that the frame scores are in.
    """

    def __init__(self, run: Path) -> None:
        """Read what the run was trained on.

        Raises:
          FileNotFoundError: it is not a run, or its weights, data set or features are not here.
          RunError: it is of an earlier version.
        """
        config = RunFolder(run).config()
        fields = config["features"]
        self._chunk, self._spacing = fields["chunk"], fields["clip_spacing"]
        self._reader = Reader(fields["timeout"])
        self._extractor = build.open_extractor(fields)
        self._streams = self._extractor.streams
        self._probe = _probe(config, self._extractor)
        self.label = registry.label(config["data"]["name"])
        short_side, dtype = fields["short_side"], jnp.dtype(fields["dtype"])

        @functools.partial(jax.jit, static_argnames="names")
        def look(
            params: Mapping[str, Params], frames_NxHxWx3: jax.Array, names: tuple[str, ...]
        ) -> dict[str, jax.Array]:
            maps = {}
            for name in names:
                seen = frames_NxHxWx3
                if name == "semantic" and short_side:
                    seen = resize_short_side(seen, short_side)
                maps[name] = _maps(self._streams[name].backbone, params[name], seen, dtype)
            return maps

        params = {name: stream.params for name, stream in self._streams.items()}
        self._look = functools.partial(look, params)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding process."""
        self._reader.close()

    def analyze(self, path: Path, raw: RawFormat | None = None) -> Analysis:
        """Look at the frames of one video that the run would use.

        Scores are of the features that the run would extract; maps are of whole frames, also where its
        quality stream sees patches.

        Args:
          path: the video.
          raw: how frames lie in a file without a header.

        Raises:
          VideoError: it can't be decoded, or its frames are too small; names the file and the reason.
        """
        if not is_there(path):
            raise VideoError(path, "there is no such file")
        features = self._extractor.extract(VideoFile(sha256(path), path, raw=raw), self._reader)
        indices = features.frame_index
        info = self._reader.open(path, raw)
        chunk = frames_at_once(self._chunk, info.height, info.width)
        takes = {
            name: each.backbone.takes(chunk, self._spacing) for name, each in self._streams.items()
        }
        work = schedule(len(indices), takes)
        rows = run_passes(self._reader.read(path, indices, chunk, raw), work, self._look)
        quality_maps, semantic_maps = (np.concatenate(rows[name]) for name in STREAMS)
        shown = np.unique(np.linspace(0, len(indices) - 1, SHOWN).round().astype(int))
        return Analysis(
            path=path,
            timestamps=features.timestamps,
            shown=shown,
            frames=np.concatenate(list(self._reader.read(path, indices[shown], raw=raw))),
            quality_maps=quality_maps[shown],
            semantic_maps=semantic_maps[shown],
            entropies=frame_entropies(semantic_maps),
            scores=self._probe.predict(features.quality.astype(np.float64)),
        )


def analyze_all(videos: Sequence[VideoFile], run: Path, out: Path) -> int:
    """Draw videos together; one that can't be decoded gets a line, and the others are drawn.

    Args:
      videos: those to draw.
      run: folder of a trained run.
      out: of the picture.

    Returns:
      The exit code: 1 if a video failed, else 0.
    """
    analyses = []
    with Analyst(run) as analyst:
        for video in videos:
            path = video.path
            try:
                analyses.append(analyst.analyze(path, video.raw))
            except VideoError as error:
                say(f"failed: {path}: {error.reason}", "red")
    if analyses:
        stream_maps.write(analyses, analyst.label, out)
        say(out.resolve())
    return 0 if len(analyses) == len(videos) else 1


def _maps(
    backbone: Backbone, params: Params, frames_NxHxWx3: jax.Array, dtype: jnp.dtype
) -> jax.Array:
    """Maps [N, h, w] of frames."""

    def together(frames: jax.Array) -> jax.Array:
        maps = feature_maps(backbone, params, frames, dtype)
        chosen = maps[min(SHOWN_STAGE, len(maps) - 1)]
        strength = jnp.mean(jnp.abs(chosen.astype(jnp.float32)), axis=-1)
        return join_tiles(strength, backbone, *frames.shape[1:3])

    if backbone.clip > 1:
        return jnp.repeat(together(frames_NxHxWx3), backbone.stride, axis=0)
    return jax.lax.map(lambda frame: together(frame[None])[0], frames_NxHxWx3)


def _probe(config: build.Config, extractor: Extractor) -> Pipeline:
    """Ridge regression from the mean over time of the quality features to the labels of a data set.

    The penalty is the one with the smallest leave-one-out error. A linear function of the mean is the mean
    of that function of the frames, so what it says of one frame is a frame score.
    """
    videos = build.labelled_videos(config)
    store = build.open_store(config, extractor)
    ids, labels = [video.video_id for video in videos], [video.mos for video in videos]
    features = TrainingData.of_store(store, ids, labels, ("quality",))
    means = [features.read(n)[0].astype(np.float64).mean(axis=0) for n in range(len(videos))]
    return make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(np.stack(means), features.mos)
