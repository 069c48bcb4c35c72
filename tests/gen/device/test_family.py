"""Families: each is whole, and named in few places."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sterna.gen.device.boards import board
from sterna.gen.device.family import FAMILIES, TARGETS, family_of
from sterna.gen.fold.solve import solve
from sterna.gen.model.cost import COEFFICIENTS, estimate
from sterna.gen.tools.yosys import synth
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule
from sterna.hw.link.link import Link, LinkSpec
from sterna.hw.link.results import ring_depth

ROOT = Path(__file__).parents[3]

# Where a family may be called by its name, and why. All else asks the family's objects.
NAMED = {
    "golden/device/fabric.py": "they are described here",
    "gen/device/family.py": "and here",
    "gen/device/boards.py": "says which family a device is of",
    "gen/build/stage_list.py": "the family where none is asked for",
    "gen/fold/fold.py": "the same",
    "gen/fold/solve.py": "the same",
    "hw/core/front_spec.py": "the same",
    "hw/dot/compress.py": "the same",
    "hw/dot/constant.py": "the same",
    "hw/dot/tables.py": "the same",
    "gen/tools/fmax.py": "Fmax is measured on ECP5 alone",
    "sim/netlist.py": "the default: yosys has models of all cells of iCE40",
    "sim/simulator.py": "the same",
    "sterna/sweep/jobs.py": "foldings that neither a board nor a family is said of",
    "sterna/boards/boardsim.py": "the board of the demonstration",
}


def test_a_family_is_named_in_few_places():
    names = re.compile(rf"[\"'](?:{'|'.join(FAMILIES)})[\"']")
    folders = ("golden", "hw", "gen", "sim", "host", "train", "sterna")
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if names.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(NAMED)


def test_every_fabric_has_its_family_and_coefficients():
    assert list(FAMILIES) == list(FABRICS)
    known = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))["families"]
    for name, family in FAMILIES.items():
        assert family.name == name and family.fabric is FABRICS[name]
        assert family.coefficients in known and family.target in TARGETS
        # Both say whether there is LUT RAM, one for what is built, the other for what it costs.
        assert bool(family.lut_ram) == (family.fabric.lut_ram is not None)


def test_families_of_boards_have_all_that_a_board_takes():
    for family in {board(name).family for name in ("ulx3s-25f", "icebreaker", "arty-a7-35")}:
        found = family_of(family)
        assert found.synthesis and found.pll and found.constraints and found.link_blocks
        assert found.fabric.link_buffer
        if found.nextpnr is not None:
            assert found.synthesis.board and set(found.nextpnr.cells) >= {"luts", "bram"}


def test_a_family_is_added_by_its_objects(monkeypatch):
    """A fabric and a family, with devices and coefficients: nothing else has to know the name."""
    twin = replace(FABRICS["ecp5"], name="twin")
    monkeypatch.setitem(FABRICS, "twin", twin)
    monkeypatch.setitem(FAMILIES, "twin", replace(FAMILIES["ecp5"], fabric=twin))
    weights = np.ones((3, 16), np.int8)
    network = Network(
        2,
        [
            Input("x", (1, 4, 4), "frames"),
            Linear("f", "x", weights),
            Readout("r", ("f",), NeuronRule(np.zeros(3, int), "none")),
        ],
    )
    designs = [solve(network, family=name, luts=4000).design for name in ("ecp5", "twin")]
    one, other = (verilog_text(elaborate(network, replace(d, family="twin")), "v") for d in designs)
    assert one == other and designs[0].folding == designs[1].folding
    assert estimate(network, designs[0]).total == estimate(network, designs[1]).total


@pytest.mark.parametrize("wrong", ["max10", "", ["ecp5"], None])
def test_what_is_no_family_is_refused(wrong):
    with pytest.raises(DesignError, match="^family .* is not one of generic, ecp5, xilinx7, ice40"):
        family_of(wrong)


def test_a_device_takes_designs_for_it_and_for_any():
    assert family_of("ecp5").takes("ecp5") and family_of("ecp5").takes("generic")
    assert not family_of("ecp5").takes("ice40")


@pytest.mark.yosys
@pytest.mark.parametrize("family", ["ecp5", "ice40", "xilinx7"])
def test_the_link_takes_the_block_rams_that_boards_set_aside(family, tmp_path):
    """For 10 classes and 8 bits of AXI4-Stream, results in one block."""
    fabric = FABRICS[family]
    slots = max(n for n in (2, 4, 8, 16, 32, 64) if ring_depth(n, 10) <= fabric.block_rows)
    spec = LinkSpec(1, 64, 10, axis_width=8, buffer=fabric.link_buffer, slots=slots, divisor=25)
    (tmp_path / "link.v").write_text(verilog_text(Link(spec), "link"), encoding="utf-8")
    found = synth([tmp_path / "link.v"], "link", family, tmp_path)
    assert found["bram"] == family_of(family).link_blocks
