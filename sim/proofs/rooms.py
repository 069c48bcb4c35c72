"""Whoever writes without looking: credits, collectors, serializers, feeders and word assemblers.

Their callers promise something instead (a credit for every visit, a distance between pulses), and
what is proven is that under the promise nothing is ever full, overwritten or counted wrong.
"""

from collections.abc import Callable
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.core.accumulate import StepFeeder
from sterna.hw.core.credit import Credit
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.memory.word_assembler import WordAssembler
from sterna.hw.neuron.collector import BeatCollector, WordSerializer
from sterna.hw.stream.edge import Edge
from sterna.sim.proofs.buffers import fifo_claims
from sterna.sim.proofs.kit import Bench, Proof, counter, mutant

__all__ = ["PROOFS"]


def _credit(count: int, start: int | None = None, component: type = Credit) -> Bench:
    dut = component(count, start)

    def body(b: Bench) -> None:
        # What is not left is owed: it may be given back, and no more than that.
        left = b.inside("left")
        owed = Signal(range(count + 1), init=count - dut.start, name="owed")
        b.m.d.sync += owed.eq(owed + dut.take - dut.give)
        b.assume(~dut.take | dut.some)
        b.assume(~dut.give | (owed != 0) | dut.take)
        b.check((left <= count) & (owed <= count) & (left + owed == count))
        b.check(dut.some == (left != 0))

    return Bench(dut, [], [], body, [dut.take, dut.give])


class _Visits(wiring.Component):
    """A core's end: a credit a visit, then its pushes, as late as they like, and the output.

    Members: in ``start`` (only with a credit), ``push`` (only what a visit still owes); out
    ``some``; the output's stream is ``out.o``.
    """

    def __init__(self, out: Any, visits: int, pushes: int):
        self.out, self.visits, self.pushes = out, visits, pushes
        self.credit = Credit(visits)
        super().__init__(
            {
                "start": In(1),
                "push": In(1),
                "some": Out(1),
                "owed": Out(range(visits + 1)),
                "at": Out(range(max(2, pushes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.credit, m.submodules.out = self.credit, self.out
        over = Signal(name="over")
        m.d.comb += [
            self.credit.take.eq(self.start),
            self.some.eq(self.credit.some),
            self.credit.give.eq(self.out.visit_done),
            self.out.push.eq(self.push),
            over.eq(self.push & (self.at == self.pushes - 1)),
        ]
        m.d.sync += self.owed.eq(self.owed + self.start - over)
        with m.If(self.push):
            m.d.sync += self.at.eq(Mux(over, 0, self.at + 1))
        return m


def _visits(b: Bench, dut: _Visits) -> tuple[Value, Value]:
    """The promise; returns visits that are under way by the credits, and the FIFO's level."""
    b.assume(~dut.start | dut.some)
    b.assume(~dut.push | (dut.owed != 0))
    left = b.inside.part("credit")("left")
    b.check((left <= dut.visits) & (dut.some == (left != 0)))
    b.check((dut.owed <= dut.visits) & (dut.at < dut.pushes) & ((dut.owed != 0) | (dut.at == 0)))
    return dut.visits - left, fifo_claims(b, b.inside.part("out").part("fifo"))


def _collector(
    edge: Edge,
    visits: int,
    turns: int = 1,
    component: type = BeatCollector,
    invariants: bool = True,
) -> Bench:
    out = component(edge, visits, turns)
    steps = edge.planes
    dut = _Visits(out, visits, steps * turns)

    def body(b: Bench) -> None:
        inside = b.inside.part("out")
        at_step = Array(k % steps for k in range(steps * turns))[dut.at]
        b.m.d.comb += out.last.eq(at_step == steps - 1)
        busy, level = _visits(b, dut)
        room = inside.part("fifo")("room")
        b.check(room, inside("full") & b.started)  # never full at a push
        if not invariants:
            return
        beats = edge.plane_beats
        seen = inside("seen") if beats > 1 else Signal(1, name="no_beat")
        step = inside("step")
        b.check(step == Array(k % steps % edge.pb for k in range(steps * turns))[dut.at])
        if turns > 1:
            turn = inside("turn")
            b.check(turn == Array(k // steps for k in range(steps * turns))[dut.at])
        done = Array(max(0, k - steps * (turns - 1)) // edge.pb for k in range(steps * turns))
        # Beats of the visits under way: still to be made, on their way, kept, or gone already.
        made = beats * dut.owed - done[dut.at] + inside("full") + level
        b.check((seen < beats) & (made + seen + beats * out.visit_done == beats * busy))

    free = [dut.start, dut.push, out.spikes]
    bench = Bench(dut, [], [], body, [*free, out.o.ready])
    return bench


def _serializer(
    count: int, visits: int, turns: int, component: type = WordSerializer, invariants: bool = True
) -> Bench:
    out = component(count, 1, visits, turns)
    dut = _Visits(out, visits, turns)

    def body(b: Bench) -> None:
        inside = b.inside.part("out")
        busy, level = _visits(b, dut)
        b.check(inside.part("fifo")("room"), out.push & b.started)  # never full at a push
        # Nothing is pushed in the first clock: a credit must be taken before.
        if not invariants:
            return
        left = inside("left")
        seen = inside("seen") if turns > 1 else Signal(1, name="no_turn")
        b.check((left <= count) & (seen < turns))
        b.check(
            turns * dut.owed - dut.at + level + (left != 0) + seen + turns * out.visit_done
            == turns * busy
        )

    return Bench(dut, [], [], body, [dut.start, dut.push, out.words, out.o.ready])


def _feeder(component: type = StepFeeder, near: int = 0, **shape: Any) -> Bench:
    """Visits' pulses at least ``steps`` clocks apart: every step comes out once, as it went in."""
    dut = component(pe=1, in_width=2, width=shape.pop("width", 2), **shape)
    steps, banks = dut.steps, dut.banks
    per_step = dut.parts if dut.sums == 1 else 1
    pulses = 1 if dut.hold else per_step * -(-steps // dut.sums)

    def body(b: Bench) -> None:
        m = b.m
        place = counter(b, dut.ready_z, pulses * banks, "place")
        visit = counter(b, dut.ready_z & (place % pulses == pulses - 1), 4 * banks, "visit")
        # The promise: the n-th pulse of a visit at least ``steps`` clocks after that of the
        # visit of the same bank before it.
        for n in range(pulses * banks):
            since = Signal(range(steps + 1), init=steps, name=f"since_{n}")
            mine = dut.ready_z & (place == n)
            m.d.sync += since.eq(Mux(mine, 1, Mux(since == steps, steps, since + 1)))
            b.assume(~mine | (since >= steps - near))
        if dut.sums > 1:
            # Plane groups of a visit come without a gap longer than their steps take.
            gap = Signal(range(dut.sums + 1), name="gap")
            m.d.sync += gap.eq(Mux(dut.ready_z | (place % pulses == 0), 0, gap + 1))
            b.assume(dut.ready_z | (place % pulses == 0) | (gap < dut.sums - 1))
        chosen, step = AnyConst(range(4 * banks)), AnyConst(range(steps))
        b.assume((chosen < 4 * banks) & (step < steps))
        note = Signal(dut.width, name="note")
        _note_step(b, dut, visit, place, pulses, chosen, step, note)
        for bank in range(banks):
            x = dut.x.word_select(bank, dut.width)
            at = counter(b, dut.valid[bank], steps, f"at_{bank}")
            gone = counter(b, dut.valid[bank] & (at == steps - 1), 4, f"gone_{bank}")
            b.check(dut.first[bank] == (at == 0), dut.valid[bank])
            b.check(dut.last[bank] == (at == steps - 1), dut.valid[bank])
            which = dut.valid[bank] & (gone * banks + bank == chosen) & (at == step)
            b.check(x == note, which)

    return Bench(dut, [], [], body, [dut.ready_z, dut.z])


def _note_step(
    b: Bench,
    dut: StepFeeder,
    visit: Value,
    place: Value,
    pulses: int,
    chosen: Value,
    step: Value,
    note: Signal,
) -> None:
    """What step ``step`` of visit ``chosen`` is to be, from its pulses."""
    mine, pulse = dut.ready_z & (visit == chosen), place % pulses
    fields = [dut.z.word_select(n, dut.in_width).as_signed() for n in range(dut.sums)]
    if dut.hold:
        with b.m.If(mine):
            b.m.d.sync += note.eq(fields[0])
    elif dut.parts > 1:
        part = pulse - step * dut.parts
        for k in range(dut.parts):
            with b.m.If(mine & (part == k)):
                total = (0 if k == 0 else note.as_signed()) + (fields[0] << (k * dut.part_bits))
                b.m.d.sync += note.eq(total)
    else:
        for n, field in enumerate(fields):
            with b.m.If(mine & (pulse * dut.sums + n == step)):
                b.m.d.sync += note.eq(field)


def _assembler(
    reads: int, apart: int, component: type = WordAssembler, near: int = 0, words: int = 3
) -> Bench:
    """Fetches at least ``reads`` clocks apart: the word is there, whole, from its clock on."""
    dut = component(words, 2 * reads, reads, apart)

    def body(b: Bench) -> None:
        m = b.m
        rows = Array(AnyConst(2) for _ in range(words * reads))
        # The memory: a row, so many clocks after its address.
        data: Value = Mux(dut.addr < words * reads, rows[dut.addr], 0)
        for n in range(WeightMemory.latency):
            register = Signal(2, name=f"memory_{n}")
            m.d.sync += register.eq(data)
            data = register
        m.d.comb += dut.data.eq(data)
        since = Signal(range(reads + 1), init=reads, name="since")
        m.d.sync += since.eq(Mux(dut.fetch, 1, Mux(since == reads, reads, since + 1)))
        b.assume(~dut.fetch | (since >= reads - near))
        which, begun = Signal(range(words), name="which"), Signal(name="begun")
        b.assume(~dut.fetch | ~dut.on | (begun & (which != words - 1)))
        with m.If(dut.fetch):
            m.d.sync += [which.eq(Mux(dut.on, which + 1, 0)), begun.eq(1)]
        meant: Value = Cat(which, begun)
        for n in range(dut.latency - 1):
            late = Signal(len(meant), name=f"meant_{n}")
            m.d.sync += late.eq(meant)
            meant = late
        word = Array(Cat(rows[w * reads + k] for k in range(reads)) for w in range(words))
        b.check(dut.word == word[meant[:-1]], meant[-1])

    return Bench(dut, [], [], body, [dut.fetch, dut.on])


_COLLECTORS = {
    "1": (Edge(2, 2, 3, 3), 2, 1),
    "2": (Edge(2, 2, 3, 2), 2, 1),
    "3": (Edge(1, 1, 3, 1), 3, 1),
    "turns": (Edge(4, 4, 2, 1), 2, 2),
}
_FEEDERS = {
    "plain": {"sums": 1, "steps": 3},
    "held": {"sums": 1, "steps": 3, "hold": True},
    "parts": {"sums": 1, "steps": 2, "parts": 2, "part_bits": 1, "width": 4},
    "sums": {"sums": 2, "steps": 3},
    "all": {"sums": 3, "steps": 3},
    "banks": {"sums": 2, "steps": 2, "banks": 2},
}


def _proofs() -> list[Proof]:
    found = [
        Proof(
            f"credit_{name}",
            f"Credit of {count}: left <= count, never below 0",
            lambda c=count, s=start: _credit(c, s),
            "prove",
            2,
            quick=name == "3",
        )
        for name, count, start in (("1", 1, None), ("3", 3, None), ("empty", 3, 0))
    ]

    def add(name: str, claim: str, build: Callable[[], Bench], mode: str, depth: int) -> None:
        found.append(Proof(name, claim, build, mode, depth, fails=name.startswith("fault_")))

    for name, (edge, visits, turns) in _COLLECTORS.items():
        text = f"BeatCollector of {visits} visits of {edge.plane_beats} beats, {turns} turns"
        add(
            f"collector_{name}",
            f"{text}: never full at a push",
            lambda a=(edge, visits, turns): _collector(*a),
            "prove",
            2,
        )
    for count, visits, turns in ((1, 2, 1), (3, 2, 1), (2, 2, 2)):
        add(
            f"serializer_{count}_{visits}_{turns}",
            f"WordSerializer of {count}, {visits} visits, {turns} turns: never full at a push",
            lambda a=(count, visits, turns): _serializer(*a),
            "prove",
            2,
        )
    for name, shape in _FEEDERS.items():
        add(
            f"feeder_{name}",
            f"StepFeeder {shape}: no step is overwritten",
            lambda s=shape: _feeder(**s),
            "bmc",
            14,
        )
    for reads, apart in ((2, 0), (2, 1), (3, 1), (4, 0)):
        add(
            f"assembler_{reads}_{apart}",
            f"WordAssembler of {reads} reads, {apart} apart: every word is whole",
            lambda r=reads, a=apart: _assembler(r, a),
            "bmc",
            16,
        )
    soon = (
        "_last_of(m, self.o.valid & self.o.ready, e.plane_beats)",
        "self.o.valid & self.o.ready",
    )
    turn = ("_last_of(m, (left == 1) & self.o.ready, self.turns)", "fifo.o.valid & fifo.o.ready")
    more = ("left.eq(left + Mux(self.give, 1, -1))", "left.eq(left + Mux(self.give, 1, 0))")
    add(
        "fault_credit",
        "Credit that is never used up",
        lambda: _credit(3, None, mutant(Credit, *more)),
        "bmc",
        8,
    )
    add(
        "fault_collector",
        "BeatCollector that gives a credit back a beat",
        lambda: _collector(*_COLLECTORS["3"], mutant(BeatCollector, *soon), False),
        "bmc",
        20,
    )
    add(
        "fault_serializer",
        "WordSerializer that gives a credit back at the first turn",
        lambda: _serializer(2, 2, 2, mutant(WordSerializer, *turn), False),
        "bmc",
        20,
    )
    add(
        "fault_feeder",
        "StepFeeder whose visits come a clock too soon",
        lambda: _feeder(near=1, **_FEEDERS["sums"]),
        "bmc",
        14,
    )
    add(
        "fault_assembler",
        "WordAssembler whose fetches come a clock too soon",
        lambda: _assembler(3, 1, near=1),
        "bmc",
        16,
    )
    return found


PROOFS = _proofs()
