"""The nest 'arrival' in a folding: where it is legal, its rows of weights, law and latency."""

import json
import re

import numpy as np
import pytest

from sterna import cli
from sterna.gen.design.design import Design
from sterna.gen.design.specs import front_spec, weight_rows
from sterna.gen.fold.complete import compute_clocks
from sterna.gen.fold.fold import fold
from sterna.gen.fold.solve import solve
from sterna.gen.model.cost import estimate
from sterna.gen.verilog.memory_images import memory_images
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule

RNG = np.random.default_rng(1)


def trits(*shape):
    return RNG.integers(-1, 2, shape)


def network(side=8, classes=4, steps=4, *, joined=False):
    """A convolution "c", a pool of its spikes, a classifier "f"."""
    spikes = NeuronRule(threshold=np.arange(4) + 2)
    size = 4 * (side // 2) ** 2
    last = [Linear("f", "p", trits(classes, size))]
    if joined:
        last.append(Linear("g", "p", trits(classes, size)))
    return Network(
        steps,
        [
            Input("x", (2, side, side), "frames"),
            Conv2d("c", "x", trits(4, 2, 3, 3), padding=(1, 1, 1, 1)),
            Neuron("n", ("c",), spikes),
            Pool("p", "n", "or"),
            *last,
            Readout(
                "r",
                tuple(node.name for node in last),
                NeuronRule(np.ones(classes), reset="none", shifts=(0,) * len(last)),
            ),
        ],
    )


NET = network()
NESTS = ("window", "arrival")
ARRIVES = {"f": {"pe": 2, "simd": 4, "tp": 4, "nest": "arrival"}}


def refused(entry, net=NET, name="f"):
    with pytest.raises(DesignError) as error:
        fold(net, {name: entry})
    return str(error.value)


def test_layers_that_cannot_are_named():
    no = "nest 'arrival' is not legal, because"
    assert refused({"nest": "arrival"}, name="c") == f"node 'c': {no} it is no Linear; use window"
    assert refused({"nest": "arrival"}, network(joined=True)) == (
        f"node 'f': {no} 'r' has several inputs; use window"
    )


@pytest.mark.parametrize("nest", ["Arrival", "", 1, None, True, ["arrival"]])
def test_words_that_are_none(nest):
    assert refused({"nest": nest}) == f"folding of 'f': nest {nest!r} is not window or arrival"
    assert refused({"nest": nest}, name="c") == f"folding of 'c': nest {nest!r} is not window"


def test_a_design_keeps_it_and_others_are_as_before():
    design = fold(NET, ARRIVES)
    assert design.folding["f"]["nest"] == "arrival" and "nest" not in design.folding["c"]
    assert design.to_json().count("nest") == 2  # the core, and the block that is given back
    assert Design.from_json(design.to_json()) == design
    assert fold(NET, design.folding) == design
    assert "nest" not in fold(NET).to_json()


def test_rows_of_weights_are_those_of_the_other_nest_in_another_order():
    node, shape = NET.weighted("f"), NET.shape["p"]
    groups, folds = 2, 16
    rows = np.array(weight_rows(node, shape, 2, 4), object).reshape(groups, folds)
    assert weight_rows(node, shape, 2, 4, "arrival") == rows.T.reshape(-1).tolist()
    image = next(i for i in memory_images(NET, fold(NET, ARRIVES)) if i.name == "f_weights")
    assert list(image.rows) == rows.T.reshape(-1).tolist()


def test_the_law_and_the_least_latency():
    window = fold(NET, {"f": ARRIVES["f"] | {"nest": "window"}})
    design = fold(NET, ARRIVES)
    # 15 words of one clock for two output groups, then two visits of four steps.
    assert design.core("f").law["compute"] == 15 * 2 + 2 * 4
    assert compute_clocks(NET, "f", design.core("f")) == 38
    assert design.interval == window.interval
    assert design.latency < window.latency - 15
    large = {"f": {"pe": 4, "simd": 1, "tp": 1, "nest": "arrival"}}
    # 64 words of 4 clocks: outputs take two turns of 4 steps at a scan, 4 + 2 * 4 <= 64 * 4 / 16.
    assert fold(NET, large).core("f").law["compute"] == 63 * 4 + 12


def test_two_words_take_the_place_of_two_maps():
    design = fold(NET, ARRIVES)
    spec = front_spec(NET, design.core("f"), "generic")
    lanes, planes = design.core("f").input.lanes, 4
    assert spec.geometry.bits == 2 * lanes * planes
    net = network(side=32)
    big, small = (fold(net, {"f": ARRIVES["f"] | {"nest": n}}, family="ecp5") for n in NESTS)
    assert estimate(net, small).total.bram < estimate(net, big).total.bram


def test_the_solver_keeps_what_is_given_and_reaches_a_latency():
    kept = solve(NET, {"f": {"nest": "arrival"}}, family="ecp5", fps=100_000).design
    assert kept.core("f").nest == "arrival"
    plain = solve(NET, family="ecp5", fps=50_000).design
    assert plain.core("f").nest == "window"  # rates know no latency
    quick = solve(NET, family="ecp5", latency=6)
    assert quick.design.core("f").nest == "arrival" and quick.design.latency <= 600
    assert quick.goal == {"latency": 6} and re.fullmatch(
        r"a latency of 6 us leaves 600 clocks for one image alone, which takes \d+",
        quick.limited_by,
    )
    slow = solve(NET, family="ecp5", latency=40).design
    cost = [estimate(NET, d).total.luts for d in (slow, quick.design)]
    assert cost[0] < cost[1] and 600 < slow.latency <= 4000
    both = solve(NET, family="ecp5", latency=40, fps=200_000).design
    assert both.interval <= 500 and both.latency <= 4000
    given = {"f": {"nest": "window"}}
    assert solve(NET, given, family="ecp5", latency=6).design.core("f").nest == "window"


def test_a_latency_that_cannot_be():
    with pytest.raises(DesignError, match="one image alone takes .* are left at a latency of 1 us"):
        solve(NET, family="ecp5", latency=1)
    with pytest.raises(UsageError, match="latency 0: give a number above"):
        solve(NET, family="ecp5", latency=0)


def test_the_command_keeps_a_latency_until_another_goal_comes(tmp_path, capsys):
    NET.save(tmp_path / "net")
    fold_ = ["fold", str(tmp_path / "net"), "-o", str(tmp_path / "build"), "--family", "ecp5"]
    found = []
    for more in (["--latency", "6"], [], ["--fps", "1000"]):
        assert cli.main([*fold_, *more, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        design = json.loads((tmp_path / "build" / "design.json").read_text())
        found.append((answer["solver"]["goal"], design["latency"] <= 600))
    assert found == [({"latency": 6}, True), ({"latency": 6}, True), ({"fps": 1000}, False)]
    assert cli.main([*fold_, "--latency", "1"]) == 1
    assert "allow more latency or raise the clock" in " ".join(capsys.readouterr().err.split())
