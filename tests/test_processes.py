"""Two processes with four devices each train what one process with one device trains."""

import dataclasses
import os
import pickle
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from a2inet_jax import main
from tests import training_process
from tests.training_process import BATCH_SIZE, CASES, FEATURES, SETTINGS, STEPS

ROOT = Path(__file__).parents[1]
SECONDS = 120  # an end to whatever hangs


def run(folder: Path, *jobs: str) -> list[subprocess.CompletedProcess[str]]:
    """Runs both processes to their end; both are gone behind this."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.training_process"]
    environment = {**os.environ, "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}"}
    logs = [folder / f"{number}.log" for number in (0, 1)]
    started = []
    try:
        for number, log in enumerate(logs):
            with log.open("w") as file:
                arguments = [*command, str(number), str(port), str(folder), *jobs]
                started.append(
                    subprocess.Popen(
                        arguments, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
                    )
                )
        for each in started:
            each.wait(SECONDS)
    finally:
        for each in started:
            each.kill()
            each.wait()
    return [
        subprocess.CompletedProcess(each.args, each.returncode, log.read_text())
        for each, log in zip(started, logs, strict=True)
    ]


def results(folder: Path, *jobs: str) -> list[dict[str, Any]]:
    """What the jobs gave in each process."""
    for each in run(folder, *jobs):
        assert each.returncode == 0, each.stdout
    return [pickle.loads((folder / f"{number}.pickle").read_bytes()) for number in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return results(folder, "cases=cases", "whole=whole", "terminated=11", "terminated=16")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One process, one device."""
    folder = tmp_path_factory.mktemp("alone")
    return {
        number: training_process.train(
            number, dataclasses.replace(SETTINGS, batch_size=size), folder / number
        )
        | {"table": table(folder / number)}
        for number, size in BATCH_SIZE.items()
    }


def table(folder: Path) -> list[list[float]]:
    lines = (folder / "metrics.csv").read_text().splitlines()[1:]
    return [[float(cell or "nan") for cell in line.split(",")] for line in lines]


def assert_same(found: Any, expected: Any, atol: float = 0) -> None:
    def check(a: Any, b: Any) -> None:
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)

    for name in ("params", "history", "epoch"):
        jax.tree.map(check, found[name], expected[name])
    span = np.ptp(FEATURES.mos)
    for a, b in zip(found["scores"], expected["scores"], strict=True):
        check(a / span, b / span)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "placement"), CASES)
def test_they_end_where_one_device_ends(
    number: str, placement: str, folder: Path, found: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    expected = alone[number]
    for each in found:
        assert_same(each["cases=cases"][number, placement], expected, atol=1e-5)
    written = table(folder / "cases" / f"{number}_{placement}")
    np.testing.assert_allclose(written, expected["table"], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_each_reads_what_its_devices_need(found: list[dict[str, Any]]) -> None:
    read = [each["cases=cases"]["two", "streamed"]["read"] for each in found]
    assert read == [{*range(20)}, {*range(20, 41)}]
    first, second = (each["cases=cases"]["three", "streamed"]["read"] for each in found)
    assert first | second == {*range(41)}
    # Of each batch of 5 the first process has places 0 to 3, the second 4.
    assert 0 < len(second) < len(first)
    for each in found:
        assert each["cases=cases"]["two", "resident"]["read"] == {*range(41)}


@pytest.mark.slow
def test_they_stop_together_and_go_on(folder: Path, found: list[dict[str, Any]]) -> None:
    # In the middle of the fifth epoch, and at the end of the sixth, which has a checkpoint anyway.
    stopped = {"11": 13, "16": 18}
    for each in found:
        for name, step in stopped.items():
            assert each[f"terminated={name}"] == list(range(step + 1))
    again = results(folder, *(f"whole={name}" for name in stopped), "damaged=whole")
    for each, undisturbed in zip(again, found, strict=True):
        for name, step in stopped.items():
            assert each[f"whole={name}"]["told"] == list(range(step, STEPS + 1))
            assert_same(each[f"whole={name}"], undisturbed["whole=whole"])
        # Both took up the checkpoint before, and one renamed the last.
        assert each["damaged=whole"]["told"] == list(range(18, STEPS + 1))
        assert_same(each["damaged=whole"], undisturbed["whole=whole"])
    names = {path.name for path in folder.glob("whole/checkpoints/*/*")}
    assert names == {"settings.json", "18", "24", "24.damaged"}


def test_an_error_of_one_ends_the_other(tmp_path: Path) -> None:
    first, second = run(tmp_path, "fails=fails")
    assert first.returncode == 1
    assert "the first process has an error" in first.stdout
    assert second.returncode != 0


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("demo", ["--distributed"]),
        ("demo", ["--coordinator=127.0.0.1:1", "--processes=2", "--process=0"]),
        ("train", ["--processes=2", "--process=0"]),
        ("train", ["--distributed", "--process=0"]),
        ("train", ["--coordinator=127.0.0.1", "--processes=2", "--process=0"]),
    ],
)
def test_options_that_make_no_sense_are_refused(
    verb: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main.main([verb, "--config=sample", *options])
    assert re.search(r"there is no option --|take --dist", capsys.readouterr().err)


def test_without_a_cluster_the_options_are_named() -> None:
    command = [sys.executable, "-m", "a2inet_jax.main", "train", "--config=sample"]
    done = subprocess.run(
        [*command, "--distributed"], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 1
    assert "srun or mpirun, or give --coordinator, --processes and --process" in done.stderr
