"""Bounds really bound: reached where they can be, attacked by search, and proven by SMT."""

from itertools import product

import numpy as np
import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_neuron
from rulecase import rules

from sterna.golden.bounds import node_bounds, rule_bounds, signed_bits, weighted_interval
from sterna.golden.errors import NetworkError
from sterna.golden.network import Conv2d, Input, Linear, Network, Pool, Readout
from sterna.golden.rule import Decay, NeuronRule

REGISTERS = ("x", "drive", "current", "u", "reset", "margin", "v")


def spread(rule, xs, steps):
    """Lowest and highest value of every register over the given input trains (0 counts)."""
    seen = {r: [0, 0] for r in REGISTERS}
    for train in xs:
        _, _, history = plain_neuron(list(train), rule, 0)
        for step in history:
            for r in REGISTERS:
                seen[r] = [min(seen[r][0], step[r]), max(seen[r][1], step[r])]
    return seen


@settings(max_examples=60)
@given(st.data())
def test_no_input_train_leaves_the_bounds(data):
    """All trains of extremes and middles, then the greedy search for the largest |u|."""
    rule = rules(data.draw, steps=4, channels=1)
    low, high = data.draw(st.integers(-20, 0)), data.draw(st.integers(0, 20))
    x = np.array([low]), np.array([high])
    bounds = rule_bounds(rule, x, 4)
    levels = sorted({low, high, 0, (low + high) // 2})
    seen = spread(rule, product(levels, repeat=4), 4)
    for r in REGISTERS:
        assert getattr(bounds, r)[0] <= seen[r][0] and seen[r][1] <= getattr(bounds, r)[1], r


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(-5, 0), st.integers(0, 5), st.integers(0, 1))
def test_bounds_of_integrate_and_fire_are_reached(threshold, low, high, zero):
    rule = NeuronRule([threshold], "zero" if zero else "subtract")
    bounds = rule_bounds(rule, (np.array([low]), np.array([high])), 4)
    seen = spread(rule, product(range(low, high + 1), repeat=4), 4)
    for r in ("x", "drive", "current", "u", "margin", "v"):
        assert tuple(seen[r]) == getattr(bounds, r), r


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_signed_bits_is_the_smallest_register(low, span):
    high = low + span
    bits = signed_bits(low, high)
    assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)
    half = 2 ** max(0, bits - 2)
    assert bits == 1 or low < -half or high >= half


def test_weighted_interval_is_reached_by_the_inputs_that_the_signs_choose():
    rng = np.random.default_rng(0)
    node = Conv2d("conv", "x", rng.integers(-1, 2, (5, 3, 3, 3)))
    low, high = weighted_interval(node, 255)
    flat = node.weight.reshape(5, -1).astype(int)
    for o in range(5):
        assert (flat[o] * (255 * (flat[o] > 0))).sum() == high[o]
        assert (flat[o] * (255 * (flat[o] < 0))).sum() == low[o]
    assert [a.tolist() for a in weighted_interval(node, 3, reloadable=True)] == [
        [-81] * 5,
        [81] * 5,
    ]


@given(st.data())
def test_bounds_of_ranges_hold_every_rule_inside_them(data):
    rule = rules(data.draw, steps=3, channels=1)
    x = np.array([-9]), np.array([9])
    names = ("threshold", "reset_by", "bias", "v_init")
    ranges = dict.fromkeys(names, (-300, 300))
    wide, tight = rule_bounds(rule, x, 3, ranges), rule_bounds(rule, x, 3)
    for r in REGISTERS:
        assert getattr(wide, r)[0] <= getattr(tight, r)[0], r
        assert getattr(wide, r)[1] >= getattr(tight, r)[1], r


def test_registers_that_pass_32_bits_are_refused_with_name_and_range():
    def network(mode="membrane", steps=4, **rule):
        return Network(
            steps,
            [
                Input("x", (1, 1, 200)),
                Linear("fc", "x", np.ones((2, 200))),
                Readout("out", "fc", NeuronRule([1, 1], "none", **rule), mode),
            ],
        )

    node_bounds(network(fraction_bits=12), "out")
    with pytest.raises(NetworkError, match=r"node 'out': \w+ can reach .* more than 32 bits; use"):
        node_bounds(network(fraction_bits=16), "out")
    with pytest.raises(NetworkError, match=r"node 'out': .* more than 32 bits"):
        node_bounds(network(v_init=[2**31 - 1, 0]), "out")
    with pytest.raises(NetworkError, match="node 'out': .*first_spike.* use fewer fraction bits"):
        node_bounds(network("first_spike", fraction_bits=8), "out")


# --- every step is looked at, and what no register has room for is refused ----------------------


def plain_bounds(rule, low, high, steps):
    """The recurrence of ``rule_bounds`` without resets, one channel, in Python integers."""

    def decayed(x, d):
        return (d.num * x + (1 << (d.shift - 1))) >> d.shift if isinstance(d, Decay) else x

    seen = {"drive": [0, 0], "current": [0, 0], "u": [0, 0]}
    i, v = [0, 0], [int(rule.v_init[0])] * 2
    for t in range(steps):
        for k, x in enumerate((low, high)):
            drive = (x << rule.fraction_bits) + int(rule.bias_at(t)[0])
            i[k] = drive if rule.synapse is None else decayed(i[k], rule.synapse) + drive
            v[k] = decayed(v[k], rule.leak) + i[k]
            for name, value in (("drive", drive), ("current", i[k]), ("u", v[k])):
                seen[name] = [min(seen[name][0], value), max(seen[name][1], value)]
    return seen


def test_case_a_register_that_starts_at_its_end_does_not_stop_the_analysis():
    """-2**31 fits 32 bits: the steps behind it count, and the Verilog is as wide as they need."""
    rule = NeuronRule([0] * 3, "none", v_init=[-(2**31), 0, 0], synapse="ramp")
    network = Network(
        8,
        [
            Input("x", (1, 1, 2), "frames"),
            Linear("fc", "x", np.array([[1, 1], [-1, 1], [1, -1]])),
            Readout("out", "fc", rule),
        ],
    )
    b = node_bounds(network, "out")
    assert b.current == (-8, 16) and b.u[0] == -(2**31)
    tight = NeuronRule([0] * 3, "none", v_init=[-(2**31) + 36, 0, 0], synapse="ramp")
    b = rule_bounds(tight, (np.full(3, -1), np.full(3, 2)), 8)
    assert b.current == (-8, 16) and b.u == (-(2**31), 72)
    with pytest.raises(NetworkError, match="node 'out': u can reach .-2147483656, .* 32 bits"):
        node_bounds(
            Network(
                8,
                [
                    *network.nodes[:2],
                    Readout(
                        "out", "fc", NeuronRule([0] * 3, "none", v_init=[0, -(2**31), 0], leak=None)
                    ),
                ],
            ),
            "out",
        )


@pytest.mark.parametrize("synapse", [None, "ramp", Decay(12)])
@pytest.mark.parametrize(("leak", "fraction"), [(None, 16), (Decay(12), 16), (Decay(11, 12), 0)])
def test_case_bounds_of_1024_steps_do_not_wrap(synapse, leak, fraction):
    """They are those of Python's integers, or both are beyond what any register holds."""
    far = 2**38
    for low, high in ((-3, 7), (-(2**31), 2**35), (-(2**62), 5)):
        rule = NeuronRule(
            [5],
            "none",
            leak=leak,
            synapse=synapse,
            fraction_bits=fraction,
            bias=[2**31 - 1],
            v_init=[-(2**31)],
        )
        got = rule_bounds(rule, (np.array([low]), np.array([high])), 1024)
        for name, want in plain_bounds(rule, low, high, 1024).items():
            for mine, plain in zip(getattr(got, name), want, strict=True):
                beyond = abs(plain) >= far and abs(mine) >= far and (mine > 0) == (plain > 0)
                assert mine == plain or beyond, (name, low)


def test_case_many_wide_inputs_are_refused_and_do_not_wrap():
    """Sums of pools, shifted by 8 and by 16 fraction bits, for 1024 steps."""
    x = Input("x", (1, 64, 64), "frames")
    pools = [Pool(f"p{k}", "x" if k == 0 else f"p{k - 1}", "sum") for k in range(6)]
    fc = [Linear(f"fc{k}", "p5", np.full((1, 1), (-1) ** k)) for k in range(4)]
    rule = NeuronRule([1], "none", synapse="ramp", fraction_bits=16, shifts=(8,) * 4)
    with pytest.raises(NetworkError, match="node 'out': drive can reach .*more than 32 bits"):
        out = Readout("out", tuple(n.name for n in fc), rule)
        node_bounds(Network(1024, [x, *pools, *fc, out]), "out")


def test_case_only_registers_that_the_rule_has_are_refused():
    """A threshold that nothing is compared with and a reset_by that nothing takes away."""

    def network(rule, mode="membrane", steps=4):
        return Network(
            steps,
            [
                Input("x", (1, 1, 8)),
                Linear("fc", "x", np.ones((2, 8))),
                Readout("out", "fc", rule, mode),
            ],
        )

    far = [2**31 - 1, 2**31 - 1]
    node_bounds(network(NeuronRule(far, "none")), "out")
    for reset in ("zero", "once"):
        node_bounds(network(NeuronRule([9, 9], reset, reset_by=far), "count"), "out")
    with pytest.raises(NetworkError, match="'out': the membrane less reset_by can reach"):
        rule = NeuronRule([9, 9], "subtract", bias=[-9, -9], reset_by=far)
        node_bounds(network(rule, "count", steps=1), "out")
    for mode, reset in (("count", "zero"), ("first_spike", "none")):
        with pytest.raises(NetworkError, match="'out': the membrane less the threshold can reach"):
            node_bounds(network(NeuronRule([-(2**31)] * 2, reset), mode), "out")


def test_case_declared_ranges_of_a_membrane_readout_do_not_bound_its_threshold():
    network = Network(
        4,
        [
            Input("x", (1, 1, 8)),
            Linear("fc", "x", np.ones((2, 8))),
            Readout("out", "fc", NeuronRule([2**30, 0], "none")),
        ],
    )
    ranges = {"threshold": (-(2**31), 2**31 - 1), "bias": (-4, 3), "v_init": (-4, 3)}
    node_bounds(network, "out", True, ranges)


# --- neuron steps in registers of the declared widths equal unbounded integers -----------------

RULES = {
    "if subtract": {"reset": "subtract"},
    "if zero": {"reset": "zero"},
    "if once": {"reset": "once"},
    "lif subtract": {"reset": "subtract", "leak": Decay(2)},
    "lif zero two terms": {"reset": "zero", "leak": Decay(1, 3)},
    "lif synapse": {"reset": "subtract", "leak": Decay(3), "synapse": Decay(1)},
    "ramp once": {"reset": "once", "synapse": "ramp"},
}


@pytest.mark.parametrize("name", RULES)
def test_smt_no_register_overflows(name):
    """For every input train, the steps computed modulo 2**width of each register equal the steps
    computed in unbounded integers."""
    steps, low, high = 3, -13, 18
    rule = NeuronRule([21], fraction_bits=1, reset_by=[27], bias=[-3], v_init=[5], **RULES[name])
    b = rule_bounds(rule, (np.array([low]), np.array([high])), steps)
    width = {r: b.width(r) for r in REGISTERS}
    far = 24  # wider than any value below: stands for unbounded integers

    def reg(value, name):  # a register: keeps the low bits, read back with its sign
        bits = z3.Extract(width[name] - 1, 0, value)
        return z3.SignExt(far - width[name], bits)

    def decayed(value, d):
        if not isinstance(d, Decay):
            return value
        return (d.num * value + (1 << (d.shift - 1))) >> d.shift

    solver = z3.Solver()
    wrong = []
    zero = z3.BitVecVal(0, far)
    v_real = v_bits = z3.BitVecVal(5, far)
    i_real = i_bits = zero
    frozen_real = frozen_bits = z3.BoolVal(False)
    for t in range(steps):
        x = z3.BitVec(f"x{t}", far)
        solver.add(x >= low, x <= high)
        d_real, d_bits = x * 2 - 3, reg(reg(x, "x") * 2 - 3, "drive")
        if rule.synapse is None:
            i_real, i_bits = d_real, reg(d_bits, "current")
        else:
            i_real = decayed(i_real, rule.synapse) + d_real
            i_bits = reg(decayed(i_bits, rule.synapse) + d_bits, "current")
        u_real = decayed(v_real, rule.leak) + i_real
        u_bits = reg(decayed(v_bits, rule.leak) + i_bits, "u")
        fire_real = u_real >= 21
        fire_bits = reg(u_bits - 21, "margin") >= 0
        back_real, back_bits = u_real - 27, reg(u_bits - 27, "reset")
        if rule.reset == "once":
            fire_real = z3.And(fire_real, z3.Not(frozen_real))
            fire_bits = z3.And(fire_bits, z3.Not(frozen_bits))
            v_real = z3.If(frozen_real, v_real, u_real)
            v_bits = z3.If(frozen_bits, v_bits, reg(u_bits, "v"))
            frozen_real = z3.Or(frozen_real, fire_real)
            frozen_bits = z3.Or(frozen_bits, fire_bits)
        else:
            after_real = back_real if rule.reset == "subtract" else zero
            after_bits = back_bits if rule.reset == "subtract" else zero
            v_real = z3.If(fire_real, after_real, u_real)
            v_bits = reg(z3.If(fire_bits, after_bits, u_bits), "v")
        wrong += [v_real != v_bits, fire_real != fire_bits]
    solver.add(z3.Or(wrong))
    assert solver.check() == z3.unsat
    # and the proof can fail: one bit less in the widest register is found out
    assert width["u"] > 2 and max(abs(b.u[0]), abs(b.u[1])) >= 2 ** (width["u"] - 2)


def test_smt_proof_fails_with_one_bit_less(monkeypatch):
    from sterna.golden import bounds

    honest = bounds.RuleBounds.width
    monkeypatch.setattr(
        bounds.RuleBounds, "width", lambda self, *n: honest(self, *n) - (n == ("u",))
    )
    with pytest.raises(AssertionError):
        test_smt_no_register_overflows("if subtract")
