"""Trees of adders in carry chains: plans that add up, their cost, and the cells of the family."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator

from sterna.gen.device.carry_cells import ccu2c, ccu2c_luts, free_ends
from sterna.gen.verilog.elaborate import verilog_text
from sterna.golden.device.adder_rows import ATTRIBUTE, INPUTS, Row
from sterna.golden.errors import DesignError
from sterna.hw.dot.carry_chain import CarryChain
from sterna.hw.dot.chained_tree import chained_tree
from sterna.hw.dot.compress import DotProduct
from sterna.hw.dot.compressor_tree import Adder, CompressorTree

FUNCTIONS = {"0": lambda: 0, "1": lambda s: s, "+": lambda s, w: s & w, "-": lambda s, w: 1 - s * w}
ROWS = [
    Row("-", ("-+",), True),
    Row("+", ("-+", "1+"), True),
    Row("0", ("11", "10", "01"), False),
    Row("1", ("-1",), True),
    Row("0", ("++",), True),
    Row("1", ("11", "11", "11"), True),
]
TREES = 3


def evaluate(tree: CompressorTree, leaves: list[list[int]]) -> int:
    bits: dict[int, int] = {}
    for ids, values in zip(tree.leaves, leaves, strict=False):
        bits.update(zip(ids, values, strict=True))
    for stage in tree.stages:
        for item in stage.items:
            assert isinstance(item, Adder)
            total = bits.pop(item.carry) if item.carry is not None else 0
            for row in (item.left, item.right):
                total += sum(bits.pop(bit) << k for k, bit in enumerate(row) if bit is not None)
            assert total >> len(item.outputs) == 0
            bits.update((bit, total >> k & 1) for k, bit in enumerate(item.outputs))
        assert sorted(stage.alive) == sorted(bits)
    return sum(bits[bit] << k for k, bit in enumerate(tree.result) if bit is not None)


@pytest.mark.parametrize("masked", [False, True])
def test_trees_add_up(masked: bool) -> None:
    rng = random.Random(repr(masked))
    for _ in range(60):
        heights = [rng.choice([0, 1, 2, 3, rng.randint(0, 40)]) for _ in range(rng.randint(1, 6))]
        heights[0] = max(heights[0], 1)
        highest = sum(height << k for k, height in enumerate(heights))
        tree = chained_tree(tuple(heights), highest.bit_length(), "ecp5", masked)
        for ones in (0.0, 0.5, 1.0):
            leaves = [[int(rng.random() < ones) for _ in range(h)] for h in heights]
            expected = sum(sum(column) << k for k, column in enumerate(leaves))
            assert evaluate(tree, leaves) == expected
        assert tree.latency == sum(stage.register for stage in tree.stages)
        assert tree.latency >= masked


def test_a_bit_removed_costs_less_than_two_lut4() -> None:
    # 72 half-lanes to 7 bits: full adders alone would take twice 65.
    assert chained_tree((72,), 7, "ecp5", True).cost <= 110


def value(kind: str, bits: list[int]) -> int:
    return FUNCTIONS[kind](*bits)


def sums(x: list[int], trees: int) -> list[int]:
    """The digits of `ROWS`, vectors, for the vectors ``x``."""
    digits: list[int] = []
    at = 0
    for row in ROWS:
        totals = [0] * trees
        for place, kind in enumerate(row.kinds):
            taken, at = x[at : at + INPUTS[kind]], at + INPUTS[kind]
            for t in range(trees):
                bit = value(kind, [v >> t & 1 for v in taken])
                totals[t] += bit << max(place - 1, 0) // 2
        for k in range(len(row.columns) + row.top):
            digits.append(sum((total >> k & 1) << t for t, total in enumerate(totals)))
    return digits


def vectors(count: int) -> list[list[int]]:
    inputs = sum(INPUTS[kind] for row in ROWS for kind in row.kinds)
    rng = random.Random(0)
    return [[rng.getrandbits(TREES) for _ in range(inputs)] for _ in range(count)]


def test_the_verilog_that_any_tool_takes() -> None:
    dut = CarryChain(ROWS, TREES)

    async def bench(ctx):
        for x in vectors(200):
            for n, bits in enumerate(x):
                ctx.set(getattr(dut, f"x{n}"), bits)
            expected = sums(x, TREES)
            assert [ctx.get(getattr(dut, f"y{n}")) for n in range(len(expected))] == expected

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


CELL = re.compile(r"CCU2C #\((.*?)\) (\w+) \((.*?)\);$", re.M)


def run_cells(text: str, x: list[int], digits: int) -> list[int]:
    """What the cells of a module make of ``x``, cell by cell as Lattice describes a CCU2C."""
    nets = {f"x{n}[{t}]": v >> t & 1 for n, v in enumerate(x) for t in range(TREES)}
    nets["1'b1"] = 1
    for chain, value_in in re.findall(r"assign (\w+\[0\]) = 1'b([01]);", text):
        nets[chain] = int(value_in)
    for settings, _, pins in CELL.findall(text):
        init = re.findall(r"16'h(\w{4})", settings)
        net = dict(re.findall(r"\.(\w+)\(([^)]*)\)", pins))
        carry = nets[net["CIN"]]
        for half in "01":
            a, b, c, d = (nets[net[f"{pin}{half}"]] for pin in "ABCD")
            table = int(init[int(half)], 16)
            lut4 = table >> (a + 2 * b + 4 * c + 8 * d) & 1
            nets[net[f"S{half}"]] = lut4 ^ carry
            carry = carry if lut4 else table >> (a + 2 * b) & 1
        nets[net["COUT"]] = carry
    return [sum(nets[f"y{n}[{t}]"] << t for t in range(TREES)) for n in range(digits)]


@pytest.mark.parametrize("cells", [2, 3, 8])
def test_the_cells(cells: int) -> None:
    chain = CarryChain(ROWS, TREES)
    text = ccu2c(verilog_text(chain, "chain"), cells)
    for x in vectors(50):
        expected = sums(x, TREES)
        assert run_cells(text, x, len(expected)) == expected
        nets_high = run_cells(text.replace("[0] = 1'b0;", "[0] = 1'b1;"), x, len(expected))
        assert nets_high == expected  # what comes into a chain says nothing
    counted = ccu2c_luts([row.word for row in ROWS], TREES, cells)
    assert counted == 2 * len(CELL.findall(text))
    longest = max(map(len, (row.columns for row in ROWS))) + 1
    for chain_of in re.findall(r"wire \[(\d+):0\] c", text):
        assert int(chain_of) <= max(cells, (longest + 2) // 2)


def netlist(folder: Path, cells: dict[str, dict[str, Any]]) -> Path:
    path = folder / "netlist.json"
    ports = {"z": {"direction": "output", "bits": [9]}}
    path.write_text(json.dumps({"modules": {"top": {"ports": ports, "cells": cells}}}))
    return path


def cell(init: int, d: Any = "1", **wires: list[Any]) -> dict[str, Any]:
    parameters = {"INIT0": f"{init:016b}", "INIT1": "0" * 16, "INJECT1_0": "NO", "INJECT1_1": "NO"}
    outputs = {"COUT", "S0", "S1"}
    connections = {"C0": ["1"], "D0": [d], "CIN": ["0"], **wires}
    directions = {p: "output" if p in outputs else "input" for p in connections}
    return {
        "type": "CCU2C",
        "parameters": parameters,
        "port_directions": directions,
        "connections": connections,
    }


def test_ends_of_chains_that_say_nothing_are_open(tmp_path: Path) -> None:
    cells = {
        "first": cell(0x8, COUT=[2], S0=[3]),
        "last": cell(0x8777, d=4, CIN=[2], COUT=[5]),
        "read": cell(0x8, COUT=[9], S0=[6]),  # its carry leaves the design
        "shown": cell(0x8, COUT=[7], S0=[8]),  # its sum is the carry that comes in
        "adder": cell(0x96AA, COUT=[10], A0=[8]),
    }
    path = netlist(tmp_path, cells)
    assert free_ends(path, "top") == 5
    now = json.loads(path.read_text())["modules"]["top"]["cells"]
    left = {name: (c["connections"]["CIN"], c["connections"]["COUT"]) for name, c in now.items()}
    assert left == {
        "first": (["x"], [2]),
        "last": ([2], ["x"]),
        "read": (["x"], [9]),
        "shown": (["0"], ["x"]),
        "adder": (["0"], ["x"]),
    }
    before = path.read_bytes()
    assert free_ends(path, "top") == 0 and path.read_bytes() == before


def test_a_second_bit_that_cannot_be_is_refused() -> None:
    with pytest.raises(DesignError, match="a bit '-' cannot be the second of its column"):
        ccu2c(verilog_text(CarryChain([Row("0", ("--",), True)], 1), "chain"))


def test_chains_in_the_verilog_have_all_their_ports() -> None:
    """Lanes that share their spikes and constants: ports all the same, or cells would lack them."""
    dut = DotProduct(2, 5, 1, 1, "ternary", family="ecp5")
    text = verilog_text(dut, "dot")
    found = re.findall(
        rf'\(\* {ATTRIBUTE} = "2 ([^"]*)" \*\)\s*module \\dot\.(\w+) \((.*?)\);', text, re.S
    )
    assert [name for _, name, _ in found] == [f"sum_s{n}" for n in range(len(found))] and found
    for words, _, ports in found:
        wanted = sum(INPUTS[kind] for word in words.split() for kind in word.replace(":", ""))
        assert len(re.findall(r"input wire \[1:0\] x\d+", ports)) == wanted
    plain = DotProduct(2, 5, 1, 1, "ternary", family="ecp5", chained=False)
    assert ATTRIBUTE not in verilog_text(plain, "dot") and not ccu2c(verilog_text(plain, "dot"))
