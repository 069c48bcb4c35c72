"""Stages: rerun exactly when stale, nothing half-written, examples untouched, same bytes twice."""

import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sterna.gen import stages
from sterna.gen.progress import Progress
from sterna.gen.stages import Options, ensure, open_build, read_folding
from sterna.golden import disk, files
from sterna.golden.errors import DesignError, FileError, SternaError, UsageError
from sterna.golden.files import read_weights_image
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule


def network(seed=0):
    rng = np.random.default_rng(seed)
    return Network(
        2,
        [
            Input("x", (1, 4, 4), bits=4),
            Conv2d("c", "x", rng.integers(-1, 2, (2, 1, 3, 3))),
            Neuron("n", ("c",), NeuronRule(threshold=np.array([20, 30]))),
            Linear("f", "n", rng.integers(-1, 2, (3, 8))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="tiny",
    )


FOLDING = {"c": {"pe": 1, "simd": 3, "tp": 4, "memory": "ram", "engine": "compress"}}


@pytest.fixture
def example(tmp_path):
    folder = tmp_path / "example"
    files.save(network(), folder)
    (folder / "folding.json").write_text(json.dumps(FOLDING))
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Names(Progress):
    """Records the stages that ran."""

    def __init__(self):
        super().__init__(quiet=True)
        self.ran = []

    def step(self, name):
        self.ran.append(name)
        return super().step(name)


def ran(build, upto="verilog", options=None):
    progress = Names()
    ensure(build, upto, options, progress=progress)
    return progress.ran


ALL = ["fold", "pack", "verilog"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole build, made once; tests copy it."""
    folder = tmp_path_factory.mktemp("stages")
    files.save(network(), folder / "example")
    (folder / "example/folding.json").write_text(json.dumps(FOLDING))
    ensure(folder / "example", output=folder / "build")
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def build(finished, tmp_path, monkeypatch):
    """A copy of the finished build. Verilog is copied, not made: here only its files matter."""
    shutil.copytree(finished / "build", tmp_path / "build")

    def run_verilog(build, asked):
        for name in stages.WRITES["verilog"](build):
            build.write(name, (finished / "build" / name).read_bytes())

    monkeypatch.setitem(stages.RUN, "verilog", run_verilog)
    return tmp_path / "build"


def test_a_whole_build_has_its_files(finished):
    found = set(contents(finished / "build"))
    wanted = {
        "network.json", "network.safetensors", "folding.json", "design.json", "stages.json",
        "weights.sterna", "tiny.v", "filelist.f", "vectors.npz", "tiny_tb.v", "csr.json",
        "tiny_csr.h", "vectors_in.hex", "vectors_out.hex", "sim/tiny_taps.v",
    } | {
        f"mem/{core}_{part}.{suffix}" for core in "cf" for part in ("weights", "params")
        for suffix in ("mem", "hex", "coe", "mif")
    }  # fmt: skip
    assert found == wanted
    image = read_weights_image(finished / "build/weights.sterna")
    assert image.weights_id == files.weights_id(network()) and sorted(image.regions) == [0, 1, 2, 3]
    build = open_build(finished / "build")
    assert image.structure_id == files.structure_id(build.network, build.design.to_json())
    assert build.design.folding["c"] == FOLDING["c"]


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
        ("sim/tiny_taps.v", ["verilog"]),
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
    assert ran(build) == ["pack", "verilog"]


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


class Interrupted(Exception):
    pass


def test_an_interrupted_stage_is_run_again(example, tmp_path, monkeypatch):
    """Stopped at every write in turn: only whole files, and the next run finishes the build."""
    real, count = stages.write_atomic, [0]

    def write(path, data):
        count[0] -= 1
        if count[0] == 0:
            raise Interrupted
        real(path, data)

    monkeypatch.setattr(stages, "write_atomic", write)
    reference = contents(ensure(example, "pack", output=tmp_path / "reference").folder)
    writes = -count[0]
    assert writes > 15
    for stop in (1, 2, 3, 4, 9, writes - 4, writes - 3):
        build = tmp_path / f"b{stop}"
        open_build(example, build)
        count[0] = stop
        with pytest.raises(Interrupted):
            ensure(build_of(example, build), "pack")
        for name, value in contents(build).items():
            assert name == "stages.json" or reference[name] == value, f"{name} is half-written"
        ensure(build_of(example, build), "pack")
        assert contents(build) == reference


GOAL = Options(family="ecp5", fps=2000.0, clock_mhz=80.0)


@pytest.fixture
def chosen(example, tmp_path):
    """A build whose fold has a goal, and so a solution.json."""
    ensure(example, "fold", GOAL, output=tmp_path / "chosen")
    return tmp_path / "chosen"


def test_a_refused_or_interrupted_fold_leaves_the_last_choice(chosen, monkeypatch):
    before = contents(chosen)
    assert "solution.json" in before
    with pytest.raises(DesignError, match="lower the fps or raise the clock"):
        ensure(chosen, "fold", Options(fps=1e9))
    with pytest.raises(DesignError, match="pe 7 is not legal"):
        ensure(chosen, "fold", Options(folding={"c": {"pe": 7}}))

    def interrupted(*_given, **_settings):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr("sterna.gen.solve.solve", interrupted)
        with pytest.raises(Interrupted):
            ensure(chosen, "fold", Options(fps=100.0))
    assert contents(chosen) == before
    assert ran(chosen, "fold") == [] and open_build(chosen).design.clock_mhz == 80.0


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_fold_interrupted_while_it_writes_is_made_again_by_the_last_choice(
    chosen, stop, monkeypatch
):
    """Of another goal, whose design may be the same, and of none, which has no solution.json."""
    before = contents(chosen)
    real, count = stages.write_atomic, [0]

    def write(path, data):
        count[0] -= 1
        if count[0] == 0:
            raise Interrupted
        real(path, data)

    monkeypatch.setattr(stages, "write_atomic", write)
    for options in (Options(fps=1999.0), Options(fps=20_000.0), Options(folding=FOLDING)):
        if stop == 4 and options.folding:
            continue  # it writes three files
        count[0] = stop
        with pytest.raises(Interrupted):
            ensure(chosen, "fold", options)
        count[0] = 0
        assert ran(chosen, "fold") == ["fold"] * (stop > 1)
        assert contents(chosen) == before


def test_a_fold_without_a_goal_leaves_no_solution_of_an_earlier_one(chosen):
    assert ran(chosen, "fold", Options(folding=FOLDING)) == ["fold"]
    assert not (chosen / "solution.json").exists() and ran(chosen, "fold") == []


def options_of(build):
    return json.loads((build / "stages.json").read_text())["fold"]["options"]


def test_an_option_replaces_only_itself(example, tmp_path):
    build = tmp_path / "kept"
    first = {"family": "ecp5", "clock_mhz": 50.0, "memory": "ram", "axis_width": 16}
    ensure(example, "fold", Options(luts=9000, **first), output=build)
    design = ensure(build, "fold", Options(clock_mhz=80.0)).design
    assert (design.family, design.clock_mhz, design.axis_width) == ("ecp5", 80.0, 16)
    assert {c.memory for c in design.cores} == {"ram"} and (build / "solution.json").exists()
    assert options_of(build) == first | {"luts": 9000, "clock_mhz": 80.0}
    # Another way of choosing replaces the earlier one, and nothing else.
    ensure(build, "fold", Options(folding={"c": {"pe": 2}}, patchable=True))
    rest = first | {"clock_mhz": 80.0, "patchable": True}
    assert options_of(build) == rest | {"folding": {"c": {"pe": 2}}}
    ensure(build, "fold", Options(fps=1000.0, patchable=False))
    assert options_of(build) == rest | {"fps": 1000.0, "patchable": False}
    assert ran(build, "fold") == []


def test_a_board_brings_its_family_and_keeps_the_rest(example, tmp_path):
    build = tmp_path / "kept"
    ensure(example, "fold", Options(luts=9000, family="xilinx7", clock_mhz=50.0), output=build)
    design = ensure(build, "fold", Options(board="ulx3s-12f")).design
    assert (design.family, design.clock_mhz) == ("ecp5", 50.0)
    with pytest.raises(UsageError, match="ulx3s-12f is of family ecp5, not xilinx7"):
        ensure(build, "fold", Options(family="xilinx7"))
    assert ensure(build, "fold", Options(memory="ram")).design.family == "ecp5"
    assert ensure(build, "fold", Options(board="arty-a7-35")).design.family == "xilinx7"
    assert ensure(build, "fold", Options(fps=1000.0)).design.family == "xilinx7"
    assert options_of(build).keys() == {"fps", "family", "clock_mhz", "memory"}


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
    real = stages.write_atomic

    def write(path, data):
        if Path(path).name == "stages.json":
            raise FileError("stages.json: cannot be written (full)")
        real(path, data)

    monkeypatch.setattr(stages, "write_atomic", write)
    with pytest.raises(FileError):
        ensure(build)
    monkeypatch.setattr(stages, "write_atomic", real)
    assert ran(build) == ["verilog"]


def test_bad_folders_and_files_are_refused_in_one_sentence(example, tmp_path):
    def sentence(function, kind=SternaError):
        with pytest.raises(kind) as e:
            function()
        assert "\n" not in str(e.value)
        return str(e.value)

    assert "holds no network.json" in sentence(lambda: open_build(tmp_path / "no"), UsageError)
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


def test_read_folding(build, tmp_path):
    """A design.json is a folding file as well."""
    read = read_folding(build / "design.json")
    assert read["folding"]["c"] == FOLDING["c"] and read["clock_mhz"] == 100.0
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"family": "ecp5", "c": {"pe": 2}}))
    assert read_folding(path) == {"family": "ecp5", "folding": {"c": {"pe": 2}}}
    path.write_text(json.dumps({"clock_mhz": 50, "axis_width": 8, "folding": {"c": {"pe": 2}}}))
    assert read_folding(path) == {"clock_mhz": 50, "axis_width": 8, "folding": {"c": {"pe": 2}}}


@pytest.mark.parametrize("patchable", [True, False])
def test_a_design_given_back_is_patchable_as_it_was(patchable, example, tmp_path):
    first = ensure(example, "fold", Options(patchable=patchable), output=tmp_path / "a")
    settings = read_folding(first.folder / "design.json")
    again = ensure(example, "fold", Options(**settings), output=tmp_path / "b")
    assert settings["patchable"] is again.design.core("f").patchable is patchable
    assert again.design == first.design
    # Where no core has fixed weights, it was of no matter, and is not said.
    rams = ensure(example, "fold", Options(memory="ram", patchable=True), output=tmp_path / "c")
    assert "patchable" not in read_folding(rams.folder / "design.json")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"famly": "ecp5", "folding": {}}, FileError, "'famly' beside 'folding' is not one of fam"),
        ({"c": {"pe": 2}, "b": 1, "folding": {}}, FileError, "'b', 'c' beside .* move a core into"),
        ({"format": "other", "folding": {}}, FileError, "'format' beside"),
        ({"patchable": "no", "folding": {}}, DesignError, "patchable 'no' is not true or false"),
        ({"folding": None}, DesignError, "'folding' is not an object; give core -> pe, simd, tp"),
        ({"format": "sterna-design"}, DesignError, "'folding' is not an object; give core -> pe"),
    ],
)
def test_nothing_in_a_folding_file_is_passed_over(body, kind, words, example, tmp_path):
    (example / "folding.json").write_text(json.dumps(body))
    with pytest.raises(kind, match=words) as e:
        ensure(example, "fold", output=tmp_path / "b")
    assert "\n" not in str(e.value)


CODE = """
import sys
from sterna.gen.stages import ensure
ensure(sys.argv[1], output=sys.argv[2])
"""


def test_same_bytes_in_another_process(finished):
    """Every file, the record included, whatever the hash seed, folder and time are."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"}
        environment.pop("AMARANTH_USE_YOSYS", None)
        out = Path(folder) / "elsewhere" / "b"
        subprocess.run(
            [sys.executable, "-c", CODE, str(finished / "example"), str(out)],
            check=True, env=environment, cwd=folder,
        )  # fmt: skip
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


def test_memory_of_every_core_can_be_said_at_once(example, tmp_path):
    build = ensure(example, "fold", Options(memory="ram"), output=tmp_path / "b")
    assert {c.name: c.memory for c in build.design.cores} == {"c": "ram", "f": "ram"}
    assert build.design.core("c").pe == FOLDING["c"]["pe"]
    assert build.design.region_count == 4
    build = ensure(example, "fold", Options(memory="rom"), output=tmp_path / "b")
    assert not build.design.reloadable
    with pytest.raises(DesignError, match="memory 'flash' is not rom or ram"):
        ensure(example, "fold", Options(memory="flash"), output=tmp_path / "b")
