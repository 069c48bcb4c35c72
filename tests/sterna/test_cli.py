"""The command line: exit codes, one JSON object, one sentence and no traceback for a failure."""

import errno
import importlib
import json
from pathlib import Path

import pytest

import sterna
from sterna import cli
from sterna.commands import networks as commands
from sterna.commands import training
from sterna.golden.errors import DesignError, ToolMissing, UsageError


def failing(error: BaseException):
    def command(_options):
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (DesignError("node 'c1': no"), 1, "node 'c1': no"),
        (UsageError("what?"), 2, "what?"),
        (ToolMissing("yosys is not installed; run: pip install"), 3, "yosys is not installed"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left", "a.v"), 1, "the disk is full while writing a.v"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), 1, "x: no such file"),
        (PermissionError(errno.EACCES, "Permission denied", "y"), 1, "y: permission denied"),
        (MemoryError(), 1, "out of memory"),
    ],
)
def test_failures_are_one_sentence(error, code, sentence, monkeypatch, capsys) -> None:
    monkeypatch.setattr(commands, "doctor", failing(error))
    assert cli.main(["doctor"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err and "Traceback" not in err and err.count("\n") == 1

    assert cli.main(["doctor", "--json"]) == code
    answer = json.loads(capsys.readouterr().out)
    assert sentence in answer["error"] and answer["exit_code"] == code


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9"),
    ],
)
def test_memory_that_ends_is_said_with_an_option_that_is_there(error, monkeypatch, capsys) -> None:
    monkeypatch.setattr(training, "train", failing(error))
    monkeypatch.setattr(commands, "sim", failing(error))
    assert cli.main(["train", "recipe.toml", "-o", "run"]) == 1
    said = capsys.readouterr().err
    assert "out of memory; make the recipe's batch, layers or steps smaller" in said
    assert cli.main(["sim", "build"]) == 1
    assert "out of memory; take fewer images at once with --images" in capsys.readouterr().err


def test_a_file_where_a_folder_is_needed_is_called_one(monkeypatch, capsys) -> None:
    monkeypatch.setattr(commands, "doctor", failing(FileExistsError(errno.EEXIST, "exists", "x")))
    assert cli.main(["doctor"]) == 1
    assert "x: is a file where a folder is needed; choose another" in capsys.readouterr().err


def test_a_defect_is_not_hidden(monkeypatch) -> None:
    monkeypatch.setattr(commands, "doctor", failing(AssertionError("ours")))
    monkeypatch.setenv("STERNA_DEBUG", "1")
    with pytest.raises(AssertionError):
        cli.main(["doctor"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["sim"],
        ["sim", "x", "--images", "0"],
        ["sim", "x", "--images", "many"],
        ["sim", "x", "--engine", "magic"],
        ["synth", "x", "--target", "asic"],
        ["quantize", "x"],
    ],
)
def test_wrong_usage_is_2(arguments, capsys) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and "usage: sterna" in err


@pytest.mark.parametrize("text", ["0", "nan", "-5", "1e-30", "inf", "1e400", "fast", "", "1e-6"])
@pytest.mark.parametrize("option", ["--fps", "--clock"])
def test_a_rate_and_a_clock_are_positive_numbers(option: str, text: str, capsys) -> None:
    assert cli.main(["fold", "x", f"{option}={text}"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {option}: " in said and "is not a number of " in said


def test_the_help_names_every_key_of_a_folding(capsys) -> None:
    from sterna.gen.design.folding import KEYS

    assert cli.main(["fold", "--help"]) == 0
    help_ = " ".join(capsys.readouterr().out.split()).split("--folding FILE ")[-1]
    assert f"{', '.join([*KEYS][:-1])} and {[*KEYS][-1]} of each core" in help_


def test_an_empty_name_is_no_folding_file(capsys) -> None:
    assert cli.main(["fold", "x", "--folding", ""]) == 2
    assert "argument --folding: the name is empty; give a file" in capsys.readouterr().err


def test_rates_and_clocks_have_the_range_of_the_generator() -> None:
    from sterna.commands import arguments
    from sterna.gen.fold import goals

    assert (arguments._LEAST, arguments._MOST) == (goals.LEAST, goals.MOST)
    assert cli.parser().parse_args(["fold", "x", "--fps", "0.5", "--clock", "80"]).fps == 0.5


def test_build_takes_a_board_and_luts_as_fold_does() -> None:
    from sterna.commands.networks import options_of

    for command in ("fold", "build"):
        words = [command, "x", "--board", "icebreaker", "--luts", "900"]
        asked = options_of(cli.parser().parse_args(words))
        assert (asked.board, asked.luts) == ("icebreaker", 900)


def test_patchable_can_be_taken_back() -> None:
    said = {None: [], True: ["--patchable"], False: ["--no-patchable"]}
    for value, more in said.items():
        assert cli.parser().parse_args(["fold", "x", *more]).patchable is value


def test_json_is_one_object_even_if_a_library_prints(monkeypatch, capsys) -> None:
    def chatty(_options):
        print("a library says hello")
        return {"answer": 42}, "forty-two", 0

    monkeypatch.setattr(commands, "doctor", chatty)
    assert cli.main(["doctor", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"answer": 42}
    assert "hello" in err


def test_every_command_has_a_function() -> None:
    actions = [a for a in cli.parser()._actions if a.dest == "command"]
    for name, sub in actions[0].choices.items():
        module = importlib.import_module(sub.get_default("module"))
        assert callable(getattr(module, name.replace("-", "_"))), name
        assert name.replace("-", "_") in module.__all__


def test_version_and_help(capsys) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") == 2
    assert cli.main(["--help"]) == 0


def test_doctor(capsys) -> None:
    assert cli.main(["doctor", "--first", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] and {"python", "g++", "make", "perl"} <= {
        c["name"] for c in answer["checks"]
    }


@pytest.mark.parametrize("name", sterna.__all__)
def test_public_names_exist(name: str) -> None:
    assert getattr(sterna, name) is not None
    assert name in dir(sterna)


def test_unknown_public_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sterna.nonsense  # pyright: ignore


@pytest.mark.parametrize("command", ["fold", "verilog", "sim", "eval", "synth", "report"])
def test_a_folder_that_is_not_there(command: str, tmp_path: Path, capsys) -> None:
    assert cli.main([command, str(tmp_path / "nowhere")]) in (1, 2)
    err = capsys.readouterr().err
    assert "nowhere" in err and "Traceback" not in err


def test_a_mistake_of_ours_is_one_sentence_and_one_object(monkeypatch, capsys):
    monkeypatch.delenv("STERNA_DEBUG", raising=False)
    monkeypatch.setattr(commands, "doctor", failing(RuntimeError("boom")))
    assert cli.main(["doctor", "--json"]) == 1
    out, err = capsys.readouterr()
    assert "boom" in json.loads(out)["error"] and "Traceback" not in err


def test_wrong_usage_is_one_object_too(capsys):
    assert cli.main(["sim", "x", "--images", "0", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["evla", "x"], "'evla' (did you mean 'eval'?); sterna --help lists all"),
        (["sim", "x", "--imagse", "3"], "(did you mean '--images'?)"),
        (["sim", "x", "--engine", "cocotv"], "(did you mean 'cocotb'?)"),
        (["sim", "x", "--split", "vall"], "(did you mean 'validation'?)"),
        (["--vershun"], "(did you mean '--version'?)"),
        (["sim", "x", "--qqq"], "unrecognized arguments: --qqq"),
    ],
)
def test_what_was_meant_is_said(words: list[str], wanted: str, capsys) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr().err.endswith(f"{wanted}\n")
