"""Plans of compressor trees, evaluated in plain Python; their cost by the model and by yosys."""

import random

import pytest

from sterna.gen.tools.yosys import synth
from sterna.gen.verilog.elaborate import verilog_text
from sterna.golden.device.fabric import FABRICS
from sterna.hw.dot.compress import DotProduct
from sterna.hw.dot.compressor_tree import CompressorTree, Counter, cheapest_tree


def evaluate(tree: CompressorTree, leaves: list[list[int]]) -> int:
    """The sum a tree computes; every id must exist when used and none may be used twice."""
    bits: dict[int, int] = {}
    for ids, values in zip(tree.leaves, leaves, strict=False):
        bits.update(zip(ids, values, strict=True))
    for stage in tree.stages:
        for item in stage.items:
            if isinstance(item, Counter):
                total = sum(bits.pop(bit) for bit in item.inputs)
            else:
                total = 0
                total += bits.pop(item.carry) if item.carry is not None else 0
                for row in (item.left, item.right):
                    total += sum(bits.pop(bit) << k for k, bit in enumerate(row) if bit is not None)
            # A carry beyond the last output would be a tree that is too narrow.
            assert total >> len(item.outputs) == 0
            bits.update((bit, total >> k & 1) for k, bit in enumerate(item.outputs))
        assert sorted(stage.alive) == sorted(bits)
    assert sorted(bit for bit in tree.result if bit is not None) == sorted(bits)
    return sum(bits[bit] << k for k, bit in enumerate(tree.result) if bit is not None)


@pytest.mark.parametrize("family", FABRICS)
@pytest.mark.parametrize("masked", [False, True])
def test_trees_add_up(family: str, masked: bool) -> None:
    rng = random.Random(repr((family, masked)))
    for _ in range(60):
        heights = [rng.choice([0, 1, 2, 3, rng.randint(0, 40)]) for _ in range(rng.randint(1, 6))]
        heights[0] = max(heights[0], 1)
        highest = sum(height << k for k, height in enumerate(heights))
        tree = cheapest_tree(heights, highest.bit_length(), family, masked)
        for ones in (0.0, 0.5, 1.0):
            leaves = [[int(rng.random() < ones) for _ in range(h)] for h in heights]
            expected = sum(sum(column) << k for k, column in enumerate(leaves))
            assert evaluate(tree, leaves) == expected
        assert tree.latency == sum(stage.register for stage in tree.stages)


def test_latency_of_a_masked_tree_is_at_least_one_clock() -> None:
    assert cheapest_tree([1], 1, "generic", masked=True).latency == 1
    assert cheapest_tree([1], 1, "generic", masked=False).latency == 0


@pytest.mark.parametrize(
    ("family", "lanes", "luts"), [("xilinx7", 288, 530), ("ecp5", 288, 1060), ("ice40", 288, 1050)]
)
def test_a_bit_removed_costs_one_lut6_or_two_lut4(family: str, lanes: int, luts: int) -> None:
    # Ternary lanes: a leaf of three half-lanes leaves two bits.
    groups = 2 * lanes // 3
    assert cheapest_tree([groups, groups], 10, family, masked=True).cost <= luts


@pytest.mark.slow
@pytest.mark.yosys
@pytest.mark.parametrize(
    ("target", "kind", "limit"),
    # docs/design.md#first-measurements, combinational, that this engine has to beat.
    [
        ("xilinx7", "ternary", 3.05),
        ("xilinx7", "binary", 2.06),
        ("ecp5", "ternary", 3.45),
        ("ecp5", "binary", 1.95),
    ],
)
def test_luts_a_lane(tmp_path, target: str, kind: str, limit: float) -> None:
    dut = DotProduct(8, 36, 1, 1, kind, family=target)
    (tmp_path / "dot.v").write_text(verilog_text(dut, "dot"))
    options = ["-nowidelut"] if target == "ecp5" else []
    used = synth([tmp_path / "dot.v"], "dot", target, tmp_path, options=options)
    assert used["luts"] / 288 < limit
    assert used["bram"] == used["dsp"] == 0
    # A shift register has what waits for the rest of the popcount.
    assert used["lutram"] == (target == "xilinx7" and kind == "binary")
