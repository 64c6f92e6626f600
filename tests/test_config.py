"""The fields of an experiment: defaults, checks, config files and overrides."""

import json
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from a2inet_jax import config_file
from a2inet_jax.build import build_model
from a2inet_jax.config import Experiment, Model, Train, config_dict, describe, problems_in
from a2inet_jax.configs import base
from a2inet_jax.errors import ConfigError
from a2inet_jax.main import main
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.vsfa import VSFA
from tests.experiments import changed


def test_every_field_has_a_meaning_and_what_it_takes() -> None:
    found = list(describe())
    assert len({path for path, *_ in found}) == len(found) > 60
    assert all(doc and takes for _, _, takes, doc in found)
    # Fields with a unit, a count or a fraction say so in their names.
    ending = {"_s": "seconds", "_px": "pixels", "_gib": "GiB", "_fraction": "fraction"}
    for path, _, _, doc in found:
        for end, word in ending.items():
            assert not path.endswith(end) or word in doc, path


def test_the_default_is_the_base_config() -> None:
    assert config_file.load("base") == Experiment()
    assert base.get_config().to_dict() == config_dict().to_dict() == Experiment().to_dict()


def test_models_take_their_defaults_from_the_config() -> None:
    for model in (A2INet(), VSFA()):
        for each in fields(Model):
            if each.name not in ("name", "streams", "dtype") and hasattr(model, each.name):
                assert getattr(model, each.name) == getattr(Model, each.name), each.name


def test_an_experiment_survives_json() -> None:
    config = config_file.load("table4:SQ", ["train.epochs=3"])
    assert Experiment.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_experiment_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Experiment().name = "x"  # type: ignore[misc]


def test_all_that_is_wrong_is_in_one_error() -> None:
    overrides = [
        "train.epoks=3",
        "trian.batch_size=4",
        "splits.number=5",
        "features.memory=1.0",
        "seed=x",
        "data.allow_missing=maybe",
        "model=3",
        "train.batch_size=0",
        "model.fusion=cgai",
        "train.warmup_fraction=1",
        "baselines=('svr','lstm')",
    ]
    with pytest.raises(ConfigError) as raised:
        config_file.load("base", overrides)
    first, *lines = str(raised.value).splitlines()
    assert first == "these fields cannot be used:"
    assert [line.strip() for line in lines] == [
        "--config.train.epoks=3: there is no field train.epoks: did you mean train.epochs?",
        "--config.trian.batch_size=4: there is no field trian.batch_size: did you mean train.batch_size?",
        "--config.splits.number=5: splits.number is now called splits.num_splits",
        "--config.features.memory=1.0: features.memory is now called features.memory_gib",
        "--config.seed=x: seed takes an integer at least 0",
        "--config.data.allow_missing=maybe: data.allow_missing takes True or False",
        "--config.model=3: model is a group of fields; set one of them",
        "baselines is ('svr', 'lstm'); it takes some of a2inet, concat, vsfa, svr",
        "model.fusion is 'cgai'; it takes one of cagi, concat, concat_mlp",
        "train.batch_size is 0; it takes an integer at least 1",
        "train.warmup_fraction is 1.0; it takes a number at least 0 and below 1",
    ]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"train": 3}, "train is 3; it takes a group of fields"),
        ({"seed": True}, "seed is True; it takes an integer at least 0"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"name": None}, "name is None; it takes text"),
        ({"colour": 1}, "there is no field colour"),
        ({"baselines": ["svr", 3]}, "baselines is"),
    ],
)
def test_values_of_other_types_are_refused(values: dict[str, object], problem: str) -> None:
    (found,) = problems_in({**Experiment().to_dict(), **values})
    assert problem in found


def test_missing_fields_are_named() -> None:
    values = Experiment().to_dict()
    del values["seed"], values["train"]["epochs"]
    assert problems_in(values) == ["seed is missing", "train.epochs is missing"]


def test_groups_check_themselves() -> None:
    with pytest.raises(ConfigError, match="batch_size is 0; it takes an integer at least 1"):
        Train(batch_size=0)


def test_a_copied_config_works_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = Path(base.__file__).with_name("sample.py").read_text()
    (tmp_path / "mine.py").write_text(packaged.replace('"demo"', '"mine"'))
    monkeypatch.chdir(tmp_path)
    mine = config_file.load("mine.py", ["train.epochs=3"])
    assert mine == changed(config_file.load("sample"), "name=mine", "train.epochs=3")
    # A file of one's own goes before a packaged one.
    (tmp_path / "sample").write_text(packaged.replace('"demo"', '"own"'))
    with pytest.raises(ConfigError, match="sample is not a Python file"):
        config_file.load("sample")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def get_config(:", r"mine\.py, line 1: invalid syntax"),
        ("import nonsense", r"mine\.py, line 1: ModuleNotFoundError: No module named 'nonsense'"),
        ("x = 1", r"mine\.py has no function get_config"),
        ("def get_config():\n    return 3", "get_config returns int in place of a ConfigDict"),
        ("def get_config():\n    return 1 / 0", r"mine\.py, line 2: ZeroDivisionError"),
        ("import sys\nsys.exit(3)", r"mine\.py, line 2: SystemExit: 3"),
    ],
)
def test_a_broken_config_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as raised:
        config_file.load(str(file))
    assert "\n" not in str(raised.value)


def test_the_line_is_named_for_a_relative_path_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("def get_config():\n    return 1 / 0")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"mine\.py, line 2: ZeroDivisionError"):
        config_file.load("mine.py")


def test_an_argument_that_is_not_taken_is_refused() -> None:
    with pytest.raises(ConfigError, match="it takes no argument: --config=sample"):
        config_file.load("sample:x")


@pytest.mark.parametrize("name", ["", ".", "..", "a/../../b", "/tmp/x"])
def test_a_run_stays_in_its_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="it takes the name of a folder in runs"):
        config_file.load("base", [f"name={name}"])


@pytest.mark.parametrize("rate", ["inf", "nan", "-1"])
def test_rates_are_finite(rate: str) -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        config_file.load("base", [f"train.learning_rate={rate}"])


def test_a_head_narrower_than_its_gates_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"model\.reduction is 4: it takes at most model\.width, 1"
    ):
        build_model("a2inet", Model(width=1))


def test_a_field_that_a_config_file_invents_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from a2inet_jax.configs import sample\n"
        "def get_config():\n"
        "    config = sample.get_config()\n"
        "    config.unlock()\n"
        "    config.train.epoks = 3\n"
        "    config.splits.seeds = 2\n"
        "    return config\n"
    )
    with pytest.raises(ConfigError) as raised:
        config_file.load(str(file))
    assert "there is no field train.epoks: did you mean train.epochs?" in str(raised.value)
    assert "splits.seeds is now called splits.num_seeds" in str(raised.value)


def test_config_show_diff_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--config=sample", "--config.train.epochs=3"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "train.epochs = 3" in shown
    assert "name = 'demo'" in shown
    assert main(["config", "show", "--config=sample", "--json"]) == 0
    assert Experiment.from_dict(json.loads(capsys.readouterr().out)) == config_file.load("sample")
    assert main(["config", "diff", "sample", "sample"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["config", "diff", "sample", "sample_motion"]) == 1
    assert "features.semantic: 'efficientnet_lite0' → 'i3d_kinetics400'" in capsys.readouterr().out
    assert main(["config", "fields"]) == 0
    shown_fields = capsys.readouterr().out
    assert all(path in shown_fields for path, *_ in describe())


def test_config_diff_reads_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = changed(config_file.load("sample"), "seed=7")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    for run in (tmp_path, tmp_path / "config.json"):
        assert main(["config", "diff", "sample", str(run)]) == 1
        assert capsys.readouterr().out == "seed: 0 → 7\n"
