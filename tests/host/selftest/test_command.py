"""`sterna selftest` against fake boards behind pseudo-terminals: answers, files, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import serial
from hostonly import run_host_only
from lines import PtyBoard
from selfboard import board_of, small_build

from sterna import cli
from sterna.golden.errors import FileError
from sterna.host.board import Board
from sterna.host.selftest import known
from sterna.host.selftest import report as report_module
from sterna.host.selftest.report import Unwritten
from sterna.host.selftest.selftest import selftest as run_selftest


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(known, "PINGS", 20)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return small_build(tmp_path / "b")


def test_a_report_is_written_shown_and_verified(build: Path, capsys) -> None:
    np.save("images.npy", np.arange(60, dtype=np.uint8).reshape(5, 1, 3, 4))
    with PtyBoard(board_of(build)) as line:
        words = ["selftest", str(build), "--port", line.port, "--board", "mine", "--file"]
        assert cli.main([*words, "images.npy"]) == 0
        out, err = capsys.readouterr()
        assert "passed, but nothing shows that this is silicon" in out
        assert "all 148 logits equal golden" in out and "5 files" in out
        assert "[8/8] robustness" in err and "wrote little_selftest.json" in err
        report = json.loads(Path("little_selftest.json").read_text())
        assert report["board"]["name"] == "mine" and report["line"]["port"].startswith("pts/")
        assert cli.main([*words, "images.npy", "--json", "-o", "other.json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer.pop("wrote") == ["other.json"]
        assert answer == json.loads(Path("other.json").read_text())
    assert cli.main(["selftest", str(build), "--verify", "other.json"]) == 0
    out = capsys.readouterr().out
    assert "its checksum, the digest of each stage and its verdict are right" in out
    assert "digest of the results of 'random over the whole range' is that of the build" in out
    assert "not compared: the images '5 files', which are not here" in out
    assert "a checksum is not a signature" in out
    assert cli.main(["selftest", "--verify", "other.json", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["report"]["verdict"] == "passed" and len(answer["not_proven"]) == 3
    text = Path("other.json").read_text()
    Path("other.json").write_text(text.replace('"images": 32', '"images": 33'))
    assert cli.main(["selftest", "--verify", "other.json"]) == 1
    err = capsys.readouterr().err
    assert "was altered in 'stages.counters', 'stages.images', 'stages.reload';" in err


def test_a_board_that_fails_has_exit_code_1_and_a_report(build: Path, capsys) -> None:
    with PtyBoard(board_of(build, clocks=150)) as line:
        assert cli.main(["selftest", str(build), "--port", line.port]) == 1
    out, err = capsys.readouterr()
    assert "failed: counters" in out and "an image takes 150 clocks" in out
    assert "[6/8] counters ... failed" in err and "Traceback" not in err
    assert json.loads(Path("little_selftest.json").read_text())["verdict"] == "failed"


def test_a_line_that_says_nothing_fails_in_its_first_stage(build: Path, capsys) -> None:
    master, slave = os.openpty()
    port = os.ttyname(slave)
    assert cli.main(["selftest", str(build), "--port", port, "--timeout", "0.6"]) == 1
    os.close(master)
    os.close(slave)
    out, _ = capsys.readouterr()
    assert "failed: identify" in out and "no answer from a board within 0.2 s" in out
    assert json.loads(Path("little_selftest.json").read_text())["verdict"] == "failed"


def test_another_baud_rate_is_named(build: Path, capsys) -> None:
    garbled = lambda data: bytes(b >> 1 | 1 for b in data)  # noqa: E731
    with PtyBoard(board_of(build), down=garbled) as line:
        assert cli.main(["selftest", str(build), "--port", line.port, "--timeout", "1"]) == 1
    assert "is the baud rate that of its bitstream?" in capsys.readouterr().out


def test_ports_that_are_none_or_busy_leave_no_report(build: Path, capsys) -> None:
    assert cli.main(["selftest", str(build), "--port", "/dev/ttyNOTHING"]) == 1
    assert "there is no port /dev/ttyNOTHING" in capsys.readouterr().err
    with PtyBoard(board_of(build)) as line, serial.Serial(line.port, exclusive=True):
        assert cli.main(["selftest", str(build), "--port", line.port]) == 1
        assert "is in use by another program" in capsys.readouterr().err
    assert not Path("little_selftest.json").exists()


def test_what_was_found_is_told_where_no_file_can_be_written(
    build: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: object, data: bytes) -> None:
        raise FileError(f"{path}: cannot be written (disk full); free some space")

    monkeypatch.setattr(report_module, "write_atomic", full)
    with PtyBoard(board_of(build)) as line:
        words = ["selftest", str(build), "--port", line.port, "-o", "r.json"]
        assert cli.main(words) == 1
        out, err = capsys.readouterr()
        assert "passed, but nothing shows" in out and "equal golden" in out
        assert "sterna selftest: r.json: cannot be written" in err and "wrote" not in err
        assert cli.main([*words, "--json"]) == 1
        answer = json.loads(capsys.readouterr().out)
        assert answer["verdict"] == "passed" and "cannot be written" in answer["error"]
        with Board(line.port) as board, pytest.raises(FileError) as caught:
            run_selftest(board, build, report="r.json")
    assert isinstance(caught.value, Unwritten) and caught.value.report.passed


def test_wrong_usage(build: Path, capsys, tmp_path: Path) -> None:
    for words, said in (
        ([], "give --port to test a board, or --verify FILE"),
        (["--port", "x", "--verify", "y"], "or --verify to look at a report, not both"),
        (["--port", "x", "--data", "digits"], "images need BUILD"),
        (["--port", "x", "--board", "a\nb"], "is no name of a board"),
        ([str(tmp_path), "--port", "x"], "network.json"),
        ([str(build), "--port", "x", "-o", str(build)], "is a folder where a file is needed"),
    ):
        assert cli.main(["selftest", *words]) in (1, 2)
        assert said in capsys.readouterr().err


def test_without_a_build_it_says_what_it_could_not_do(build: Path, capsys) -> None:
    with PtyBoard(board_of(build)) as line:
        assert cli.main(["selftest", "--port", line.port]) == 1
    assert "incomplete: nothing was found wrong, but load, images" in capsys.readouterr().out
    assert json.loads(Path("board_selftest.json").read_text())["verdict"] == "incomplete"


def test_a_data_set_that_is_not_here_is_not_fetched(
    build: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sterna.train.data import datasets

    (build / "recipe.toml").write_text('name = "little"\ndata = "cifar10"\n')
    monkeypatch.setattr(datasets, "places", lambda: {"cifar10": None})
    with PtyBoard(board_of(build)) as line:
        assert cli.main(["selftest", str(build), "--port", line.port]) == 0
    assert "the data set cifar10 is not here: random images only" in capsys.readouterr().err


def test_ctrl_c_leaves_a_report_and_a_board_that_works(build: Path, tmp_path: Path) -> None:
    with PtyBoard(board_of(build)) as line:
        program = subprocess.Popen(
            [sys.executable, "-m", "sterna.cli", "selftest", str(build), "--port", line.port],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        try:
            end = time.monotonic() + 60
            while not line.board.network.words["images"] and time.monotonic() < end:
                time.sleep(0.002)
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=60)
        finally:
            program.kill()
            program.wait()
        assert program.returncode == 130 and out == "" and "Traceback" not in err
        assert "the report of what was done, marked incomplete" in err
        assert "interrupted; run the same command again to start over" in err
        report = json.loads((tmp_path / "little_selftest.json").read_text())
        assert report["verdict"] == "incomplete"
        assert report["stages"]["load"]["outcome"] == "passed"
        assert "interrupted" in [s["outcome"] for s in report["stages"].values()]
        with Board(line.port, build=build) as board:
            board.load()
            assert board.infer(np.zeros((2, 1, 3, 4), np.uint8)).classes.shape == (2,)


def test_a_host_tests_a_board_without_torch_and_amaranth(build: Path, tmp_path: Path) -> None:
    with PtyBoard(board_of(build)) as line:
        code = f"""
import sterna
from sterna import cli
with sterna.Board({line.port!r}) as board:
    report = sterna.selftest(board, {str(build)!r})
print(report.line())
assert cli.main(['selftest', {str(build)!r}, '--port', {line.port!r}]) == 0
assert cli.main(['selftest', {str(build)!r}, '--verify', 'little_selftest.json']) == 0
"""
        told = run_host_only(code, tmp_path)
    assert told.startswith("passed\n")
