"""The netlist of a board's pins, PLL and block RAM included, computes what golden computes."""

import pytest
from repo import EXAMPLES
from tinyboard import network, packed, pictures, tiny_build

from sterna.gen.build.stages import Options, ensure
from sterna.gen.device.boards import board
from sterna.gen.verilog.bench import vector_images
from sterna.golden.errors import UsageError
from sterna.golden.exact import run
from sterna.golden.result import compare
from sterna.host.board import Board
from sterna.sim.boardline import SimulatedLine
from sterna.sim.boardnet import netlist_board, pins_netlist


@pytest.mark.yosys
@pytest.mark.parametrize(
    "name, memory, cells",
    [
        pytest.param("ulx3s-25f", "ram", ("DP16KD", "EHXPLLL"), marks=pytest.mark.slow),
        ("icebreaker", "rom", ("SB_PLL40_2_PAD",)),
    ],
)
def test_netlist_of_the_pins(tmp_path, name, memory, cells):
    where = board(name)
    build = tiny_build(tmp_path, memory, where.family)
    simulated = netlist_board(build, where, ratio=2)
    text = pins_netlist(build, where)
    assert all(f"  {cell} " in text for cell in cells)
    images = pictures(4)
    with Board(SimulatedLine(simulated), build=build.folder) as host:
        assert (host.identify().weights_id is None) == (memory == "ram")
        for seed in (0, 1) if memory == "ram" else ():
            host.load(packed(build, seed))
            assert compare(run(network(seed), images), host.infer(images)) is None
        if memory == "rom":
            assert compare(run(network(0), images), host.infer(images)) is None
    assert simulated.framing_errors == 0


@pytest.mark.slow
@pytest.mark.yosys
@pytest.mark.parametrize("example, name", [("digits", "icebreaker"), ("mnist", "ulx3s-25f")])
def test_netlist_of_an_example(tmp_path, example, name):
    where = board(name)
    build = ensure(
        EXAMPLES / example,
        "pack",
        Options(family=where.family),
        tmp_path,
        variants=(name, where.family),
    )
    images = vector_images(build.network)
    if where.family == "ecp5":  # registers have moved into block RAMs
        assert '"OUTREG"' in pins_netlist(build, where)
    with Board(SimulatedLine(netlist_board(build, where)), build=build.folder) as host:
        assert compare(run(build.network, images), host.infer(images)) is None


def test_a_board_for_the_vendors_tools_is_refused(tmp_path):
    build = tiny_build(tmp_path, "rom", "xilinx7")
    with pytest.raises(UsageError, match="needs Vivado"):
        pins_netlist(build, board("arty-a7-35"))
