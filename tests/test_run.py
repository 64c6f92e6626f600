"""A run's folder: its guard against another run, and what it records of the machine and the time."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from a2inet_jax import run as run_module
from a2inet_jax.config import Experiment
from a2inet_jax.errors import RunError, differences
from a2inet_jax.run import RunFolder


def test_differences_are_of_all_values_at_any_depth() -> None:
    ours = {"a": {"b": 1, "c": [1, 2]}, "new": "x", "same": None}
    theirs = {"a": {"b": 2, "c": [1]}, "old": 0.5, "same": None}
    assert differences(ours, theirs) == [
        "a.b: 2 there, 1 now",
        "a.c: [1] there, [1, 2] now",
        "new: None there, x now",
        "old: 0.5 there, None now",
    ]
    assert differences(ours, ours) == []


def test_hashes_and_long_lists_are_shown_in_short() -> None:
    ours = {"hash": "ab" * 32, "videos": [f"video_{n}" for n in range(12)]}
    theirs = {"hash": "cd" * 32, "videos": [f"video_{n}" for n in range(13)]}
    assert differences(ours, theirs) == [
        "hash: cdcdcdcdcdcd… there, abababababab… now",
        "videos: 13 entries there, 12 entries now",
    ]


def test_identity_is_compared_as_a_file_has_it(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    ours = {"sizes": (1, 2), "name": "\udcff"}  # of a file whose name is not UTF-8
    run_module.write_json(path, ours)
    run_module.check_identity(tmp_path, ours, run_module.read_json(path))
    with pytest.raises(RunError, match=r"sizes: \[1, 2\] there, \[1, 3\] now") as error:
        run_module.check_identity(tmp_path, ours | {"sizes": (1, 3)}, run_module.read_json(path))
    assert f"{tmp_path} holds another experiment's run; remove the folder" in str(error.value)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_unreadable_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "identity.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"identity\.json is not .*restore the file, or remove"):
        run_module.read_json(path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    run = RunFolder(tmp_path / "run")
    run.open(Experiment(), {"labels": "1ab"})
    return run


def environment(run: RunFolder) -> dict:
    return json.loads((run.path / "environment.json").read_text())


def test_machine_date_and_commit_are_recorded(run: RunFolder) -> None:
    found = environment(run)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["date"])
    assert isinstance(found["processor"], str)
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", found["commit"])
    assert found["device"]


def test_seconds_are_added_if_a_step_resumes(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 2.0, 10.0, 13.0, 20.0, 21.0, 30.0, 35.0, 40.0, 49.0])
    monkeypatch.setattr(run_module.time, "monotonic", lambda: next(clock))
    with run.timed("training", resumes=True):
        pass
    with pytest.raises(KeyError), run.timed("training", resumes=True):
        raise KeyError
    for _ in range(2):
        with run.timed("evaluation"):
            pass
    assert environment(run)["seconds"] == {"training": 5.0, "evaluation": 5.0}
    with pytest.raises(KeyError), run.timed("evaluation"):
        raise KeyError
    assert environment(run)["seconds"]["evaluation"] == 5.0


def test_another_machine_or_time_is_the_same_run(run: RunFolder) -> None:
    changed = environment(run) | {"date": "x", "processor": "y", "commit": "z", "device": "w"}
    changed["seconds"] = {"training": 1.0}
    (run.path / "environment.json").write_text(json.dumps(changed))
    run.open(Experiment(), {"labels": "1ab"})
    run.check(Experiment(), {"labels": "1ab"})
    assert environment(run) == changed


def test_commit_of_another_project_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package in an environment that lies in a checkout of something else.
    package = tmp_path / "venv" / "a2inet_jax"
    package.mkdir(parents=True)
    (package / "run.py").touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    (tmp_path / "own.txt").touch()
    for arguments in (["init", "-q"], ["add", "own.txt"], ["commit", "-q", "-m", "own"]):
        subprocess.run([*git, *arguments], check=True)
    monkeypatch.setattr(run_module, "__file__", str(package / "run.py"))
    assert run_module._commit() == ""
    subprocess.run([*git, "add", "venv"], check=True)
    assert re.fullmatch(r"[0-9a-f]{40}-dirty", run_module._commit())
