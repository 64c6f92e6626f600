"""What the two streams see of a video, as in the paper's Fig. 1: `a2inet analyze`.

The map of a stream is the mean over the channels of |activation| in its network. The frame entropy of the
semantic map tells how much there is to see, the frame score of the quality stream how good it looks.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from a2inet_jax import from_config
from a2inet_jax.backbones.conversion import Params
from a2inet_jax.backbones.description import feature_maps, join_tiles
from a2inet_jax.backbones.pooling import pool_stages
from a2inet_jax.backbones.table import Backbone
from a2inet_jax.console import console
from a2inet_jax.datasets import index
from a2inet_jax.evaluation import stream_maps
from a2inet_jax.evaluation.stream_maps import SHOWN, Analysis, frame_entropies
from a2inet_jax.experiment import labelled_videos, open_store
from a2inet_jax.features.extractor import frames_at_once
from a2inet_jax.features.passes import run_passes, schedule
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.training.features import Features
from a2inet_jax.video.decode import VideoError
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import frame_indices

SHOWN_STAGE = (
    2  # of networks with four: stride 16, where things are recognised and places still are fine
)
PENALTIES = 10.0 ** np.arange(8)  # of the ridge regression


class Analyst:
    """The two networks of a run, and a regression from its quality features to its labels.

    Attributes:
      label: kind of label that the frame scores are in.
    """

    def __init__(self, run: Path) -> None:
        """Read what the run was trained on.

        Raises:
          FileNotFoundError: it is no run, or its weights, data set or features are not here.
        """
        config = RunFolder(run).config()
        fields = config["features"]
        self._streams = {name: from_config.pretrained(fields, name) for name in from_config.STREAMS}
        self._frames, self._chunk = fields["frames"] or None, fields["chunk"]
        self._spacing, self._timeout_s = fields["clip_spacing"], fields["timeout"]
        self._probe = _probe(config)
        self.label, _ = index.label(config["data"]["name"])
        dtype = jnp.dtype(fields["dtype"])

        @functools.partial(jax.jit, static_argnames="names")
        def look(
            params: Mapping[str, Params], frames_NxHxWx3: jax.Array, names: tuple[str, ...]
        ) -> dict[str, tuple[jax.Array, jax.Array]]:
            return {
                name: _rows(self._streams[name].backbone, params[name], frames_NxHxWx3, dtype)
                for name in names
            }

        params = {name: stream.params for name, stream in self._streams.items()}
        self._look = functools.partial(look, params)

    def analyze(self, path: Path) -> Analysis:
        """Look at one video. Both streams see whole frames of their own size, as many as in the run.

        Args:
          path: the video.

        Raises:
          VideoError: it can't be decoded, or its frames are too small; names the file and the reason.
        """
        if not path.is_file():
            raise VideoError(path, "there is no such file")
        with Reader(self._timeout_s) as reader:
            info = reader.open(path)
            for stream in self._streams.values():
                if problem := stream.backbone.too_small(info.height, info.width):
                    raise VideoError(path, problem)
            indices = frame_indices(info.frames, self._frames)
            chunk = frames_at_once(self._chunk, info.height, info.width)
            takes = {
                name: each.backbone.takes(chunk, self._spacing)
                for name, each in self._streams.items()
            }
            rows = run_passes(
                reader.read(path, indices, chunk), schedule(len(indices), takes), self._look
            )
            shown = np.unique(np.linspace(0, len(indices) - 1, SHOWN).round().astype(int))
            frames = np.concatenate(list(reader.read(path, indices[shown])))
        (quality, quality_maps), (_, semantic_maps) = (
            tuple(np.concatenate(parts) for parts in zip(*rows[name]))
            for name in from_config.STREAMS
        )
        return Analysis(
            path=path,
            timestamps=info.timestamps[indices],
            shown=shown,
            frames=frames,
            quality_maps=quality_maps[shown],
            semantic_maps=semantic_maps[shown],
            entropies=frame_entropies(semantic_maps),
            scores=self._probe.predict(quality.astype(np.float64)),
        )


def analyze_all(paths: Sequence[Path], run: Path, out: Path) -> int:
    """Draw videos together; one that can't be decoded gets a line, and the others are drawn.

    Args:
      paths: of the videos.
      run: folder of a trained run.
      out: of the picture.

    Returns:
      The exit code: 1 if a video failed, else 0.
    """
    analyst = Analyst(run)
    analyses = []
    for path in paths:
        try:
            analyses.append(analyst.analyze(path))
        except VideoError as error:
            console.print(f"failed: {path}: {error.reason}", style="red", markup=False)
    if analyses:
        stream_maps.write(analyses, analyst.label, out)
        console.print(str(out.resolve()), highlight=False, soft_wrap=True)
    return 0 if len(analyses) == len(paths) else 1


def _rows(
    backbone: Backbone, params: Params, frames_NxHxWx3: jax.Array, dtype: jnp.dtype
) -> tuple[jax.Array, jax.Array]:
    """Features [N, width] and maps [N, h, w] of frames."""
    maps = feature_maps(backbone, params, frames_NxHxWx3, dtype)
    chosen = maps[min(SHOWN_STAGE, len(maps) - 1)]
    strength = jnp.mean(jnp.abs(chosen.astype(jnp.float32)), axis=-1)
    joined = join_tiles(strength, backbone, *frames_NxHxWx3.shape[1:3])
    return (
        jnp.repeat(pool_stages(maps), backbone.stride, axis=0),
        jnp.repeat(joined, backbone.stride, axis=0),
    )


def _probe(config: from_config.Config) -> Pipeline:
    """Ridge regression from the mean over time of the quality features to the labels of a data set.

    The penalty is the one with the smallest leave-one-out error. A linear function of the mean is the mean
    of that function of the frames, so what it says of one frame is a frame score.
    """
    videos = labelled_videos(config)
    with from_config.open_extractor(config["features"]) as extractor:
        store = open_store(config, extractor)
    ids, labels = [video.video_id for video in videos], [video.mos for video in videos]
    features = Features.of_store(store, ids, labels, ("quality",))
    means = [features.read(n)[0].astype(np.float64).mean(axis=0) for n in range(len(videos))]
    return make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(np.stack(means), features.mos)
