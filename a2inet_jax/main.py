"""Blind video quality assessment with A2INet.

a2inet demo     --config=C                    all of the next five, and the default weights
a2inet prepare  --config=C                    make the data set and its index
a2inet extract  --config=C [FILE|FOLDER|CSV ... --out=FOLDER] [--shard=I/N] [--engine=ray]
                                              features of every video that has none yet
a2inet train    --config=C                    A2INet and its neural baselines on every split
a2inet evaluate --config=C                    SRCC, PLCC, KRCC, RMSE: metrics.json and the table
a2inet evaluate RUN ... [--datasets=NAME,...]      runs beside each other, also on other data sets
a2inet report   --config=C | RUN ... [--out=FOLDER]   report.html of a run, or of several together
a2inet table    2|3|4|5|6|7 [--datasets=NAME,...] [--networks=paper|index] [--set=FIELD=VALUE ...]
                                              a table of the paper: every row, beside the paper's numbers
a2inet data     list | prepare NAME | verify NAME | splits NAME FILE [LIST]   data sets, yours too
a2inet describe --config=C [--frames=N] [--json]   parameters and FLOPs of the models, for a video of N frames
a2inet score    FILE|FOLDER|CSV ... [--run=R] [--json] [--csv=OUT]
a2inet analyze  VIDEO ... [--run=R] [--out=analysis.png]   maps of both streams, frame entropy and frame score
a2inet store    verify|list|repair FOLDER ... | export FOLDER --out=FOLDER    what is in a store of features
a2inet weights  list | get NAME ... | add FILE --as=NAME | verify [NAME]   pretrained backbones; `get default`
                                              brings the default pair

C is a file such as configs/sample.py; --config.train.epochs=20 changes a field of it. NAME is a data set of
`a2inet data list`, or a CSV file with columns path and mos. R is runs/demo unless another is named. The exit
code is 0 when nothing failed.

--shard=I/N extracts the I-th, from 0, of N parts of the videos; N such commands with one store do the whole.
--engine=ray extracts on the machines of a Ray cluster: --address of its head, --actors to work at a time.

Several processes train together by --config.train.parallel=mesh, in a folder on a disk that they share, when
each is started with --coordinator=HOST:PORT --processes=N --process=I, or by srun or mpirun --distributed.
"""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from a2inet_jax.errors import A2INetError

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.")
_RUN = flags.DEFINE_string("run", "runs/demo", "score, analyze: folder of a trained run.")
_JSON = flags.DEFINE_bool(
    "json", False, "score: print a JSON object for each video. describe, data: print one."
)
_FRAMES = flags.DEFINE_integer("frames", 240, "describe: frames of the video.", lower_bound=1)
_OUT = flags.DEFINE_string(
    "out",
    None,
    "analyze: the picture. data splits: the file. extract, report, store export: the folder.",
)
_DATASETS = flags.DEFINE_list("datasets", [], "evaluate, table: names of data sets.")
_NETWORKS = flags.DEFINE_enum(
    "networks",
    "",
    ["", "paper", "index"],
    "table: the paper's, or those that the package index carries (the sample data set's default).",
)
_SET = flags.DEFINE_multi_string("set", [], "table: FIELD=VALUE, a field of every row's config.")
_DATA = flags.DEFINE_string("data", "data", "data: the data folder, config.data.folder elsewhere.")
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir",
    None,
    "data: where you have put a downloaded data set; data/manual/NAME if not given.",
)
_ALLOW_MISSING = flags.DEFINE_bool(
    "allow_missing", False, "data prepare, splits: go on without videos that are not there."
)
_FULL = flags.DEFINE_bool("full", False, "data verify: decode every frame.")
_SHARD = flags.DEFINE_string("shard", "0/1", "extract: I/N, the I-th of N parts, from 0.")
_ENGINE = flags.DEFINE_enum(
    "engine", "local", ["local", "ray"], "extract: this process, or actors of Ray."
)
_ADDRESS = flags.DEFINE_string(
    "address", None, "extract --engine=ray: of a cluster; one is started here if not given."
)
_ACTORS = flags.DEFINE_integer(
    "actors",
    0,
    "extract --engine=ray: how many; 0: as many as there are GPUs, or nodes.",
    lower_bound=0,
)
_CSV = flags.DEFINE_string("csv", None, "score: also write a table to this file.")
_AS = flags.DEFINE_string("as", None, "weights add: name of the weights that the file holds.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "train: one of several processes of SLURM or Open MPI."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "train: HOST:PORT of the first of several processes."
)
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "train: how many processes there are.", lower_bound=1
)
_PROCESS = flags.DEFINE_integer(
    "process", None, "train: which of them this is, from 0.", lower_bound=0
)


def _step(name: str) -> Callable[[Sequence[str]], int]:
    def command(arguments: Sequence[str]) -> int:
        if arguments or _CONFIG.value is None:
            raise app.UsageError(f"a2inet {name} --config=configs/sample.py")
        with _together(name):
            from a2inet_jax.commands import experiment

            return getattr(experiment, name)(_CONFIG.value)

    return command


def _without_config(what: str) -> None:
    if _CONFIG.value is not None:
        raise app.UsageError(f"a2inet {what} takes no --config: leave it out")


def _path(flag: flags.FlagHolder[str | None]) -> Path | None:
    """The path that a flag names, if it names one; `~` is the home folder."""
    return Path(flag.value).expanduser() if flag.value else None


def _evaluate(arguments: Sequence[str]) -> int:
    if not arguments:
        if _CONFIG.value and _DATASETS.value:
            raise app.UsageError(
                "--datasets goes with RUN ...: a2inet evaluate RUN ... --datasets=NAME"
            )
        return _step("evaluate")(arguments)
    _without_config("evaluate RUN ...")
    from a2inet_jax.commands import evaluate

    return evaluate.evaluate_runs([Path(run) for run in arguments], _DATASETS.value)


def _report(arguments: Sequence[str]) -> int:
    if not arguments:
        if _CONFIG.value and _OUT.value:
            raise app.UsageError("--out goes with RUN ...: a2inet report RUN ... --out=FOLDER")
        return _step("report")(arguments)
    _without_config("report RUN ...")
    from a2inet_jax.commands import report

    return report.report_runs([Path(run) for run in arguments], _path(_OUT))


def _table(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or not arguments[0].isdigit():
        raise app.UsageError("a2inet table 2|3|4|5|6|7 [--datasets=sample]")
    from a2inet_jax.commands import table

    return table.table(int(arguments[0]), _DATASETS.value, _NETWORKS.value, _SET.value)


def _data(arguments: Sequence[str]) -> int:
    from a2inet_jax.commands.data import data_command

    return data_command(
        arguments,
        Path(_DATA.value).expanduser(),
        _path(_MANUAL_DIR),
        _FULL.value,
        _JSON.value,
        _path(_OUT),
        _ALLOW_MISSING.value,
    )


def _extract(arguments: Sequence[str]) -> int:
    if _CONFIG.value is None:
        raise app.UsageError(
            "a2inet extract --config=configs/sample.py [FILE|FOLDER|CSV ... --out=FOLDER]"
        )
    shard = re.fullmatch(r"(\d+)/(\d+)", _SHARD.value)
    if not shard or not int(shard[1]) < int(shard[2]):
        raise app.UsageError(f"--shard={_SHARD.value}: I/N with I from 0 to N - 1, such as 0/8")
    from a2inet_jax.commands import extract

    paths = [Path(argument) for argument in arguments]
    part = int(shard[1]), int(shard[2])
    return extract.extract(
        _CONFIG.value, paths, _path(_OUT), part, _ENGINE.value, _ADDRESS.value, _ACTORS.value
    )


def _store(arguments: Sequence[str]) -> int:
    from a2inet_jax.commands.store import store_command

    return store_command(arguments, _JSON.value, _path(_OUT))


def _together(name: str) -> AbstractContextManager[None]:
    """The other processes of the command, if flags speak of some."""
    given = [flag.value is not None for flag in (_COORDINATOR, _PROCESSES, _PROCESS)]
    if not any(given) and not _DISTRIBUTED.value:
        return nullcontext()
    if name != "train":
        raise app.UsageError(f"only train is work for several processes: run {name} as one")
    if any(given) and (_DISTRIBUTED.value or not all(given) or ":" not in str(_COORDINATOR.value)):
        raise app.UsageError(
            "take --distributed, or all of --coordinator=HOST:PORT, --processes=N and --process=I"
        )
    from a2inet_jax import processes

    return processes.joined(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)


def _describe(arguments: Sequence[str]) -> int:
    if arguments or _CONFIG.value is None:
        raise app.UsageError("a2inet describe --config=configs/sample.py [--frames=N] [--json]")
    from a2inet_jax.commands import experiment

    return experiment.describe(_CONFIG.value, _FRAMES.value, _JSON.value)


def _score(arguments: Sequence[str]) -> int:
    if not arguments:
        raise app.UsageError("a2inet score FILE|FOLDER|CSV ...")
    from a2inet_jax import scoring
    from a2inet_jax.datasets import lists

    videos = lists.videos([Path(argument) for argument in arguments])
    return scoring.score_all(videos, Path(_RUN.value), _JSON.value, _path(_CSV))


def _analyze(arguments: Sequence[str]) -> int:
    if not arguments:
        raise app.UsageError("a2inet analyze VIDEO ... [--run=runs/demo] [--out=analysis.png]")
    from a2inet_jax import analysis
    from a2inet_jax.datasets import lists

    videos = lists.videos([Path(argument) for argument in arguments])
    return analysis.analyze_all(videos, Path(_RUN.value), _path(_OUT) or Path("analysis.png"))


def _weights(arguments: Sequence[str]) -> int:
    from a2inet_jax.commands.weights import weights_command

    return weights_command(arguments, _AS.value)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    **{name: _step(name) for name in ("demo", "prepare", "train")},
    "evaluate": _evaluate,
    "report": _report,
    "table": _table,
    "data": _data,
    "extract": _extract,
    "describe": _describe,
    "score": _score,
    "analyze": _analyze,
    "store": _store,
    "weights": _weights,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit code is returned. An expected error is one line, without a traceback."""
    name = arguments[1] if len(arguments) > 1 else ""
    if name not in COMMANDS:
        raise app.UsageError(f"no command {name!r}: {', '.join(COMMANDS)}")
    if name in ("table", "data", "score", "analyze", "store", "weights"):
        _without_config(name)
    verbose = flags.FLAGS.verbosity >= 1
    if not verbose:
        logging.set_verbosity(logging.WARNING)  # TFDS and JAX tell a lot
    try:
        return COMMANDS[name](arguments[2:])
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    except (A2INetError, OSError, ValueError, RuntimeError, ArithmeticError) as error:
        if verbose:
            raise
        print(f"a2inet {name}: {error}\n(--verbosity=1 shows where)", file=sys.stderr)
        return 1


def _parse(arguments: Sequence[str]) -> list[str]:
    """The command line without its flags; what is wrong with these, or with the config, is one line."""
    try:
        rest: list[str] = flags.FLAGS(arguments)
        if _CONFIG.value is not None:
            _CONFIG.value.keys()  # the library keeps a file that can't be read to itself until then
        return rest
    except (flags.Error, OSError, AttributeError, KeyError) as error:
        if "--verbosity=1" in arguments:
            raise
        print(f"a2inet: {_in_a_line(error)}\n(--verbosity=1 shows where)", file=sys.stderr)
        sys.exit(1)


def _in_a_line(error: BaseException) -> str:
    """What an error of the flags' library says: it may have put a traceback in, or all that it tried."""
    if isinstance(error, (AttributeError, KeyError)):
        said = str(error.args[0]).strip('"').replace("\n", ". ")
        return f"no such field in the config: {said}"
    while first := error.__cause__ or ("\n" in str(error) and error.__context__):
        error = first
    return str(error).splitlines()[-1].strip()


def run() -> None:
    """The console script."""
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    run()
