"""`sterna board-sim` as a program: other programs open its port, and signals end it."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from tinyboard import network, packed, pictures, tiny_build

from sterna import cli
from sterna.golden.exact import run
from sterna.golden.result import compare
from sterna.host.board import Board

COMMAND = [sys.executable, "-m", "sterna.cli", "board-sim"]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return tiny_build(tmp_path_factory.mktemp("served"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(build, number, tmp_path, capsys):
    program = subprocess.Popen(
        [*COMMAND, str(build.folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        answer = json.loads(program.stdout.readline())
        assert answer["build"] == str(build.folder)
        images = pictures(30)
        for seed in (0, 1):
            with Board(answer["port"], build=build.folder, timeout=60) as host:
                host.load(packed(build, seed))
                assert compare(run(network(seed), images), host.infer(images)) is None
                assert host.repeat(100) > 100
                assert host.counters().images >= 100
        np.save(tmp_path / "one.npy", images[:1])
        line = ["--port", answer["port"], "--file", str(tmp_path / "one.npy"), "--timeout", "60"]
        assert cli.main(["infer", str(build.folder), *line, "--repeat", "40", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["classes"] == run(network(1), images[:1]).classes.tolist()
        assert found["repeated"]["images"] == 40 and found["repeated"]["clocks_per_image"] > 100
        program.send_signal(number)
        out, err = program.communicate(timeout=30)
        assert program.returncode == 0 and out == ""
        assert "Traceback (most" not in err
    finally:
        program.kill()
        program.wait()


def test_mistakes_are_sentences(build):
    done = subprocess.run(
        [*COMMAND, str(build.folder), "--divisor", "2"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (1, 2)
    assert "Traceback (most" not in done.stderr and "number from 4" in done.stderr
