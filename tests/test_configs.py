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
from ml_collections import ConfigDict

from a2inet_jax import build
from a2inet_jax.backbones.registry import BACKBONES
from a2inet_jax.config import Train
from a2inet_jax.datasets import registry, splits
from a2inet_jax.datasets.video import Video
from a2inet_jax.training import losses
from a2inet_jax.video.sampling import Sampling
from configs import table4
from tests import paper_rows
from tests.head_inputs import apply, parameters, quick_jit

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "configs").glob("*.py"))
WIDTHS = {name: backbone.width for name, backbone in BACKBONES.items()}


FILES = {name: importlib.import_module(f"configs.{name}") for name in NAMES if name != "rows"}
TABLES = [name for name, file in FILES.items() if hasattr(file, "ROWS")]
ALL = [
    f"{name}:{row}" if row else name
    for name, file in FILES.items()
    for row in getattr(file, "ROWS", ("",))
]


def load(name: str) -> ConfigDict:
    file, _, row = name.partition(":")
    return FILES[file].get_config(row) if row else FILES[file].get_config()


def widths(config: ConfigDict) -> tuple[int, ...]:
    return tuple(WIDTHS[config.features[stream]] for stream in config.model.streams)


def models(config: ConfigDict) -> list[nn.Module]:
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
    Train(**config.train)
    Sampling(
        config.features.frames or None, config.features.short_side or None, config.features.patches
    )


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
    config = load(name)
    config.model.width, config.model.tau = 8, 2  # quick to compile
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
    config = load("konvid_1k")
    assert (config.model.width, config.model.tau, config.model.beta) == (1024, 12, 0.5)
    assert (config.train.learning_rate, config.train.batch_size) == (2e-5, 8)
    assert (config.splits.number, config.splits.test, config.train.rank_weight) == (10, 0.2, 1.0)
    assert (config.features.frames, config.features.patches) == (0, 0)
    assert widths(config) == (1920, 7680)


# What the paper prints with one number (here its SRCC on KoNViD-1k) is one experiment.
@pytest.mark.parametrize(
    "names",
    [
        ("table4:SQ+SS", "table5:Concat,CNN+CNN", "table7:FE,S+S"),  # 0.8435
        ("table4:SQ+MS", "table5:Concat,CNN+Fast", "table7:FE,S+M"),  # 0.8499
        ("table5:CAGI,CNN+CNN", "table7:FE+GC,S+S"),  # 0.8665
        ("table5:CAGI,CNN+Fast", "table7:FE+GC,S+M"),  # 0.8751
        ("table2:FR,S+S", "table6:cgin,S+S", "table7:FE+GC+TM,S+S", "konvid_1k"),  # 0.8695
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
    configs = [load(name) for name in ALL if ":" in name]
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
    with pytest.raises(ValueError, match=f"no row '{re.escape(row)}'.*") as refusal:
        FILES[name].get_config(row)
    assert all(known in str(refusal.value) for known in FILES[name].ROWS)


def test_rows_are_had_on_other_data_sets() -> None:
    own = table4.get_config("SQ+MS@clips/labels.csv")
    assert (own.name, own.data.name) == ("table4_SQ+MS_clips", "clips/labels.csv")
    assert (own.features.quality, own.features.semantic) == ("resnet34_unique", "slowfast_r50_fast")
    sample = table4.get_config("SQ+MS@sample")
    assert (sample.name, sample.data.name) == ("table4_SQ+MS_sample", "sample")
    assert (sample.features.quality, sample.features.semantic) == (
        "resnet18_fdim",
        "i3d_kinetics400",
    )
    assert (sample.features.frames, sample.model.width) == (16, 256)
    for name in registry.NAMES:  # each has a file of its own, but that on which nothing is trained
        assert table4.get_config(f"SQ+MS@{name}").data.name == name
    lsvq = table4.build("SS", "lsvq", "index")
    assert (lsvq.features.semantic, lsvq.splits.kind) == ("efficientnet_lite0", "own")


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_called_as_the_paper_calls_them(name: str) -> None:
    table = int(name.removeprefix("table"))
    assert set(FILES[name].ROWS.values()) <= set(paper_rows.rows(table))
    for dataset in FILES[name].DATASETS:
        load(f"{name}:{next(iter(FILES[name].ROWS))}@{dataset}")


def test_preprocessed_mode_is_the_paper_s() -> None:
    fields = load("table2:PR,S+S").features
    assert (fields.frames, fields.short_side) == (128, 540)
    assert (fields.patches, fields.patch_size) == (4, 768)


def test_unknown_names_are_refused() -> None:
    config = load("base")
    with pytest.raises(ValueError, match="no model 'a3inet'"):
        build.build_model("a3inet", config.model)
    config.features.quality = "vgg"
    with pytest.raises(ValueError, match="no backbone 'vgg'"):
        build.open_extractor(config.features)


def test_clips_of_no_frames_are_refused() -> None:
    fields = load("base").features
    fields.clip_spacing = 0
    with pytest.raises(ValueError, match="clip_spacing is 0"):
        build.open_extractor(fields)


def test_streams_must_fit_the_model() -> None:
    fields = load("table4:SQ").model
    with pytest.raises(ValueError, match=r"a2inet takes \('quality', 'semantic'\)"):
        build.build_model("a2inet", fields)
    fields.streams = ("motion",)
    with pytest.raises(ValueError, match="take one or both"):
        build.build_model("vsfa", fields)


def draw(config: ConfigDict, found: list[Video]) -> list[splits.Split]:
    """Splits where all videos are there."""
    return build.draw_splits(config, found, found)


def videos(*parts: str) -> list[Video]:
    return [Video(f"v{n}", Path("v.mp4"), 1.0 * n, f"v{n}", part=p) for n, p in enumerate(parts)]


def test_splits_are_drawn_as_the_config_says(tmp_path: Path) -> None:
    config = load("base")
    config.splits.number, config.splits.test = 2, 0.3
    drawn = draw(config, videos(*[""] * 10))
    assert [len(split.test) for split in drawn] == [3, 3]

    (own,) = draw(load("lsvq"), videos(*["train"] * 10, "test", "test"))
    assert own.test == ("v10", "v11")
    assert (len(own.train), len(own.validation)) == (9, 1)

    config.splits.kind, config.splits.file = "file", str(tmp_path / "s.json")
    splits.save(drawn[1:], tmp_path / "s.json")
    assert draw(config, videos(*[""] * 10)) == drawn[1:]
    with pytest.raises(ValueError, match="1 of 10 videos of the splits are not in the data set"):
        draw(config, videos(*[""] * 9))
    config.data.allow_missing = True
    (left,) = draw(config, videos(*[""] * 9))
    assert len(left.train) + len(left.validation) + len(left.test) == 9


@pytest.mark.parametrize("kind", ["content", "own"])
def test_a_missing_video_moves_no_other(kind: str) -> None:
    config = load("lsvq" if kind == "own" else "base")
    listed = videos(*["train"] * 30, *["test"] * 10)
    whole = draw(config, listed)
    gone = {"v3", "v35"}
    config.data.allow_missing = True
    left = build.draw_splits(config, [v for v in listed if v.video_id not in gone], listed)
    assert len(left) == len(whole)
    for before, after in zip(whole, left, strict=True):
        for part in ("train", "validation", "test"):
            kept = [name for name in getattr(before, part) if name not in gone]
            assert list(getattr(after, part)) == kept


def test_what_can_t_be_measured_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    config = load("base")
    config.splits.number = 3
    said = "1 of 6 videos.* to test on.*raise splits.test, which is 0.2"
    with pytest.raises(ValueError, match=said):
        draw(config, videos(*[""] * 6))
    config.splits.test = 0.4
    assert len(draw(config, videos(*[""] * 6))) == 3
    with pytest.raises(ValueError, match=r"1 of 10 videos.*splits\.kind=content"):
        draw(load("lsvq"), videos(*["train"] * 9, "test"))
    alike = [replace(video, mos=3.0) for video in videos(*[""] * 6)]
    with pytest.raises(ValueError, match="all of one label"):
        draw(config, alike)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"splits": {"kind": "random"}}, "splits.kind is 'random'"),
        ({"splits": {"kind": "file"}}, "name it by splits.file"),
        ({"data": {"name": "lsvq_1080p"}}, "for testing only"),
    ],
)
def test_splits_that_can_t_be_drawn(fields: dict[str, Any], message: str) -> None:
    config = load("base")
    config.update(fields)
    with pytest.raises(ValueError, match=message):
        draw(config, videos(*[""] * 10))
