"""What is told of long work, and where."""

import time

import pytest

from sterna.gen.tools import progress
from sterna.gen.tools.progress import Progress, waiting


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
