"""The plan of a table of the paper: an experiment for each row and data set."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from a2inet_jax import config_file
from a2inet_jax.config import Experiment
from a2inet_jax.configs import rows
from a2inet_jax.datasets import registry
from a2inet_jax.errors import ConfigError

# Fields that distinguish the rows, or that follow from the data set's name: no override may set them.
_FIXED = (
    "baselines", "data.name", "features.quality", "features.semantic", "model.name", "model.streams",
    "model.fusion", "model.normalization", "model.catm", "model.tail", "name", "paper_row",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """All that a table needs.

    Attributes:
        number: The table's number in the paper.
        name: The folder that the table is kept in; other tables have other names.
        title: The table's subject.
        rows: Each row's name in the paper.
        trained: The data sets that models are trained on.
        tested: The data sets that they are tested on, the columns; those in `trained`, but for Table 3.
        configs: (row, data set) → the experiment. Equal experiments have one name, in all tables.
        notes: In what the rows differ from the paper's.
    """

    number: int
    name: str
    title: str
    rows: dict[str, str]
    trained: tuple[str, ...]
    tested: tuple[str, ...]
    configs: dict[tuple[str, str], Experiment]
    notes: list[str]

    def run(self, row: str, dataset: str) -> Experiment:
        """Return the experiment that a row is tested by on a data set."""
        return self.configs[row, dataset if dataset in self.trained else self.trained[0]]

    def runs(self) -> dict[str, Experiment]:
        """Return all experiments by name."""
        return {config.name: config for config in self.configs.values()}


def make(
    number: int, datasets: Sequence[str], networks: str = "", overrides: Sequence[str] = ()
) -> Plan:
    """Plan a table.

    Args:
        number: The table's number.
        datasets: Names of data sets, or CSV files; those of the paper's table if empty. Table 3 trains on the
            first.
        networks: "paper", or "index" for those of the package index; "" leaves it to the data set.
        overrides: Changes of every row's config, `field=value` each, such as "train.epochs=20".

    Raises:
        ConfigError: There is no such table, data set or field, a data set is named twice, or the overrides
            make two rows one.
    """
    table = rows.definition(number)
    names = tuple(datasets) or table.DATASETS
    if len({registry.unique_slug(name) for name in names}) < len(names):
        raise ConfigError(f"a data set is named twice: {', '.join(names)}")
    trained = names[:1] if number == 3 else names
    if registry.TEST_ONLY in trained:
        raise ConfigError(
            f"{registry.TEST_ONLY} is for testing only: train on lsvq, as Table 3 does"
        )
    for override in overrides:
        if (path := override.partition("=")[0]) in _FIXED:
            raise ConfigError(f"--config.{override}: rows have a {path} of their own")
    configs = {
        (row, name): _named(config_file.resolve(table.build(row, name, networks), overrides))
        for row in table.ROWS
        for name in trained
    }
    for name in trained:
        _check_apart({row: configs[row, name].name for row in table.ROWS}, overrides)
    notes = [note for name in trained if (note := _other_networks(name, networks))]
    notes += [f"Fields that were set: {', '.join(overrides)}."] if overrides else []
    folder, title = _folder(number, names, networks, overrides), f"Table {number}: {table.TITLE}"
    return Plan(number, folder, title, dict(table.ROWS), trained, names, configs, notes)


def _other_networks(dataset: str, networks: str) -> str:
    """A note on networks that replace the paper's, and on other differences of the data set's config."""
    others = [
        f"{name} for {rows.PAPER[role]}"
        for role, name in rows.chosen(dataset, networks).items()
        if name != rows.PAPER[role]
    ]
    if not others:
        return ""
    more = "; frames, width and training as in configs/sample.py" if dataset == "sample" else ""
    return f"{registry.info(dataset).title}: other networks than the paper's ({', '.join(others)}){more}."


def _folder(number: int, datasets: Sequence[str], networks: str, overrides: Sequence[str]) -> str:
    """Table and data sets, then six digits of a hash of the other options and of custom data sets' paths."""
    slugs = [registry.slug(name) for name in datasets]
    custom = [registry.unique_slug(name) for name in datasets if name not in registry.NAMES]
    more = [*filter(None, [networks]), *overrides, *custom]
    digest = [hashlib.sha256(json.dumps(more).encode()).hexdigest()[:6]] if more else []
    return "-".join([f"table{number}", *slugs, *digest])


def _check_apart(runs: Mapping[str, str], overrides: Sequence[str]) -> None:
    """Refuse overrides that make two rows one: it would be listed under the name of both."""
    first: dict[str, str] = {}
    for row, run in runs.items():
        if (other := first.setdefault(run, row)) != row:
            raise ConfigError(
                f"--config.{', --config.'.join(overrides)}: the rows {other} and {row} are then one"
            )


def _named(config: Experiment) -> Experiment:
    """The experiment, named by its content, so that equal experiments are one run and others never are."""
    fields: dict[str, Any] = config.to_dict()
    del fields["name"]
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]
    networks = "+".join(getattr(config.features, stream) for stream in config.model.streams)
    folder = f"{registry.slug(config.data.name)}/{config.model.name}_{networks}_{digest}"
    return replace(config, name=folder)
