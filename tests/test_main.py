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
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "a2inet_jax.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
