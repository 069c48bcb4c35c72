"""Banks of neuron scans in a folding: where they are legal, what they gain, the solver."""

import numpy as np
import pytest

from sterna.gen.design.design import Design
from sterna.gen.fold.candidates import bank_choices
from sterna.gen.fold.fold import fold
from sterna.gen.fold.solve import solve
from sterna.gen.model.cost import estimate
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule

STEPS = 12


def network(bias=None, shortcut=False):
    """Few weights, many steps: a convolution, one beside its own input if asked, a classifier."""
    rng = np.random.default_rng(1)
    trits = lambda *shape: rng.integers(-1, 2, shape)  # noqa: E731
    rule = NeuronRule(threshold=np.arange(4) + 30, bias=bias)
    if shortcut:
        rule = NeuronRule(threshold=np.arange(4) + 2, coef=(np.ones(4, np.int32),))
    nodes = [
        Input("x", (1, 8, 8), "direct"),
        Conv2d("c", "x", trits(4, 1, 3, 3), padding=(1, 1, 1, 1)),
        Neuron("n", ("c",), NeuronRule(threshold=np.arange(4) + 30) if shortcut else rule),
    ]
    last = "n"
    if shortcut:
        nodes += [Conv2d("c2", "n", trits(4, 4, 1, 1)), Neuron("n2", ("c2", "n"), rule)]
        last = "n2"
    nodes += [
        Linear("f", last, trits(3, 256)),
        Readout("r", ("f",), NeuronRule(threshold=np.ones(3), reset="none")),
    ]
    return Network(STEPS, nodes)


NET = network()
FAST = {"pe": 4, "simd": 9, "tp": 8}


def refused(net, entry, name="c"):
    with pytest.raises(DesignError) as error:
        fold(net, {name: entry})
    return str(error.value)


@pytest.mark.parametrize("banks", [0, -1, 13, 2.0, True, "2", [2], None])
def test_numbers_that_are_none(banks):
    assert refused(NET, {"banks": banks}) == (
        f"node 'c': banks {banks!r} is not legal; use 1 to 12, one for every time step at most"
    )


@pytest.mark.parametrize(
    ("net", "name", "why"),
    [
        (NET, "f", "'r' is a readout"),
        (network(bias=np.zeros((STEPS, 4))), "c", "'n' has a bias for every time step"),
        (network(shortcut=True), "c2", "'n2' has several inputs"),
    ],
)
def test_neurons_that_have_one_bank(net, name, why):
    assert refused(net, {"banks": 2}, name) == (
        f"node '{name}': banks 2 is not legal, because {why}; use 1"
    )
    assert bank_choices(net, name, 1) == [1]
    assert fold(net, {name: {"banks": 1}}).core(name).banks == 1


def test_a_visit_takes_a_share_of_the_steps():
    for banks, clocks in ((1, 12), (2, 6), (5, 3), (12, 1)):
        design = fold(NET, {"c": FAST | {"banks": banks}})
        assert design.core("c").law["compute"] == 64 * clocks
    # Window words are the bound: 3 of them and 8 groups of planes.
    slow = fold(NET, {"c": {"pe": 4, "simd": 3, "tp": 1, "banks": 4}})
    assert slow.core("c").law["compute"] == 64 * 24


def test_the_folding_block_keeps_them():
    design = fold(NET, {"c": FAST | {"banks": 4}})
    again = Design.from_json(design.to_json())
    assert again.core("c").banks == 4 and again.folding["c"]["banks"] == 4
    assert fold(NET, again.folding) == design
    # A design of one bank is, to the byte, what it was before there were banks.
    assert "banks" not in fold(NET, {"c": FAST}).to_json()
    assert "banks" in design.to_json()


def test_choices_end_where_a_visit_gets_no_shorter():
    assert bank_choices(NET, "c", 1) == [1, 2, 4, 8, 12]
    assert bank_choices(NET, "c", 3) == [1, 2, 4]
    assert bank_choices(NET, "c", 5) == [1, 2, 3]
    assert bank_choices(NET, "c", 12) == [1]


@pytest.mark.parametrize("memory", ["rom", "ram"])
def test_the_solver_takes_them_where_the_steps_are_the_bound(memory):
    slow, fast = (
        solve(NET, family="xilinx7", memory=memory, fps=1e8 / clocks).design
        for clocks in (64 * 12, 64 * 3)
    )
    assert slow.interval <= 64 * 12 and slow.core("c").banks == 1
    assert fast.interval <= 64 * 3 and fast.core("c").banks >= 4
    luts = [estimate(NET, design).total.luts for design in (slow, fast)]
    assert luts[0] < luts[1] < 4 * luts[0]  # that of a second and third and fourth copy


def test_the_solver_keeps_given_ones():
    found = solve(NET, {"c": {"banks": 3}}, family="xilinx7", fps=1e8 / (64 * 12))
    assert found.design.core("c").banks == 3
    with pytest.raises(DesignError, match="fps"):
        solve(NET, {"c": {"banks": 1}}, family="xilinx7", fps=1e8 / (64 * 3))
