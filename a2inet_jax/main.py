"""The command `a2inet`, whose verbs are in `a2inet_jax.commands`."""

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import metadata

from a2inet_jax.commands import (
    config,
    data,
    doctor,
    experiments,
    extract,
    score,
    store,
    weights,
)
from a2inet_jax.commands.options import Parser, joined_overrides
from a2inet_jax.errors import A2INetError

# In the order of the work.
VERBS = {
    "demo": experiments.add_demo,
    "score": score.add_score,
    "data": data.add_verb,
    "weights": weights.add_verb,
    "extract": extract.add_verb,
    "store": store.add_verb,
    "train": experiments.add_train,
    "evaluate": experiments.add_evaluate,
    "report": experiments.add_report,
    "table": experiments.add_table,
    "analyze": score.add_analyze,
    "describe": experiments.add_describe,
    "config": config.add_verb,
    "doctor": doctor.add_verb,
}


def parser() -> Parser:
    """Return the parser of the whole command line."""
    whole = Parser(
        prog="a2inet",
        description="Score how good videos look, with no reference: A2INet in JAX.",
        epilog="`a2inet VERB --help` shows a verb's arguments, options, defaults and examples.",
    )
    whole.add_argument(
        "--version", action="version", version=f"a2inet {metadata.version('a2inet-jax')}"
    )
    verbs = whole.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    for add_verb in VERBS.values():
        add_verb(verbs)
    for verb in verbs.choices.values():
        for leaf in verb.verbs.choices.values() if verb.verbs else (verb,):
            leaf.add_argument(
                "--verbose",
                action="store_true",
                help="log more: messages of JAX and TFDS, progress without a terminal, tracebacks",
            )
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Errors for the user are one line (`A2INetError`, `OSError`); a bug keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not know "±"
            stream.reconfigure(errors="backslashreplace")
    interrupted = _noted_interrupts()
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(joined_overrides(given))
    from absl import logging

    from a2inet_jax import console

    logging.set_verbosity(logging.INFO if options.verbose else logging.WARNING)
    console.verbose = options.verbose
    try:
        code: int = options.handler(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _say_interrupted()
    except BrokenPipeError:  # such as by `| head`; nobody reads what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (A2INetError, OSError) as error:
        if options.verbose:
            traceback.print_exc()
        print(f"a2inet {options.verb}: {error}", file=sys.stderr)
        return 1
    except Exception:
        if interrupted.is_set():  # while a library was imported, which made another error of it
            return _say_interrupted()
        traceback.print_exc()
        print("This is a bug in a2inet: please report it with the lines above.", file=sys.stderr)
        return 1


def _noted_interrupts() -> threading.Event:
    """Return an event that SIGINT sets, beside raising `KeyboardInterrupt`."""
    event = threading.Event()

    def interrupt(*_: object) -> None:
        event.set()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupt)
    return event


def _say_interrupted() -> int:
    print("interrupted: finished work is kept, and the same command resumes", file=sys.stderr)
    return 130


def run() -> None:
    """Run the console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
