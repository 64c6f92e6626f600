"""Which runs a table of the paper is made of: a config for each row and data set, and what they share."""

import ast
import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import flax.linen as nn
from ml_collections import ConfigDict

from a2inet_jax.build import Config, backbone, build_model, plain
from a2inet_jax.datasets import registry

TABLES = (2, 3, 4, 5, 6, 7)


@dataclass(frozen=True)
class Plan:
    """What a table needs.

    Attributes:
      number: of the paper's table.
      name: of the folder that the table is kept in; others have other names.
      title: what the table is about.
      rows: of the table → the paper's names of them.
      trained: data sets that models are trained on.
      tested: data sets that they are tested on, the columns. They are tested on `trained` alone, but for
        Table 3.
      configs: (row, data set) → the config of its run. Equal experiments have one name, in whatever tables
        they are.
      notes: in what the rows are not the paper's.
    """

    number: int
    name: str
    title: str
    rows: dict[str, str]
    trained: tuple[str, ...]
    tested: tuple[str, ...]
    configs: dict[tuple[str, str], Config]
    notes: list[str]

    def run(self, row: str, dataset: str) -> Config:
        """The run that a row is tested by on a data set."""
        return self.configs[row, dataset if dataset in self.trained else self.trained[0]]

    def runs(self) -> dict[str, Config]:
        """Name → config of each run."""
        return {config["name"]: config for config in self.configs.values()}


def make(
    number: int, datasets: Sequence[str], networks: str = "", changes: Sequence[str] = ()
) -> Plan:
    """Plan a table.

    Args:
      number: of the table.
      datasets: names of data sets; those of the paper's table if empty. Of Table 3, the first is trained on.
      networks: "paper", or "index" for those of the package index; "" leaves it to the data set.
      changes: of every config, `field=value` each, such as "train.epochs=20".

    Raises:
      ValueError: there is no such table, data set or field, or a data set is named twice.
      FileNotFoundError: the configs are not here.
    """
    file = _definition(number)
    names = tuple(datasets) or file.DATASETS
    if len({registry.file_name(name) for name in names}) < len(names):
        raise ValueError(f"a data set is named twice: {', '.join(names)}")
    trained = names[:1] if number == 3 else names
    if registry.TEST_ONLY in trained:
        raise ValueError(
            f"{registry.TEST_ONLY} is for testing only: train on lsvq, as Table 3 does"
        )
    configs = {
        (row, name): _named(_changed(file.build(row, name, networks), changes))
        for row in file.ROWS
        for name in trained
    }
    for name in trained:
        _check_apart({row: configs[row, name]["name"] for row in file.ROWS}, changes)
    title = f"Table {number}: {file.TITLE}"
    notes = [note for name in trained if (note := _stand_ins(name, networks))]
    notes += [f"Fields that were set: {', '.join(changes)}."] if changes else []
    folder = _folder(number, names, networks, changes)
    return Plan(number, folder, title, dict(file.ROWS), trained, names, configs, notes)


def rows_of(config: Config) -> list[tuple[int, str]]:
    """The paper's rows, as (table, the paper's name), whose model and features a run has.

    Data set, splits and training may be others, and networks of the package index stand for the paper's.
    """
    found, built = [], _built(config)
    # One's own data may be gone; rows on it are as those on any data set of people's ratings.
    dataset = config["data"]["name"]
    dataset = dataset if dataset in registry.NAMES else "konvid_1k"
    for number in TABLES:
        try:
            file = _definition(number)
        except FileNotFoundError:
            return []
        networks = importlib.import_module("configs.rows").NETWORKS
        for row, name in file.ROWS.items():
            if any(_built(file.build(row, dataset, each)) == built for each in networks):
                found.append((number, name))
    return found


def _definition(number: int) -> ModuleType:
    if number not in TABLES:
        raise ValueError(
            f"no table {number} is made here: take one of {', '.join(map(str, TABLES))}"
        )
    try:
        return importlib.import_module(f"configs.table{number}")
    except ModuleNotFoundError as error:
        raise FileNotFoundError(
            f"configs/table{number}.py is not to be found ({error}): install the repository itself, "
            "`pip install -e .`, and work in its folder"
        ) from None


def _stand_ins(dataset: str, networks: str) -> str:
    """Which networks are in the places of the paper's, and more that a config has otherwise."""
    rows = importlib.import_module("configs.rows")
    others = [
        f"{name} for {rows.PAPER[part]}"
        for part, name in rows.chosen(dataset, networks).items()
        if name != rows.PAPER[part]
    ]
    if not others:
        return ""
    more = "; frames, width and training as in configs/sample.py" if dataset == "sample" else ""
    return f"{registry.info(dataset).title}: other networks than the paper's ({', '.join(others)}){more}."


def _folder(number: int, datasets: Sequence[str], networks: str, changes: Sequence[str]) -> str:
    """Table, data sets, and six digits of what more was asked for and of where data sets of one's own are."""
    slugs = [registry.slug(name) for name in datasets]
    own = [registry.file_name(name) for name in datasets if name not in registry.NAMES]
    more = [*filter(None, [networks]), *changes, *own]
    digest = [hashlib.sha256(json.dumps(more).encode()).hexdigest()[:6]] if more else []
    return "-".join([f"table{number}", *slugs, *digest])


# What tells rows from each other, or is told by the data set's name.
_FIXED = (
    "baselines",
    "data.name",
    "features.quality",
    "features.semantic",
    "model.name",
    "model.streams",
    "model.fusion",
    "model.normalization",
    "model.catm",
    "model.tail",
    "name",
)


def _changed(config: Any, changes: Sequence[str]) -> Config:
    for change in changes:
        path, equals, text = change.partition("=")
        *parents, field = path.split(".")
        place = config
        try:
            for parent in parents:
                place = place[parent]
            if path in _FIXED:
                raise ValueError(f"--set={change}: rows have a {path} of their own")
            if not equals or field not in place or isinstance(place[field], ConfigDict):
                raise KeyError(field)
            value = text if isinstance(place[field], str) else _value(text)
            if value is None:
                raise TypeError("None is not a value of any field")
            place[field] = value
        except (KeyError, AttributeError, TypeError) as error:
            raise ValueError(
                f"--set={change}: not a field of configs/base.py and a value of its kind, such as "
                f"train.epochs=20 ({error})"
            ) from None
    return config


def _check_apart(runs: Mapping[str, str], changes: Sequence[str]) -> None:
    """Refuse changes that make two rows one: it would stand under the name of both."""
    first: dict[str, str] = {}
    for row, run in runs.items():
        other = first.setdefault(run, row)
        if other != row:
            raise ValueError(f"--set={', '.join(changes)}: the rows {other} and {row} are then one")


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _named(config: Any) -> Config:
    """Called by what it is, so that equal experiments are one run and others never are."""
    fields = plain(config)
    del fields["name"]
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]
    networks = "+".join(config.features[stream] for stream in config.model.streams)
    config.name = f"{registry.slug(config.data.name)}/{config.model.name}_{networks}_{digest}"
    return config


# Fields of the model by the fusion that takes them.
_FUSIONS = {"cagi": ("normalization", "norm_axis", "attention"), "concat_mlp": ("dropout",)}


def _built(config: Config) -> tuple[nn.Module, dict[str, Any]]:
    """What a run's model computes and what its features are, without fields that have no part in them."""
    features, fields = plain(config)["features"], plain(config)["model"]
    idle = [field for name in _FUSIONS.keys() - {fields["fusion"]} for field in _FUSIONS[name]]
    idle += [] if fields["catm"] else ["reduction", "kernel"]
    model = build_model(fields["name"], fields | dict.fromkeys(idle))
    seen: dict[str, Any] = {key: features[key] for key in ("frames", "dtype")}
    for stream in fields["streams"]:
        name = features[stream]
        normalization = features[f"{stream}_normalization"] or backbone(name).normalization
        seen[stream] = (name, features[f"{stream}_weights"] or name, normalization)
        if backbone(name).clip > 1:
            seen["clip_spacing"] = features["clip_spacing"]
    if "semantic" in seen:
        seen["short_side"] = features["short_side"]
    if "quality" in seen and features["patches"]:
        seen["patches"] = (features["patches"], features["patch_size"])
    return model, seen
