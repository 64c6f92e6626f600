"""What a user sees while a job runs: one console and one kind of progress bar."""

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


def printable(text: object) -> str:
    """Text as a terminal takes it: bytes of a file's name that are no UTF-8 are spelled out."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def say(text: object, style: str = "") -> None:
    """Print text as it is: nothing in it is markup or the name of an emoji, and lines are not wrapped."""
    console.print(
        printable(text), style=style, markup=False, emoji=False, highlight=False, soft_wrap=True
    )


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar; yields `advance(what, done, total)`.

    On a terminal the bar moves; in a log each tenth of the way is one line.
    """
    if not console.is_terminal:
        yield _log_lines(title)
        return
    columns = (
        TextColumn("[bold]{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[what]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None, what="")

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, what=printable(what))

        yield advance


def _log_lines(title: str) -> Callable[[str, int, int], None]:
    shown = -1

    def advance(what: str, done: int, total: int) -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth > shown:
            shown = tenth
            say(f"{title:<9} {done}/{total} {what}")

    return advance
