"""Lines and progress as a user sees them."""

import os
import pty
import subprocess
import sys

import pytest

from a2inet_jax import console
from a2inet_jax.console import per_frame, progress, say

WORK = """
from a2inet_jax.console import progress, say
with progress("score") as advance:
    advance("clip.mp4", 1, 2)
    say("a result")
"""


def test_a_line_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[red]x[/] :smile: " + "long " * 50 + "12 'a' http://b"
    say(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_bytes_that_are_not_utf_8_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say(b"caf\xe9.mp4".decode(errors="surrogateescape"))
    assert capsys.readouterr().out == "caf\\udce9.mp4\n"


def test_progress_is_quiet_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("score") as advance:
        advance("clip.mp4", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_verbose_progress_has_a_line_for_each_tenth(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "verbose", True)
    with progress("score") as advance:
        for done in range(101):
            advance(f"[clip{done}]", done, 100)
    shown, said = capsys.readouterr()
    assert shown == ""
    lines = said.splitlines()
    assert len(lines) == 11
    assert lines[1] == "score     10/100 [clip10]"


def test_frames_are_reported_by_video() -> None:
    calls: list[tuple[str, int, int]] = []
    on_frames = per_frame(lambda *call: calls.append(call), "a.mp4", 1, 3)
    on_frames(8, 240)
    assert calls == [("a.mp4", 1, 3), ("a.mp4, frame 8 of 240", 1, 3)]


def test_results_go_to_stdout_while_a_terminal_shows_progress() -> None:
    ours, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=terminal, text=True
    )
    os.close(terminal)
    assert done.stdout == "a result\n"
    assert b"score" in os.read(ours, 1 << 16)
    os.close(ours)
