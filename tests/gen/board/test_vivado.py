"""The Vivado project: everything it names is there, ports are pins, and yosys reads the Verilog."""

import re

import numpy as np
import pytest

from sterna.gen.board.vivado import write_project
from sterna.gen.build.stages import Options, ensure
from sterna.gen.device.boards import board
from sterna.gen.tools.programs import run_tool
from sterna.gen.verilog.memory_images import mem_texts, memory_images
from sterna.golden.errors import DesignError
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule


def network() -> Network:
    rng = np.random.default_rng(5)
    return Network(
        2,
        [
            Input("x", (1, 4, 4), bits=4),
            Conv2d("c", "x", rng.integers(-1, 2, (4, 1, 3, 3))),
            Neuron("n", ("c",), NeuronRule(threshold=rng.integers(10, 30, 4))),
            Linear("f", "n", rng.integers(-1, 2, (3, 16))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="tiny",
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vivado")
    files.save(network(), folder / "source")
    build = ensure(folder / "source", "pack", Options(family="xilinx7"), folder / "build")
    return build, write_project(build, board("arty-a7-35"), 1_000_000)


def test_every_file_named_is_there_and_no_other(project):
    build, facts = project
    folder = build.folder / "vivado_arty-a7-35"
    script = (folder / "build.tcl").read_text()
    added = set(re.findall(r"[\w/]+\.(?:v|mem|xdc)\b", script))
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert added == present - {"build.tcl"} and sorted(present) == facts["files"]
    text = (folder / "board.v").read_text()
    assert {f"mem/{n}" for n in re.findall(r'\$readmemh\("(.+?)"', text)} == {
        name for name in added if name.endswith(".mem")
    }
    assert board("arty-a7-35").part in script


def test_memory_files_are_the_packed_memories(project):
    build, _ = project
    for image in memory_images(build.network, build.design):
        path = build.folder / "vivado_arty-a7-35/mem" / f"{image.name}.mem"
        assert path.read_text() == mem_texts(image)[".mem"]
    ident = (build.folder / "vivado_arty-a7-35/mem/ident.mem").read_text().split("\n")
    low, high = (int(line, 16) for line in ident[1:3])
    assert f"{high << 32 | low:016x}" == files.weights_id(build.network)[:16]


def test_memories_of_equal_contents_have_files_of_their_own(tmp_path):
    """Other weights may be unlike: files are known by where the memory is, not by what it holds."""
    weight, rule = np.ones((2, 2, 1, 1), int), NeuronRule(threshold=np.array([1, 1]))
    nodes = [Input("x", (2, 2, 2), "frames")]
    for n, source in (("a", "x"), ("b", "na")):
        nodes += [Conv2d(n, source, weight), Neuron(f"n{n}", (n,), rule)]
    nodes += [Linear("f", "nb", np.ones((2, 8), int))]
    nodes += [Readout("r", ("f",), NeuronRule(threshold=np.ones(2, int), reset="none"))]
    files.save(Network(2, nodes, name="twins"), tmp_path / "source")
    folding = {name: {"pe": 1, "simd": 1, "tp": 1} for name in "abf"}
    options = Options(family="xilinx7", folding=folding)
    build = ensure(tmp_path / "source", "pack", options, tmp_path / "build")
    write_project(build, board("arty-a7-35"), 1_000_000)
    images = {i.name: i for i in memory_images(build.network, build.design)}
    assert images["a_weights"].rows == images["b_weights"].rows
    text = (build.folder / "vivado_arty-a7-35/board.v").read_text()
    for name, image in images.items():
        path = image.place.replace(".", r"\.")
        module = re.search(
            rf"^module \\twins_board\.network\.{path} ?\(.*?^endmodule", text, re.M | re.S
        )
        assert module is not None and f'$readmemh("{name}.mem", memory)' in module[0]
        assert (build.folder / f"vivado_arty-a7-35/mem/{name}.mem").is_file()


def test_ports_are_pins_and_the_clock_is_the_one_asked_for(project):
    build, facts = project
    folder = build.folder / "vivado_arty-a7-35"
    pins = (folder / "pins.v").read_text()
    head = re.search(r"module sterna_pins\((.*)\);", pins)
    assert head is not None
    ports = {word.split()[1] for word in head[1].split(",")}
    rules = (folder / "pins.xdc").read_text()
    assert set(re.findall(r"PACKAGE_PIN \w+ \[get_ports (\w+)\]", rules)) == ports
    assert "create_clock -name clk -period 10.000 [get_ports clk]" in rules
    assert facts["clock_mhz"] == pytest.approx(build.design.clock_mhz)


@pytest.mark.yosys
def test_yosys_reads_the_verilog_with_its_memory_files(project):
    build, _ = project
    folder = build.folder / "vivado_arty-a7-35"
    # Vivado looks for memory files in the project, yosys in the current folder.
    work = build.folder / "read"
    work.mkdir()
    for path in [*folder.glob("*.v"), *folder.glob("mem/*")]:
        (work / path.name).write_bytes(path.read_bytes())
    script = "read_verilog pins.v board.v; "
    script += "read_verilog -lib +/xilinx/cells_sim.v +/xilinx/cells_xtra.v; "
    run_tool("yosys", ["-Q", "-p", script + "hierarchy -check -top sterna_pins"], work)


def test_a_design_for_another_family_is_refused(project, tmp_path):
    build = ensure(project[0].folder, "pack", Options(family="ecp5"), tmp_path / "other")
    with pytest.raises(
        DesignError,
        match="and arty-a7-35 is xilinx7; .*--board arty-a7-35$",
    ):
        write_project(build, board("arty-a7-35"), 1_000_000)
