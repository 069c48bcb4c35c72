"""Commands that are killed, and that meet in one folder: never weights of another network, nothing
left behind, and the next run goes on.

Each process here is forked from this one and ends itself by SIGKILL at a chosen system call, so
that every write is met without starting Python for each.
"""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from buildcase import contents, network, save_example

from sterna.gen.build import stages
from sterna.gen.build.stages import ensure
from sterna.golden.errors import FileError, SternaError
from sterna.golden.files import disk
from sterna.golden.files import network_files as files
from sterna.host.inputs import build_weights

CALLS = ("replace", "fsync", "unlink", "chmod")


def in_child(action) -> int:
    """Run ``action`` in a process of its own; its exit status as os.waitstatus_to_exitcode."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = action() or 0
        except SternaError:
            code = 3
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(number: int, action) -> bool:
    """Run ``action`` in a process that is killed at its ``number``-th call that changes the disk,
    every second one after it was made; False: it ended before."""

    def doomed() -> int:
        left = [number]

        def wrap(real):
            def call(*words, **how):
                left[0] -= 1
                if left[0] == 0 and number % 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                try:
                    return real(*words, **how)
                finally:  # also where it fails: a file to be removed may not be there
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            return call

        for name in CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        action()
        return 0

    return in_child(doomed) == -signal.SIGKILL


@pytest.fixture
def case(tmp_path, monkeypatch):
    """An example whose network is replaced, its build of before, and what the build must be."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)

    def run_verilog(build, asked):
        for name in stages.STAGES["verilog"].writes(build):
            build.write(name, f"{name} of {files.weights_id(build.network)}")

    stage = replace(stages.STAGES["verilog"], run=run_verilog)
    monkeypatch.setitem(stages.STAGES, "verilog", stage)
    example, build = save_example(tmp_path / "example"), tmp_path / "build"
    ensure(example, "verilog", output=build)
    files.save(network(seed=1), example)
    wanted = contents(ensure(example, "verilog", output=tmp_path / "wanted").folder)
    files.save(network(), example)
    old = contents(build)
    return example, build, wanted, old


def loaded_right(build: Path) -> bool:
    """What `sterna load BUILD` would write is refused, or of the network that is there."""
    try:
        image = build_weights(build)
        assert image.weights_id == files.weights_id(files.load(build))
    except FileError as error:
        assert "\n" not in str(error)
        return False
    return True


def kill_everywhere(case, numbers) -> int:
    example, build, wanted, old = case
    refused = 0
    for number in numbers:
        files.save(network(), example)
        ensure(example, "verilog", output=build)
        assert contents(build) == old
        files.save(network(seed=1), example)
        if not killed_at(number, lambda: ensure(example, "verilog", output=build)):
            break
        refused += not loaded_right(build)
        for name, value in contents(build).items():
            hidden = Path(name).name.startswith(".sterna-") or name == "stages.json"
            assert hidden or value in (old.get(name), wanted.get(name)), f"{name} is half-written"
        ensure(example, "verilog", output=build)
        assert contents(build) == wanted, f"killed at call {number}"
        assert loaded_right(build)
    return refused


def test_kill_a_build_at_some_of_its_writes(case):
    """S10: the network was replaced and the weights were not; T10: hidden files for ever."""
    assert kill_everywhere(case, (1, 3, 6, 8, 9, 10, 15, 30, 77)) >= 3


@pytest.mark.slow
def test_kill_a_build_at_every_write(case):
    assert kill_everywhere(case, range(1, 1000)) > 20


def test_kill_between_network_and_weights_is_told(case, tmp_path):
    example, build, _, _ = case
    files.save(network(seed=1), example)

    def half():
        stages._copy(example, stages.Build(build), ())
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(half) == -signal.SIGKILL
    with pytest.raises(FileError) as error:
        build_weights(build)
    text = str(error.value)
    assert "weights.sterna: was packed from another network than that of" in text
    assert f"run: sterna pack {shlex.quote(str(build))}" in text and "\n" not in text
    ensure(build, "pack")
    assert build_weights(build).weights_id == files.weights_id(network(seed=1))


def both_at_once(case, rounds: int, rng: random.Random) -> None:
    example, build, _, _ = case
    other = save_example(example.parent / "other")
    files.save(network(seed=1), other)
    for _ in range(rounds):
        waits = [rng.random() * 0.05 for _ in range(3)]
        children = []
        for source, wait in zip((example, other, build), waits, strict=True):
            child = os.fork()
            if not child:
                code = 1
                try:
                    time.sleep(wait)
                    made = ensure(source, "verilog", output=build if source != build else None)
                    # The object is of one state, whatever others do to the folder since.
                    of = {files.weights_id(network(k)): k for k in (0, 1)}
                    code = 0 if files.weights_id(made.network) in of else 4
                finally:
                    os._exit(code)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
        assert codes == [0, 0, 0]
        assert loaded_right(build)
        found = contents(build)
        assert ensure(build, "verilog") and contents(build) == found, "it was not whole"
        assert not [n for n in found if Path(n).name.startswith(".")]


def test_kill_nobody_but_let_three_commands_meet_in_one_folder(case):
    """S10: network of one, weights of the other, fresh for ever."""
    both_at_once(case, 3, random.Random(1))


@pytest.mark.slow
def test_many_commands_meet_and_are_killed(case):
    """Two minutes of commands that are killed at any time, two at once."""
    example, build, wanted, old = case
    rng, end = random.Random(2), time.monotonic() + 120
    while time.monotonic() < end:
        files.save(network(seed=rng.randrange(2)), example)
        children = []
        for _ in range(2):
            child = os.fork()
            if not child:
                try:
                    ensure(example, "verilog", output=build)
                finally:
                    os._exit(0)
            children.append(child)
        time.sleep(rng.random() * 0.3)
        for child in children:
            if rng.random() < 0.7:
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        loaded_right(build)
        ensure(example, "verilog", output=build)
        assert contents(build) in (wanted, old) and loaded_right(build)
    both_at_once(case, 20, rng)


def test_kill_while_a_file_is_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "f"
    disk.write_atomic(path, b"old" * 1000)
    for number in range(1, 9):
        if not killed_at(number, lambda: disk.write_atomic(path, b"new" * 1000)):
            break
        assert path.read_bytes() in (b"old" * 1000, b"new" * 1000)
    else:
        raise AssertionError("it never ended")
    assert number > 2
    disk.sweep(tmp_path)
    assert os.listdir(tmp_path) == ["f"]


PROGRAM = """
import sys
from sterna.gen.tools.programs import Tool, run_tool
words = ("/bin/sh", "-c", "sleep 4321 & echo $$ $! > pids; wait")
run_tool(Tool("x", words, "", ""), [], sys.argv[1])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_kill_a_command_and_its_programs_end(tmp_path, number):
    """T10: a killed command left yosys at work."""
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)])
    try:
        pids = _until(lambda: (tmp_path / "pids").read_text().split() or None, 20)
    finally:
        parent.send_signal(number)
        parent.wait()
    assert len(pids) == 2
    _until(lambda: not any(_lives(int(pid)) for pid in pids) or None, 5)


def _until(found, seconds: float):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if (answer := found()) is not None:
                return answer
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    raise AssertionError("it did not come in time")


def _lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_kill_amaranths_yosys_with_its_command(monkeypatch):
    """The same text as without the watch, and an error is still its error."""
    from amaranth._toolchain.yosys import YosysError
    from amaranth.back import verilog

    from sterna.gen.tools.orphans import guard_amaranth

    monkeypatch.setenv("AMARANTH_USE_YOSYS", "builtin")
    guard_amaranth()
    guard_amaranth()
    yosys = verilog.find_yosys(lambda version: True)
    script = "read_rtlil <<rtlil\nmodule \\top\nend\nrtlil\nwrite_verilog -noattr"
    assert "module top" in yosys.run(["-q", "-"], script)
    with pytest.raises(YosysError, match="ERROR"):
        yosys.run(["-q", "-"], "nonsense")
