"""NeuronScan is the rule: every step of a visit, at the declared widths, from any register state.

The rule is written down once more with wide numbers, as docs/arithmetic.md has it. Inputs are the
prover's within their interval, parameters within their declared ranges, and the scan's registers
may hold anything before the visit's first step: so the T steps of one visit stand for all visits.
Some of the proofs have gaps between the steps. A register too narrow is a counterexample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed

from sterna.golden.bounds import RANK_BITS, rule_bounds
from sterna.golden.rule import LEVELS, Decay, NeuronRule
from sterna.hw.neuron.decay import decay_value
from sterna.hw.neuron.params import NeuronParams
from sterna.hw.neuron.scan import NeuronScan
from sterna.sim.proofs.kit import Bench, Proof, mutant

__all__ = ["PROOFS"]

_WIDE = 16  # more than any number of the rule as it is written: claimed of every case


@dataclass(frozen=True)
class _Case:
    """``rule``: arguments of a NeuronRule; ``spans``: ranges of its parameters; ``x``: of x;
    ``gaps``: clocks between steps, all together."""

    rule: dict[str, Any]
    spans: dict[str, tuple[int, int]]
    x: tuple[int, int] = (-4, 3)
    steps: int = 3
    readout: str | None = None
    gaps: int = 0


def _wide(value: Value | int) -> Signal | Value:
    """As a signed number of ``_WIDE`` bits."""
    value = Value.cast(value)
    if not value.shape().signed:
        value = Cat(value, Const(0, 1)).as_signed()
    return Cat(value, value[-1].replicate(_WIDE - len(value))).as_signed()


def _decayed(decay: Decay | str | None, x: Value) -> Value:
    """(num*x + half) >> shift, by the shifts and adds that the proofs named ``decay`` are of: with
    the product itself each step of a scan is a multiplier's equivalence, and takes z3 minutes."""
    if not isinstance(decay, Decay):
        return x
    value, carry = decay_value(decay, x)
    return _wide((value + carry)[:_WIDE].as_signed())


class _Nothing(Elaboratable):
    """What has no component: a function's value is the claim's."""

    def elaborate(self, platform: object) -> Module:
        return Module()


def _decay(decays: list[Decay], bits: int = 12, function: Callable = decay_value) -> Bench:
    def body(b: Bench) -> None:
        x = AnyConst(signed(bits))
        for decay in decays:
            value, carry = function(decay, x)
            meant = ((x * decay.num) + (1 << (decay.shift - 1))) >> decay.shift
            b.check(value + carry == meant)

    return Bench(_Nothing(), [], [], body)


def _params(case: _Case) -> NeuronParams:
    low = {name: np.array([span[0]]) for name, span in case.spans.items()}
    low = {k: low[k] for k in LEVELS if k in low}
    rule = NeuronRule(**{"threshold": np.array([1]), **low}, **case.rule)
    spans = {"bias": (0, 0), "v_init": (0, 0), "threshold": (1, 1), **case.spans}
    x = np.array([case.x[0]]), np.array([case.x[1]])
    bounds = rule_bounds(rule, x, case.steps, spans)
    fires = case.readout != "membrane"
    return NeuronParams(rule, bounds, case.steps, fires, spans)


def _chosen(b: Bench, params: NeuronParams) -> dict[str, Value]:
    """The prover's parameters, within their ranges."""
    assert params.ranges is not None
    found = {}
    for name, (low, high) in params.ranges.items():
        value = AnyConst(signed(6))
        b.assume((value >= low) & (value <= high))
        found[name] = _wide(value)
    found.setdefault("reset_by", found["threshold"])
    return found


def _row(b: Bench, params: NeuronParams, p: dict[str, Value]) -> Value:
    """The parameters as a loader packs them; that they fit is claimed, too."""
    joined = params.rule.synapse is None
    less = lambda a: p["bias"] - a if joined else a  # noqa: E731
    values = {
        "add": p["bias"],
        "start": _decayed(params.rule.leak, p["v_init"]),
        "over": less(p["threshold"]),
        "back": less(p["reset_by"]),
        "floor": p.get("floor"),
    }
    parts = []
    for name, bits in params.fields.items():
        value = _wide(values[name][:_WIDE].as_signed())
        b.check(_wide(value[:bits].as_signed()) == value)
        parts.append(value[:bits])
    return Cat(*parts, Const(0, params.width))[: params.width]


def _rule(b: Bench, params: NeuronParams, p: dict[str, Value], x: Value, first: Value, on: Value):
    """The rule, one step a clock in which ``on`` holds: (u, spike of this step)."""
    rule, m = params.rule, b.m
    i, v = (Signal(signed(_WIDE), name=f"rule_{n}") for n in ("i", "v"))
    fired = Signal(name="rule_fired")
    drive = (x << rule.fraction_bits) + p["bias"]
    if rule.synapse is not None:
        drive = _decayed(rule.synapse, Mux(first, 0, i)) + drive
    now = _wide(drive[:_WIDE].as_signed())
    u = _decayed(rule.leak, _wide(Mux(first, p["v_init"], v)[:_WIDE].as_signed())) + now
    u = _wide(u[:_WIDE].as_signed())
    spike = (u >= p["threshold"]) & params.fires
    if rule.reset == "once":
        spike &= first | ~fired
    after = {
        "subtract": u - p["reset_by"],
        "zero": Const(0),
        "once": u,
        "none": u,
    }[rule.reset]
    after = _not_below(p, Mux(spike, after, u))
    with m.If(on):
        m.d.sync += [i.eq(now), v.eq(after), fired.eq(spike | (fired & ~first))]
    return u, spike


def _not_below(p: dict[str, Value], v: Value) -> Value:
    return Mux(v < p["floor"], p["floor"], v) if "floor" in p else v


def _scan(case: _Case, component: type = NeuronScan) -> Bench:
    params = _params(case)
    rule = params.rule
    dut = component(params, pe=1, x_width=params.bounds.width("x"), readout=case.readout)

    # A product of the widest number with a decay's numerator, and a sum of two of them.
    assert max(params.bounds.width(n) for n in ("u", "v", "drive", "current")) + 7 <= _WIDE

    def body(b: Bench) -> None:
        m, steps = b.m, case.steps
        p = _chosen(b, params)
        m.d.comb += dut.params_in.eq(_row(b, params, p))
        if not case.gaps:
            b.assume(dut.valid)
        step = Signal(range(steps), name="step")
        with m.If(dut.valid):
            m.d.sync += step.eq(Mux(step == steps - 1, 0, step + 1))
        first, last = step == 0, step == steps - 1
        m.d.comb += [dut.first.eq(first), dut.last.eq(last)]
        x = dut.x.as_signed()
        b.assume((x >= case.x[0]) & (x <= case.x[1]))
        u, spike = _rule(b, params, p, _wide(x), first, dut.valid)
        _inner(b, dut, u, p)
        if case.readout is None:
            before = Signal(name="rule_before")
            with m.If(dut.valid):
                m.d.sync += before.eq(spike)
            out = (before & ~first) if rule.delay else spike
            meant: Value = Cat(dut.valid, last, out)
        else:
            v = _wide(_not_below(p, u)[:_WIDE].as_signed())
            meant = Cat(dut.valid, last, _logit(b, case, dut.valid, first, step, u, v, spike))
        for n in range(dut.latency):
            register = Signal(len(meant), name=f"meant_{n}")
            m.d.sync += register.eq(meant)
            meant = register
        if case.readout is None:
            b.check(dut.spike_valid & (dut.spike_last == meant[1]), meant[0])
            b.check(dut.spikes == meant[2:], meant[0])
        else:
            b.check(dut.logit_valid, meant[0] & meant[1])
            b.check(dut.logits == meant[2:34], meant[0] & meant[1])

    return Bench(dut, [], [], body, [dut.valid, dut.x])


def _inner(b: Bench, dut: NeuronScan, u: Value, p: dict[str, Value]) -> None:
    """The membrane before its reset, and its distance to the threshold: a clock before the spike.
    Claimed by themselves they are small steps for the prover."""
    meant = Cat(dut.valid, u, (u - p["threshold"])[:_WIDE])
    for n in range(dut.latency - 1):
        register = Signal(len(meant), name=f"inner_{n}")
        b.m.d.sync += register.eq(meant)
        meant = register
    b.check(_wide(b.inside("u_0")) == meant[1 : 1 + _WIDE].as_signed(), meant[0])
    if dut.params.fires:
        b.check(_wide(b.inside("margin_0")) == meant[1 + _WIDE :].as_signed(), meant[0])


def _logit(
    b: Bench,
    case: _Case,
    on: Value,
    first: Value,
    step: Value,
    u: Value,
    v: Value,
    spike: Value,
) -> Value:
    """What the readout is to say behind this step, 32 bits."""
    m = b.m
    if case.readout == "membrane":
        return Cat(v, v[-1].replicate(32 - _WIDE))
    kept, found = Signal(32, name="rule_kept"), Signal(name="rule_found")
    old, done = Mux(first, 0, kept), found & ~first
    if case.readout == "count":
        new = (old + spike)[:32]
    else:
        rank = (Cat(u, u[-1].replicate(32 - _WIDE)).as_signed() + (1 << (RANK_BITS - 1)))[:32]
        left = (case.steps - step) << RANK_BITS
        new = Mux(done, kept, (rank + Mux(spike, left, 0))[:32])
    with m.If(on):
        m.d.sync += [kept.eq(new), found.eq(done | spike)]
    return new


_T, _B, _V = {"threshold": (1, 7)}, {"bias": (-1, 2)}, {"v_init": (-2, 3)}
_CASES = {
    "if": _Case({}, {**_T, **_B, **_V}),
    "if_gaps": _Case({}, {**_T, **_V}, (-2, 1), gaps=2),
    "lif": _Case({"leak": Decay(2)}, {**_T, **_B, "reset_by": (-1, 4)}),
    "lif_half": _Case({"leak": Decay(1), "reset": "zero"}, {**_T, **_V}),
    "lif_two": _Case({"leak": Decay(1, 3), "fraction_bits": 2}, {**_T, **_B}),
    "lif_any": _Case({"leak": Decay(ratio=(11, 5)), "fraction_bits": 1}, {**_T, **_V}),
    "lif_any_zero": _Case({"leak": Decay(ratio=(9, 5)), "reset": "zero"}, {**_T, **_B}),
    "synapse_any": _Case({"synapse": Decay(ratio=(11, 5)), "leak": Decay(2)}, {**_T, **_B}),
    "lif_slow": _Case({"leak": Decay(5)}, {**_T, **_B}, steps=4),
    "once": _Case({"reset": "once", "leak": Decay(3)}, {**_T, **_B}),
    "delay": _Case({"delay": 1}, {**_T, "reset_by": (0, 4)}, gaps=1),
    "synapse": _Case({"synapse": Decay(1), "leak": Decay(2)}, {**_T, **_B}),
    "synapse_two": _Case({"synapse": Decay(2, 3)}, {**_T, **_V, "reset_by": (0, 4)}),
    "ramp": _Case({"synapse": "ramp", "reset": "zero"}, {**_T, **_B}),
    "floor": _Case({"leak": Decay(2)}, {**_T, **_B, "floor": (-3, 2)}, gaps=1),
    "floor_synapse": _Case({"synapse": Decay(1)}, {**_T, "floor": (-2, 1), "reset_by": (0, 4)}),
    "floor_membrane": _Case(
        {"reset": "none", "leak": Decay(2)}, {**_B, "floor": (-2, 1)}, readout="membrane"
    ),
    "membrane": _Case({"reset": "none", "leak": Decay(2)}, {**_B, **_V}, readout="membrane"),
    "count": _Case({"leak": Decay(2)}, {**_T, **_B}, readout="count"),
    "first": _Case({"reset": "none"}, {**_T, **_B}, readout="first_spike"),
}


def _proofs() -> list[Proof]:
    found = [
        Proof(
            f"decay_{name}",
            f"decay_value is (num*x + half) >> shift of 12 bits: {text}",
            lambda d=decays: _decay(d),
            "bmc",
            1,
        )
        for name, text, decays in (
            ("one", "1 - 2**-k, k = 1 to 12", [Decay(k) for k in range(1, 13)]),
            (
                "two",
                "1 - 2**-1 - 2**-k and others",
                [Decay(1, 2), Decay(1, 3), Decay(3, 2), Decay(2, 6), Decay(12, 1)],
            ),
            (
                "any",
                "num / 2**shift of up to seven signed digits",
                [Decay(ratio=r) for r in ((1, 3), (3686, 12), (2731, 12), (1, 12), (77, 7))],
            ),
        )
    ]

    def add(name: str, claim: str, case: _Case, component: type = NeuronScan) -> None:
        latency = NeuronScan.latency_of(_params(case))
        found.append(
            Proof(
                name,
                claim,
                lambda: _scan(case, component),
                "bmc",
                case.steps + latency + case.gaps,
                fails=name.startswith("fault_"),
                wild=("dut",),
            )
        )

    for name, case in _CASES.items():
        rule = ", ".join(f"{k} {v}" for k, v in case.rule.items()) or "no leak"
        rule += ", with a floor" if "floor" in case.spans else ""
        add(f"neuron_{name}", f"NeuronScan is the rule: {rule}, T = {case.steps}", case)
    carry = ("(~round_up & 1).as_unsigned()", "Const(0, 1)")
    narrow = (
        'margin = _data(bounds.width("margin"),',
        'margin = _data(bounds.width("margin") - 1,',
    )
    sinks = ("kept = kept if floor is None else _not_below(floor, kept)", "pass")
    forgets = ("~scan[1] & (fired | fire)", "fired | fire")
    found.append(
        Proof(
            "fault_decay",
            "decay_value that rounds down",
            lambda: _decay([Decay(3)], function=mutant(decay_value, *carry)),
            "bmc",
            1,
            fails=True,
        )
    )
    add(
        "fault_neuron_width",
        "NeuronScan with a margin one bit too narrow",
        _CASES["if"],
        mutant(NeuronScan, *narrow),
    )
    add(
        "fault_neuron_floor",
        "NeuronScan whose membrane has no floor",
        _CASES["floor"],
        mutant(NeuronScan, *sinks),
    )
    add(
        "fault_neuron_state",
        "NeuronScan that keeps the last visit's silence",
        _CASES["once"],
        mutant(NeuronScan, *forgets),
    )
    return found


PROOFS = _proofs()
