"""A run's folder: config and environment, and a guard against mixing two experiments in it."""

import contextlib
import csv
import hashlib
import json
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import jax

from a2inet_jax import files
from a2inet_jax.config import Experiment
from a2inet_jax.datasets import splits
from a2inet_jax.errors import ConfigError, RunError, differences
from a2inet_jax.features.recipe import Recipe

_PACKAGES = ("a2inet-jax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


@dataclass(frozen=True)
class RunFolder:
    """`runs/<name>`: config.json, environment.json, and the files of the experiment's steps."""

    path: Path

    @classmethod
    def of(cls, config: Experiment) -> Self:
        """Return the folder of an experiment's run, whether it exists or not."""
        return cls(Path("runs") / config.name)

    @classmethod
    def existing(cls, config: Experiment) -> Self:
        """Return the folder of an experiment's run, which must be there; raises as `check`."""
        run = cls.of(config)
        run.check(config)
        return run

    def open(self, config: Experiment, inputs: Mapping[str, Any]) -> None:
        """Begin a run, or resume the one that is there.

        `inputs` are hashes of features, weights and labels, which the config does not hold.

        Raises:
            RunError: The folder holds a run with another config or other inputs.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(config.to_dict(), sort_keys=True)
        environment = {
            "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "inputs": inputs,
            "python": platform.python_version(),
            "packages": {name: metadata.version(name) for name in _PACKAGES},
            "device": jax.devices()[0].device_kind,
            "devices": jax.local_device_count(),
            "processor": _processor(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _commit(),
        }
        if (self.path / "config.json").is_file():
            self.check(config)
        if (self.path / "environment.json").is_file():
            self.check(config, inputs)
        else:
            write_json(self.path / "config.json", json.loads(text))
            write_json(self.path / "environment.json", environment)

    def check(self, config: Experiment, inputs: Mapping[str, Any] | None = None) -> None:
        """Check that the folder holds the run of this experiment and, if they are given, these inputs.

        Raises:
            RunError: It holds another experiment's run.
            FileNotFoundError: There is no run here.
        """
        check_identity(self.path, config.to_dict(), self._read("config.json"))
        if inputs is not None:
            there = self.inputs()
            # Some are checked alone, when the others are not at hand.
            there = {name: there.get(name) for name in inputs}
            check_identity(self.path, {"inputs": inputs}, {"inputs": there})

    def check_recipe(self, recipes: Mapping[str, Recipe]) -> None:
        """Check that features of these recipes are like those that the run was trained with.

        Streams that the run does not use may be among them.

        Raises:
            RunError: They are not; lists the differences.
            FileNotFoundError: There is no run here.
        """
        trained = self.inputs()["recipe"]
        if not trained.keys() <= recipes.keys():
            raise RunError(f"{self.path} is a run of an earlier version: train it again")
        here = {stream: recipes[stream].as_dict() for stream in trained}
        if differing := differences(here, trained):
            raise RunError(
                f"{self.path} was trained on features of another recipe:\n  "
                + "\n  ".join(differing)
            )

    def config(self) -> Experiment:
        """Return the run's experiment.

        Raises:
            FileNotFoundError: There is no run here.
            RunError: An earlier version made it, or it cannot be read.
        """
        try:
            return Experiment.from_dict(self._read("config.json"))
        except ConfigError as error:
            raise RunError(
                f"{self.path} is a run of an earlier version, or broken: train it again; {error}"
            ) from None

    def inputs(self) -> dict[str, Any]:
        """Return the inputs that the run was started with.

        Raises:
            FileNotFoundError: There is no run here.
            RunError: environment.json cannot be read.
        """
        found = self._read("environment.json").get("inputs")
        if not isinstance(found, dict):
            raise RunError(
                f"{self.path / 'environment.json'} lists no inputs: restore the file, or remove the folder "
                "and train again"
            )
        return found

    def keep_files(self, sha256_of: Mapping[str, str]) -> None:
        """Write videos.csv, the SHA-256 of each video's file, by which a copy of it is recognised."""
        files.write_csv(self.path / "videos.csv", ["video", "sha256"], sorted(sha256_of.items()))

    def training_files(self) -> list[set[str]]:
        """Return the SHA-256 of the video files that each split's models were trained or validated on.

        [] where the folder has no videos.csv or splits.json, as one that was passed on in part.
        """
        table, drawn = self.path / "videos.csv", self.path / "splits.json"
        if not (table.is_file() and drawn.is_file()):
            return []
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            sha256_of = {row["video"]: row["sha256"] for row in csv.DictReader(file)}
        return [
            {sha256_of[video] for video in (*each.train, *each.validation) if sha256_of.get(video)}
            for each in splits.read(drawn)
        ]

    @contextlib.contextmanager
    def timed(self, step: str, resumes: bool = False) -> Iterator[None]:
        """Record the seconds that a step takes in environment.json, which no check compares.

        Args:
            step: "training" or "evaluation".
            resumes: The seconds are added to those of before, also if the step is stopped.
        """
        start, is_done = time.monotonic(), False
        try:
            yield
            is_done = True
        finally:
            if (is_done or resumes) and jax.process_index() == 0:
                environment = self._read("environment.json")
                seconds = environment.setdefault("seconds", {})
                before = seconds.get(step, 0.0) if resumes else 0.0
                seconds[step] = round(before + time.monotonic() - start, 1)
                write_json(self.path / "environment.json", environment)

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.path} holds no run ({path.name} is missing): name a run's folder, or train one with "
                "`a2inet demo`"
            )
        return read_json(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file of a run's folder, in ASCII: names of files need not be UTF-8."""
    files.write(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run's folder; `RunError` if it is not a mapping."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise RunError(
            f"{path} is not JSON ({error}): restore the file, or remove the folder and train again"
        ) from None
    if not isinstance(found, dict):
        raise RunError(
            f"{path} is not the config of a run: restore the file, or remove the folder and train again"
        )
    return found


def check_identity(folder: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Check that a folder's file, `theirs`, tells of the run that is to be continued in it, `ours`.

    Raises:
        RunError: It tells of another run; the message names the fields that differ.
    """
    # As they would come back from the file: its tuples are lists.
    if differing := differences(json.loads(json.dumps(ours)), theirs):
        raise RunError(
            f"{folder} holds another experiment's run; remove the folder to train again, or give this run "
            "another name (--config.name=NAME):\n  " + "\n  ".join(differing)
        )


def _processor() -> str:
    """Return the processor's model name; empty if Linux does not tell it."""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        return found[1] if found else platform.processor()
    return ""


def _commit() -> str:
    """Return the git commit of the package, with "-dirty" if files are changed; empty if there is none."""
    folder = Path(__file__).parent
    # A checkout that only contains the environment with the package is another project's.
    tracked = ["ls-files", "--error-unmatch", Path(__file__).name]
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        for arguments in (tracked, describe):
            command = ["git", "-C", str(folder), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
