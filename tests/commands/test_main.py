"""The command line: its help, its errors in a line, and bugs that keep their traceback."""

import os
import re
import shlex
import signal
import subprocess
import sys
from importlib import metadata

import pytest

import a2inet_jax
from a2inet_jax import main
from a2inet_jax.commands import weights
from a2inet_jax.commands.options import joined_overrides
from a2inet_jax.errors import VideoError


def a2inet(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command in a process of its own."""
    command = [sys.executable, "-m", "a2inet_jax.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_verbs_in_the_order_of_the_work(option: str) -> None:
    code, shown, said = a2inet(option)
    assert (code, said) == (0, "")
    lines = re.findall(r"^    (\w+) +(\S.*)$", shown, re.MULTILINE)
    assert [verb for verb, _ in lines] == list(main.VERBS)
    assert all(len(summary) < 70 for _, summary in lines)


def test_version() -> None:
    assert a2inet("--version") == (0, f"a2inet {metadata.version('a2inet-jax')}\n", "")


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_help_with_two_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main.main([verb, "--help"])
    shown = capsys.readouterr().out
    examples = [
        line.strip()
        for line in shown[shown.index("examples:") :].splitlines()
        if line.startswith("  a2inet ")
    ]
    assert len(examples) == 2
    for example in examples:
        arguments = shlex.split(example)[1:]
        assert arguments[0] == verb
        main.parser().parse_args(joined_overrides(arguments))


@pytest.mark.parametrize(
    "action",
    [
        f"{verb} {action}"
        for verb, each in main.parser().verbs.choices.items()
        if each.verbs
        for action in each.verbs.choices
    ],
)
def test_every_action_has_help(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main.main([*action.split(), "--help"])
    shown = capsys.readouterr().out
    assert f"usage: a2inet {action} " in shown
    examples = shown.partition("examples:")[2].split("\n  ")[1:]
    assert examples
    for example in examples:
        assert example.startswith(f"a2inet {action}")
        main.parser().parse_args(joined_overrides(shlex.split(example)[1:]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("extract --config=sample --shard=8/8", "--shard: '8/8': it takes I/N"),
        ("extract --config=sample --shard=one", "--shard: 'one': it takes I/N"),
        ("extract", "name an experiment, such as --config=sample"),
        ("extract --config=sample x.mp4", "--out=FOLDER"),
        ("extract --config=sample --out=x", "--out=FOLDER"),
        ("extract --config=sample --actors=2", "go with --engine=ray"),
        ("store", "required: ACTION"),
        ("report --config=sample --out=x", "--out goes with RUN …"),
        ("evaluate --config=sample --datasets=x", "--datasets goes with RUN …"),
        ("evaluate runs/x --config=sample", "RUN … takes no --config"),
        ("report runs/x --config=sample", "RUN … takes no --config"),
        ("report runs/x --config.seed=1", "RUN … takes no --config"),
        ("table 4 --config=sample", "it takes changes of fields, --config.FIELD=VALUE"),
        ("table 8", "there is no '8'"),
        ("table 4 --datasets=", "name at least one"),
        ("data list --config=sample", "it takes changes of fields"),
        ("train sample", "name an experiment by --config=sample"),
        ("table 4 --datsets=x", "there is no option --datsets: did you mean --datasets?"),
        ("train --config=sample --csv=x", "there is no option --csv"),
        ("train --config=sample x", "unexpected argument 'x'"),
        ("score x.mp4 --config.seed=1", "takes no --config"),
        ("describe --config=sample --frames=0", "0 is less than 1"),
        ("describe --config=sample --frames=x", "'x' is not an integer"),
        ("extrakt", "there is no 'extrakt': did you mean extract?"),
        ("prepare --config=sample", "there is no 'prepare': did you mean data prepare?"),
        ("data lsit", "there is no 'lsit': did you mean list?"),
        ("", "required: VERB"),
    ],
)
def test_a_wrong_command_line_is_said_in_a_line(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main.main(arguments.split())
    line, where = capsys.readouterr().err.splitlines()
    assert line.startswith("a2inet")
    assert said in line
    assert where.endswith("--help` shows what it takes")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--config=dataset:fewx"], "no data set 'fewx': known are"),
        (["--config=dataset"], "name a data set, as dataset:NAME"),
        (["--config=table4:XX"], "table 4 has no row 'XX'"),
        (["--config=configs/nope.py"], "--config=configs/nope.py: there is no such file"),
        (["--config=configs/nope.py", "--config.seed=1"], "there is no such file"),
        (["--config=sampel"], "did you mean --config=sample?"),
        (["--config=configs"], "--config=configs is a folder"),
    ],
)
def test_a_wrong_config_is_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["train", *options]) == 1
    shown, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert line.startswith("a2inet train: ")
    assert said in line
    assert not shown


def test_arguments_may_stand_between_options() -> None:
    arguments = ["score", "a.mp4", "--csv=x.csv", "b.mp4", "--json", "c.mp4"]
    parsed = main.parser().parse_args(arguments)
    assert [str(video) for video in parsed.videos] == ["a.mp4", "b.mp4", "c.mp4"]


def test_overrides_may_be_apart_from_their_values() -> None:
    given = ["--config.train.epochs", "3", "--config.data.allow_missing", "--json", "x"]
    assert joined_overrides(given) == [
        "--config.train.epochs=3",
        "--config.data.allow_missing",
        "--json",
        "x",
    ]


def fail_with(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    patch.setattr(weights, "table", fail)


def test_an_error_for_the_user_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (VideoError("x.mp4", "holds no video"), OSError(28, "No space left on device")):
        fail_with(monkeypatch, error)
        assert main.main(["weights", "list"]) == 1
        assert capsys.readouterr().err == f"a2inet weights: {error}\n"
        assert main.main(["weights", "list", "--verbose"]) == 2 - 1
        assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("of a bug"), RuntimeError("x"), KeyError("y")])
def test_a_bug_keeps_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, error)
    assert main.main(["weights", "list"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "please report it" in said.splitlines()[-1]


def test_an_interruption_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert main.main(["weights", "list"]) == 130
    assert "interrupted" in capsys.readouterr().err

    # A library that is interrupted while it is imported may raise an error of its own.
    def fail() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("half imported") from None

    monkeypatch.setattr(weights, "table", fail)
    assert main.main(["weights", "list"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_an_ascii_terminal_gets_escapes() -> None:
    command = [sys.executable, "-m", "a2inet_jax.main", "config", "fields"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0
    assert b"\\u03c4, frames" in done.stdout  # τ


def test_a_closed_stdout_is_no_bug() -> None:
    command = f"{sys.executable} -m a2inet_jax.main config fields >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m a2inet_jax.main config fields | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_has_a_small_surface() -> None:
    assert a2inet_jax.__version__ == metadata.version("a2inet-jax")
    assert all(hasattr(a2inet_jax, name) for name in a2inet_jax.__all__)
    assert issubclass(a2inet_jax.VideoError, a2inet_jax.A2INetError)
    with pytest.raises(AttributeError, match="no attribute 'scorer'"):
        a2inet_jax.scorer  # noqa: B018
