"""Weight words read in pieces, in a folding: where that is legal, the memory, the solver."""

import numpy as np
import pytest

from sterna.gen.design.design import Design
from sterna.gen.design.folding import Folding
from sterna.gen.fold.candidates import read_choices
from sterna.gen.fold.fold import fold
from sterna.gen.fold.solve import solve
from sterna.gen.model.cost import estimate
from sterna.gen.verilog.memory_images import memory_images
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule


def network(channels=4, side=6, steps=6):
    """Two convolutions of as many channels and a classifier."""
    rng = np.random.default_rng(1)
    trits = lambda *shape: rng.integers(-1, 2, shape)  # noqa: E731
    rule = NeuronRule(threshold=np.arange(channels) + 3)

    def conv(name, source):
        return Conv2d(name, source, trits(channels, channels, 3, 3), padding=(1, 1, 1, 1))

    return Network(
        steps,
        [
            Input("x", (channels, side, side), "frames"),
            conv("a", "x"),
            Neuron("n", ("a",), rule),
            conv("b", "n"),
            Neuron("m", ("b",), rule),
            Linear("f", "m", trits(3, channels * side * side)),
            Readout("r", ("f",), NeuronRule(threshold=np.ones(3), reset="none")),
        ],
    )


NET = network()


def refused(entry):
    with pytest.raises(DesignError) as error:
        fold(NET, {"a": entry})
    return str(error.value)


@pytest.mark.parametrize("reads", [0, -1, 5, 2.0, True, "2", [2], None])
def test_numbers_that_are_none(reads):
    assert refused({"reads": reads}) == f"node 'a': reads {reads!r} is not legal; use 1 to 4"


def test_words_that_are_not_used_for_long_enough():
    assert refused({"tp": 3, "reads": 4}) == (
        "node 'a': reads 4 needs a weight word to be used for as many clocks, and with tp 3 it is "
        "used for 2; use reads 2, or a lower tp"
    )
    assert fold(NET, {"a": {"reads": 4}}).core("a").tp == 1  # tp that is open follows
    with pytest.raises(DesignError, match="with tp 1 it is used for 1; use reads 1$"):
        fold(network(steps=1), {"a": {"reads": 2}})


@pytest.mark.parametrize("engine", ["constant", "tables"])
def test_engines_without_such_words(engine):
    assert refused({"engine": engine, "reads": 2}) == (
        f"node 'a': reads 2 is of engine 'compress', and its engine is '{engine}'; use reads 1"
    )


@pytest.mark.parametrize("memory", ["rom", "ram"])
@pytest.mark.parametrize("reads", [2, 3, 4])
def test_the_memory_holds_the_same_bits_in_narrower_rows(memory, reads):
    entry = {"pe": 2, "simd": 4, "tp": 1, "memory": memory}
    whole, pieces = (
        next(
            i
            for i in memory_images(NET, fold(NET, {"a": entry | {"reads": n}}))
            if i.name == "a_weights"
        )
        for n in (1, reads)
    )
    assert (whole.depth, whole.width) == (18, 16)
    assert (pieces.depth, pieces.width) == (18 * reads, -(-16 // reads))
    joined = [
        sum(int(pieces.rows[row * reads + k]) << k * pieces.width for k in range(reads))
        for row in range(18)
    ]
    assert joined == [int(row) for row in whole.rows]


def test_the_folding_block_keeps_them_and_the_clocks_stay():
    entry = {"pe": 2, "simd": 4, "tp": 1}
    design, plain = (fold(NET, {"a": entry | more}) for more in ({"reads": 3}, {}))
    again = Design.from_json(design.to_json())
    assert again.core("a").reads == 3 and again.folding["a"]["reads"] == 3
    assert fold(NET, again.folding) == design
    # A design without is, to the byte, what it was before there were reads.
    assert "reads" not in plain.to_json()
    assert (design.interval, design.latency) == (plain.interval, plain.latency)


def test_choices():
    assert read_choices(NET, "a", Folding(2, 4, tp=1)) == [2, 4]
    assert read_choices(NET, "a", Folding(2, 4, tp=2)) == [2]
    assert read_choices(NET, "a", Folding(2, 4, tp=6)) == []
    assert read_choices(NET, "a", Folding(2, 4, tp=1, engine="tables")) == []


def test_the_solver_takes_them_where_block_ram_runs_out():
    net = network(128, 4, 4)
    wide = {"pe": 8, "simd": 32, "tp": 1, "memory": "ram"}
    given = {"a": wide, "b": wide, "f": {"pe": 1, "simd": 1, "tp": 1, "memory": "ram"}}
    there = {"a": wide | {"reads": 1}, "b": wide | {"reads": 1}}
    with pytest.raises(DesignError, match="block RAM"):
        solve(net, given | there, board="ulx3s-12f")
    found = solve(net, given, board="ulx3s-12f").design
    assert {found.core(n).reads for n in "ab"} & {2, 4}
    assert estimate(net, found).total.bram <= 54
    # With room enough, nobody pays for the registers.
    large = solve(net, given, board="ulx3s-85f").design
    assert all(core.reads == 1 for core in large.cores)


def test_the_solver_keeps_given_ones():
    found = solve(NET, {"a": {"reads": 3}}, family="xilinx7", fps=1000).design
    assert found.core("a").reads == 3 and found.core("a").engine == "compress"
