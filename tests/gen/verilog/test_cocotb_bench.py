"""The cocotb test that a build folder brings: it passes, it can fail, and make runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import buildcase
import pytest

from sterna.gen.build.stages import ensure
from sterna.gen.tools.programs import find
from sterna.sim.cocotb_runner import BenchFailed, build_bench, run_bench


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    (folder / "example").mkdir()
    return ensure(buildcase.save_example(folder / "example"), output=folder / "build")


def test_it_passes_and_can_fail(build, tmp_path, monkeypatch):
    """In the program of our own benches: only the Makefile is left for make."""
    bench = build.folder / "bench"
    assert sorted(p.name for p in bench.iterdir()) == ["Makefile", "test_tiny.py"]
    monkeypatch.syspath_prepend(bench)
    program = build_bench(build.verilog.read_text(), "tiny")
    run_bench(program, "tiny", "test_tiny", tmp_path)
    lines = (build.folder / "vectors_in.hex").read_text().splitlines()
    other = tmp_path / "other"
    shutil.copytree(build.folder, other)
    # All pixels upside down: some class or logit is another.
    lines = [f"{int(a, 16) ^ (1 << 4 * len(a)) - 1:0{len(a)}x}" for a in lines]
    (other / "vectors_in.hex").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(other / "bench")
    with pytest.raises(BenchFailed, match=r"word \d of image \d is 0x"):
        run_bench(program, "tiny", "test_tiny", tmp_path)


def test_nothing_of_ours_is_in_it(build):
    text = (build.folder / "bench" / "test_tiny.py").read_text()
    assert "sterna" not in text and max(map(len, text.splitlines())) <= 100
    compile(text, "test_tiny.py", "exec")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_make_runs_it(build, simulator):
    find("iverilog" if simulator == "icarus" else "verilator")
    tool = find("verilator")
    path = [tool.env.get("PATH", os.environ["PATH"]), str(Path(sys.executable).parent)]
    if shutil.which("cocotb-config", path=os.pathsep.join(path)) is None:
        pytest.skip("cocotb-config is not on PATH")
    env = {**os.environ, **tool.env, "PATH": os.pathsep.join(path)}
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    done = subprocess.run(
        ["make", "-C", str(build.folder / "bench"), f"SIM={simulator}"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "TESTS=2 PASS=2" in done.stdout, done.stdout[-3000:]
