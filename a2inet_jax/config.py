"""An experiment's configuration: every field with its default, unit, meaning and check, once.

`Experiment` is what the commands read. `config_dict` makes the `ConfigDict` that a config file changes and
`--config.x.y=v` overrides; `Experiment.from_dict` turns it, or the config.json of a run, back into these
classes and reports all bad fields in one error.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_origin

from a2inet_jax.errors import ConfigError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

Stream = Literal["quality", "semantic"]
InputNormalization = Literal["", "none", "half", "imagenet", "kinetics", "tensorflow"]
Head = Literal["a2inet", "concat", "vsfa", "svr"]
Fusion = Literal["cagi", "concat", "concat_mlp"]
Normalization = Literal["cgin", "fgin_s_to_q", "fgin_q_to_s", "adain_s_to_q", "adain_q_to_s"]
NormAxis = Literal["time", "channel"]
Pooling = Literal["subjective", "mean"]
Dtype = Literal["float32", "bfloat16", "float16", "float64"]
Schedule = Literal["constant", "cosine", "step"]
EpochRule = Literal["last", "best_val", "best_test"]
Parallel = Literal["jit", "pmap", "mesh"]
Placement = Literal["auto", "resident", "streamed"]


def _field(
    default: Any,
    doc: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    was: str = "",
) -> Any:
    """A field with what is known of it.

    Args:
        default: Its value where nothing else is said.
        doc: What it means, with its unit.
        at_least: The smallest value.
        above: A bound that the value exceeds.
        below: A bound that the value stays under.
        was: Its name in earlier versions, if that was another.
    """
    limits = {"at_least": at_least, "above": above, "below": below}
    return field(default=default, metadata={"doc": doc, "was": was, **limits})


class _Checked:
    """A group of fields that checks itself: `ConfigError` lists everything that is wrong."""

    def __post_init__(self) -> None:
        if problems := _problems(type(self), vars(self)):
            raise ConfigError("; ".join(problems))


@dataclass(frozen=True)
class Data(_Checked):
    """The data set."""

    name: str = _field("", "name in `a2inet data list`, or a CSV file or folder of your own")
    folder: str = _field("data", "folder of data sets, their indices and features")
    manual_dir: str = _field("", 'folder of a downloaded data set; "": data/manual/NAME')
    allow_missing: bool = _field(False, "continue without videos whose files are missing")


@dataclass(frozen=True)
class Splits(_Checked):
    """Splits of the data set into train, validation and test."""

    kind: Literal["content", "own", "file"] = _field(
        "content",
        'drawn by "content"; the data set\'s "own"; or read from a "file" of `a2inet data splits`',
    )
    file: str = _field("", 'the file of kind "file"')
    num_splits: int = _field(10, "number of random splits", at_least=1, was="number")
    test_fraction: float = _field(0.2, "fraction of the contents", above=0, below=1, was="test")
    validation_fraction: float = _field(
        0.2,
        "fraction of the contents that remain for training; 0: none",
        at_least=0,
        below=1,
        was="validation",
    )
    num_seeds: int = _field(
        1, "ensemble members of each split, with consecutive seeds", at_least=1, was="seeds"
    )
    concurrent_members: int = _field(
        0, "ensemble members that train as one program; 0: all", at_least=0, was="at_once"
    )


@dataclass(frozen=True)
class Features(_Checked):
    """The frozen networks, and what they see of a video.

    Full resolution (FR) is num_frames = short_side_px = num_patches = 0; preprocessed (PR) is 128, 540 and 4.
    """

    quality: str = _field("resnet34_unique", "network of the quality stream")
    semantic: str = _field("resnet50_imagenet", "network of the semantic stream")
    quality_weights: str = _field(
        "", 'name in `a2inet weights list`, or a published checkpoint; "": the network\'s own'
    )
    semantic_weights: str = _field("", "as quality_weights")
    quality_normalization: InputNormalization = _field(
        "",
        'normalization of the input; "": as the network was trained',
    )
    semantic_normalization: InputNormalization = _field(
        "",
        "as quality_normalization",
    )
    num_frames: int = _field(
        0, "frames of a video, at equal intervals; 0: every one", at_least=0, was="frames"
    )
    short_side_px: int = _field(
        0,
        "short side of the semantic stream's frames, pixels; 0: as they are",
        at_least=0,
        was="short_side",
    )
    num_patches: int = _field(
        0, "patches of the quality stream's frames; 0: whole frames", at_least=0, was="patches"
    )
    patch_size_px: int = _field(768, "side of a patch, pixels", at_least=1, was="patch_size")
    clip_spacing: int = _field(
        1, "distance of a clip's frames, in frames, for networks that take clips", at_least=1
    )
    dtype: Dtype = _field(
        "float32",
        "dtype of the networks' computation",
    )
    chunk_frames: int = _field(8, "frames on the device at a time", at_least=1, was="chunk")
    timeout_s: float = _field(
        120.0, "seconds that decoding a chunk may take", above=0, was="timeout"
    )
    num_decoders: int = _field(
        0, "decoding processes; 0: one for each core", at_least=0, was="decoders"
    )
    memory_gib: float = _field(
        2.0, "GiB of decoded frames in memory at a time", above=0, was="memory"
    )


@dataclass(frozen=True)
class Model(_Checked):
    """The head. Defaults are the A2INet paper's where it gives a value."""

    name: Literal["a2inet", "concat", "vsfa"] = _field(
        "a2inet",
        '"concat" is a2inet with that fusion; "vsfa" takes the streams straight into the temporal network',
    )
    streams: tuple[Stream, ...] = _field(
        ("quality", "semantic"),
        "streams that enter the model; vsfa also takes one",
    )
    width: int = _field(1024, "D, features of each stream after its FC layer", at_least=1)
    fusion: Fusion = _field(
        "cagi",
        'how two streams become one of width 2D; "concat" and "concat_mlp" (FC, ReLU, dropout) '
        "replace CAGI",
    )
    dropout: float = _field(0.5, "dropout rate of concat_mlp", at_least=0, below=1)
    normalization: Normalization = _field(
        "cgin",
        "of CAGI; all but cgin change one stream only",
    )
    norm_axis: NormAxis = _field(
        "time",
        "axis that CAGI's statistics are taken over",
    )
    attention: bool = _field(True, "CAGI's attention over all frames")
    catm: bool = _field(True, "CATM after the fusion")
    reduction: int = _field(4, "r, by which the gates of CATM are narrower than D", at_least=1)
    kernel: int = _field(3, "frames that CATM's convolutions see", at_least=1)
    tail: int = _field(0, "last features of a stream that vsfa takes; 0: all", at_least=0)
    neck: int = _field(128, "features of a frame that enter the GRU", at_least=1)
    hidden: int = _field(32, "hidden units of the GRU", at_least=1)
    pooling: Pooling = _field(
        "subjective",
        "of frame scores over time",
    )
    tau: int = _field(12, "τ, frames of the subjective pooling's windows", at_least=1)
    beta: float = _field(
        0.5, "β, weight of the present against the memory in the subjective pooling", at_least=0
    )
    dtype: Dtype = _field(
        "float32",
        "dtype of the computation; norms, softmax, GRU, scores and parameters stay float32",
    )


@dataclass(frozen=True)
class Train(_Checked):
    """Training of the head. Defaults are the A2INet paper's where it gives a value.

    Fields from `parallel` on say how and where the work is done; the numbers stay the same but for rounding.
    """

    learning_rate: float = _field(2e-5, "of Adam, at its highest", above=0)
    weight_decay: float = _field(0.0, "decoupled weight decay (AdamW); 0: plain Adam", at_least=0)
    schedule: Schedule = _field(
        "constant",
        'of the learning rate; "cosine" ends at 0, "step" multiplies by step_factor every '
        "step_epochs epochs",
    )
    step_epochs: int = _field(
        10, 'epochs between the drops of schedule "step"', at_least=1, was="step_every"
    )
    step_factor: float = _field(0.5, "factor of the learning rate at each drop", above=0)
    warmup_fraction: float = _field(
        0.0,
        "fraction of the training in which the learning rate rises linearly; the schedule starts "
        "after it",
        at_least=0,
        below=1,
        was="warmup",
    )
    clip_norm: float = _field(
        0.0,
        "largest global norm of the gradient, which is scaled down to it; 0: no limit",
        at_least=0,
    )
    ema_decay: float = _field(
        0.0,
        "decay of the parameters' exponential moving average, which is then evaluated and kept; "
        "0: none",
        at_least=0,
        below=1,
        was="ema",
    )
    batch_size: int = _field(8, "videos of a step, over all devices", at_least=1)
    epochs: int = _field(40, "passes over the training videos", at_least=1)
    rank_weight: float = _field(1.0, "η, weight of the rank loss", at_least=0)
    epoch_rule: EpochRule = _field(
        "best_val",
        'epoch that is kept, by SRCC; the earlier of equals. "best_test" chooses by the numbers '
        "that it reports and is optimistic",
    )
    parallel: Parallel = _field(
        "jit",
        '"jit": one device; "pmap": each batch over the local devices; "mesh": splits and batches '
        "over the devices of all processes",
    )
    placement: Placement = _field(
        "auto",
        'where the features are: "resident" in device memory, "streamed" from disk; "auto": '
        "resident if they fit",
    )
    memory_fraction: float = _field(
        0.5,
        "fraction of the device's memory that resident features may take",
        at_least=0,
        below=1,
        was="memory_share",
    )
    num_buckets: int = _field(
        4, "padded lengths at most; each is compiled once", at_least=1, was="buckets"
    )
    steps_per_call: int = _field(
        100, "training steps in one call of a jitted function, at most", at_least=1
    )
    checkpoint_epochs: int = _field(
        10,
        "epochs between checkpoints; the last epoch always has one",
        at_least=1,
        was="checkpoint_every",
    )


@dataclass(frozen=True)
class Experiment(_Checked):
    """All that decides an experiment's numbers; `runs/NAME/config.json` keeps it beside the result."""

    name: str = _field("base", "the run's folder is runs/NAME")
    seed: int = _field(
        0, "first seed of initial parameters, batches, dropout and drawn splits", at_least=0
    )
    paper_row: str = _field(
        "", 'row of the paper\'s tables that the experiment makes, such as "table2:FR,S+S"'
    )
    baselines: tuple[Head, ...] = _field(
        ("concat", "vsfa", "svr"),
        "other heads, trained on the same splits",
    )
    data: Data = field(default_factory=Data)
    splits: Splits = field(default_factory=Splits)
    features: Features = field(default_factory=Features)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)

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
        found = {name: _tuple(value) for name, value in values.items()}
        for name, group in _GROUPS.items():
            found[name] = group(**{key: _tuple(value) for key, value in values[name].items()})
        return cls(**found)


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
        yield path, one.default, _allowed(one), one.metadata["doc"]


def allowed(path: str) -> str:
    """Return what a field takes, in words; `KeyError` if there is no such field."""
    return _allowed(dict(_all_fields())[path])


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
    problems = _problems(Experiment, {k: _tuple(v) for k, v in values.items()}, whole=True)
    for name, group in _GROUPS.items():
        if isinstance(fields_of := values.get(name), Mapping):
            found = {key: _tuple(value) for key, value in fields_of.items()}
            problems += _problems(group, found, f"{name}.", whole=True)
    return problems


def _all_fields() -> Iterator[tuple[str, Field[Any]]]:
    for each in fields(Experiment):
        if each.name in _GROUPS:
            yield from ((f"{each.name}.{one.name}", one) for one in fields(_GROUPS[each.name]))
        else:
            yield each.name, each


def _problems(
    group: Any, values: Mapping[str, Any], prefix: str = "", whole: bool = False
) -> list[str]:
    """Problems of the values of a group's fields; `whole`: also unknown and missing fields."""
    known = {each.name: each for each in fields(group)}
    problems = [suggestion(prefix + name) for name in values if name not in known]
    if whole:
        problems += [f"{prefix}{name} is missing" for name in known if name not in values]
    for name in known.keys() & values.keys():
        if not _fits(values[name], known[name]):
            problems.append(f"{prefix}{name} is {values[name]!r}; it takes {_allowed(known[name])}")
    return sorted(problems)


def _fits(value: Any, one: Field[Any]) -> bool:
    if one.default is MISSING:
        return is_dataclass(value) or isinstance(value, Mapping)
    kind = type(one.default)
    if kind is float:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        right = type(value) is kind
    if not right:
        return False
    limits = one.metadata
    chosen, choices = value if kind is tuple else (value,), _choices(one)
    return (
        (not choices or all(each in choices for each in chosen))
        and (limits["at_least"] is None or value >= limits["at_least"])
        and (limits["above"] is None or value > limits["above"])
        and (limits["below"] is None or value < limits["below"])
    )


def _choices(one: Field[Any]) -> tuple[str, ...]:
    """The values of a field whose type is a `Literal` or a tuple of it; () for any other."""
    kind: Any = one.type
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()


_KINDS = {bool: "True or False", int: "an integer", float: "a number", str: "text"}


def _allowed(one: Field[Any]) -> str:
    """The values that a field takes, in words."""
    if one.default is MISSING:
        return "a group of fields"
    limits = one.metadata
    if choices := _choices(one):
        some = "some of " if isinstance(one.default, tuple) else "one of "
        return some + ", ".join(each or '""' for each in choices)
    words = {"at_least": "at least", "above": "above", "below": "below"}
    bounds = [f"{words[key]} {limits[key]:g}" for key in words if limits[key] is not None]
    return " ".join([_KINDS[type(one.default)], " and ".join(bounds)]).strip()


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
