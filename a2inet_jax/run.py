"""A run's folder: config and environment, and a guard against mixing two experiments in it."""

import contextlib
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
from a2inet_jax.errors import ConfigError, RunError

_PACKAGES = ("a2inet-jax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


@dataclass(frozen=True)
class RunFolder:
    """`runs/<name>`: config.json, environment.json, and the files of the experiment's steps."""

    path: Path

    @classmethod
    def of(cls, config: Experiment) -> Self:
        """Return the folder of an experiment's run, whether it exists or not."""
        return cls(Path("runs") / config.name)

    def open(self, config: Experiment, inputs: Mapping[str, Any]) -> None:
        """Begin a run, or resume the one that is there.

        Args:
            config: The experiment; becomes config.json.
            inputs: Hashes of features, weights and labels, which the config does not hold.

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
            self._compare("config.json", json.loads(text))
        if (self.path / "environment.json").is_file():
            self.check(config, inputs)
        else:
            _write(self.path / "config.json", json.loads(text))
            _write(self.path / "environment.json", environment)

    def check(self, config: Experiment, inputs: Mapping[str, Any] | None = None) -> None:
        """Check that the folder holds the run of this experiment and, if they are given, these inputs.

        Raises:
            RunError: It holds another experiment's run.
            FileNotFoundError: There is no run here.
        """
        self._compare("config.json", json.loads(json.dumps(config.to_dict())))
        if inputs is not None:
            self._compare("environment.json", json.loads(json.dumps({"inputs": inputs})))

    def check_recipe(self, here: Mapping[str, Any]) -> None:
        """Check that features of this recipe are like those that the run was trained with.

        Args:
            here: `Recipe.as_dict()` of the networks as they are now.

        Raises:
            RunError: They are not; lists the differences.
            FileNotFoundError: There is no run here.
        """
        trained = self.inputs()["recipe"]
        if differing := _differences(trained, here, whole=True):
            raise RunError(
                f"{self.path} was trained on features of another recipe:\n" + "\n".join(differing)
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
        """Return the inputs that the run was started with; `FileNotFoundError` if there is no run here."""
        return self._read("environment.json")["inputs"]

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
                _write(self.path / "environment.json", environment)

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.path} holds no run ({path.name} is missing): name a run's folder, or train one with "
                "`a2inet demo`"
            )
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

    def _compare(self, name: str, wanted: Mapping[str, Any]) -> None:
        # environment.json also holds facts that do not affect the numbers.
        whole = name == "config.json"
        if differing := _differences(self._read(name), wanted, whole):
            raise RunError(
                f"{self.path} holds another experiment's run; remove the folder to train again, or give "
                "this run another name (--config.name=NAME):\n" + "\n".join(differing)
            )


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], whole: bool) -> list[str]:
    """Return a line for each value that differs: of all, or only of those in `after`."""
    there, now = _flat(before), _flat(after)
    return [
        f"  {key}: {_short(there.get(key))} there, {_short(now.get(key))} now"
        for key in sorted(now | (there if whole else {}))
        if there.get(key) != now.get(key)
    ]


def _short(value: Any) -> Any:
    """Return a value as a message shows it; of a hash the first digits."""
    is_hash = isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)
    return f"{value[:12]}…" if is_hash else value


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    parts = (_flat(value, f"{prefix}.{key}" if prefix else key) for key, value in tree.items())
    return {key: value for part in parts for key, value in part.items()}


def _write(path: Path, content: Any) -> None:
    files.write(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


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
    found = ""
    for arguments in (tracked, describe):
        try:
            command = ["git", "-C", str(folder), *arguments]
            found = subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""
    return found
