"""Delays that a 7-series keeps in shift registers: counted as yosys makes them."""

import random

import pytest
from amaranth.back import verilog

from sterna.gen.device.family import SHORTEST
from sterna.gen.device.shift_registers import Delays, tree_delays
from sterna.gen.model.features import with_memories
from sterna.gen.model.parts import Part
from sterna.gen.tools.yosys import synth
from sterna.hw.dot.compressor_tree import CompressorTree, Counter, Stage
from sterna.hw.dot.constant import ConstantDot
from sterna.hw.neuron.lane_turns import LaneTurns


def made(component, tmp_path) -> int:
    """LUTs of shift registers by yosys, of a component without a memory."""
    (tmp_path / "top.v").write_text(verilog.convert(component, name="top"))
    return synth([tmp_path / "top.v"], "top", "xilinx7", tmp_path / "synth")["lutram"]


@pytest.mark.yosys
@pytest.mark.parametrize(
    ("kind", "pe", "simd"),
    [
        ("ternary", 8, 24),
        pytest.param("ternary", 8, 54, marks=pytest.mark.slow),
        pytest.param("binary", 8, 48, marks=pytest.mark.slow),
    ],
)
def test_shift_registers_of_trees_of_constants(kind, pe, simd, tmp_path):
    draw, bits = random.Random(simd), 2 if kind == "ternary" else 1
    weights = [draw.choice((1, 2, 0, 0) if bits == 2 else (0, 1)) for _ in range(pe * simd)]
    row = sum(w << (bits * n) for n, w in enumerate(weights))
    dot = ConstantDot(pe, simd, 1, 1, kind, family="xilinx7", row=row, width=8)
    trees, delays = dot.trees, Delays()
    behind = trees.latency - (trees.pop is not None)
    for tree in (t.tree for t in trees.outputs if t.tree):
        delays += tree_delays(tree, behind - trees.early - tree.latency, leaves=False)
    if trees.pop is not None:
        delays += tree_delays(trees.pop, behind - trees.pop.latency, leaves=False)
    expected = sum(bits for clocks, bits in delays.items() if clocks >= SHORTEST)
    assert expected > 20
    assert made(dot, tmp_path) == expected


@pytest.mark.yosys
@pytest.mark.parametrize(("steps", "gaps"), [(2, False), (4, False), (4, True)])
def test_shift_registers_of_sums_that_take_turns(steps, gaps, tmp_path):
    turns = LaneTurns(pe=4, turns=2, width=5, steps=steps, held=False, gaps=gaps)
    assert made(turns, tmp_path) == (20 if steps >= SHORTEST else 0)


def test_every_register_of_a_tree_is_counted_once():
    # Bits 0 to 2 are added to 4 and 5; 3 waits for them, and with 5 one clock more.
    tree = CompressorTree(
        leaves=((0, 1, 2), (3,)),
        stages=(
            Stage((), True, (0, 1, 2, 3)),
            Stage((Counter((0, 1, 2), (4, 5)),), True, (3, 4, 5)),
            Stage((Counter((3, 5), (6, 7)),), True, (4, 6, 7)),
        ),
        result=(4, 6, 7),
        latency=3,
        cost=2,
    )
    assert tree_delays(tree) == {1: 6, 2: 2}  # 0, 1, 2, 5, 6, 7; 3 and 4
    assert tree_delays(tree, 2) == {1: 4, 2: 1, 3: 2, 4: 1}
    assert tree_delays(tree, 2, result=False) == {1: 4 + 4 + 3 + 3, 2: 1}
    assert tree_delays(tree, leaves=False) == {1: 3 + 2 + 3, 2: 1}


def test_only_some_families_have_them():
    def counts(family):
        part = Part("c", "turns")
        part.delay(Delays({2: 7, SHORTEST: 5}), 2)
        return with_memories([part], family)[0].counts

    assert counts("xilinx7") == counts("generic") == {"held": 28, "shifts": 10}
    assert counts("ecp5") == counts("ice40") == {"held": 28 + 30}
