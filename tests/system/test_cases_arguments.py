"""Every command with wrong arguments: 1 failed, 2 usage or 3 tool missing, one sentence, no
traceback and no "internal error" (issue 20, "called with 20 wrong arguments each")."""

import argparse
import itertools
import json
import os
import random
from pathlib import Path

import pytest
from repo import EXAMPLES

from sterna import cli
from sterna.commands import arguments

NUMBERS = [
    "0",
    "-1",
    "1e30",
    str(10**30),
    "9" * 5000,
    "nan",
    "inf",
    "-inf",
    "",
    " ",
    "1e5",
    "1.5",
    "0x10",
    "1_0",
    "٣",
    "½",
    "true",
    "None",
    "1e300",
    "-0",
    "+",
    "1,5",
]
NO_BUILD = {"doctor", "demo", "board-demo", "examples"}
"""Commands that take no folder: right words of them do real work."""


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in cli.parser()._actions if a.dest == "command"]
    return dict(action.choices)  # type: ignore[arg-type]


COMMANDS = commands()


def is_name(action: argparse.Action) -> bool:
    return action.type is arguments.file_name


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Things that are no build, no run, no recipe and no port."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty folder \u00e9\n").mkdir()
    (tmp_path / "file").write_text("nothing")
    (tmp_path / "recipe.toml").write_bytes(b"\xff\xfe = [")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "network.json").mkdir()
    (tmp_path / "dir" / "recipe.toml").mkdir()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "network.json").write_text('{"format"')
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    return [
        "empty folder \u00e9\n",
        "file",
        "recipe.toml",
        "dir",
        "cut",
        "loop",
        "nowhere",
        "/",
        "a" * 300,
        "file/below",
        "/dev/null",
        "-x",
        "\udcff",
        "x\0y",
        "",
    ]


def wrong(words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    code = cli.main(words)
    out, err = capsys.readouterr()
    assert code in (1, 2, 3), (words, code, err)
    assert "internal error" not in err and "Traceback" not in err, (words, err)
    if code != 2 or "usage:" not in err:
        last = [line for line in err.splitlines() if not line.startswith("[")]
        assert len(last) == 1, (words, err)
    if "--json" in words:
        assert json.loads(out)["exit_code"] == code, (words, out)
    else:
        assert out == "", words
    return code


def given(sub: argparse.ArgumentParser, names: list[str], rng: random.Random) -> list[str]:
    """Words for every argument that is asked for, each a name of nothing."""
    words = []
    for action in sub._actions:
        if action.option_strings and not action.required or action.dest == "help":
            continue
        name = rng.choice(names)
        words += [f"{action.option_strings[-1]}={name}"] if action.option_strings else [name]
    return words


@pytest.mark.parametrize("name", COMMANDS)
def test_cases_numbers_out_of_range_are_usage(name: str, capsys) -> None:
    """Every option with a range refuses all that is none, before anything else is looked at."""
    sub = COMMANDS[name]
    for action in sub._actions:
        if not action.option_strings or action.nargs == 0 or is_name(action):
            continue
        for text in NUMBERS if action.choices is None else ["", "x", "\udcff"]:
            try:
                good = action.choices is None and action.type(text)  # type: ignore[operator]
            except (argparse.ArgumentTypeError, ValueError):
                good = None
            if good is None or good is False:
                words = [name, "x", f"{action.option_strings[-1]}={text}", "--port=x", "-o=x"]
                assert wrong(words, capsys) == 2


def test_cases_every_option_has_a_range_choices_or_is_a_name() -> None:
    for name, sub in COMMANDS.items():
        for action in sub._actions:
            if action.nargs != 0 and action.choices is None:
                assert action.type not in (None, int, float, str), (name, action.dest)


@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in NO_BUILD])
def test_cases_wrong_names(name: str, names: list[str], capsys) -> None:
    rng = random.Random(name)
    for k in range(6):
        words = [name, *given(COMMANDS[name], names, rng), *(["--json"] if k % 2 else [])]
        wrong(words, capsys)
    assert wrong([name], capsys) == 2
    assert wrong([name, "a", "b", "c", "d", "--port=x", "-o=x"], capsys) == 2
    assert wrong([name, "a", "--no-such-option", "--json"], capsys) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_cases_fuzzed_arguments(name: str, names: list[str], capsys) -> None:
    """Names of nothing, numbers of nothing, options twice, unknown and left out; 150 each."""
    rng, sub = random.Random(name), COMMANDS[name]
    options = [a for a in sub._actions if a.option_strings and a.dest != "help"]
    for _ in range(150):
        words = [name]
        if rng.random() < 0.9:
            words += given(sub, names, rng)
        for action in rng.choices(options, k=rng.randrange(5)):
            flag = rng.choice(action.option_strings)
            if action.nargs == 0:
                words.append(flag)
            elif rng.random() < 0.5:
                words.append(f"{flag}={rng.choice(NUMBERS + names)}")
            else:
                words += [flag, rng.choice(NUMBERS + names)]
        if rng.random() < 0.1:
            words.insert(rng.randrange(1, len(words) + 1), "--nonsense")
        if name in NO_BUILD:
            words.append("--no-such-option")
        wrong(words, capsys)


@pytest.mark.parametrize("command", ["eval", "sim", "compare"])
@pytest.mark.parametrize(
    "data", ["png", "photos.npz", "nmnist_0", "random_0x1x1", "random_9x99999x9"]
)
def test_cases_data_that_cannot_be_is_refused_before_any_stage(
    command: str, data: str, tmp_path: Path, capsys
) -> None:
    folder = str(EXAMPLES / "digits")
    assert cli.main([command, folder, "-o", str(tmp_path / "b"), "--data", data]) in (2, 3)
    err = capsys.readouterr().err
    assert "[1/" not in err and not (tmp_path / "b" / "design.json").exists()
    assert f"data set '{data}'" in err or err.endswith("]'\n")
    if data == "png":
        assert "choose one of cifar10, digits, fashion_mnist, mnist, nmnist_T" in err
        assert "or give your own as 'folder:PATH', 'FILE.npz'" in err


def test_cases_a_fifo_and_folders_are_no_ports(names: list[str], capsys) -> None:
    for port, words in {
        "file": "is no serial port",
        "dir": "is no serial port",
        "fifo": "is no serial port",
        "loop": "cannot be opened",
        "nowhere": "there is no port",
        "/dev/null": "is no serial port",
        "a" * 300: "cannot be opened",
        "x://y": "cannot be opened",
    }.items():
        assert cli.main(["identify", "--port", port]) == 1
        assert words in capsys.readouterr().err, port


def test_cases_order_of_options_does_not_matter(capsys) -> None:
    pairs = itertools.permutations(["--timeout=inf", "--baud=1000000000000", "--port=x"], 3)
    for words in pairs:
        assert wrong(["identify", *words], capsys) == 2
