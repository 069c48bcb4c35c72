"""The help: every command in one group, with an example that is one; what leads a beginner."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from repo import ROOT

from sterna import cli
from sterna.commands import help as helps

COMMANDS = cli.parser().commands


def test_every_command_is_in_one_group_and_has_an_example_that_parses() -> None:
    listed = [name for _, rows in helps.GROUPS for name in rows]
    assert sorted(listed) == sorted(COMMANDS)
    for name in listed:
        program, *words = shlex.split(helps.example_of(name))
        assert program == "sterna" and words[0] == name
        cli.parser().parse_args(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_its_example_and_says_what_it_needs(name, capsys) -> None:
    assert cli.main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"example: {helps.example_of(name)}"
    usage = said.splitlines()[0]
    assert usage.startswith(f"usage: sterna {name} ") and usage.endswith("[options]")
    assert "with every command:" in said and "-q, --quiet" in said
    assert all(action.help for action in COMMANDS[name]._actions)


def test_the_commands_are_listed_in_groups(capsys) -> None:
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^(\w[\w ]*):$", said, re.M) == [title for title, _ in helps.GROUPS]
    assert all(len(line) <= 100 for line in said.splitlines())
    assert cli.main(["help"]) == 0
    assert capsys.readouterr().out == said


def test_alone_it_says_where_to_begin(capsys) -> None:
    assert cli.main([]) == 0
    said = capsys.readouterr()
    assert said.err == "" and all(line in said.out for line, _ in helps.FIRST)
    for line, _ in helps.FIRST:
        cli.parser().parse_args(shlex.split(line)[1:])


def test_help_may_come_first(capsys) -> None:
    assert cli.main(["help", "sim"]) == 0
    assert capsys.readouterr().out.startswith("usage: sterna sim BUILD")


@pytest.mark.parametrize("words", [["-q", "doctor"], ["doctor", "-q"], ["doctor", "--quiet"]])
def test_the_level_may_stand_before_the_command_or_after(words: list[str]) -> None:
    assert cli.parser().parse_args(words).level == -1
    assert cli.parser().parse_args(["-v", "doctor"]).level == 1
    assert cli.parser().parse_args(["doctor"]).level == 0


def test_make_help_describes_every_target_and_variable() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = text.split(".PHONY:", 1)[1].split("\n\n", 1)[0].replace("\\\n", " ").split()
    variables = re.findall(r"^([A-Z]+) \?=", text, re.M)
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True
    )
    rows = dict(re.findall(r"^  ([\w-]+) +(\S.*)$", done.stdout, re.M))
    assert set(rows) == {*targets, *variables}
    assert all(len(row) > 5 for row in rows.values())


_PYTHON = """#!/bin/bash
here=$(dirname "$0")
case "$*" in
  "-m venv "*) mkdir -p "${@: -1}/bin"; cp "$0" "${@: -1}/bin/python" ;;
  "-m pip list") cat "$here/../../installed" ;;
  "-m pip index versions torch "*"--retries 0"*) cat "$here/../../index" ;;
  "-m pip install "*) echo "$*" >> "$here/../../pip.log" ;;
esac
"""


@pytest.mark.parametrize(
    ("installed", "index", "code"),
    [
        ("", "", 3),
        ("", "Available versions: 2.14.1, 2.12.0+cpu", 3),
        ("torch   2.14.1", "", 3),
        ("", "Available versions: 2.14.1, 2.13.0+cpu", 0),
        ("torch   2.13.0+cpu", "", 0),
    ],
)
def test_an_index_of_torch_that_cannot_be_reached_is_said_at_once(
    tmp_path: Path, installed: str, index: str, code: int
) -> None:
    for name in ("Makefile", "constraints.txt", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "installed").write_text(installed)
    (tmp_path / "index").write_text(index)
    python = tmp_path / "python"
    python.write_text(_PYTHON)
    python.chmod(0o755)
    words = ["make", "-s", "venv", "TORCH=cpu", f"PYTHON={python}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode != 0) == (code != 0) == (not (tmp_path / "pip.log").exists())
    if code:
        assert f"Error {code}" in done.stderr and done.stderr.count("\n") <= 2
        assert "no torch 2.13.0+cpu at https://download.pytorch.org/whl/cpu" in done.stderr
    else:
        assert " torch==2.13.0+cpu\n" in (tmp_path / "pip.log").read_text()
