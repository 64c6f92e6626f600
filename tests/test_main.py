import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["extract", "--config=configs/sample.py", "--shard=8/8"], "--shard=8/8: I/N"),
        (["extract", "--config=configs/sample.py", "--shard=one"], "--shard=one: I/N"),
        (["extract"], "a2inet extract --config="),
        (["store"], "a2inet store verify|list|repair FOLDER"),
        (["store", "list", "nowhere"], "nowhere is not a folder"),
        (["extract", "--config=configs/sample.py", "x.mp4"], "--out=FOLDER"),
        (["report", "--config=configs/sample.py", "--out=x"], "--out goes with RUN ..."),
        (["evaluate", "--config=configs/sample.py", "--datasets=x"], "--datasets goes with RUN"),
        (["extrakt"], "no command 'extrakt'"),
        (["evaluate", "runs/x", "--config=configs/sample.py"], "RUN ... takes no --config"),
        (["report", "runs/x", "--config=configs/sample.py"], "RUN ... takes no --config"),
        (["table", "4", "--config=configs/sample.py"], "table takes no --config"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "a2inet_jax.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--config=configs/own.py:fewx"], "no data set 'fewx': known are"),
        (["--config=configs/table4.py:XX"], "table 4 has no row 'XX'"),
        (["--config=configs/nope.py"], "No such file or directory: 'configs/nope.py'"),
        (["--config=configs/nope.py", "--config.seed=1"], "No such file or directory"),
        (["--config=configs"], "Is a directory: 'configs'"),
        (["--config=configs/base.py", "--config.train.epoks=3"], "no such field in the config: "),
        (["--config=configs/base.py", "--config.trian.epochs=3"], 'Did you mean "train"'),
        (["--config=configs/base.py", "--config.seed=x"], "flag --config.seed=x: "),
        (["--datsets=x"], "Unknown command line flag 'datsets'"),
    ],
)
def test_a_config_that_is_wrong_is_one_line(flags: list[str], said: str) -> None:
    command = [sys.executable, "-m", "a2inet_jax.main", "train", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    line, remedy = done.stderr.splitlines()
    assert line.startswith("a2inet: ")
    assert said in line
    assert "--verbosity=1" in remedy
    assert not done.stdout


def test_verbosity_shows_where_a_config_is_wrong() -> None:
    flags = ["--config=configs/own.py:fewx", "--verbosity=1"]
    command = [sys.executable, "-m", "a2inet_jax.main", "train", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "own.py" in done.stderr
