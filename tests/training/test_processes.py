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
from tests.training_process import BATCH_SIZE, CONFIG, DATA, EXAMPLES, STEPS

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120


def run(folder: Path, *jobs: str) -> list[subprocess.CompletedProcess[str]]:
    """Run both processes until they end, or kill them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.training_process"]
    environment = {**os.environ, "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}"}
    logs = [folder / f"{process}.log" for process in (0, 1)]
    started = []
    try:
        for process, log in enumerate(logs):
            with log.open("w") as file:
                arguments = [*command, str(process), str(port), str(folder), *jobs]
                started.append(
                    subprocess.Popen(
                        arguments, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
                    )
                )
        for each in started:
            each.wait(TIMEOUT_S)
    finally:
        for each in started:
            each.kill()
            each.wait()
    return [
        subprocess.CompletedProcess(each.args, each.returncode, log.read_text())
        for each, log in zip(started, logs, strict=True)
    ]


def results(folder: Path, *jobs: str) -> list[dict[str, Any]]:
    """Return each process's results of the jobs."""
    for each in run(folder, *jobs):
        assert each.returncode == 0, each.stdout
    return [pickle.loads((folder / f"{process}.pickle").read_bytes()) for process in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def of_processes(folder: Path) -> list[dict[str, Any]]:
    jobs = ("examples=examples", "uninterrupted=uninterrupted", "terminated=11", "terminated=16")
    return results(folder, *jobs)


@pytest.fixture(scope="module")
def of_one_device(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of one process with one device."""
    folder = tmp_path_factory.mktemp("one_device")
    return {
        members_name: training_process.train(
            members_name, dataclasses.replace(CONFIG, batch_size=size), folder / members_name
        )
        | {"table": table(folder / members_name)}
        for members_name, size in BATCH_SIZE.items()
    }


def table(folder: Path) -> list[list[float]]:
    lines = (folder / "history.csv").read_text().splitlines()[1:]
    return [[float(cell or "nan") for cell in line.split(",")] for line in lines]


def assert_same(found: Any, expected: Any, atol: float = 0) -> None:
    def check(a: Any, b: Any) -> None:
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)

    for name in ("params", "history", "epoch"):
        jax.tree.map(check, found[name], expected[name])
    span = np.ptp(DATA.mos)
    for a, b in zip(found["scores"], expected["scores"], strict=True):
        check(a / span, b / span)


@pytest.mark.slow
@pytest.mark.parametrize(("members_name", "placement"), EXAMPLES)
def test_processes_end_where_one_device_ends(
    members_name: str,
    placement: str,
    folder: Path,
    of_processes: list[dict[str, Any]],
    of_one_device: dict[str, Any],
) -> None:
    expected = of_one_device[members_name]
    for each in of_processes:
        assert_same(each["examples=examples"][members_name, placement], expected, atol=1e-5)
    written = table(folder / "examples" / f"{members_name}_{placement}")
    np.testing.assert_allclose(written, expected["table"], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_each_process_reads_what_its_devices_need(of_processes: list[dict[str, Any]]) -> None:
    read = [each["examples=examples"]["two", "streamed"]["read"] for each in of_processes]
    assert read == [{*range(20)}, {*range(20, 41)}]
    first, second = (
        each["examples=examples"]["three", "streamed"]["read"] for each in of_processes
    )
    assert first | second == {*range(41)}
    # Of each batch of 5 the first process has slots 0 to 3, the second slot 4.
    assert 0 < len(second) < len(first)
    for each in of_processes:
        assert each["examples=examples"]["two", "resident"]["read"] == {*range(41)}


@pytest.mark.slow
def test_processes_stop_together_and_resume(
    folder: Path, of_processes: list[dict[str, Any]]
) -> None:
    # In the middle of the fifth epoch, and at the end of the sixth, which has a checkpoint anyway.
    stopped = {"11": 13, "16": 18}
    for each in of_processes:
        for name, step in stopped.items():
            assert each[f"terminated={name}"] == list(range(step + 1))
    resumed = results(
        folder, *(f"uninterrupted={name}" for name in stopped), "damaged=uninterrupted"
    )
    for each, first in zip(resumed, of_processes, strict=True):
        expected = first["uninterrupted=uninterrupted"]
        for name, step in stopped.items():
            assert each[f"uninterrupted={name}"]["reported"] == list(range(step, STEPS + 1))
            assert_same(each[f"uninterrupted={name}"], expected)
        # Both resumed from the checkpoint before, and one of them renamed the last.
        assert each["damaged=uninterrupted"]["reported"] == list(range(18, STEPS + 1))
        assert_same(each["damaged=uninterrupted"], expected)
    names = {path.name for path in folder.glob("uninterrupted/checkpoints/*/*")}
    assert names == {"settings.json", "18", "24", "24.damaged"}


def test_error_in_one_process_ends_the_other(tmp_path: Path) -> None:
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
def test_senseless_options_are_refused(
    verb: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main.main([verb, "--config=sample", *options])
    assert re.search(r"there is no option --|take --dist", capsys.readouterr().err)


def test_message_without_a_cluster_names_the_options() -> None:
    command = [sys.executable, "-m", "a2inet_jax.main", "train", "--config=sample"]
    done = subprocess.run(
        [*command, "--distributed"], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 1
    assert "srun or mpirun, or give --coordinator, --processes and --process" in done.stderr
