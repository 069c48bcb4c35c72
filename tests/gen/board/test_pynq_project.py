"""The Vivado project of a Zynq board (pynq): what is in it, and its script in a Tcl interpreter."""

import ast
import re
import runpy
import shutil
import sys

import numpy as np
import pytest
from pynq_stand_in import stand_in
from tclrun import vivado_calls
from zynqsim import Zynq

from sterna.gen.board.bitstream import BoardOptions
from sterna.gen.board.for_board import board_of, for_board
from sterna.gen.board.zynq import write_zynq
from sterna.gen.build.stages import Build, Options, ensure
from sterna.gen.device.boards import BOARDS, board
from sterna.gen.ip.exported import exported
from sterna.gen.ip.wrapper import wrapper
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.host.inputs import build_weights, design_of

ZYNQ = [name for name in BOARDS if name.startswith(("pynq", "zybo"))]


def network() -> Network:
    rng = np.random.default_rng(5)
    return Network(
        2,
        [
            Input("x", (2, 4, 4), "frames", bits=3),
            Conv2d("c", "x", rng.integers(-1, 2, (4, 2, 3, 3))),
            Neuron("n", ("c",), NeuronRule(threshold=rng.integers(3, 9, 4))),
            Linear("f", "n", rng.integers(-1, 2, (3, 16))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="tiny",
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zynq")
    files.save(network(), folder / "source")
    build = ensure(folder / "source", "fold", Options(family="xilinx7"), folder / "build")
    return build, for_board(build, BoardOptions("pynq-z2"))


def test_pynq_boards_are_known_without_pins():
    assert {name: board(name).part for name in ZYNQ} == {
        "pynq-z2": "xc7z020clg400-1",
        "zybo-z7-10": "xc7z010clg400-1",
        "zybo-z7-20": "xc7z020clg400-1",
    }
    assert board("zybo-z7-10").lut < board("zybo-z7-20").lut and not board("pynq-z2").pins
    with pytest.raises(UsageError, match="pynq-z2: its processor talks .* leave --uart out"):
        board("pynq-z2", ("A1", "A2"))
    with pytest.raises(UsageError, match="pynq-z2: it has no serial line; leave --baud out"):
        board_of(BoardOptions("pynq-z2", baud=9600))


def test_the_pynq_project_has_what_vivado_and_the_board_read(project):
    build, facts = project
    folder = build.folder / "vivado_pynq-z2"
    assert facts["project"] == str(folder) and facts["clock_mhz"] == build.design.clock_mhz
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert there == {*facts["files"]}
    for name in ("tiny.v", "tiny_axi.v", "component.xml", "tiny_block_design.tcl"):
        assert f"ip/{name}" in there
    told = (folder / "ip/README.txt").read_text()  # lists what is there
    named = re.findall(r"^[A-Z]\w+ +([\w/]+\.?\w*):", told, re.M)
    assert "tiny_litex.py" in named and all((folder / "ip" / name).exists() for name in named)
    assert "pip install safetensors" in (folder / "README.txt").read_text()
    images, beat_bytes = design_of(folder / "board")
    assert images.structure == files.structure_id(build.network, build.design.to_json())[:16]
    assert images.packet_bytes(beat_bytes) == exported(build).packet_bytes
    assert build_weights(folder / "board").weights_id == files.weights_id(network())
    ast.parse((folder / "board/tiny_pynq.py").read_text(), feature_version=(3, 10))
    write_zynq(build, board("pynq-z2"))
    assert there == {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_the_example_of_a_pynq_project_runs_on_the_wrapped_block(
    project, monkeypatch, tmp_path, capsys
):
    """The block as it is exported, AXI's reset included."""
    build, _ = project
    shutil.copytree(build.folder / "vivado_pynq-z2/board", tmp_path / "board")
    for end in ("bit", "hwh"):
        (tmp_path / f"board/tiny.{end}").touch()
    zynq = Zynq(build, wrapper=wrapper(exported(build)))
    zynq.stalls(0.2, 0.2)
    monkeypatch.setitem(sys.modules, "pynq", stand_in(zynq))
    monkeypatch.chdir(tmp_path / "board")
    runpy.run_path("tiny_pynq.py", run_name="__main__")
    assert "equal to the model" in capsys.readouterr().out


ANSWER = "proc get_board_parts {args} { noted_ get_board_parts {*}$args; return [list PARTS] }"


def calls(build, parts):
    """What the script calls in a Vivado with these board files, and what it leaves in board/."""
    folder = build.folder / "vivado_pynq-z2"
    project = folder / "tiny_vivado"
    made = project / "tiny_system.runs/impl_1/tiny_system_wrapper.bit"
    handed = project / "tiny_system.gen/sources_1/bd/tiny_system/hw_handoff/tiny_system.hwh"
    for path in (made, handed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.suffix)
    found = vivado_calls(folder / "build.tcl", before=ANSWER.replace("PARTS", parts))
    return found, {path.suffix: path.read_text() for path in (folder / "board").glob("tiny.[bh]*")}


def test_the_script_of_a_pynq_project_takes_the_newest_board_files(project):
    parts = "tul.com.tw:pynq-z2:part0:1.9 tul.com.tw:pynq-z2:part0:1.10"
    found, copied = calls(project[0], parts)
    assert "get_board_parts -quiet tul.com.tw:pynq-z2:part0:*" in found
    (made,) = [line for line in found if line.startswith("create_project")]
    assert made.endswith("-part xc7z020clg400-1")
    assert "set_property board_part tul.com.tw:pynq-z2:part0:1.10 project" in found
    assert copied == {".bit": ".bit", ".hwh": ".hwh"}


def test_the_script_of_a_pynq_project_says_when_board_files_are_missing(project):
    with pytest.raises(AssertionError, match="Vivado has no board files of pynq-z2"):
        calls(project[0], "")


def test_what_an_earlier_run_left_is_not_copied(project, tmp_path):
    folder = shutil.copytree(project[0].folder / "vivado_pynq-z2", tmp_path / "project")
    for place in ("tiny_system", "board/tiny"):
        (folder / f"{place}.hwh").write_text("of an earlier run")
    made = folder / "tiny_vivado/tiny_system.runs/impl_1/tiny_system_wrapper.bit"
    shutil.rmtree(folder / "tiny_vivado", ignore_errors=True)
    made.parent.mkdir(parents=True)
    made.write_text(".bit")
    before = ANSWER.replace("PARTS", "tul.com.tw:pynq-z2:part0:1.9")
    with pytest.raises(AssertionError, match="Vivado left no tiny_system.hwh below"):
        vivado_calls(folder / "build.tcl", before=before)
    assert not (folder / "board/tiny.hwh").exists()


def test_another_family_is_refused_before_anything_is_made(project, tmp_path):
    made = Build(tmp_path / "new")
    shutil.copytree(project[0].folder, made.folder, ignore=shutil.ignore_patterns("*.v", "viv*"))
    for asked in (Options(family="ecp5"), Options(family="ice40")):
        with pytest.raises(DesignError, match="and pynq-z2 is xilinx7; .*--board pynq-z2$"):
            for_board(made, BoardOptions("pynq-z2"), asked)
    assert not list(made.folder.glob("*.v"))


def test_a_design_for_another_family_is_no_pynq_project(project, tmp_path):
    build = ensure(project[0].folder, "fold", Options(family="ecp5"), tmp_path / "other")
    with pytest.raises(DesignError, match="and pynq-z2 is xilinx7; .*--board pynq-z2$"):
        write_zynq(build, board("pynq-z2"))
