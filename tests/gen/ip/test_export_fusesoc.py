"""FuseSoC takes exported blocks: its own reader, its lint and its simulation of real images."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from exportcase import facts, made, verilator_env

from sterna.gen.ip import layout
from sterna.gen.ip.folder import block_files
from sterna.gen.tools.plain_paths import Plain, plain_paths

pytest.importorskip("fusesoc")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks in one library; the second reads its memories from files."""
    folder = tmp_path_factory.mktemp("library")
    made(folder, 0)
    made(folder, 1, "files")
    return folder


@pytest.fixture
def work() -> Iterator[Plain]:
    """make builds in no folder with a space in its path."""
    with plain_paths() as plain:
        yield plain


def fusesoc(library: Path, work: Plain, *words: str) -> subprocess.CompletedProcess[str]:
    homes = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    env = verilator_env(work) | dict.fromkeys(homes, str(work.folder))
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", str(library), *words]
    return subprocess.run(command, cwd=work.folder, env=env, capture_output=True, text=True)


def passed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_fusesoc_lists_two_exports_of_one_library(library: Path, work: Plain) -> None:
    listed = passed(fusesoc(library, work, "list-cores"))
    for n in (0, 1):
        assert ":".join(facts(n).vlnv) in listed
        shown = passed(fusesoc(library, work, "core", "show", ":".join(facts(n).vlnv)))
        for target in ("default", "lint", "sim", "sim_icarus", "synth", "synth_yosys"):
            assert target in shown


@pytest.mark.parametrize("n", [0, 1])
def test_fusesoc_lints_an_export(library: Path, work: Plain, n: int) -> None:
    passed(fusesoc(library, work, "run", "--target", "lint", ":".join(facts(n).vlnv)))


def test_fusesoc_simulates_an_export(library: Path, work: Plain) -> None:
    vlnv = ":".join(facts(1).vlnv)  # whose memories are files
    said = passed(fusesoc(library, work, "run", "--target", "sim", vlnv))
    words = facts(1).vectors[1].size
    assert f"PASS {words} words" in said and "FAIL" not in said
    # Another result in the bench's file, which it copies again, fails the command.
    data = library / "ip1" / layout.bench_data(facts(1))[1]
    kept = data.read_text()
    lines = kept.splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:08x}"
    data.write_text("\n".join(lines) + "\n")
    done = fusesoc(library, work, "run", "--run", "--target", "sim", vlnv)
    data.write_text(kept)
    assert done.returncode != 0 and "FAIL word" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("target", ["sim_icarus", "synth", "synth_yosys"])
def test_fusesoc_sets_up_the_other_targets_of_an_export(
    library: Path, work: Plain, target: str
) -> None:
    vlnv = ":".join(facts(1).vlnv)
    passed(fusesoc(library, work, "run", "--setup", "--target", target, vlnv))
    texts = "".join(p.read_text() for p in work.folder.rglob("*") if p.suffix in (".tcl", ".scr"))
    assert f"{facts(1).wrapper}.v" in texts and f"{facts(1).module}.v" in texts


def test_files_that_the_core_of_an_export_names_are_there() -> None:
    yaml = pytest.importorskip("yaml")
    for n in (0, 1):
        files = block_files(facts(n))
        core = yaml.safe_load(files[f"{facts(n).module}.core"].partition(b"\n")[2])
        for fileset in core["filesets"].values():
            for entry in fileset["files"]:
                (name,) = entry if isinstance(entry, dict) else (entry,)
                assert name in files
        for target in core["targets"].values():
            assert set(target["filesets"]) <= set(core["filesets"])
