"""What the parts of a config describe: data set, backbones, extractor, store, networks, trainings."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from a2inet_jax.backbones.pretrained import PRETRAINED
from a2inet_jax.backbones.registry import BACKBONES, NORMALIZATIONS, Backbone
from a2inet_jax.backbones.weights import load_params
from a2inet_jax.datasets import registry, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.features.extractor import Extractor, Pretrained
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.features.store import Store
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.vsfa import VSFA
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member
from a2inet_jax.video.sampling import Sampling

Config = Mapping[str, Any]  # an ml_collections.ConfigDict, or the config.json of a run


def backbone(name: str) -> Backbone:
    """The backbone of this name; ValueError lists those there are."""
    if name not in BACKBONES:
        raise ValueError(f"no backbone {name!r}: known are {', '.join(BACKBONES)}")
    return BACKBONES[name]


def open_extractor(
    fields: Config, devices: Sequence[jax.Device] | None = None, memory: int = 2 << 30
) -> Extractor:
    """The extractor that the `features` part of a config describes, on these devices, in so many bytes."""
    if fields["clip_spacing"] < 1:
        raise ValueError(f"features.clip_spacing is {fields['clip_spacing']}: it starts at 1")
    sampling = Sampling(
        frames=fields["frames"] or None,
        short_side=fields["short_side"] or None,
        patches=fields["patches"],
        patch_size=fields["patch_size"],
        clip_spacing=fields["clip_spacing"],
    )
    quality, semantic = (pretrained(fields, stream) for stream in STREAMS)
    return Extractor(quality, semantic, sampling, fields["dtype"], fields["chunk"], memory, devices)


def pretrained(fields: Config, stream: str) -> Pretrained:
    """The backbone of a stream and its parameters, as the `features` part of a config says."""
    chosen = backbone(fields[stream])
    if normalization := fields[f"{stream}_normalization"]:
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"no normalization {normalization!r}: known are {', '.join(NORMALIZATIONS)}"
            )
        chosen = replace(chosen, normalization=normalization)
    return Pretrained(chosen, *load_params(chosen, fields[f"{stream}_weights"]))


def build_model(name: str, fields: Config) -> nn.Module:
    """The network `a2inet`, `concat` (that with fusion "concat") or `vsfa` from a config's `model` part."""
    streams = tuple(fields["streams"])
    common = {key: fields[key] for key in ("neck", "hidden", "pooling", "tau", "beta")}
    common["dtype"] = jnp.dtype(fields["dtype"])
    if name == "vsfa":
        if streams not in (STREAMS, STREAMS[:1], STREAMS[1:]):
            raise ValueError(
                f"model.streams is {streams}: take one or both of {STREAMS}, in this order"
            )
        return VSFA(**common, tail=fields["tail"])
    if name not in ("a2inet", "concat"):
        raise ValueError(f"no model {name!r}: known are a2inet, concat and vsfa")
    if streams != STREAMS:
        raise ValueError(
            f"model.streams is {streams}: {name} takes {STREAMS}; model.name=vsfa takes one as well"
        )
    own = ("width", "fusion", "dropout", "normalization", "norm_axis", "attention", "catm")
    switches = {key: fields[key] for key in (*own, "reduction", "kernel")}
    if name == "concat":
        switches["fusion"] = "concat"
    return A2INet(**common, **switches)


def networks(config: Config) -> list[str]:
    """Names of what is trained: the model, and those baselines that are networks."""
    return [config["model"]["name"], *(name for name in config["baselines"] if name != "svr")]


def seeds(config: Config) -> range:
    """Seeds of the trainings of each split."""
    return range(config["seed"], config["seed"] + config["splits"]["seeds"])


def members(config: Config, parts: Sequence[Split]) -> list[Member]:
    """The trainings of each split, one a seed."""
    if config["splits"]["seeds"] < 1 or config["splits"]["at_once"] < 0:
        raise ValueError("splits.seeds must be at least 1, and splits.at_once not negative")
    return [Member(n, seed, part) for n, part in enumerate(parts) for seed in seeds(config)]


def draw_splits(config: Config, videos: Sequence[Video], listed: Sequence[Video]) -> list[Split]:
    """The splits of a data set that the `splits` part of a config describes.

    Args:
      config: of the run.
      videos: that are there.
      listed: all that the data set has; the splits are drawn of these, so that a video that is missing is
        missing from its part, and moves no other.

    Raises:
      FileNotFoundError: there is no such file of splits.
      ValueError: a field can't be used, the data set doesn't allow such splits, or a test part would hold
        nothing that a correlation could be taken of.
    """
    drawn = _draw_splits(config, listed)
    if config["data"]["allow_missing"]:
        drawn = splits.restrict(drawn, videos)
    try:
        splits.check_tested(drawn, videos)
    except ValueError as error:
        remedy = "take other splits, such as by splits.kind=content"
        if config["splits"]["kind"] == "content":
            remedy = f"raise splits.test, which is {config['splits']['test']:g}"
        raise ValueError(f"{error}. Bring more videos, or {remedy}") from None
    return drawn


def _draw_splits(config: Config, videos: Sequence[Video]) -> list[Split]:
    fields = config["splits"]
    if config["data"]["name"] == registry.TEST_ONLY:
        raise ValueError(f"{registry.TEST_ONLY} is for testing only: train on lsvq")
    if fields["kind"] not in ("content", "own", "file"):
        raise ValueError(f"splits.kind is {fields['kind']!r}: take content, own or file")
    if fields["kind"] == "own":
        return [splits.own_split(videos, config["seed"], fields["validation"])]
    if fields["kind"] == "file":
        if not fields["file"]:
            raise ValueError("splits.kind is file: name it by splits.file")
        found = splits.read(Path(fields["file"]))
        if not config["data"]["allow_missing"]:
            splits.check(found, videos)
        return found
    return splits.make_splits(
        videos,
        number=fields["number"],
        seed=config["seed"],
        test_fraction=fields["test"],
        validation_fraction=fields["validation"],
    )


def plain(config: Config) -> dict[str, Any]:
    """A config as plain values."""
    return config.to_dict() if hasattr(config, "to_dict") else dict(config)


def on(config: Config, dataset: str) -> Config:
    """The config with another data set."""
    other = plain(config)
    return {**other, "data": {**other["data"], "name": dataset, "manual_dir": ""}}


def needed_weights(config: Config) -> list[str]:
    """Names of the weights that a config's networks need; a file of the user's is none."""
    fields = config["features"]
    names = [fields[f"{stream}_weights"] or fields[stream] for stream in STREAMS]
    return [name for name in names if name in PRETRAINED]


def data_folder(config: Config) -> Path:
    """Where data sets, indices and features are."""
    return Path(config["data"]["folder"]).expanduser()


def labelled_videos(config: Config) -> list[Video]:
    """The videos of the data set, which must have been prepared; all of them, unless some may be missing."""
    data = config["data"]
    return registry.load(data["name"], data_folder(config), data["allow_missing"])


def listed_videos(config: Config) -> list[Video]:
    """All videos of the data set, those whose files are missing too; it must have been prepared."""
    data = config["data"]
    return registry.labelled(data["name"], data_folder(config))


def open_store(config: Config, extractor: Extractor) -> Store:
    """Where an extractor's features of the data set are kept."""
    folder, prefix = _features(config)
    return Store(folder / f"{prefix}{extractor.recipe.fingerprint()}", extractor.recipe)


def feature_folders(config: Config) -> list[Path]:
    """The folders of features that there are of the data set, by whatever recipe."""
    folder, prefix = _features(config)
    return sorted(path for path in folder.glob(f"{glob.escape(prefix)}*") if path.is_dir())


def _features(config: Config) -> tuple[Path, str]:
    """The folder of all features, and how the data set's folders in it begin."""
    name = config["data"]["name"]
    return data_folder(config) / "features", f"{registry.slug(name)}-{registry.version(name)}-"


def stored_features(
    config: Config,
    videos: Sequence[Video],
    extractor: Extractor,
    remedy: str = "run `a2inet extract`",
) -> TrainingData:
    """The features of all videos that an extractor of theirs has stored.

    Raises:
      FileNotFoundError: some are not there; the message ends with the remedy.
    """
    store = open_store(config, extractor)
    ids, labels = [video.video_id for video in videos], [video.mos for video in videos]
    if missing := store.missing(ids):
        raise FileNotFoundError(
            f"{store.folder} lacks the features of {len(missing)} of {len(ids)} videos, "
            f"{missing[0]} the first: {remedy}"
        )
    return TrainingData.of_store(store, ids, labels, config["model"]["streams"])
