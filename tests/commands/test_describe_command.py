"""`a2inet describe`: the heads of an experiment, counted."""

import json

import pytest

from a2inet_jax.main import main


def test_all_models_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["describe", "--config=dataset:konvid_1k"]
    assert main([*command, "--frames=240", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["config"], described["frames"]) == ("konvid_1k", 240)
    assert set(described["models"]) == {"a2inet", "concat", "vsfa"}
    model = described["models"]["a2inet"]
    assert model["parameters"] == 36_334_369
    assert model["forward_flops"] == sum(
        module["forward_flops"] for module in model["modules"].values()
    )
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "36,334,369" in shown
    assert "cagi/attention" in shown


def test_the_streams_of_the_model_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--config=table4:SQ", "--frames=10", "--json"]) == 0
    neck = json.loads(capsys.readouterr().out)["models"]["vsfa"]["modules"]["temporal/neck"]
    assert neck["parameters"] == 1920 * 128 + 128
    assert main(["describe", "--config=table4:SQ", "--config.features.quality=vgg"]) == 1
    assert "no backbone 'vgg': known are" in capsys.readouterr().err
