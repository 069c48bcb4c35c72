"""Heavy programs at once: as many as there is room for, whoever is killed, visibly waited for."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from repo import ROOT

from sterna.gen.tools import programs, slots
from sterna.golden.errors import UsageError

HOLD = (
    "import sys, time; from pathlib import Path; from sterna.gen.tools.slots import slot\n"
    "with slot(Path(sys.argv[1])):\n"
    "    print('in', flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(slots.HELD, raising=False)


@contextmanager
def holder(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process with a slot."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "in\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_slot_is_waited_for_and_a_killed_holder_loses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STERNA_JOBS", "1")
    with holder(tmp_path) as other:
        threading.Timer(0.6, other.kill).start()
        start = time.monotonic()
        with slots.slot(tmp_path):
            assert 0.3 < time.monotonic() - start < 20
    assert capsys.readouterr().err == (
        "waiting: yosys or nextpnr is running 1 time, as often as may be at once (STERNA_JOBS=1)\n"
    )
    with slots.slot(tmp_path):
        pass
    assert capsys.readouterr().err == ""


def test_there_are_as_many_as_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STERNA_JOBS", "2")
    with holder(tmp_path), slots.slot(tmp_path):
        assert capsys.readouterr().err == ""
        with pytest.raises(InterruptedError), slots.slot(tmp_path, lambda: True):
            pass
    assert "running 2 times" in capsys.readouterr().err


def test_never_more_at_once_than_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STERNA_JOBS", "3")
    lock, now, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal now, most
        with slots.slot(tmp_path):
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02)
            with lock:
                now -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3 and now == 0


def test_below_a_process_that_holds_a_slot_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STERNA_JOBS", "1")
    with slots.slot(tmp_path):
        monkeypatch.setenv(slots.HELD, "1")
        with slots.slot(tmp_path):
            assert slots.at_once() == 1
        monkeypatch.delenv(slots.HELD)


@pytest.mark.parametrize("word", ["0", "-1", "x", "1.5", "257", "9" * 5000, "²", "0x2"])
def test_wrong_numbers_are_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STERNA_JOBS", word)
    with pytest.raises(UsageError) as e:
        slots.slot_count()
    assert str(e.value) == (
        f"STERNA_JOBS {word[:40]!r}: give a whole number of heavy programs at once, 1 to 256, or "
        "leave it out"
    )


def test_their_number_follows_from_memory_and_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STERNA_JOBS", raising=False)
    cores = len(os.sched_getaffinity(0))
    for gigabytes, count in ((1, 1), (9, min(2, cores)), (4096, cores)):
        monkeypatch.setattr(slots, "_memory", lambda g=gigabytes: g << 30)
        assert slots.slot_count() == count
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    monkeypatch.setattr(slots, "_memory", lambda: 23 << 30)
    assert slots.slot_count() == 5


def test_a_test_that_waits_does_not_die_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time begins when it has its slot. The test is one marked yosys that takes no time."""
    monkeypatch.setenv("STERNA_JOBS", "1")
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    words = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout=5",
        "-k",
        "baud_rates_that and 3000000",
        "tests/gen/board/test_bitstream.py",
    ]
    with holder(tmp_path) as other:
        waits = subprocess.Popen(
            [sys.executable, "-m", "pytest", *words],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert waits.stderr is not None
        line = waits.stderr.readline()
        time.sleep(6)
        other.kill()
        out, _ = waits.communicate()
    assert line.startswith("waiting: yosys or nextpnr is running 1 time"), line
    assert waits.returncode == 0 and " passed" in out, out


# ---- programs side by side ----


def heavy(code: str) -> programs.Tool:
    return programs.Tool("python", (sys.executable, "-c", code), "1", "system", heavy=True)


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("STERNA_JOBS", "4")
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def test_results_come_in_order_and_together(roomy: Path) -> None:
    """The first ends last: each waits for a file that the next one writes."""
    code = (
        "import pathlib, sys, time; n = int(sys.argv[1]); pathlib.Path(f'up{n}').touch()\n"
        "while n < 3 and not pathlib.Path(f'up{n + 1}').exists(): time.sleep(0.01)\n"
        "print(n)"
    )
    jobs = [
        lambda stop, n=n: programs.run_tool(heavy(code), [str(n)], roomy, stop=stop, timeout=60)
        for n in range(4)
    ]
    assert [done.text for done in programs.side_by_side(jobs)] == ["0\n", "1\n", "2\n", "3\n"]


def test_the_first_failure_in_order_is_told_and_ends_the_rest(roomy: Path) -> None:
    code = (
        "import sys, time; n = int(sys.argv[1]); time.sleep({0: 0.5, 1: 0.3, 2: 0}.get(n, 60))\n"
        "sys.exit(f'error {n}' if n else 0)"
    )
    jobs = [
        lambda stop, n=n: programs.run_tool(heavy(code), [str(n)], roomy, stop=stop)
        for n in range(6)
    ]
    start = time.monotonic()
    with pytest.raises(programs.ToolFailed, match="^python ended with code 1: error 1$"):
        programs.side_by_side(jobs)
    assert time.monotonic() - start < 30


def test_one_slot_runs_them_one_after_the_other(
    roomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STERNA_JOBS", "1")
    code = "import os, time; os.mkdir('alone'); time.sleep(0.05); os.rmdir('alone')"
    jobs = [lambda stop: programs.run_tool(heavy(code), [], roomy, stop=stop) for _ in range(3)]
    assert [done.returncode for done in programs.side_by_side(jobs)] == [0, 0, 0]
