"""The parser of `a2inet`'s command line, and options that several verbs have."""

import argparse
import difflib
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from a2inet_jax.config import Experiment

_OVERRIDE = "--config."
DEFAULT_RUN = Path("runs/demo")


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that collects `--config.x.y=v`, and suggests the nearest option or verb.

    The options have its method `error`.

    Attributes:
        takes_overrides: Whether `--config.x.y=v` is taken; they are put into `overrides`.
        variadic: Name of the positional argument, of paths, that may also stand between options.
        verbs: The subparsers, if there are any.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs
        )
        self.set_defaults(error=self.error)
        self.takes_overrides = False
        self.variadic = ""
        self.verbs: Any = None

    def add_subparsers(self, **kwargs: Any) -> Any:
        """Add subparsers, and keep them in `verbs`."""
        self.verbs = super().add_subparsers(**kwargs)
        return self.verbs

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse all arguments; none is left over."""
        found, rest = super().parse_known_args(args, namespace)
        assert found is not None
        overrides = [each for each in rest if each.startswith(_OVERRIDE)]
        words = [each for each in rest if not each.startswith("-")]
        if overrides and not self.takes_overrides:
            self.error(f"{overrides[0]}: `{self.prog}` takes no --config")
        if words and not self.variadic:
            remedy = f": name an experiment by --config={words[0]}" if "config" in found else ""
            self.error(f"unexpected argument {words[0]!r}{remedy}")
        for each in rest:
            if each.startswith("-") and each not in overrides:
                option = each.partition("=")[0]
                if option == "--config" and self.takes_overrides:
                    self.error("it takes changes of fields, --config.FIELD=VALUE, but no --config")
                self.error(f"there is no option {option}{self._nearest(option)}")
        if self.takes_overrides:
            found.overrides = [each.removeprefix(_OVERRIDE) for each in overrides]
        if words:
            getattr(found, self.variadic).extend(map(Path, words))
        return found, []

    def error(self, message: str) -> NoReturn:
        """Print a line that says what is wrong, and one that says where help is; exit with code 2."""
        if unknown := re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)$", message):
            choices = re.findall(r"[\w.-]+", unknown[2])
            near = self._actions_called(unknown[1])
            near = near or difflib.get_close_matches(unknown[1], choices, n=1)
            meant = f": did you mean {near[0]}?" if near else f": take {', '.join(choices)}"
            message = f"there is no {unknown[1]!r}{meant}"
        self.exit(2, f"{self.prog}: {message}\n`{self.prog} --help` shows what it takes\n")

    def _actions_called(self, name: str) -> list[str]:
        """Return the verbs that have an action of this name, with it: `data prepare`."""
        verbs = self.verbs.choices.items() if self.verbs else ()
        return [
            f"{verb} {name}" for verb, each in verbs if each.verbs and name in each.verbs.choices
        ]

    def _nearest(self, option: str) -> str:
        known = [text for action in self._actions for text in action.option_strings]
        near = difflib.get_close_matches(option, known, n=1)
        return f": did you mean {near[0]}?" if near else ""


def joined_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `--config.x.y v` as `--config.x.y=v`, which argparse would take apart."""
    found: list[str] = []
    for each in arguments:
        last = found[-1] if found else ""
        if last.startswith(_OVERRIDE) and "=" not in last and not each.startswith("-"):
            found[-1] = f"{last}={each}"
        else:
            found.append(each)
    return found


def add_command(commands: Any, name: str, handler: Callable[[argparse.Namespace], int]) -> Parser:
    """Add a verb, or an action of a verb such as `prepare` of `data`.

    Args:
        commands: Where it is added, from `add_subparsers` or `add_group`.
        name: Its name.
        handler: Called with the options; its docstring is the help, a sentence and a paragraph of examples.
    """
    parser = _add_parser(commands, name, handler.__doc__)
    parser.set_defaults(handler=handler)
    return parser


def add_group(verbs: Any, name: str, doc: str | None) -> Any:
    """Add a verb that has actions, and return what they are added to; `doc` as that of a handler."""
    return _add_parser(verbs, name, doc).add_subparsers(metavar="ACTION", required=True)


def _add_parser(commands: Any, name: str, doc: str | None) -> Parser:
    sentence, _, examples = inspect.cleandoc(doc or "").partition("\n\n")
    parser: Parser = commands.add_parser(
        name,
        help=f"{sentence[:1].lower()}{sentence[1:].removesuffix('.')}",
        description=sentence,
        epilog="\n  ".join(["examples:", *examples.splitlines()]),
    )
    return parser


def add_config(parser: Parser, default: str = "") -> None:
    """Add `--config=FILE[:ARGUMENT]` and `--config.x.y=v`."""
    parser.takes_overrides = True
    group = parser.add_argument_group("config")
    shown = f" (default: {default})" if default else ""
    group.add_argument(
        "--config",
        metavar="FILE[:ARGUMENT]",
        default=default,
        help=f"the experiment: a file, or the name of a packaged one such as `sample`{shown}",
    )
    add_override_help(group)


def add_override_help(group: Any, example: str = "train.epochs=20") -> None:
    """Add a line on `--config.x.y=v` to a help page."""
    group.add_argument(
        "--config.FIELD",
        dest="_",
        metavar="VALUE",
        default=argparse.SUPPRESS,
        help=f"change a field, such as --config.{example}; `a2inet config fields` lists them",
    )


def experiment(options: argparse.Namespace) -> "Experiment":
    """Load the experiment that the options name, with its overrides."""
    if not options.config:
        options.error("name an experiment, such as --config=sample")
    from a2inet_jax import config_file

    return config_file.load(options.config, options.overrides)


def names(text: str) -> list[str]:
    """Parse names separated by commas."""
    found = [name for name in text.split(",") if name]
    if not found:
        raise argparse.ArgumentTypeError("name at least one")
    return found


def at_least(smallest: int) -> Any:
    """Return a parser of integers that are not below a bound."""

    def integer(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if number < smallest:
            raise argparse.ArgumentTypeError(f"{text} is less than {smallest}")
        return number

    return integer
