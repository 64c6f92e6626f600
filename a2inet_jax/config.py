"""An experiment's configuration: every field with its default, unit, meaning and check, once.

`Experiment` is what the commands read. `config_dict` makes the `ConfigDict` that a config file changes and
`--config.x.y=v` overrides; `Experiment.from_dict` turns it, or the config.json of a run, back into these
classes and reports all bad fields in one error.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields
from dataclasses import field as dataclass_field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, Self

from a2inet_jax.errors import ConfigError
from a2inet_jax.fields import Checked, allowed, field, wrong_values

if TYPE_CHECKING:
    from ml_collections import ConfigDict

Stream = Literal["quality", "semantic"]
InputNormalization = Literal["", "none", "half", "imagenet", "kinetics", "tensorflow"]
Head = Literal["a2inet", "concat", "vsfa", "svr"]
Fusion = Literal["cagi", "concat", "concat_mlp"]
Normalization = Literal["cgin", "fgin_s_to_q", "fgin_q_to_s", "adain_s_to_q", "adain_q_to_s"]
NormAxis = Literal["time", "channel"]
Pooling = Literal["subjective", "mean"]
Dtype = Literal["float32", "bfloat16", "float16"]
Schedule = Literal["constant", "cosine", "step"]
EpochRule = Literal["last", "best_val", "best_test"]
Parallel = Literal["jit", "pmap", "mesh"]
Placement = Literal["auto", "resident", "streamed"]


@dataclass(frozen=True)
class Data(Checked):
    """The data set."""

    name: str = field("", "name in `a2inet data list`, or a CSV file or folder of your own")
    folder: str = field("data", "folder of data sets, their indices and features")
    manual_dir: str = field("", 'folder of a downloaded data set; "": data/manual/NAME')
    allow_missing: bool = field(False, "continue without videos whose files are missing")

    @property
    def path(self) -> Path:
        """`folder`, its `~` expanded."""
        return Path(self.folder).expanduser()


@dataclass(frozen=True)
class Splits(Checked):
    """Splits of the data set into train, validation and test."""

    kind: Literal["content", "own", "file"] = field(
        "content",
        'drawn by "content"; the data set\'s "own"; or read from a "file" of `a2inet data splits`',
    )
    file: str = field("", 'the file of kind "file"')
    num_splits: int = field(10, "number of random splits", at_least=1, was="number")
    test_fraction: float = field(0.2, "fraction of the contents", above=0, below=1, was="test")
    validation_fraction: float = field(
        0.2,
        "fraction of the contents that remain for training; 0: none",
        at_least=0,
        below=1,
        was="validation",
    )
    num_seeds: int = field(
        1, "ensemble members of each split, with consecutive seeds", at_least=1, was="seeds"
    )
    concurrent_members: int = field(
        0, "ensemble members that train as one program; 0: all", at_least=0, was="at_once"
    )


@dataclass(frozen=True)
class Features(Checked):
    """The frozen networks, and what they see of a video.

    Full resolution (FR) is num_frames = short_side_px = num_patches = 0; preprocessed (PR) is 128, 540 and 4.
    """

    quality: str = field("resnet34_unique", "network of the quality stream")
    semantic: str = field("resnet50_imagenet", "network of the semantic stream")
    quality_weights: str = field(
        "", 'name in `a2inet weights list`, or a published checkpoint; "": the network\'s own'
    )
    semantic_weights: str = field("", "as quality_weights")
    quality_normalization: InputNormalization = field(
        "", 'normalization of the input; "": as the network was trained'
    )
    semantic_normalization: InputNormalization = field("", "as quality_normalization")
    num_frames: int = field(
        0, "frames of a video, at equal intervals; 0: every one", at_least=0, was="frames"
    )
    short_side_px: int = field(
        0,
        "short side of the semantic stream's frames, pixels; 0: as they are",
        at_least=0,
        was="short_side",
    )
    num_patches: int = field(
        0, "patches of the quality stream's frames; 0: whole frames", at_least=0, was="patches"
    )
    patch_size_px: int = field(768, "side of a patch, pixels", at_least=1, was="patch_size")
    clip_spacing: int = field(
        1, "distance of a clip's frames, in frames, for networks that take clips", at_least=1
    )
    dtype: Dtype = field("float32", "dtype of the networks' computation")
    chunk_frames: int = field(8, "frames on the device at a time", at_least=1, was="chunk")
    timeout_s: float = field(
        120.0, "seconds that decoding a chunk may take", above=0, was="timeout"
    )
    num_decoders: int = field(
        0, "decoding processes; 0: one for each core", at_least=0, was="decoders"
    )
    memory_gib: float = field(
        2.0, "GiB of decoded frames in memory at a time", above=0, was="memory"
    )


@dataclass(frozen=True)
class Model(Checked):
    """The head. Defaults are the A2INet paper's where it gives a value."""

    name: Literal["a2inet", "concat", "vsfa"] = field(
        "a2inet",
        '"concat" is a2inet with that fusion; "vsfa" takes the streams straight into the temporal network',
    )
    streams: tuple[Stream, ...] = field(
        ("quality", "semantic"), "streams that enter the model; vsfa also takes one"
    )
    width: int = field(1024, "D, features of each stream after its FC layer", at_least=1)
    fusion: Fusion = field(
        "cagi",
        'how two streams become one of width 2D; "concat" and "concat_mlp" (FC, ReLU, dropout) '
        "replace CAGI",
    )
    dropout: float = field(0.5, "dropout rate of concat_mlp", at_least=0, below=1)
    normalization: Normalization = field("cgin", "of CAGI; all but cgin change one stream only")
    norm_axis: NormAxis = field("time", "axis that CAGI's statistics are taken over")
    attention: bool = field(True, "CAGI's attention over all frames")
    catm: bool = field(True, "CATM after the fusion")
    reduction: int = field(4, "r, by which the gates of CATM are narrower than D", at_least=1)
    kernel: int = field(3, "frames that CATM's convolutions see", at_least=1)
    tail: int = field(0, "last features of a stream that vsfa takes; 0: all", at_least=0)
    neck: int = field(128, "features of a frame that enter the GRU", at_least=1)
    hidden: int = field(32, "hidden units of the GRU", at_least=1)
    pooling: Pooling = field("subjective", "of frame scores over time")
    tau: int = field(12, "τ, frames of the subjective pooling's windows", at_least=1)
    beta: float = field(
        0.5, "β, weight of the present against the memory in the subjective pooling", at_least=0
    )
    dtype: Dtype = field(
        "float32",
        "dtype of the computation; norms, softmax, GRU, scores and parameters stay float32",
    )


@dataclass(frozen=True)
class Train(Checked):
    """Training of the head. Defaults are the A2INet paper's where it gives a value.

    Fields from `parallel` on say how and where the work is done; the numbers stay the same but for rounding.
    """

    learning_rate: float = field(2e-5, "of Adam, at its highest", above=0)
    weight_decay: float = field(0.0, "decoupled weight decay (AdamW); 0: plain Adam", at_least=0)
    schedule: Schedule = field(
        "constant",
        'of the learning rate; "cosine" ends at 0, "step" multiplies by step_factor every '
        "step_epochs epochs",
    )
    step_epochs: int = field(
        10, 'epochs between the drops of schedule "step"', at_least=1, was="step_every"
    )
    step_factor: float = field(0.5, "factor of the learning rate at each drop", above=0)
    warmup_fraction: float = field(
        0.0,
        "fraction of the training in which the learning rate rises linearly; the schedule starts "
        "after it",
        at_least=0,
        below=1,
        was="warmup",
    )
    clip_norm: float = field(
        0.0,
        "largest global norm of the gradient, which is scaled down to it; 0: no limit",
        at_least=0,
    )
    ema_decay: float = field(
        0.0,
        "decay of the parameters' exponential moving average, which is then evaluated and kept; "
        "0: none",
        at_least=0,
        below=1,
        was="ema",
    )
    batch_size: int = field(8, "videos of a step, over all devices", at_least=1)
    epochs: int = field(40, "passes over the training videos", at_least=1)
    rank_weight: float = field(1.0, "η, weight of the rank loss", at_least=0)
    epoch_rule: EpochRule = field(
        "best_val",
        'epoch that is kept, by SRCC; the earlier of equals. "best_test" chooses by the numbers '
        "that it reports and is optimistic",
    )
    parallel: Parallel = field(
        "jit",
        '"jit": one device; "pmap": each batch over the local devices; "mesh": splits and batches '
        "over the devices of all processes",
    )
    placement: Placement = field(
        "auto",
        'where the features are: "resident" in device memory, "streamed" from disk; "auto": '
        "resident if they fit",
    )
    memory_fraction: float = field(
        0.5,
        "fraction of the device's memory that resident features may take",
        at_least=0,
        below=1,
        was="memory_share",
    )
    num_buckets: int = field(
        4, "padded lengths at most; each is compiled once", at_least=1, was="buckets"
    )
    steps_per_call: int = field(
        100, "training steps in one call of a jitted function, at most", at_least=1
    )
    checkpoint_epochs: int = field(
        10,
        "epochs between checkpoints; the last epoch always has one",
        at_least=1,
        was="checkpoint_every",
    )


@dataclass(frozen=True)
class Experiment(Checked):
    """All that decides an experiment's numbers; `runs/NAME/config.json` keeps it beside the result."""

    name: str = field("base", "the run's folder is runs/NAME")
    seed: int = field(
        0, "first seed of initial parameters, batches, dropout and drawn splits", at_least=0
    )
    paper_row: str = field(
        "", 'row of the paper\'s tables that the experiment makes, such as "table2:FR,S+S"'
    )
    baselines: tuple[Head, ...] = field(
        ("concat", "vsfa", "svr"), "other heads, trained on the same splits"
    )
    data: Data = dataclass_field(default_factory=Data)
    splits: Splits = dataclass_field(default_factory=Splits)
    features: Features = dataclass_field(default_factory=Features)
    model: Model = dataclass_field(default_factory=Model)
    train: Train = dataclass_field(default_factory=Train)

    def __post_init__(self) -> None:
        super().__post_init__()
        path = PurePath(self.name)
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"name is {self.name!r}; it takes the name of a folder in runs")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as nested plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make an experiment of all fields, given as nested plain values; lists stand for tuples.

        Raises:
            ConfigError: Fields are unknown, missing or not what they may be; lists all of them.
        """
        if problems := problems_in(values):
            raise ConfigError("\n  ".join(["these fields cannot be used:", *problems]))
        plain = _tuples(values)
        return cls(**plain | {name: group(**plain[name]) for name, group in _GROUPS.items()})


_GROUPS: dict[str, Any] = {
    each.name: each.default_factory
    for each in fields(Experiment)
    if each.default_factory is not MISSING
}


def config_dict() -> "ConfigDict":
    """Return the defaults of all fields, for a config file to change."""
    from ml_collections import ConfigDict  # not wanted where only the defaults are

    return ConfigDict(Experiment().to_dict())


def describe() -> Iterator[tuple[str, Any, str, str]]:
    """Yield each field's path, default, allowed values and doc, in the order of this file."""
    for path, one in _all_fields():
        yield path, one.default, allowed(one), one.metadata["doc"]


def takes(path: str) -> str:
    """Return the values that a field takes, in words; `KeyError` if there is no such field."""
    return allowed(dict(_all_fields())[path])


def suggestion(path: str) -> str:
    """Return a hint for a field that does not exist: its new name, or the nearest one."""
    known = dict(_all_fields())
    renamed = {
        f"{prefix}{dot}{one.metadata['was']}": current
        for current, one in known.items()
        for prefix, dot, _ in [current.rpartition(".")]
        if one.metadata["was"]
    }
    if path in renamed:
        return f"{path} is now called {renamed[path]}"
    alike = [each for each in known if each.rpartition(".")[2] == path.rpartition(".")[2]]
    alike = alike or difflib.get_close_matches(path, [*known, *renamed], n=1)
    if not alike:
        return f"there is no field {path}: `a2inet config fields` lists all"
    return f"there is no field {path}: did you mean {renamed.get(alike[0], alike[0])}?"


def problems_in(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with all fields of an experiment, given as nested plain values."""
    plain = _tuples(values)
    problems = _problems(Experiment, plain)
    for name, group in _GROUPS.items():
        if isinstance(plain.get(name), Mapping):
            problems += _problems(group, plain[name], f"{name}.")
    return problems


def _all_fields() -> Iterator[tuple[str, Field[Any]]]:
    for each in fields(Experiment):
        if each.name in _GROUPS:
            yield from ((f"{each.name}.{one.name}", one) for one in fields(_GROUPS[each.name]))
        else:
            yield each.name, each


def _problems(group: Any, values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Problems of all values of a group: unknown, missing and wrong ones."""
    known = [each.name for each in fields(group)]
    problems = [suggestion(prefix + name) for name in values if name not in known]
    problems += [f"{prefix}{name} is missing" for name in known if name not in values]
    return sorted([*problems, *wrong_values(group, values, prefix)])


def _tuples(value: Any) -> Any:
    """Return nested values with tuples in place of lists."""
    if isinstance(value, Mapping):
        return {name: _tuples(each) for name, each in value.items()}
    return tuple(value) if isinstance(value, list) else value
