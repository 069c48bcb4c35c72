"""Finding and running programs: what is missing is named, what fails says why."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sterna.gen import doctor, tools
from sterna.golden.errors import ToolMissing


def python(*code: str) -> tools.Tool:
    return tools.Tool("python", (sys.executable, "-c", "; ".join(code)), "", "system")


def test_output_and_log(tmp_path: Path) -> None:
    done = tools.run_tool(python("print('out')", "import sys", "print('err', file=sys.stderr)"),
                          [], tmp_path, log="run.log")  # fmt: skip
    assert done.returncode == 0 and done.seconds > 0
    assert sorted(done.text.split()) == ["err", "out"]
    assert (tmp_path / "run.log").read_text() == done.text


def test_failure_names_tool_reason_and_log(tmp_path: Path) -> None:
    tool = python("print('fine so far')", "print('%Error: net is odd')", "raise SystemExit(7)")
    with pytest.raises(tools.ToolFailed, match="python ended with code 7: %Error: net is odd.*log"):
        tools.run_tool(tool, [], tmp_path, log="run.log")
    assert tools.run_tool(tool, [], tmp_path, check=False).returncode == 7


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    tool = python(
        "import subprocess, sys, time",
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
        "print(p.pid, flush=True)",
        "time.sleep(60)",
    )
    start = time.monotonic()
    with pytest.raises(tools.ToolFailed, match="did not end within 1 s"):
        tools.run_tool(tool, [], tmp_path, timeout=1, log="run.log")
    assert time.monotonic() - start < 20
    child = int((tmp_path / "run.log").read_text())
    for _ in range(50):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail(f"child {child} is still running")


def test_make_variables_do_not_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-j8 --jobserver-auth=3,4")
    done = tools.run_tool(python("import os", "print('MAKEFLAGS' in os.environ)"), [], tmp_path)
    assert done.text.strip() == "False"


def test_a_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="iverilog is not on PATH; run: apt install iverilog"):
        tools.find("iverilog")
    assert not tools.available("g++")
    with pytest.raises(ValueError, match="unknown tool 'vivado'"):
        tools.find("vivado")


@pytest.mark.parametrize(
    ("version", "accepted"), [("5.006", False), ("5.036", True), ("6.001", True), ("4.228", False)]
)
def test_system_verilator_must_be_new_enough(
    version: str, accepted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "verilator"
    program.write_text(f"#!/bin/sh\necho 'Verilator {version} 2024-01-01 rev x'\n")
    program.chmod(0o755)
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    if accepted:
        assert tools.find("verilator").version == version
    else:
        with pytest.raises(ToolMissing, match=f"is {version}, 5.036 or newer is needed"):
            tools.find("verilator")


def test_verilator_runs(tmp_path: Path) -> None:
    (tmp_path / "good.v").write_text("module good(input a, output b); assign b = a; endmodule\n")
    tools.run_tool("verilator", ["--lint-only", "good.v"], tmp_path)
    (tmp_path / "bad.v").write_text("module bad(input wire a); assign b = ; endmodule\n")
    with pytest.raises(tools.ToolFailed, match="verilator ended with code 1: %Error: bad.v:1"):
        tools.run_tool("verilator", ["--lint-only", "bad.v"], tmp_path)


def test_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from sterna.gen.tools import tool_lock\n"
        f"with tool_lock(Path({str(lock)!r})): print('in', flush=True); time.sleep(30)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline().strip() == "in"
        code = f"""
import fcntl
f = open({str(lock)!r})
try: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print('free')
except BlockingIOError: print('held')
"""
        probe = [sys.executable, "-c", code]
        assert subprocess.run(probe, capture_output=True, text=True).stdout.strip() == "held"
    finally:
        other.kill()
        other.wait()
    assert subprocess.run(probe, capture_output=True, text=True).stdout.strip() == "free"


def test_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    assert tools.yowasp_cache() == tmp_path
    monkeypatch.delenv("YOWASP_CACHE_DIR")
    assert os.fspath(tools.yowasp_cache()).startswith(sys.prefix)


def test_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {check.name: check for check in doctor.first_stage(tmp_path)}
    assert not checks["g++"].ok and checks["g++"].fix == "apt install g++"
    assert checks["python"].ok
    assert not doctor.report(list(checks.values()))["ok"]
    assert "MISSING" in doctor.table(list(checks.values()))


def test_doctor_first_stage_is_standard_library_only() -> None:
    script = Path(doctor.__file__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), "--first", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
