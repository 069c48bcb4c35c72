"""What is told of long work, and where."""

import io
import re
import sys
import time

import pytest

from sterna.gen.tools import progress
from sterna.gen.tools.progress import Progress, waiting
from sterna.golden.words.telling import told


def test_who_waits_is_told_what_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_PATIENCE", 0.05)
    with waiting("quick"):
        pass
    with waiting("slow"):
        time.sleep(0.3)
    out, err = capsys.readouterr()
    assert out == "" and err == "slow ...\nslow: done, 0 s\n"
    with Progress().step("a step"), waiting("inside"):  # that said it
        time.sleep(0.3)
    assert "inside" not in capsys.readouterr().err
    with Progress(quiet=True).step("a step"), waiting("inside"):
        time.sleep(0.3)
    assert capsys.readouterr().err.startswith("inside ...\n")
    with pytest.raises(ZeroDivisionError), waiting("failed"):
        time.sleep(0.3)
        _ = 1 / 0
    assert capsys.readouterr().err == "failed ...\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: pytest sets stderr anew before each test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_SOON", 0.02)
    monkeypatch.setattr(progress, "_TICK", 0.01)
    return stream


def test_a_step_says_its_seconds_and_its_failure(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Progress(2)
    with steps.step("one"):
        progress.at(1, 2)
    with pytest.raises(ZeroDivisionError), steps.step("two"):
        _ = 1 / 0
    steps.note("a note")
    with Progress(1, quiet=True).step("nothing"):
        pass
    said = re.sub(r"[\d.]+ s", "0.0 s", capsys.readouterr().err)
    assert said == "[1/2] one ... 0.0 s\n[2/2] two ... failed\na note\n"


def test_what_is_planned_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Progress(3)
    steps.expect(2)  # planned already
    for name in "abc":
        with steps.step(name):
            pass
    steps.expect(2)
    with steps.step("d"):
        pass
    said = [line.split(" ...")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["[1/3] a", "[2/3] b", "[3/3] c", "[4/5] d"]


def test_a_bar_is_drawn_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with Progress(1).step("long"):
        time.sleep(0.1)  # nothing is known yet: the time only
        with progress.stretch(0.5, 1.0):
            progress.at(1, 2)
            time.sleep(0.1)
            progress.at(0, 2)  # never back
            time.sleep(0.1)
    said = terminal.getvalue()
    assert "long ... 00:0" in said and " 75%|" in said
    assert said.index("long ... 00:0") < said.index(" 75%|")
    assert " 50%|" not in said and re.search(r"\r\[1/1\] long \.\.\. [\d.]+ s\n\Z", said)
    assert told.bar is None


def test_a_note_goes_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    steps = Progress(1)
    with steps.step("long"):
        progress.at(1, 4)
        time.sleep(0.1)
        steps.note("a note")
    assert "\ra note\n" in terminal.getvalue()


def test_what_is_looked_at_drives_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    done = iter([0.1, 0.6])
    last = [0.0]

    def far() -> float:
        last[0] = next(done, last[0])
        return last[0]

    with Progress(1).step("images"), progress.stretch(0.0, 0.5), progress.looking(far):
        time.sleep(0.2)
    assert "  5%|" in terminal.getvalue() and " 30%|" in terminal.getvalue()


def test_no_terminal_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_MINUTE", 0.05)
    with Progress(1).step("long"):
        progress.here()(0.25)
        time.sleep(0.08)
    first, second, *_, last = capsys.readouterr().err.splitlines()
    assert first == "[1/1] long ... "
    assert second == "[1/1] long: 0 min, 25% done, about 0 min left"
    assert last.startswith("[1/1] long ... 0.")


def test_nothing_is_measured_outside_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    progress.at(1, 0)
    progress.here()(0.5)
    with progress.stretch(0, 1), progress.looking(lambda: 1 / 0):
        pass
    assert terminal.getvalue() == ""
