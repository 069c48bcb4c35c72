"""The folding solver: it meets its limits, or says what stands in the way."""

import time

import numpy as np
import pytest
from repo import EXAMPLES

from sterna.gen.design.folding import Given
from sterna.gen.design.legal import legal_folding
from sterna.gen.fold.fold import fold
from sterna.gen.fold.search import Search
from sterna.gen.fold.solve import HEAD_ROOM, Limits, board_limits, solve
from sterna.gen.model.cost import estimate
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule


def trits(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.int8)


def deep(layers: int, side: int = 12, skip: bool = False) -> Network:
    """A chain of 3x3 convolutions; with ``skip`` the second neuron also adds the first's spikes."""
    nodes = [Input("x", (3, side, side), "direct")]
    last, channels = "x", 3
    for n in range(layers):
        made = 16 + 8 * (n // 10)
        pad = (1, 1, 1, 1)
        nodes.append(Conv2d(f"c{n}", last, trits(n, made, channels, 3, 3), padding=pad))
        inputs, rule = (f"c{n}",), NeuronRule(np.full(made, 4))
        if skip and n == 1:
            inputs = (f"c{n}", "n0")
            rule = NeuronRule(np.full(made, 4), coef=(np.full(made, 2),))
        nodes.append(Neuron(f"n{n}", inputs, rule))
        last, channels = f"n{n}", made
    nodes += [
        Pool("p", last, "sum"),
        Linear("f", "p", trits(99, 10, channels * (side // 2) ** 2)),
        Readout("r", ("f",), NeuronRule(np.zeros(10, int), "none")),
    ]
    return Network(4, nodes, name="deep")


NET = deep(3)


@pytest.mark.parametrize("fps", [200, 2000, 15_000])
def test_a_rate_is_reached_with_fewer_luts_than_more_would_take(fps):
    found = solve(NET, family="ecp5", fps=fps)
    assert found.design.interval <= 100e6 / fps
    assert found.chosen.estimate.total == estimate(NET, found.design).total
    if found.faster is not None:
        assert found.faster.interval < found.design.interval
        assert found.faster.estimate.total.luts > found.chosen.estimate.total.luts
    if found.slower is not None:
        assert found.slower.interval > found.design.interval
        assert found.slower.estimate.total.luts < found.chosen.estimate.total.luts


@pytest.mark.parametrize("luts", [6000, 9000, 20_000])
def test_luts_are_kept_and_used(luts):
    found = solve(NET, family="ecp5", luts=luts)
    total = estimate(NET, found.design).total
    assert total.luts <= luts
    assert found.faster is None or found.faster.estimate.total.luts > total.luts
    # More of them are never slower.
    assert solve(NET, family="ecp5", luts=2 * luts).design.interval <= found.design.interval


def test_a_board_gives_family_and_limits_with_head_room():
    found = solve(NET, board="ulx3s-12f")
    family, limits = board_limits("ulx3s-12f")
    assert found.design.family == family == "ecp5"
    assert limits.luts is not None and limits.luts < 24288 * HEAD_ROOM
    assert limits.fits(estimate(NET, found.design).total)
    both = solve(NET, board="ulx3s-12f", fps=500)
    assert both.design.interval <= 200_000
    assert both.chosen.estimate.total.luts < found.chosen.estimate.total.luts


def test_the_folding_can_be_fed_back():
    found = solve(NET, family="ecp5", luts=9000)
    again = fold(NET, found.design.folding, family="ecp5", axis_width=found.design.axis_width)
    assert again.folding == found.design.folding
    assert again.interval == found.design.interval
    for name, entry in found.design.folding.items():
        legal = legal_folding(NET, name)
        assert all(entry[k] in legal[k] for k in legal)


def test_what_is_given_is_kept():
    given = {"c1": {"pe": 4, "memory": "ram"}, "c0": {"pe": 2, "simd": 3, "tp": 8}}
    found = solve(NET, given, family="ecp5", fps=500)
    assert found.design.core("c1").pe == 4 and found.design.core("c1").memory == "ram"
    core = found.design.core("c0")
    assert (core.pe, core.simd, core.tp) == (2, 3, 8)
    rams = solve(NET, family="ecp5", fps=500, memory="ram").design
    assert rams.reloadable and {c.memory for c in rams.cores if c.op == "conv"} == {"ram"}


@pytest.mark.parametrize("family", ["ecp5", "xilinx7"])
def test_weights_go_into_the_logic_where_that_is_smaller_and_nowhere_else(family):
    """Beside the same search without them: given engines are kept."""
    names = [n.name for n in NET.nodes if isinstance(n, Conv2d | Linear)]
    memories = {name: {"engine": "compress"} for name in names}

    def engines(found) -> set[str]:
        return {c.engine for c in found.design.cores if c.op == "conv"}

    fast, slow = ({"family": family, "fps": fps} for fps in (150_000, 500))
    free, kept = solve(NET, **fast), solve(NET, memories, **fast)
    assert "constant" in engines(free) and engines(kept) == {"compress"}
    assert free.chosen.estimate.total.luts < 0.7 * kept.chosen.estimate.total.luts
    assert "constant" not in engines(solve(NET, **slow))  # a few lanes: a memory costs less
    # Weights that are to change are in memories, fast or not.
    assert "constant" not in engines(solve(NET, **fast, memory="ram"))
    assert "constant" not in engines(solve(NET, **fast, patchable=True))
    # And what was chosen can be fed back.
    again = fold(NET, free.design.folding, family=family, target=free.design.interval)
    assert [c.engine for c in again.cores] == [c.engine for c in free.design.cores]


def test_weights_move_to_the_storage_that_is_left(monkeypatch):
    """Block RAM where LUTs run out, and the other way round; a given kind of storage stays."""
    styles = lambda found: {c.ram_style for c in found.design.cores if c.op == "conv"}  # noqa: E731
    rate = {"family": "ecp5", "memory": "ram", "fps": 30_000}
    free = solve(NET, **rate, luts=100_000)
    total = free.chosen.estimate.total
    tight = solve(NET, **rate, luts=round(0.97 * total.luts))
    assert "block" in styles(tight) and tight.chosen.estimate.total.bram > total.bram
    # A device without the blocks that the free choice took.
    slow = {"family": "ecp5", "memory": "ram", "fps": 2000}
    blocks = solve(NET, **slow).chosen.estimate.total.bram
    few = Limits(luts=100_000, bram=blocks // 4, where="small")  # none of the classifier's
    monkeypatch.setattr("sterna.gen.fold.solve.board_limits", lambda name: ("ecp5", few))
    short = solve(NET, board="small", **slow)
    assert short.chosen.estimate.total.bram <= blocks // 4 and "distributed" in styles(short)
    kept = solve(NET, {"c0": {"ram_style": "distributed"}}, **rate)
    assert kept.design.core("c0").ram_style == "distributed"


def test_foldings_are_taken_whose_streams_keep_up(monkeypatch):
    """The cheapest foldings meet in a gearbox of 6,272 clocks; others do without."""
    net = files.load(EXAMPLES / "mnist")
    given = {name: Given.of({"memory": "ram"}) for name in ("conv1", "conv2", "full4")}

    def interval():
        search = Search(net, given, "xilinx7", 100.0, None, False, Limits())
        search.prepare()
        return search.at(1333).interval

    assert interval() <= 1333
    monkeypatch.setattr("sterna.gen.fold.search.REGEARED", 1)
    assert interval() == 6272


def test_what_is_given_is_checked_before_anything_is_solved():
    for given, match in (
        ({"zz": {"pe": 1}}, "no core 'zz'"),
        ({"c0": {"ram_style": []}}, "is not"),
        ({"c0": 3}, "not an object"),
        ({"c0": {"pe": 5}}, "5 is not legal"),
    ):
        with pytest.raises(DesignError, match=match):
            solve(NET, given, family="ecp5", fps=500)


def test_skips_are_solved_with_their_buffers():
    net = deep(3, skip=True)
    found = solve(net, family="ecp5", luts=12_000)
    assert found.design.buffers and estimate(net, found.design).total.luts <= 12_000


def test_the_impossible_is_refused_with_what_limits_and_the_way_out():
    with pytest.raises(DesignError) as e:
        solve(NET, family="ecp5", luts=1500)
    assert str(e.value).startswith("node '") and "1,500 are allowed" in str(e.value)
    assert str(e.value).endswith("take a larger device, or a smaller network")
    with pytest.raises(DesignError) as e:
        solve(NET, family="ecp5", fps=1e6)
    assert "are left at 1,000,000 fps and 100 MHz; lower the fps or raise the clock" in str(e.value)
    with pytest.raises(DesignError) as e:
        solve(deep(8), board="ulx3s-12f", fps=20_000)
    assert "ulx3s-12f has" in str(e.value) and "the fastest that fits makes" in str(e.value)
    with pytest.raises(UsageError, match="ulx3s-12f is of family ecp5, not xilinx7"):
        solve(NET, board="ulx3s-12f", family="xilinx7")


def test_limits_count_lut_ram_as_luts_and_name_no_absent_limit():
    total = solve(NET, family="ecp5", fps=500).chosen.estimate.total
    assert Limits().fits(total) and Limits().shares(total) == {}
    assert not Limits(luts=total.luts - 1).fits(total)
    assert Limits(luts=total.luts, ff=total.ff, bram=total.bram).fits(total)


def test_fifty_layers_take_seconds():
    net, start = deep(49), time.process_time()
    found = solve(net, family="ecp5", luts=150_000)
    assert time.process_time() - start < 60
    assert len(found.design.cores) == 51
    answer = found.as_dict()
    assert answer["chosen"]["luts"] <= 150_000 and "node '" in answer["limited_by"]


DIGITS = files.load(EXAMPLES / "digits")


def test_buffers_that_do_not_fit_leave_room_for_other_storage():
    # By the estimates without buffers the first design that fits these is always the same one.
    clocks = []
    for luts in (2560, 2620, 2680, 2740, 2920):
        found = solve(DIGITS, family="xilinx7", memory="ram", luts=luts)
        assert estimate(DIGITS, found.design).total.luts <= luts
        clocks.append(found.design.interval)
    assert clocks == sorted(clocks, reverse=True) and clocks[0] > 4 * clocks[-1]


def test_streams_may_be_made_for_more_clocks_than_the_goal_leaves():
    conv8 = files.load(EXAMPLES / "peer_conv8")
    fast = solve(conv8, family="xilinx7", fps=9000)
    assert fast.design.interval == 10_816 < 100e6 / 9000 < fast.chosen.bound
    assert fast.design.warning is None


def test_what_is_shown_as_faster_does_not_fit():
    conv8 = files.load(EXAMPLES / "peer_conv8")
    found = solve(conv8, family="xilinx7", luts=1950)
    assert found.faster is not None and found.faster.estimate.total.luts > 1950
    if found.slower is not None:
        assert found.slower.estimate.total.luts < found.chosen.estimate.total.luts


def test_a_given_folding_is_named_where_it_does_not_fit():
    given = {"conv1": {"pe": 4, "simd": 3, "tp": 4}}
    with pytest.raises(DesignError, match="more of the folding given for 'conv1' open, allow"):
        solve(DIGITS, given, family="ecp5", luts=2000)


def test_more_luts_are_never_slower_and_any_that_suffice_are_taken():
    """Costs do not fall evenly with the clocks, and buffers come on top at the end."""
    budgets = (2450, 3140, 3326, 3380, 4820, 6740)
    found = [solve(DIGITS, family="ecp5", luts=luts) for luts in budgets]
    for luts, solution in zip(budgets, found):
        assert solution.chosen.estimate.total.luts <= luts
    clocks = [solution.design.interval for solution in found]
    assert clocks == sorted(clocks, reverse=True) and clocks[0] > 10 * clocks[-1]


def test_a_lower_rate_never_costs_more_and_the_frontier_is_true():
    worth = 200  # of a block RAM on ECP5
    price = lambda c: c.luts + worth * c.bram + c.ff / 50  # noqa: E731
    rates = (65_104, 48_828, 43_402, 24_414, 12_000)
    found = [solve(DIGITS, family="ecp5", fps=fps) for fps in rates]
    prices = [price(solution.chosen.estimate.total) for solution in found]
    # Buffers, sized when all else is decided, are the noise.
    assert all(b <= 1.01 * a for a, b in zip(prices, prices[1:])), prices
    for solution in found:
        chosen, faster, slower = solution.chosen, solution.faster, solution.slower
        assert faster is not None and faster.interval < chosen.interval
        assert price(faster.estimate.total) > 0.99 * price(chosen.estimate.total)
        assert slower is not None and slower.interval > chosen.interval
        assert slower.estimate.total.luts < chosen.estimate.total.luts


def test_foldings_are_made_to_fit_each_other(monkeypatch):
    """The cheapest conv2 by itself has its weights in the logic, and asks for a dear stream."""
    net = files.load(EXAMPLES / "nmnist")
    ask = {"family": "xilinx7", "memory": "rom", "fps": 60_000}
    found = solve(net, **ask)
    monkeypatch.setattr("sterna.gen.fold.improve.ROUNDS", 0)
    alone = solve(net, **ask)
    luts = [estimate(net, s.design).total.luts for s in (found, alone)]
    assert luts[0] < 0.8 * luts[1]
    assert found.design.interval <= 100e6 / 60_000 and found.design.warning is None


def test_cores_are_no_faster_than_the_image_input_lets_them_be():
    net = files.load(EXAMPLES / "mnist")
    free, asked = solve(net, board="ulx3s-85f"), solve(net, board="ulx3s-85f", fps=127_551)
    assert free.design.interval == asked.design.interval == 784
    assert free.design.folding == asked.design.folding
    assert free.limited_by.endswith("is as fast as it can be; no limit is reached")
