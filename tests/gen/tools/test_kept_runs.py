"""Runs of programs are kept by all that they follow from. The program is a script here."""

import os
from pathlib import Path

import pytest

from sterna.gen.tools.kept_runs import run_kept
from sterna.gen.tools.programs import ToolFailed

SCRIPT = """#!/bin/sh
if [ "$1" = --version ]; then echo "Yosys 0.60"; exit; fi
echo "ran $1" | tee -a runs
grep -q bad source.v && { echo "ERROR: bad"; exit 1; }
cat source.v > made; echo {said} >> made
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STERNA_TOOLS", "native")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    program(tmp_path, "one")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "source.v").write_text("text")
    return tmp_path / "work"


def program(tmp_path: Path, said: str) -> None:
    (tmp_path / "bin").mkdir(exist_ok=True)
    path = tmp_path / "bin" / "yosys"
    path.write_text(SCRIPT.replace("{said}", said))
    path.chmod(0o755)


def runs(folder: Path, *words: str, makes: tuple[str, ...] = ("made",)) -> int:
    """How many times the program has run, once more asked for; what it left is as it leaves it."""
    (folder / "made").unlink(missing_ok=True)
    (folder / "log").unlink(missing_ok=True)
    words = words or ("a",)
    done = run_kept("yosys", words, folder, reads=["source.v"], makes=makes, log="log")
    assert (folder / "log").read_text() == done.text == f"ran {words[0]}\n"
    if makes:
        text, _, said = (folder / "made").read_text().rpartition("one")
        assert text == (folder / "source.v").read_text() and said == "\n"
    return len((folder / "runs").read_text().splitlines())


def test_the_same_run_is_not_run_again(folder):
    assert [runs(folder), runs(folder)] == [1, 1]
    assert [runs(folder, "b"), runs(folder, "b", "c"), runs(folder, "b", "c")] == [2, 3, 3]
    (folder / "source.v").write_text("other")
    assert [runs(folder), runs(folder)] == [4, 4]
    assert [runs(folder, makes=()), runs(folder, makes=())] == [5, 5]


def test_another_program_runs_again(folder):
    assert runs(folder) == 1
    program(folder.parent, "one ")
    assert runs(folder) == 2


def test_memory_files_count_and_other_files_that_are_named_keep_nothing(folder):
    (folder / "source.v").write_text('initial $readmemh("m.hex", m);')
    assert [runs(folder), runs(folder)] == [1, 2]  # it is not there
    (folder / "m.hex").write_text("12")
    assert [runs(folder), runs(folder)] == [3, 3]
    (folder / "m.hex").write_text("13")
    assert [runs(folder), runs(folder)] == [4, 4]
    for text in ('`include "m.v"', "initial $readmemb(NAME, m);"):
        (folder / "source.v").write_text(text)
        before = runs(folder)
        assert runs(folder) == before + 1


def test_a_run_that_failed_is_run_again(folder):
    (folder / "source.v").write_text("bad")
    for count in (1, 2):
        with pytest.raises(ToolFailed, match="yosys ended with code 1: ERROR: bad; see .*/log"):
            run_kept("yosys", ["a"], folder, reads=["source.v"], makes=["made"], log="log")
        assert (folder / "runs").read_text() == "ran a\n" * count


def test_what_was_altered_in_the_cache_is_made_again(folder):
    assert runs(folder) == 1
    (kept,) = (folder.parent / "cache" / "runs").glob("*/made")
    kept.write_text(kept.read_text() + "altered")
    assert [runs(folder), runs(folder)] == [2, 2]


def test_a_cache_that_cannot_be_used_only_keeps_nothing(folder, monkeypatch):
    (folder / "file").touch()
    monkeypatch.setenv("STERNA_CACHE", str(folder / "file"))
    assert [runs(folder), runs(folder)] == [1, 2]
