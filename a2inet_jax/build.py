"""An experiment's parts, made from its configuration: data set, networks, stores, heads, ensemble members."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from a2inet_jax.backbones.pretrained import PRETRAINED
from a2inet_jax.backbones.registry import BACKBONES, Backbone
from a2inet_jax.backbones.weights import load_params
from a2inet_jax.config import Experiment, Features, Model, Splits
from a2inet_jax.datasets import registry, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError, DataError
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.network import Network
from a2inet_jax.features.recipe import STREAMS, Recipe
from a2inet_jax.features.store import open_stores
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.vsfa import VSFA
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member
from a2inet_jax.video.sampling import Sampling


def backbone(name: str) -> Backbone:
    """Return the backbone of this name; `ConfigError` lists all names."""
    if name not in BACKBONES:
        raise ConfigError(f"no backbone {name!r}: known are {', '.join(BACKBONES)}")
    return BACKBONES[name]


def open_extractor(
    config: Experiment,
    devices: Sequence[jax.Device] | None = None,
    streams: Sequence[str] | None = None,
) -> Extractor:
    """Make the extractor of the model's streams or of those given, on these devices or the default one."""
    features = config.features
    return Extractor(
        {stream: open_network(features, stream) for stream in streams or config.model.streams},
        features.chunk_frames,
        int(features.memory_gib * 2**30),
        devices,
    )


def open_network(features: Features, stream: str) -> Network:
    """Return a stream's backbone, its parameters and what it sees of a video."""
    backbone = stream_backbone(features, stream)
    params, sha256 = load_params(backbone, getattr(features, f"{stream}_weights"))
    return Network(backbone, params, sha256, stream_sampling(features, stream), features.dtype)


def stream_backbone(features: Features, stream: str) -> Backbone:
    """Return a stream's backbone, with the normalization that the config gives it."""
    chosen = backbone(getattr(features, stream))
    normalization = getattr(features, f"{stream}_normalization")
    return replace(chosen, normalization=normalization or chosen.normalization)


def stream_sampling(features: Features, stream: str) -> Sampling:
    """Return what a stream sees of a video; fields that have no effect have their defaults."""
    fields: dict[str, Any] = {"frames": features.num_frames or None}
    if stream == "semantic":
        fields["short_side"] = features.short_side_px or None
    elif features.num_patches:
        fields |= {"patches": features.num_patches, "patch_size": features.patch_size_px}
    if backbone(getattr(features, stream)).clip_frames > 1:
        fields["clip_spacing"] = features.clip_spacing
    return Sampling(**fields)


# Fields of the model by the fusion that uses them.
_FUSIONS = {"cagi": ("normalization", "norm_axis", "attention"), "concat_mlp": ("dropout",)}


def build_model(name: str, fields: Model) -> nn.Module:
    """Make a head: `a2inet`, `concat` (a2inet with fusion "concat") or `vsfa`."""
    shared = ("neck", "hidden", "pooling", "tau", "beta")
    common: dict[str, Any] = {key: getattr(fields, key) for key in shared}
    common["dtype"] = jnp.dtype(fields.dtype)
    if name == "vsfa":
        if fields.streams not in (STREAMS, STREAMS[:1], STREAMS[1:]):
            raise ConfigError(
                f"model.streams is {fields.streams}: take one or both of {STREAMS}, in this order"
            )
        return VSFA(**common, tail=fields.tail)
    if name not in ("a2inet", "concat"):
        raise ConfigError(f"no model {name!r}: known are a2inet, concat and vsfa")
    if fields.streams != STREAMS:
        raise ConfigError(
            f"model.streams is {fields.streams}: {name} takes {STREAMS}; "
            "model.name=vsfa also takes one"
        )
    if fields.catm and fields.width < fields.reduction:
        raise ConfigError(
            f"model.reduction is {fields.reduction}: it takes at most model.width, {fields.width}"
        )
    own = ("width", "catm", "reduction", "kernel", *_FUSIONS["cagi"], *_FUSIONS["concat_mlp"])
    switches: dict[str, Any] = {key: getattr(fields, key) for key in own}
    return A2INet(**common, **switches, fusion="concat" if name == "concat" else fields.fusion)


def essence(config: Experiment) -> tuple[nn.Module, dict[str, Any]]:
    """Return the model's computation and its features, without the fields that have no effect on them."""
    features, model = config.features, config.model
    idle = [name for key in _FUSIONS.keys() - {model.fusion} for name in _FUSIONS[key]]
    idle += [] if model.catm else ["reduction", "kernel"]
    used = replace(model, **{name: getattr(Model, name) for name in idle})
    seen: dict[str, Any] = {"dtype": features.dtype}
    for stream in model.streams:
        network = stream_backbone(features, stream)
        sampling = stream_sampling(features, stream)
        weights = _weights(features, stream)
        seen[stream] = (network.name, weights, network.normalization, sampling)
    return build_model(model.name, used), seen


def networks(config: Experiment) -> list[str]:
    """Return the names of the heads that are trained: the model, and the baselines that are networks."""
    return [config.model.name, *(name for name in config.baselines if name != "svr")]


def seeds(config: Experiment) -> range:
    """Return the seeds of each split's ensemble members."""
    return range(config.seed, config.seed + config.splits.num_seeds)


def members(config: Experiment, drawn: Sequence[Split]) -> list[Member]:
    """Return the ensemble members: each split with each seed."""
    return [Member(n, seed, split) for n, split in enumerate(drawn) for seed in seeds(config)]


def draw_splits(
    config: Experiment, videos: Sequence[Video], listed: Sequence[Video]
) -> list[Split]:
    """Draw the splits of a data set, or read them.

    Args:
        videos: Those whose files are here.
        listed: All of the data set. Splits are drawn from these, so that a missing video is missing from
            its subset and moves no other.

    Raises:
        FileNotFoundError: There is no such file of splits.
        ConfigError: The data set does not allow such splits.
        DataError: A test subset would be too small for a correlation, or the file does not fit.
    """
    drawn = _draw_splits(config, listed)
    if config.data.allow_missing:
        drawn = splits.restrict(drawn, videos)
    try:
        splits.check_test_sets(drawn, videos)
    except ValueError as error:
        remedy = "take other splits, such as --config.splits.kind=content"
        if config.splits.kind == "content":
            remedy = (
                f"raise --config.splits.test_fraction, which is {config.splits.test_fraction:g}"
            )
        raise DataError(f"{error}. Bring more videos, or {remedy}") from None
    return drawn


def _draw_splits(config: Experiment, videos: Sequence[Video]) -> list[Split]:
    fields: Splits = config.splits
    if config.data.name == registry.TEST_ONLY:
        raise ConfigError(f"{registry.TEST_ONLY} is for testing only: train on lsvq")
    if fields.kind == "own":
        return [splits.own_split(videos, config.seed, fields.validation_fraction)]
    if fields.kind == "file":
        if not fields.file:
            raise ConfigError("splits.kind is file: name the file, --config.splits.file=FILE")
        found = splits.read(Path(fields.file))
        if not config.data.allow_missing:
            splits.check_known(found, videos)
        return found
    return splits.make_splits(
        videos,
        number=fields.num_splits,
        seed=config.seed,
        test_fraction=fields.test_fraction,
        validation_fraction=fields.validation_fraction,
    )


def on(config: Experiment, dataset: str) -> Experiment:
    """Return the experiment with another data set."""
    return replace(config, data=replace(config.data, name=dataset, manual_dir=""))


def needed_weights(config: Experiment) -> list[str]:
    """Return the names of the streams' weights; a checkpoint of the user's is none of them."""
    names = [_weights(config.features, stream) for stream in config.model.streams]
    return [name for name in names if name in PRETRAINED]


def _weights(features: Features, stream: str) -> str:
    return getattr(features, f"{stream}_weights") or getattr(features, stream)


def labelled_videos(config: Experiment) -> list[Video]:
    """Return the videos of the prepared data set: all, unless some may be missing."""
    return registry.load(config.data.name, config.data.path, config.data.allow_missing)


def listed_videos(config: Experiment) -> list[Video]:
    """Return all videos of the prepared data set, also those whose files are missing."""
    return registry.list_videos(config.data.name, config.data.path)


def features_folder(config: Experiment) -> Path:
    """Return the folder of the stores of the data set."""
    name = config.data.name
    return config.data.path / "features" / f"{registry.slug(name)}-{registry.version(name)}"


def stored_features(
    config: Experiment,
    videos: Sequence[Video],
    recipes: Mapping[str, Recipe],
    remedy: str = "run `a2inet extract`",
) -> TrainingData:
    """Open the stored features of all these videos, from the store of each stream's recipe.

    Raises:
        FileNotFoundError: Some are missing; the message ends with the remedy.
        StoreError: Some cannot be used, or the streams' frames differ.
    """
    stores = list(open_stores(features_folder(config), recipes).values())
    ids, labels = [video.video_id for video in videos], [video.mos for video in videos]
    for store in stores:
        if missing := store.missing(ids):
            raise FileNotFoundError(
                f"{config.data.name} has no features by {store.recipe.backbone} for {len(missing)} of "
                f"{len(ids)} videos, {missing[0]} the first: {remedy}"
            )
    return TrainingData.of_stores(stores, ids, labels)
