"""What is told on stderr, at which level, and that lines do not run into each other."""

import sys

import pytest

from sterna.golden.words import telling
from sterna.golden.words.telling import QUIET, USUAL, VERBOSE, at_level, detail, tell, told


@pytest.mark.parametrize(
    ("level", "said"), [(QUIET, ""), (USUAL, "a line\n"), (VERBOSE, "a line\nmore\n")]
)
def test_one_place_decides_what_is_told(level: int, said: str, capsys) -> None:
    with at_level(level):
        tell("a line")
        detail("more")
    assert capsys.readouterr() == ("", said)
    tell("after")
    assert capsys.readouterr().err == "after\n" and told.level == USUAL


def test_the_level_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), at_level(QUIET):
        _ = 1 / 0
    assert told.level == USUAL


def test_a_line_does_not_run_into_one_that_is_not_finished(capsys) -> None:
    told.begin("[1/2] fold ... ")
    tell("waiting")
    told.end("[1/2] fold ... ", "1.0 s")
    told.begin("[2/2] pack ... ")
    told.end("[2/2] pack ... ", "2.0 s")
    assert capsys.readouterr().err == (
        "[1/2] fold ... \nwaiting\n[1/2] fold ... 1.0 s\n[2/2] pack ... 2.0 s\n"
    )


def test_a_line_goes_above_what_is_drawn(capsys) -> None:
    class Bar:
        def clear(self) -> None:
            sys.stderr.write("<")

        def refresh(self) -> None:
            sys.stderr.write(">")

    told.bar = Bar()
    try:
        tell("a line")
    finally:
        told.bar = None
    assert capsys.readouterr().err == "<a line\n>"


class Stream:
    def __init__(self, terminal: bool | None) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        if self.terminal is None:
            raise ValueError("I/O operation on closed file")
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "term", "level", "drawn"),
    [
        (True, "xterm", USUAL, True),
        (True, "dumb", USUAL, False),
        (True, None, USUAL, False),
        (True, "xterm", QUIET, False),
        (False, "xterm", USUAL, False),
        (None, "xterm", USUAL, False),
    ],
)
def test_bars_stand_on_terminals_that_can(terminal, term, level, drawn, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", Stream(terminal))
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    with at_level(level):
        assert telling.on_terminal() is drawn
