"""Two processes with four devices each train what one process with one device trains."""

import dataclasses
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tests import training_process
from tests.training_process import BATCH_SIZE, CASES, FEATURES, SETTINGS

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
    for done in run(folder, *jobs):
        assert done.returncode == 0, done.stdout
    return [pickle.loads((folder / f"{number}.pickle").read_bytes()) for number in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return results(folder, "cases=cases", "whole=whole", "damaged=whole", "terminated=terminated")


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


def assert_equal(found: Any, expected: Any, atol: float = 0) -> None:
    def check(a: Any, b: Any) -> None:
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)

    for name in ("params", "history", "epoch"):
        jax.tree.map(check, found[name], expected[name])
    span = np.ptp(FEATURES.mos)
    for a, b in zip(found["scores"], expected["scores"], strict=True):
        check(a / span, b / span)


@pytest.mark.parametrize(("number", "placement"), CASES)
def test_they_end_where_one_device_ends(
    number: str, placement: str, folder: Path, found: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    expected = alone[number]
    for each in found:
        assert_equal(each["cases"][number, placement], expected, atol=1e-5)
    written = table(folder / "cases" / f"{number}_{placement}")
    np.testing.assert_allclose(written, expected["table"], rtol=0, atol=1e-5)


def test_each_reads_what_its_devices_need(found: list[dict[str, Any]]) -> None:
    read = [each["cases"]["two", "streamed"]["read"] for each in found]
    assert read == [{*range(20)}, {*range(20, 41)}]
    first, second = (each["cases"]["three", "streamed"]["read"] for each in found)
    assert first | second == {*range(41)}
    # Of each batch of 5 the first process has places 0 to 3, the second 4.
    assert 0 < len(second) < len(first)
    for each in found:
        assert each["cases"]["two", "resident"]["read"] == {*range(41)}


def test_a_damaged_checkpoint_is_set_aside_once(folder: Path, found: list[dict[str, Any]]) -> None:
    steps = found[0]["whole"]["told"]
    assert steps == list(range(25))
    for each in found:
        assert each["damaged"]["told"] == steps[20:]  # two steps an epoch, and 10 epochs
        assert_equal(each["damaged"], each["whole"])
    names = {path.name for path in folder.glob("whole/checkpoints/*/*")}
    assert names == {"settings.json", "20", "24", "24.damaged"}


def test_sigterm_to_one_stops_both_and_they_go_on(
    folder: Path, found: list[dict[str, Any]]
) -> None:
    told = found[0]["terminated"]
    assert found[1]["terminated"] == told
    assert 10 < told[-1] < 13
    (latest,) = folder.glob(f"terminated/checkpoints/*/{told[-1]}")
    assert latest.is_dir()
    for each in results(folder, "whole=terminated"):
        assert each["whole"]["told"][0] == told[-1]
        assert_equal(each["whole"], found[0]["whole"])


def test_an_error_of_one_ends_the_other(tmp_path: Path) -> None:
    first, second = run(tmp_path, "fails=fails")
    assert first.returncode != 0
    assert second.returncode == 1
    assert "the second process has an error" in second.stdout
