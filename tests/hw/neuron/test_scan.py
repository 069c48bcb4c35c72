"""NeuronScan against the golden scan and against plain integers, exhaustively where it is small."""

import itertools
import random

import hypothesis
import numpy as np
import pytest
import torch
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator
from hypothesis import strategies as st
from plain import plain_decay, plain_neuron

from sterna.golden.bounds import RANK_BITS, RuleBounds, rule_bounds, signed_bits
from sterna.golden.exact import scan
from sterna.golden.rule import Decay, NeuronRule
from sterna.hw.neuron.decay import decay_value
from sterna.hw.neuron.params import NeuronParams
from sterna.hw.neuron.scan import NeuronScan


def packed(values, width):
    """Signed integers side by side, lowest first."""
    mask = (1 << width) - 1
    return sum((int(v) & mask) << n * width for n, v in enumerate(values))


def simulate(params, xs, x_width, readout=None, gaps=0.0, seed=0):
    """Stream sequences xs [N, T, C] through one NeuronScan of C channels.

    Returns spikes [N, T, C] or logits [N, C], and the scan. Rubbish is on every input while not
    valid; pulses must come ``latency`` clocks after their step, with ``last`` on the last.
    """
    count, steps, channels = xs.shape
    rows = params.rows(channels)
    dut = NeuronScan(params, pe=channels, x_width=x_width, readout=readout)
    items = [
        (t == 0, t == steps - 1, packed(xs[n, t], x_width), rows[t % len(rows)])
        for n in range(count)
        for t in range(steps)
    ]
    rng = random.Random(seed)
    got, sent_at = [], []

    async def bench(ctx):
        at, clock = 0, 0
        while len(got) < (len(items) if readout is None else count):
            valid = at < len(items) and rng.random() >= gaps
            rubbish = (
                rng.getrandbits(1),
                rng.getrandbits(1),
                rng.getrandbits(len(dut.x)),
                rng.getrandbits(len(dut.params_in)),
            )
            ctx.set(dut.valid, valid)
            ports = (dut.first, dut.last, dut.x, dut.params_in)
            for port, value in zip(ports, items[at] if valid else rubbish, strict=True):
                ctx.set(port, value)
            if valid:
                sent_at.append(clock)
                at += 1
            await ctx.tick()
            clock += 1
            if readout is None:
                if ctx.get(dut.spike_valid):
                    index = len(got)
                    assert clock - sent_at[index] == dut.latency
                    assert ctx.get(dut.spike_last) == (index % steps == steps - 1)
                    got.append(ctx.get(dut.spikes))
            elif ctx.get(dut.logit_valid):
                assert clock - sent_at[len(got) * steps + steps - 1] == dut.latency
                got.append(ctx.get(dut.logits))
            assert clock < 40 * len(items) + 100, "no more results"

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    if readout is None:
        bits = [[g >> c & 1 for c in range(channels)] for g in got]
        return np.array(bits, np.uint8).reshape(xs.shape)
    words = [[(g >> 32 * c & 0xFFFFFFFF) for c in range(channels)] for g in got]
    return np.array(words, np.uint32).view(np.int32)


def golden(rule, xs, record=()):
    """The golden scan of xs [N, T, C]; its axes are [T, N, C, 1, 1]."""
    tensor = torch.from_numpy(xs.transpose(1, 0, 2).astype(np.int64))[..., None, None]
    return scan(tensor, rule, xs.shape[1], record=record)


def spikes_of(done):
    return done.spikes[..., 0, 0].numpy().transpose(1, 0, 2)


def every(low, high, steps, channels):
    """All sequences of ``steps`` values low .. high, the same for all channels: [N, T, C]."""
    xs = np.array(list(itertools.product(range(low, high + 1), repeat=steps)))
    return np.repeat(xs[:, :, None], channels, axis=2)


def bounds_of(rule, xs, ranges=None):
    low, high = xs.min((0, 1)), xs.max((0, 1))
    return rule_bounds(rule, (low, high), xs.shape[1], ranges)


def check(rule, xs, gaps=0.0, ranges=None, bounds_rule=None):
    """RTL = golden = plain integers for all sequences of a spiking rule."""
    bounds = bounds_of(bounds_rule or rule, xs, ranges)
    params = NeuronParams(rule, bounds, xs.shape[1], True, ranges)
    got = simulate(params, xs, signed_bits(int(xs.min()), int(xs.max())), gaps=gaps)
    np.testing.assert_array_equal(got, spikes_of(golden(rule, xs)))
    for n in random.Random(1).sample(range(len(xs)), min(len(xs), 100)):
        for c in range(rule.channels):
            spikes, _, _ = plain_neuron([int(v) for v in xs[n, :, c]], rule, c)
            assert got[n, :, c].tolist() == spikes, f"sequence {xs[n, :, c]} channel {c}"
    return got


# One channel a column: low, zero, usual, high, never reached.
THRESHOLD = np.array([-3, 0, 1, 4, 9, 500])
STEPS = 3
SMALL = {
    "if": {},
    "by other": {"reset_by": np.array([2, -1, 5, 0, 3, 7])},
    "zero": {"reset": "zero"},
    "once": {"reset": "once"},
    "leak": {"leak": Decay(2)},
    "leak half": {"leak": Decay(1), "reset": "zero", "v_init": np.array([3, -3, 7, -8, 1, 0])},
    "leak two": {"leak": Decay(1, 3), "fraction_bits": 2, "bias": np.array([3, -2, 0, 1, 5, -7])},
    "leak to nothing": {
        "leak": Decay(1, 1),
        "reset_by": THRESHOLD + 1,
        "bias": THRESHOLD // 3,
        "v_init": np.array([3, -3, 7, -8, 1, 0]),
    },
    "synapse to nothing": {"synapse": Decay(1, 1), "leak": Decay(2)},
    "leak slow": {"leak": Decay(12), "reset_by": THRESHOLD + 1},
    "synapse": {"synapse": Decay(1), "leak": Decay(3), "fraction_bits": 1, "reset": "zero"},
    "synapse by other": {
        "synapse": Decay(2, 3),
        "reset_by": np.array([1, 2, 3, 4, 5, 6]),
        "v_init": np.array([-5, 4, 0, 2, 1, 3]),
    },
    "ramp": {"synapse": "ramp", "reset": "once", "bias": np.array([1, -1, 0, 2, -2, 0])},
    "delay": {"delay": 1, "leak": Decay(2), "v_init": np.array([-9, 8, 1, 0, -1, 4])},
    "floor": {"floor": np.array([-2, 1, 0, -5, -1, 3]), "leak": Decay(1), "fraction_bits": 1},
    "floor of nothing": {"floor": np.zeros(6), "reset_by": THRESHOLD + 2},
    "floor behind a current": {
        "floor": np.array([-2, -1, 0, -3, 2, -4]),
        "synapse": Decay(1),
        "bias": np.arange(18).reshape(3, 6) * 4 % 5 - 2,
        "reset": "zero",
        "v_init": np.array([-9, 8, 1, 0, -1, 4]),
    },
    "floor once": {"floor": np.array([-2, -1, 0, -3, 2, -4]), "reset": "once"},
    "bias per step": {"bias": np.arange(18).reshape(3, 6) * 4 % 5 - 2, "reset_by": THRESHOLD - 1},
    "all": {
        "bias": np.arange(18).reshape(3, 6) * 5 % 13 - 6,
        "synapse": Decay(3),
        "delay": 1,
        "leak": Decay(1, 2),
        "reset_by": np.array([9, 1, 0, -2, 5, 3]),
        "fraction_bits": 3,
        "v_init": np.array([30, -30, 11, -11, 1, -1]),
    },
}


@pytest.mark.parametrize("name", SMALL)
def test_small_rules_exhaustively(name):
    rule = NeuronRule(threshold=THRESHOLD, **SMALL[name])
    got = check(
        rule, every(-3, 3, STEPS, 6), gaps=0.2 if name in ("all", "leak two", "floor") else 0.0
    )
    # A rule whose spikes do not depend on the input would prove nothing.
    assert any(len(np.unique(got[:, :, c], axis=0)) > 3 for c in range(6))


@pytest.mark.parametrize("name", ["if", "leak two", "synapse by other", "all", "ramp", "floor"])
def test_registers_hold_the_extremes(name):
    """Every pattern of lowest and highest x: no register may be a bit too narrow."""
    settings = SMALL[name]
    steps = 7
    if "bias" in settings and settings["bias"].ndim == 2:
        settings = settings | {"bias": np.resize(settings["bias"], (steps, 6))}
    rule = NeuronRule(threshold=THRESHOLD, **settings)
    corners = np.array(list(itertools.product((-200, 173), repeat=steps)))
    check(rule, np.repeat(corners[:, :, None], 6, axis=2))


def test_case_a_start_at_the_end_of_its_register_leaves_the_others_wide():
    """-2**31 fits: the current behind it needs 5 bits, and had 2."""
    rule = NeuronRule([0] * 3, "none", v_init=[-(2**31), 0, 0], synapse="ramp")
    xs = np.random.default_rng(0).integers(-1, 2, (20, 8, 3))
    xs[0], xs[1] = 1, -1
    xs[:, :, 0] = np.abs(xs[:, :, 0])
    params = NeuronParams(rule, bounds_of(rule, xs), 8, fires=False)
    got = simulate(params, xs, 2, "membrane")
    assert np.array_equal(got, golden(rule, xs).v[..., 0, 0].numpy())
    assert params.bounds.current == (-8, 8)


def test_a_narrower_register_is_noticed():
    """The attack above can fail: bounds of a much smaller x give wrong spikes."""
    rule = NeuronRule(threshold=THRESHOLD)
    corners = np.array(list(itertools.product((-200, 173), repeat=5)))
    xs = np.repeat(corners[:, :, None], 6, axis=2)
    wrong = rule_bounds(rule, (np.full(6, -20), np.full(6, 17)), 5)
    got = simulate(NeuronParams(rule, wrong, 5), xs, signed_bits(-200, 173))
    assert (got != spikes_of(golden(rule, xs))).any()


@pytest.mark.parametrize("synapse", [None, Decay(2)])
@pytest.mark.parametrize("own_reset", [False, True])
def test_declared_ranges_hold_their_extremes(synapse, own_reset):
    """Parameters loaded at run time: any set inside the ranges that the core was sized for."""
    ranges = {"threshold": (-8, 7), "bias": (-4, 3), "v_init": (-16, 15)}
    if own_reset:
        ranges["reset_by"] = (-2, 5)
        ranges["floor"] = (-3, 4)
    base = NeuronRule(
        threshold=np.zeros(6, int),
        synapse=synapse,
        leak=Decay(3),
        fraction_bits=1,
        floor=np.zeros(6) if own_reset else None,
    )
    pick = lambda k: np.resize(ranges[k], 6)  # noqa: E731
    rule = NeuronRule(
        threshold=np.array([-8, 7, 7, -8, 0, 7]),
        reset_by=np.array([-2, 5, -2, 5, 1, 0]) if own_reset else None,
        bias=pick("bias"),
        v_init=pick("v_init")[::-1].copy(),
        synapse=synapse,
        leak=Decay(3),
        fraction_bits=1,
        floor=pick("floor") if own_reset else None,
    )
    corners = np.array(list(itertools.product((-9, 0, 8), repeat=5)))
    check(rule, np.repeat(corners[:, :, None], 6, axis=2), ranges=ranges, bounds_rule=base)


READOUTS = {
    "membrane": {"leak": Decay(2), "bias": np.array([1, -2, 3, 0, 5, -6]), "fraction_bits": 2},
    "membrane floor": {"leak": Decay(1), "floor": np.array([-2, 1, 0, -5, -1, 3])},
    "membrane current": {"synapse": Decay(1), "floor": np.array([-2, 1, 0, -5, -1, 3])},
    "first_spike floor": {"floor": np.array([-2, 1, 0, -5, -1, 3])},
    "count floor": {"reset": "subtract", "floor": np.zeros(6)},
    "membrane per step": {"bias": np.arange(18).reshape(3, 6) - 7, "synapse": Decay(1)},
    "first_spike": {"leak": Decay(3), "v_init": np.array([0, 1, -1, 5, -5, 2])},
    "first_spike ramp": {"synapse": "ramp"},
    "count": {"reset": "subtract", "leak": Decay(1, 4), "reset_by": np.array([1, 2, 3, 4, 5, 6])},
    "count once": {"reset": "once"},
    "count zero": {"reset": "zero", "synapse": Decay(2)},
}


@pytest.mark.parametrize("name", READOUTS)
def test_readouts_exhaustively(name):
    mode = name.split()[0]
    rule = NeuronRule(threshold=THRESHOLD, **{"reset": "none", **READOUTS[name]})
    xs = every(-3, 3, STEPS, 6)
    params = NeuronParams(rule, bounds_of(rule, xs), STEPS, mode != "membrane")
    gaps = 0.2 if name in ("membrane", "count", "first_spike") or "floor" in name else 0.0
    got = simulate(params, xs, signed_bits(-3, 3), mode, gaps)
    for n, c in itertools.product(range(len(xs)), range(6)):
        spikes, v, history = plain_neuron([int(x) for x in xs[n, :, c]], rule, c)
        if mode == "membrane":
            expected = v
        elif mode == "count":
            expected = sum(spikes)
        else:
            first = spikes.index(1) if 1 in spikes else STEPS
            at = history[min(first, STEPS - 1)]["v"]
            expected = ((STEPS - first) << RANK_BITS) + at + (1 << (RANK_BITS - 1))
        assert got[n, c] == expected, f"{name}: sequence {xs[n, :, c]} channel {c}"
    assert len(np.unique(got)) > (1 if name == "count once" else 3)


@st.composite
def rules(draw):
    channels, steps = 4, draw(st.integers(1, 6))
    fraction = draw(st.integers(0, 4))
    numbers = st.integers(-40, 120)
    row = lambda s=numbers: np.array([draw(s) for _ in range(channels)])  # noqa: E731
    decay = st.one_of(
        st.none(),
        st.builds(Decay, st.integers(1, 12)),
        st.builds(Decay, st.integers(1, 5), st.integers(1, 6)),
    )
    rule = NeuronRule(
        threshold=row(),
        reset=draw(st.sampled_from(["subtract", "zero", "once"])),
        reset_by=row() if draw(st.booleans()) else None,
        bias=np.stack([row() for _ in range(steps)]) if draw(st.booleans()) else row(),
        v_init=row(),
        leak=draw(decay),
        synapse=draw(st.one_of(decay, st.just("ramp"))),
        delay=draw(st.integers(0, 1)),
        fraction_bits=fraction,
        floor=row(st.integers(-60, 20)) if draw(st.booleans()) else None,
    )
    return rule, steps, draw(st.integers(0, 1000))


@hypothesis.settings(max_examples=12)
@hypothesis.given(rules())
def test_random_rules(drawn):
    rule, steps, seed = drawn
    rng = np.random.default_rng(seed)
    xs = rng.integers(-30, 31, (40, steps, rule.channels))
    check(rule, xs, gaps=0.3 if seed % 2 else 0.0)


DECAYS = [Decay(k) for k in (1, 2, 3, 4, 7, 12)] + [
    Decay(1, 1),
    Decay(1, 2),
    Decay(2, 1),
    Decay(2, 5),
    Decay(3, 3),
    Decay(6, 4),
    Decay(12, 1),
]


@pytest.mark.parametrize("width", [1, 2, 3, 6, 9])
def test_decay_exhaustively(width):
    """All decays of all values of a width, narrower than the shift included."""
    x = Signal(signed(width))
    m = Module()
    outs = [Signal(signed(width + 1), name=f"out_{n}") for n in range(len(DECAYS))]
    for decay, out in zip(DECAYS, outs):
        value, carry = decay_value(decay, x)
        m.d.comb += out.eq(value + carry)

    async def bench(ctx):
        for value in range(-(1 << width - 1), 1 << width - 1):
            ctx.set(x, value)
            await ctx.delay(1e-9)
            for decay, out in zip(DECAYS, outs):
                wanted = plain_decay(value, decay)
                assert ctx.get(out) == wanted == decay(value), f"{decay} of {value}"

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


def test_params_depth_rows_and_absent_fields():
    rule = NeuronRule(threshold=np.array([3, 5, 7, 9]))
    bounds: RuleBounds = rule_bounds(rule, (np.full(4, -2), np.full(4, 2)), 5)
    params = NeuronParams(rule, bounds, 5)
    assert set(params.fields) == {"over"} and params.depth(2) == 2
    width = params.width
    decoded = [[signed_field(row, p * width, width) for p in range(2)] for row in params.rows(2)]
    assert decoded == [[-3, -5], [-7, -9]]
    every_step = NeuronRule(
        threshold=np.array([3, 5]), bias=np.arange(10).reshape(5, 2), reset="zero"
    )
    bounds = rule_bounds(every_step, (np.full(2, -2), np.full(2, 2)), 5)
    params = NeuronParams(every_step, bounds, 5)
    assert params.depth(1) == 10 and len(params.rows(1)) == 10
    add = params.fields["add"]
    assert [signed_field(row, 0, add) for row in params.rows(1)] == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


def signed_field(row, at, width):
    value = row >> at & ((1 << width) - 1)
    return value - (value >> (width - 1) << width)


@pytest.mark.parametrize("steps", [1, 4, 7, 16, 127])
def test_logit_bits_hold_the_extremes_and_no_more(steps):
    rule = NeuronRule(threshold=np.array([3, 5]), reset="zero")
    bounds = rule_bounds(rule, (np.full(2, -7), np.full(2, 9)), steps)
    params = NeuronParams(rule, bounds, steps)
    bits = lambda readout: NeuronScan.logit_bits(params, readout)  # noqa: E731
    assert bits("count") == signed_bits(0, steps)
    assert bits("first_spike") == signed_bits(0, (steps << RANK_BITS) + (1 << RANK_BITS) - 1) <= 32
    assert 1 << bits("membrane") - 1 > max(bounds.u[1], -1 - bounds.u[0])


def test_a_reset_without_hardware_is_no_other_one(monkeypatch) -> None:
    from sterna.golden import rule as rules

    monkeypatch.setitem(rules.RESETS, "half", rules.RESETS["none"])
    rule = NeuronRule(threshold=[3], reset="half")
    bounds = rule_bounds(rule, (np.array([-4]), np.array([4])), 2)
    with pytest.raises(AssertionError, match="reset 'half' has no hardware"):
        NeuronScan(NeuronParams(rule, bounds, 2), pe=1, x_width=4).elaborate(None)
