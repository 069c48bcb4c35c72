"""The registry of engines: what is said of each is what its component and its memory are."""

import pytest

from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError
from sterna.hw.dot.engines import ENGINES

DOT = (2, 4, 1, 1, "ternary", False, "ecp5")  # 16 bits of weights in a row
WIDTH = 6


def made(name: str, weights: list[int], region: int | None = None):
    engine = ENGINES[name]
    rows = 1 if engine.in_logic else 2
    dot = engine.component(*DOT, **engine.arguments(rows, WIDTH, weights, region))
    dot._MustUse__silence = True  # type: ignore  # only asked, never built
    return engine, dot


@pytest.mark.parametrize("name", ENGINES)
def test_traits_are_those_of_the_component(name):
    engine, dot = made(name, [0])
    members = set(dot.signature.members)
    assert ("sum" in members) == engine.counts and ("z" in members) != engine.counts
    assert ("load" in members) == engine.written
    assert engine.in_pieces == ("weight" in members)


@pytest.mark.parametrize("name", [n for n, e in ENGINES.items() if not e.in_logic])
@pytest.mark.parametrize("reads", [1, 2])
def test_a_memory_has_the_shape_that_is_said_of_it(name, reads):
    engine, dot = made(name, [])
    reads = reads if engine.in_pieces else 1
    depth, width = engine.memory_shape(2, 16, reads)
    rows = engine.memory_rows([0x1234, 0xABCD], 16, reads)
    assert len(rows) == depth and max(rows) < 1 << width
    memory = engine.memory(dot, depth, width, rows, None, "auto", False)
    assert memory is not None and memory.depth == depth
    memory._MustUse__silence = True  # type: ignore  # only asked, never built


def test_weights_in_the_logic_are_one_fixed_row():
    engine, dot = made("constant", [5])
    assert engine.memory(dot, 1, 16, [5], None, "auto", False) is None
    for weights, region in (([], None), ([1, 2], None), ([1], 3)):
        with pytest.raises(DesignError, match="only one fixed row fits"):
            made("constant", weights, region)


def test_rows_of_tables_are_as_many_as_lut_ram_has():
    most = {family: ENGINES["tables"].most_rows(family) for family in FABRICS}
    assert most == {"generic": 4, "xilinx7": 4, "ecp5": 2, "ice40": 0}
    assert ENGINES["compress"].most_rows("ice40") is None
