"""Config files and overrides: from `--config=FILE[:ARGUMENT] --config.x.y=v` to an `Experiment`."""

import difflib
import importlib.util
import inspect
import traceback
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from a2inet_jax.config import Experiment, problems_in, suggestion, takes
from a2inet_jax.errors import A2INetError, ConfigError


def load(spec: str, overrides: Sequence[str] = ()) -> Experiment:
    """Load a config file and change its fields.

    Args:
        spec: A file, or the bare name of one that comes with the package, such as `sample`; then, after a
            colon, the argument of its `get_config`.
        overrides: `x.y=v` each.

    Raises:
        ConfigError: There is no such file, it fails, or fields are not what they may be; lists all of them.
        A2INetError: As the file raises it, such as for an unknown row of a table.
    """
    return resolve(_run(spec), overrides)


def resolve(config: ConfigDict, overrides: Sequence[str]) -> Experiment:
    """Return the experiment of a config with some fields changed; errors as for `load`."""
    before = config.to_dict()
    problems = _override(config, overrides)
    plain = config.to_dict()
    problems += problems_in(plain)
    if problems:
        first = "these fields cannot be used:"
        if any(problem.endswith(" is missing") for problem in problems):
            first = (
                "these fields cannot be used (start from a2inet_jax.configs.base, which has all):"
            )
        raise ConfigError("\n  ".join([first, *problems]))
    experiment = Experiment.from_dict(plain)
    is_changed = experiment.paper_row and plain != before
    if is_changed and not _is_same_row(Experiment.from_dict(before), experiment):
        return replace(experiment, paper_row="")
    return experiment


def packaged() -> list[str]:
    """Return the names of the config files that come with the package."""
    folder = resources.files("a2inet_jax.configs")
    return sorted(
        file.name.removesuffix(".py")
        for file in folder.iterdir()
        if file.name.endswith(".py") and file.name not in ("rows.py", "__init__.py")
    )


def _run(spec: str) -> ConfigDict:
    """Return the `ConfigDict` of a file, or of a packaged config."""
    name, colon, argument = spec.partition(":")
    path = _find(name)
    module_spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if module_spec is None or module_spec.loader is None:
        raise ConfigError(f"--config={spec}: {path} is not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
        if not callable(getattr(module, "get_config", None)):
            raise ConfigError(f"{path} has no function get_config")
        if colon and not inspect.signature(module.get_config).parameters:
            raise ConfigError(f"it takes no argument: --config={name}")
        config = module.get_config(argument) if colon else module.get_config()
    except A2INetError as error:
        raise ConfigError(f"--config={spec}: {error}") from error
    except (Exception, SystemExit) as error:  # the file is the user's, and may do anything
        raise ConfigError(f"--config={spec}: {_in_a_line(error, path)}") from error
    if not isinstance(config, ConfigDict):
        raise ConfigError(
            f"--config={spec}: get_config returns {type(config).__name__} in place of a ConfigDict"
        )
    return config


def _find(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    known = packaged()
    if name in known:
        return Path(str(resources.files("a2inet_jax.configs").joinpath(f"{name}.py")))
    if path.is_dir():
        raise ConfigError(f"--config={name} is a folder: name a file in it")
    stem = path.stem if path.parent.name in ("", "configs") else ""
    near = difflib.get_close_matches(stem, known, n=1)
    remedy = f"did you mean --config={near[0]}?" if near else "name a file"
    raise ConfigError(
        f"--config={name}: there is no such file; {remedy} ({', '.join(known)} are in the package)"
    )


def _in_a_line(error: BaseException, path: Path) -> str:
    """Return an error of a config file as one line, with the line in the file that raised it."""
    if isinstance(error, SyntaxError):
        return f"{path}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path.absolute())]
    text = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    return f"{path}, line {lines[-1]}: {said}" if lines else f"{path}: {said}"


def _override(config: ConfigDict, overrides: Sequence[str]) -> list[str]:
    """Change fields as ml_collections parses them; return what cannot be changed and why."""
    problems = []
    for override in overrides:
        path, _, _ = override.partition("=")
        try:
            is_group = isinstance(_get(config, path), ConfigDict)
        except KeyError:
            problems.append(f"--config.{override}: {suggestion(path)}")
            continue
        if is_group:
            problems.append(f"--config.{override}: {path} is a group of fields; set one of them")
            continue
        arguments = ["a2inet", f"--config.{override}"]
        values = flags.FlagValues()
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=arguments)
        try:
            values(arguments)
        except (flags.Error, TypeError, ValueError):
            problems.append(f"--config.{override}: {path} takes {takes(path)}")
    return problems


def _get(config: ConfigDict, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(config, ConfigDict):
            raise KeyError(path)
        config = config[name]
    return config


def _is_same_row(before: Experiment, after: Experiment) -> bool:
    """Return whether changes keep the row of the paper's tables.

    Data set, splits and training may be others, and networks of the package index stand for the paper's.
    """
    from a2inet_jax.build import essence
    from a2inet_jax.configs.rows import with_paper_networks

    one, other = (essence(with_paper_networks(config)) for config in (before, after))
    return one == other
