"""The terminal: results on stdout, progress on stderr."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console()
_progress_console = Console(stderr=True)
# Whether progress is shown where stderr is no terminal, too: a line for each tenth of the way.
verbose = False


def printable(text: object) -> str:
    """Return text as a terminal takes it: bytes of a file name that are not UTF-8 are escaped."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def say(text: object, style: str = "") -> None:
    """Print text as it is: nothing in it is markup or the name of an emoji, and lines are not wrapped."""
    _print(console, text, style)


def _print(to: Console, text: object, style: str = "") -> None:
    to.print(
        printable(text), style=style, markup=False, emoji=False, highlight=False, soft_wrap=True
    )


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on a terminal; yield `advance(what, done, total)`.

    Where stderr is no terminal nothing is shown, unless `verbose`.
    """
    if not _progress_console.is_terminal or console.quiet:
        yield _log_lines(title) if verbose and not console.quiet else lambda *_: None
        return
    columns = (
        TextColumn("[bold]{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[what]}"),
    )
    # Lines on stdout go above the bar if both are the terminal, else to where stdout goes.
    with Progress(
        *columns, console=_progress_console, redirect_stdout=console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(title, total=None, what="")

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, what=printable(what))

        yield advance


def per_frame(
    advance: Callable[[str, int, int], None], name: str, done: int, total: int
) -> Callable[[int, int], None]:
    """Return a callback for frames of the video `name`, after `done` of `total` videos."""
    advance(name, done, total)
    return lambda frames, of: advance(f"{name}, frame {frames} of {of}", done, total)


def _log_lines(title: str) -> Callable[[str, int, int], None]:
    """Progress as lines on stderr, one for each tenth of the way."""
    shown = -1

    def advance(what: str, done: int, total: int) -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth > shown:
            shown = tenth
            _print(_progress_console, f"{title:<9} {done}/{total} {what}")

    return advance
