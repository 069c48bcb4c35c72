"""Stages: rerun exactly when stale, nothing half-written, examples untouched, same bytes twice."""

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from buildcase import FOLDING, Interrupted, Writes, contents, network, ran, save_example

from sterna.gen.build import folder as build_folder
from sterna.gen.build import stages
from sterna.gen.build.provenance import history
from sterna.gen.build.stages import Options, ensure, open_build
from sterna.golden.device.weights_image import read_weights_image
from sterna.golden.errors import DesignError, FileError, SternaError, UsageError
from sterna.golden.files import disk
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Network, Neuron


@pytest.fixture
def example(tmp_path):
    return save_example(tmp_path / "example")


ALL = ["fold", "pack", "verilog", "sim"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole build, made once; tests copy it."""
    folder = tmp_path_factory.mktemp("stages")
    save_example(folder / "example")
    ensure(folder / "example", "sim", output=folder / "build")
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def build(finished, tmp_path, monkeypatch):
    """A copy of the finished build. Verilog is copied, not made: here only its files matter."""
    shutil.copytree(finished / "build", tmp_path / "build")

    def copying(stage):
        def run(build, asked):
            for name in stages.STAGES[stage].writes(build):
                build.write(name, (finished / "build" / name).read_bytes())

        return run

    for stage in ("verilog", "sim"):
        monkeypatch.setitem(stages.STAGES, stage, replace(stages.STAGES[stage], run=copying(stage)))
    return tmp_path / "build"


def test_the_record_knows_every_stage_in_order():
    assert tuple(stages.STAGES) == build_folder.STAGE_NAMES


def test_a_whole_build_has_its_files(finished):
    found = set(contents(finished / "build"))
    wanted = {
        "network.json",
        "network.safetensors",
        "folding.json",
        "design.json",
        "stages.json",
        "weights.sterna",
        "tiny.v",
        "filelist.f",
        "vectors.npz",
        "tiny_tb.v",
        "csr.json",
        "tiny_csr.h",
        "vectors_in.hex",
        "vectors_out.hex",
        "sim/tiny_taps.v",
        "bench/Makefile",
        "bench/test_tiny.py",
    } | {
        f"mem/{core}_{part}.{suffix}"
        for core in "cf"
        for part in ("weights", "params")
        for suffix in ("mem", "hex", "coe", "mif")
    }
    assert found == wanted
    image = read_weights_image(finished / "build/weights.sterna")
    assert image.weights_id == files.weights_id(network()) and sorted(image.regions) == [0, 1, 2, 3]
    build = open_build(finished / "build")
    assert image.structure_id == files.structure_id(build.network, build.design.to_json())
    assert build.design.folding["c"] == FOLDING["c"]


def test_what_is_simulated_is_made_when_it_is_asked_for(build):
    """And is no command of the history: those that measure make it on their way."""
    shutil.rmtree(build / "sim")
    assert ran(build, "verilog") == [] and not (build / "sim").exists()
    assert ran(build, "sim") == ["sim"] and (build / "sim/tiny_taps.v").is_file()
    made = [entry["made"] for entry in history(open_build(build), {}, None)]
    assert made == ["fold", "pack", "verilog"]


def test_nothing_runs_again(build):
    before = contents(build)
    assert ran(build) == []
    assert contents(build) == before


@pytest.mark.parametrize(
    ("file", "stages_"),
    [
        ("design.json", ["fold"]),
        ("weights.sterna", ["pack"]),
        ("mem/c_weights.hex", ["pack"]),
        ("mem/f_params.coe", ["pack"]),
        ("tiny.v", ["verilog"]),
        ("tiny_tb.v", ["verilog"]),
        ("csr.json", ["verilog"]),
        ("sim/tiny_taps.v", ["sim"]),
        ("vectors.npz", ["verilog"]),
        ("stages.json", ALL),
    ],
)
@pytest.mark.parametrize("how", ["deleted", "altered"])
def test_a_damaged_file_is_made_again(build, file, stages_, how):
    before = contents(build)
    if how == "deleted":
        (build / file).unlink()
    else:
        data = bytearray((build / file).read_bytes())
        data[len(data) // 2] ^= 1
        (build / file).write_bytes(bytes(data))
    again = ran(build)
    assert again == stages_ or (file == "stages.json" and set(again) <= set(ALL) and again)
    assert contents(build) == before
    assert ran(build) == []


def test_a_new_network_makes_everything_stale(build):
    files.save(network(seed=1), build)
    assert ran(build) == ALL and ran(build) == []
    assert read_weights_image(build / "weights.sterna").weights_id == files.weights_id(network(1))


def test_options_are_kept_and_changed_ones_make_stages_stale(build):
    assert ran(build, options=Options(clock_mhz=50.0)) == ALL
    assert ran(build) == [] and open_build(build).design.clock_mhz == 50.0
    assert ran(build, "fold", Options(folding={"c": {"pe": 2}})) == ["fold"]
    assert open_build(build).design.core("c").pe == 2
    assert ran(build, "fold") == []
    assert ran(build) == ["pack", "verilog", "sim"]


def test_a_newer_generator_makes_everything_stale(build, monkeypatch):
    monkeypatch.setattr(stages, "generator_id", lambda: "newer")
    assert ran(build) == ALL


def test_files_of_an_earlier_run_are_removed(build):
    """A core of another name leaves no memory files of the old one."""
    other = network()
    nodes = [*other.nodes]
    nodes[1] = Conv2d("d", "x", other["c"].weight)
    nodes[2] = Neuron("n", ("d",), other["n"].rule)
    (build / "folding.json").unlink()
    files.save(Network(2, nodes, "tiny"), build)
    ensure(build)
    assert not list(build.glob("mem/c_*")) and len(list(build.glob("mem/d_*"))) == 8


def test_only_the_stages_asked_for_run(example, tmp_path):
    build = tmp_path / "b"
    open_build(example, build)
    assert ran(build_of(example, build), "fold") == ["fold"]
    assert not (build / "mem").exists() and not (build / "tiny.v").exists()
    assert ran(build_of(example, build), "pack") == ["pack"]


def build_of(example, build):
    return open_build(example, build)


def test_an_example_is_never_written_to(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = contents(example)
    for path in example.iterdir():
        path.chmod(0o444)
    example.chmod(0o555)
    try:
        build = ensure(example, "pack")
        assert build.folder == Path("build/tiny") and build.example == example
        assert ran(open_build(example), "pack") == []
    finally:
        example.chmod(0o755)
    assert contents(example) == before
    # What changes in the example reaches the build; what is gone goes.
    for path in example.iterdir():
        path.chmod(0o644)
    files.save(network(seed=3), example)
    (example / "folding.json").unlink()
    assert ran(open_build(example), "pack") == ["fold", "pack"]
    assert not (tmp_path / "build/tiny/folding.json").exists()


def test_an_interrupted_stage_is_run_again(example, tmp_path, monkeypatch):
    """Stopped at every write in turn: only whole files, and the next run finishes the build."""
    written = Writes(monkeypatch)
    reference = contents(ensure(example, "pack", output=tmp_path / "reference").folder)
    writes = written.count
    assert writes > 15
    for stop in (1, 2, 3, 4, 9, writes - 4, writes - 3):
        build = tmp_path / f"b{stop}"
        open_build(example, build)
        written.stop = stop
        with pytest.raises(Interrupted):
            ensure(build_of(example, build), "pack")
        for name, value in contents(build).items():
            assert name == "stages.json" or reference[name] == value, f"{name} is half-written"
        ensure(build_of(example, build), "pack")
        assert contents(build) == reference


@pytest.mark.parametrize("stop", [1, 2, 5, 12])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(example, tmp_path, monkeypatch, stop):
    build = tmp_path / "b"
    open_build(example, build)
    before = contents(build)
    real, left = os.fdopen, [stop]

    class Full:
        """A file that takes half of what is written, then the disk is full."""

        def __init__(self, handle, mode):
            self.file = real(handle, mode)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    def fdopen(handle, mode):
        left[0] -= 1
        return Full(handle, mode) if left[0] <= 0 else real(handle, mode)

    monkeypatch.setattr(disk.os, "fdopen", fdopen)
    with pytest.raises(FileError) as e:
        ensure(build_of(example, build), "pack")
    monkeypatch.setattr(disk.os, "fdopen", real)
    text = str(e.value)
    assert "cannot be written (No space left on device); free some space or choose" in text
    assert "\n" not in text
    after = contents(build)
    assert not [name for name in after if Path(name).name.startswith(".")], "temporary files"
    assert before.items() <= after.items() and len(after) < len(before) + stop + 1
    ensure(build_of(example, build), "pack")
    assert contents(build).keys() >= {"design.json", "weights.sterna", "stages.json"}


def test_a_full_disk_while_the_libraries_write(build, monkeypatch):
    """The record itself cannot be written: the stage is run again later, nothing is lost."""
    (build / "tiny.v").unlink()
    real = build_folder.write_atomic

    def write(path, data):
        if Path(path).name == "stages.json":
            raise FileError("stages.json: cannot be written (full)")
        real(path, data)

    monkeypatch.setattr(build_folder, "write_atomic", write)
    with pytest.raises(FileError):
        ensure(build)
    monkeypatch.setattr(build_folder, "write_atomic", real)
    assert ran(build) == ["verilog"]


def test_bad_folders_and_files_are_refused_in_one_sentence(example, tmp_path):
    def sentence(function, kind=SternaError):
        with pytest.raises(kind) as e:
            function()
        assert "\n" not in str(e.value)
        return str(e.value)

    assert "no: does not exist; give" in sentence(lambda: open_build(tmp_path / "no"), UsageError)
    assert "stage 'synth'" in sentence(lambda: ensure(example, "synth"), UsageError)
    (example / "folding.json").write_text("{")
    again = lambda: ensure(example, "fold", output=tmp_path / "b")  # noqa: E731
    assert "folding.json" in sentence(again, FileError)
    (example / "folding.json").write_text("[1]")
    assert "is not a folding" in sentence(again, FileError)
    (example / "folding.json").write_text('{"c": 3}')
    assert "pe, simd, tp, memory" in sentence(again, DesignError)
    (example / "folding.json").write_text('{"folding": [1]}')
    assert "pe, simd, tp, memory" in sentence(again, DesignError)
    (example / "folding.json").write_text('{"clock_mhz": "fast"}')
    assert "clock_mhz 'fast' must be" in sentence(again, DesignError)
    (example / "folding.json").write_text('{"axis_width": "8"}')
    assert "AXI4-Stream of '8' bits" in sentence(again, DesignError)
    (example / "folding.json").write_text('{"family": 3}')
    assert "family 3 is not one of" in sentence(again, DesignError)
    (example / "folding.json").write_text('{"c": {"pe": 7}}')
    assert "use one of 1, 2" in sentence(again, DesignError)
    (example / "folding.json").unlink()
    data = (example / "network.safetensors").read_bytes()
    (example / "network.safetensors").write_bytes(data[:-1])
    assert "truncated or altered" in sentence(again, FileError)
    assert not (tmp_path / "b" / "design.json").exists()


CODE = """
import sys
from sterna.gen.build.stages import ensure
ensure(sys.argv[1], "sim", output=sys.argv[2])
"""


def test_same_bytes_in_another_process(finished):
    """Every file, the record included, whatever the hash seed, folder and time are."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"}
        environment.pop("AMARANTH_USE_YOSYS", None)
        out = Path(folder) / "elsewhere" / "b"
        subprocess.run(
            [sys.executable, "-c", CODE, str(finished / "example"), str(out)],
            check=True,
            env=environment,
            cwd=folder,
        )
        assert contents(out) == contents(finished / "build")


def test_no_path_or_host_in_a_build_file(finished):
    words = [str(finished), str(Path.home()), platform.node()]
    for path in (finished / "build").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for word in words:
                assert len(word) < 4 or word.encode() not in data, f"{path.name} holds {word}"


@pytest.mark.parametrize(
    "entry",
    [
        "x",
        [1],
        {"reads": {}, "options": {}, "writes": ["a"]},
        {"reads": {}, "options": {"speed": 1}, "writes": {}},
        {"reads": {}, "options": {}, "writes": {"../victim": "0"}},
    ],
)
def test_an_altered_record_only_makes_its_stage_stale(tmp_path, entry):
    files.save(network(), tmp_path / "example")
    build = ensure(tmp_path / "example", "fold", output=tmp_path / "build")
    (tmp_path / "victim").write_text("stays")
    record = json.loads((build.folder / "stages.json").read_text()) | {"fold": entry}
    (build.folder / "stages.json").write_text(json.dumps(record))
    again = ensure(build.folder, "fold")
    assert again.design.to_json() == (build.folder / "design.json").read_text()
    assert (tmp_path / "victim").read_text() == "stays"


def test_a_board_has_a_folding_and_a_folder_of_its_own(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = {"c": {"pe": 2, "simd": 9, "tp": 4, "memory": "rom", "engine": "compress"}}
    (example / "folding.ice40.json").write_text(json.dumps(other))
    build = ensure(example, "fold", Options(family="ice40"), variants=("icebreaker", "ice40"))
    assert build.folder == Path("build/tiny-icebreaker")
    assert build.design.folding["c"] == other["c"] and build.design.family == "ice40"
    (example / "folding.icebreaker.json").write_text(json.dumps(FOLDING))
    build = ensure(example, "fold", Options(family="ice40"), variants=("icebreaker", "ice40"))
    assert build.design.folding["c"] == FOLDING["c"]
    # Another board takes what the example has for all.
    build = ensure(example, "fold", Options(family="ecp5"), variants=("ulx3s-85f", "ecp5"))
    assert build.folder == Path("build/tiny-ulx3s-85f")
    assert build.design.folding["c"] == FOLDING["c"] and build.design.family == "ecp5"


def test_two_networks_of_one_name_are_each_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are built into build/<name>; what a Build is used for is its own network's."""
    monkeypatch.chdir(tmp_path)
    made = {}
    for folder, seed in (("one", 1), ("two", 2)):
        files.save(network(seed), tmp_path / folder)
        made[folder] = ensure(folder, "pack")
    assert made["one"].folder == made["two"].folder
    for folder, seed in (("one", 1), ("two", 2), ("one", 1)):
        found = ensure(made[folder], "pack").network
        assert files.weights_id(found) == files.weights_id(network(seed))
