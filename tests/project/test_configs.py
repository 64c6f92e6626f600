"""Every config, with every row of the paper's tables, builds what it describes, and learns from it."""

import functools
import importlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from a2inet_jax import build, config_file
from a2inet_jax.backbones.registry import BACKBONES
from a2inet_jax.config import Experiment
from a2inet_jax.datasets import registry, splits
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError
from a2inet_jax.training import losses
from a2inet_jax.video.sampling import Sampling
from tests import paper_rows
from tests.experiments import changed
from tests.head_inputs import apply, parameters, quick_jit

WIDTHS = {name: backbone.width for name, backbone in BACKBONES.items()}
FILES = {
    name: importlib.import_module(f"a2inet_jax.configs.{name}") for name in config_file.packaged()
}
TABLES = [name for name, file in FILES.items() if hasattr(file, "ROWS")]
ARGUMENTS = {"dataset": registry.NAMES} | {name: FILES[name].ROWS for name in TABLES}
ALL = [
    f"{name}:{argument}" if argument else name
    for name in FILES
    for argument in ARGUMENTS.get(name, ("",))
]
load = config_file.load


def widths(config: Experiment) -> tuple[int, ...]:
    return tuple(WIDTHS[getattr(config.features, stream)] for stream in config.model.streams)


def models(config: Experiment) -> list[nn.Module]:
    names = (config.model.name, *(name for name in config.baselines if name != "svr"))
    return [build.build_model(name, config.model) for name in names]


@pytest.mark.parametrize("name", ALL)
def test_config_builds(name: str) -> None:
    config = load(name)
    streams = tuple(jax.ShapeDtypeStruct((2, 5, width), jnp.float16) for width in widths(config))
    mask = jax.ShapeDtypeStruct((2, 5), bool)
    for model in models(config):
        outputs, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), streams, mask)
        assert outputs.score.shape == (2,)
    features = config.features
    Sampling(features.num_frames or None, features.short_side_px or None, features.num_patches)


@functools.partial(quick_jit, static_argnums=0)
def step(model: nn.Module, params: Any, streams: Any, mask: Any, keys: Any) -> Any:
    def loss(params: Any) -> jax.Array:
        score = apply(model, params, streams, mask, keys).score
        return losses.total(score, jnp.asarray([0.0, 1.0]), jnp.ones(2, bool)).total

    value, gradient = jax.value_and_grad(loss)(params)
    optimizer = optax.sgd(1e-3)
    updates, _ = optimizer.update(gradient, optimizer.init(params))
    return value, optax.apply_updates(params, updates)


@pytest.mark.parametrize("name", ALL)
def test_config_learns(name: str) -> None:
    config = load(name, ["model.width=8", "model.tau=2"])  # quick to compile
    for model in models(config):
        before, after, finite = learn(model, widths(config))
        assert after < before
        assert finite


@functools.cache  # several configs have one model
def learn(model: nn.Module, widths: tuple[int, ...]) -> tuple[float, float, bool]:
    """The loss before and after a step, and whether the parameters are finite."""
    rng = np.random.default_rng(0)
    streams = tuple(rng.random((2, 4, width), np.float32) for width in widths)
    mask = np.arange(4)[None, :] < np.array([[4], [2]])
    keys = jax.random.split(jax.random.key(0))
    params = parameters(model, streams, mask, dtype=np.float32)
    before, params = step(model, params, streams, mask, keys)
    after, params = step(model, params, streams, mask, keys)
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    return float(before), float(after), finite


def test_the_paper_s_settings() -> None:
    config = load("dataset:konvid_1k")
    assert (config.model.width, config.model.tau, config.model.beta) == (1024, 12, 0.5)
    assert (config.train.learning_rate, config.train.batch_size) == (2e-5, 8)
    assert (config.splits.num_splits, config.splits.test_fraction) == (10, 0.2)
    assert config.train.rank_weight == 1.0
    assert (config.features.num_frames, config.features.num_patches) == (0, 0)
    assert widths(config) == (1920, 7680)


# What the paper prints with one number (here its SRCC on KoNViD-1k) is one experiment.
@pytest.mark.parametrize(
    "names",
    [
        ("table4:SQ+SS", "table5:Concat,CNN+CNN", "table7:FE,S+S"),  # 0.8435
        ("table4:SQ+MS", "table5:Concat,CNN+Fast", "table7:FE,S+M"),  # 0.8499
        ("table5:CAGI,CNN+CNN", "table7:FE+GC,S+S"),  # 0.8665
        ("table5:CAGI,CNN+Fast", "table7:FE+GC,S+M"),  # 0.8751
        ("table2:FR,S+S", "table6:cgin,S+S", "table7:FE+GC+TM,S+S", "dataset:konvid_1k"),  # 0.8695
        ("table2:FR,S+M", "table6:cgin,S+M", "table7:FE+GC+TM,S+M"),  # 0.8875
    ],
)
def test_tables_agree(names: tuple[str, ...]) -> None:
    first, *others = (load(name) for name in names)
    for other in others:
        assert models(other)[0] == models(first)[0]
        assert (other.features, other.model.streams) == (first.features, first.model.streams)


def test_other_rows_are_other_experiments() -> None:
    assert {name: len(FILES[name].ROWS) for name in TABLES} == {
        "table2": 4,
        "table3": 4,
        "table4": 6,
        "table5": 24,
        "table6": 10,
        "table7": 7,
    }
    configs = [load(name) for name in ALL if name.startswith("table")]
    # A run is a folder of this name.
    assert all(re.fullmatch(r"table\d_[\w+]+", config.name) for config in configs)
    assert len({config.name for config in configs}) == len(configs)
    different = {
        (models(config)[0], str(config.features), config.model.streams, config.data.name)
        for config in configs
    }
    assert len(different) == len(configs) - 10  # the repetitions of the test above


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("row", ["", "SQ+QS"])
def test_unknown_rows_are_refused(name: str, row: str) -> None:
    with pytest.raises(ConfigError, match=f"no row '{re.escape(row)}'.*") as refusal:
        load(f"{name}:{row}")
    assert all(known in str(refusal.value) for known in FILES[name].ROWS)


def test_rows_are_available_on_other_data_sets() -> None:
    custom = load("table4:SQ+MS@clips/labels.csv")
    assert (custom.name, custom.data.name) == ("table4_SQ+MS_clips", "clips/labels.csv")
    networks = (custom.features.quality, custom.features.semantic)
    assert networks == ("resnet34_unique", "slowfast_r50_fast")
    sample = load("table4:SQ+MS@sample")
    assert (sample.name, sample.data.name) == ("table4_SQ+MS_sample", "sample")
    networks = (sample.features.quality, sample.features.semantic)
    assert networks == ("resnet18_fdim", "i3d_kinetics400")
    assert (sample.features.num_frames, sample.model.width) == (16, 256)
    for name in registry.NAMES:
        assert load(f"table4:SQ+MS@{name}").data.name == name
    lsvq = FILES["table4"].build("SS", "lsvq", "index")
    assert (lsvq.features.semantic, lsvq.splits.kind) == ("efficientnet_lite0", "own")


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_called_as_the_paper_calls_them(name: str) -> None:
    table = int(name.removeprefix("table"))
    assert set(FILES[name].ROWS.values()) <= set(paper_rows.rows(table))
    for dataset in FILES[name].DATASETS:
        load(f"{name}:{next(iter(FILES[name].ROWS))}@{dataset}")


def test_preprocessed_mode_is_the_paper_s() -> None:
    fields = load("table2:PR,S+S").features
    assert (fields.num_frames, fields.short_side_px) == (128, 540)
    assert (fields.num_patches, fields.patch_size_px) == (4, 768)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="no model 'a3inet'"):
        build.build_model("a3inet", load("base").model)
    with pytest.raises(ConfigError, match="no backbone 'vgg'"):
        build.open_extractor(load("base", ["features.quality=vgg"]))


def test_clips_of_no_frames_are_refused() -> None:
    with pytest.raises(ConfigError, match="clip_spacing is 0"):
        load("base", ["features.clip_spacing=0"])


def test_streams_must_fit_the_model() -> None:
    fields = load("table4:SQ").model
    with pytest.raises(ConfigError, match=r"a2inet takes \('quality', 'semantic'\)"):
        build.build_model("a2inet", fields)
    with pytest.raises(ConfigError, match="some of quality, semantic"):
        load("table4:SQ", ["model.streams=('motion',)"])
    with pytest.raises(ConfigError, match="take one or both"):
        build.build_model("vsfa", replace(fields, streams=("semantic", "quality")))


def draw(config: Experiment, found: list[Video]) -> list[splits.Split]:
    """Splits where all videos are there."""
    return build.draw_splits(config, found, found)


def videos(*parts: str) -> list[Video]:
    return [Video(f"v{n}", Path("v.mp4"), 1.0 * n, f"v{n}", subset=p) for n, p in enumerate(parts)]


def test_splits_are_drawn_as_the_config_says(tmp_path: Path) -> None:
    config = load("base", ["splits.num_splits=2", "splits.test_fraction=0.3"])
    drawn = draw(config, videos(*[""] * 10))
    assert [len(split.test) for split in drawn] == [3, 3]

    (own,) = draw(load("dataset:lsvq"), videos(*["train"] * 10, "test", "test"))
    assert own.test == ("v10", "v11")
    assert (len(own.train), len(own.validation)) == (9, 1)

    config = changed(config, "splits.kind=file", f"splits.file={tmp_path / 's.json'}")
    splits.save(drawn[1:], tmp_path / "s.json")
    assert draw(config, videos(*[""] * 10)) == drawn[1:]
    with pytest.raises(ValueError, match="1 of 10 videos of the splits are not in the data set"):
        draw(config, videos(*[""] * 9))
    config = changed(config, "data.allow_missing=True")
    (left,) = draw(config, videos(*[""] * 9))
    assert len(left.train) + len(left.validation) + len(left.test) == 9


@pytest.mark.parametrize("kind", ["content", "own"])
def test_a_missing_video_moves_no_other(kind: str) -> None:
    config = load("dataset:lsvq" if kind == "own" else "base")
    listed = videos(*["train"] * 30, *["test"] * 10)
    whole = draw(config, listed)
    gone = {"v3", "v35"}
    config = changed(config, "data.allow_missing=True")
    left = build.draw_splits(config, [v for v in listed if v.video_id not in gone], listed)
    assert len(left) == len(whole)
    for before, after in zip(whole, left, strict=True):
        for part in ("train", "validation", "test"):
            kept = [name for name in getattr(before, part) if name not in gone]
            assert list(getattr(after, part)) == kept


def test_what_can_t_be_measured_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    config = load("base", ["splits.num_splits=3"])
    said = "1 of 6 videos.* to test on.*raise --config.splits.test_fraction, which is 0.2"
    with pytest.raises(ValueError, match=said):
        draw(config, videos(*[""] * 6))
    config = changed(config, "splits.test_fraction=0.4")
    assert len(draw(config, videos(*[""] * 6))) == 3
    with pytest.raises(ValueError, match=r"1 of 10 videos.*splits\.kind=content"):
        draw(load("dataset:lsvq"), videos(*["train"] * 9, "test"))
    alike = [replace(video, mos=3.0) for video in videos(*[""] * 6)]
    with pytest.raises(ValueError, match="all with the same label"):
        draw(config, alike)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (["splits.kind=random"], "splits.kind is 'random'; it takes one of content, own, file"),
        (["splits.kind=file"], "name the file, --config.splits.file=FILE"),
        (["data.name=lsvq_1080p"], "for testing only"),
    ],
)
def test_splits_that_can_t_be_drawn(fields: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw(load("base", fields), videos(*[""] * 10))
