"""Lines as a user sees them."""

import pytest

from a2inet_jax.console import say


def test_a_line_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[red]x[/] :smile: " + "long " * 50 + "12 'a' http://b"
    say(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_bytes_that_are_not_utf_8_are_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    say(b"caf\xe9.mp4".decode(errors="surrogateescape"))
    assert capsys.readouterr().out == "caf\\udce9.mp4\n"
