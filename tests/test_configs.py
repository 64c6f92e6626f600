"""Every config builds the models, the settings and the sampling that it describes."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from a2inet_jax import experiment
from a2inet_jax.backbones.table import BACKBONES
from a2inet_jax.training.settings import Settings
from a2inet_jax.video.sampling import Sampling

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


def load(path: Path) -> ConfigDict:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_builds(path: Path) -> None:
    config = load(path)
    widths = [BACKBONES[config.features[key]].width for key in ("quality", "semantic")]
    streams = tuple(jax.ShapeDtypeStruct((2, 5, width), jnp.float16) for width in widths)
    mask = jax.ShapeDtypeStruct((2, 5), bool)
    for name in ("a2inet", *(x for x in config.baselines if x != "svr")):
        model = experiment.build_model(name, config.model)
        outputs, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), streams, mask)
        assert outputs.score.shape == (2,)
    Settings(**config.train, seed=config.seed)
    Sampling(
        config.features.frames or None, config.features.short_side or None, config.features.patches
    )


def test_the_paper_s_settings() -> None:
    config = load(CONFIGS[0].with_name("konvid_1k.py"))
    assert (config.model.width, config.model.tau, config.model.beta) == (1024, 12, 0.5)
    assert (config.train.learning_rate, config.train.batch_size) == (2e-5, 8)
    assert (config.splits.number, config.splits.test, config.train.rank_weight) == (10, 0.2, 1.0)
    assert (config.features.frames, config.features.patches) == (0, 0)
    quality, semantic = config.features.quality, config.features.semantic
    assert (BACKBONES[quality].width, BACKBONES[semantic].width) == (1920, 7680)


def test_unknown_names_are_refused() -> None:
    config = load(CONFIGS[0].with_name("base.py"))
    with pytest.raises(ValueError, match="no model 'a3inet'"):
        experiment.build_model("a3inet", config.model)
    config.features.quality = "vgg"
    with pytest.raises(ValueError, match="no backbone 'vgg'"):
        experiment.open_extractor(config.features)
