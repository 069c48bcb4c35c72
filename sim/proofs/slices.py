"""Downsizer and Upsizer, of which a gearbox is made: each slice once, in order, in its place.

Slices are numbered, modulo several periods; the prover picks any number.
"""

from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Mux, Signal, Value

from sterna.hw.stream.slices import Downsizer, Upsizer
from sterna.sim.proofs.buffers import buffer_contents
from sterna.sim.proofs.kit import Bench, Proof, counter, mutant, taken

__all__ = ["PROOFS"]

_WIDTH = 2


class _Slices:
    """Numbers of slices on their way: ``given`` and ``gone`` by words of many slices."""

    def __init__(self, b: Bench, dut: Any):
        self.b, self.parts, self.period, self.last = b, dut.parts, dut.period, dut.last
        self.cycle = (dut.period - 1) * dut.parts + dut.last  # slices a period
        # More than twice what can be inside: a whole beat, and two slices in a buffer.
        self.count = self.cycle * -(-2 * (dut.parts + 3) // self.cycle)
        self.number = AnyConst(range(self.count).stop.bit_length())
        b.assume(self.number < self.count)

    def size(self, beat: Value) -> Value:
        """Slices of beat number ``beat`` of a period."""
        return Mux(beat == self.period - 1, self.last, self.parts)

    def position(self, event: Value, step: Value | int, name: str) -> Signal:
        """The number of the first slice that has not passed."""
        here = Signal(range(2 * self.count), name=name)
        with self.b.m.If(event):
            self.b.m.d.sync += here.eq(self.modulo(here + step))
        self.b.check(here < self.count)
        return here

    def modulo(self, value: Value) -> Value:
        """Of a value below twice the count."""
        return Mux(value >= self.count, value - self.count, value)

    def between(self, start: Value, end: Value, name: str) -> Signal:
        """``end - start``, round the count."""
        distance = Signal(range(2 * self.count), name=name)
        self.b.m.d.comb += distance.eq(self.modulo(end + self.count - start))
        return distance


def _cut(parts: int, period: int, last: int, component: type = Downsizer, invariants: bool = True):
    dut = component(_WIDTH, parts, period=period, last=last)

    def body(b: Bench) -> None:
        s = _Slices(b, dut)
        in_beat = counter(b, taken(dut.i), period, "in_beat")
        given = s.position(taken(dut.i), s.size(in_beat), "given")
        gone = s.position(taken(dut.o), 1, "gone")
        fill = s.between(gone, given, "fill")
        offset = s.between(gone, s.number, "offset")
        ahead = s.between(given, s.number, "ahead")  # which slice of the beat that enters
        note = Signal(_WIDTH, name="note")
        with b.m.If(taken(dut.i) & (ahead < s.size(in_beat))):
            b.m.d.sync += note.eq(dut.i.payload.word_select(ahead, _WIDTH))
        b.check(fill <= parts + 2)
        b.check(fill != 0, dut.o.valid)
        b.check(dut.o.payload == note, dut.o.valid & (offset == 0))
        if not invariants:
            return
        count, (front, back) = buffer_contents(b.inside.part("buffer"))
        busy, index, held = b.inside("busy"), b.inside("index"), b.inside("held")
        beat = b.inside("beat") if last < parts and period > 1 else Signal(1, name="no_beat")
        b.check((beat < period) & (in_beat == Mux(beat + busy == period, 0, beat + busy)))
        b.check(index < s.size(beat), busy)
        rest = Mux(busy, s.size(beat) - index, 0)
        b.check(fill == (count + rest)[: len(fill)])
        # Where the period begins: at the number of the beat that is being cut, less its place.
        place = sum((Mux(beat == k, k * parts, 0) for k in range(period)), 0)
        start = s.between(Mux(busy, index, 0) + place, s.modulo(gone + count), "start")
        b.check(_multiple(start, s))
        here = offset < fill
        b.check(front == note, here & (offset == 0) & (count != 0))
        b.check(back == note, here & (offset == 1) & (count == 2))
        word = held.word_select((offset - count)[: len(index)], _WIDTH)
        b.check(word == note, here & (offset >= count))

    return Bench(dut, ["i"], ["o"], body)


def _multiple(start: Value, s: _Slices) -> Value:
    return start.matches(*(k * s.cycle for k in range(s.count // s.cycle)))


def _join(parts: int, period: int, last: int, component: type = Upsizer, invariants: bool = True):
    dut = component(_WIDTH, parts, period=period, last=last)

    def body(b: Bench) -> None:
        s = _Slices(b, dut)
        out_beat = counter(b, taken(dut.o), period, "out_beat")
        given = s.position(taken(dut.i), 1, "given")
        gone = s.position(taken(dut.o), s.size(out_beat), "gone")
        fill = s.between(gone, given, "fill")
        offset = s.between(gone, s.number, "offset")
        note = Signal(_WIDTH, name="note")
        with b.m.If(taken(dut.i) & (given == s.number)):
            b.m.d.sync += note.eq(dut.i.payload)
        b.check(fill <= parts + 2)
        b.check(fill >= s.size(out_beat), dut.o.valid)
        chosen = dut.o.payload.word_select(offset, _WIDTH)
        b.check(chosen == note, dut.o.valid & (offset < s.size(out_beat)))
        for k in range(last, parts):  # nothing but zeros above a short beat's slices
            high = dut.o.payload.word_select(k, _WIDTH)
            b.check(high == 0, dut.o.valid & (out_beat == period - 1))
        if not invariants:
            return
        count, (front, back) = buffer_contents(b.inside.part("buffer"))
        full, index = b.inside("full"), b.inside("index")
        beat = b.inside("beat") if last < parts and period > 1 else Signal(1, name="no_beat")
        b.check((beat < period) & (beat == Mux(out_beat + full == period, 0, out_beat + full)))
        b.check(index < s.size(beat))
        b.check(index == 0, full)
        joined = Mux(full, s.size(out_beat), index)
        b.check(fill == (count + joined)[: len(fill)])
        place = sum((Mux(out_beat == k, k * parts, 0) for k in range(period)), 0)
        b.check(_multiple(s.between(place, gone, "start"), s))
        here = offset < fill
        for k in range(parts):
            part = b.inside(f"slice_{k}")
            b.check(part == note, here & (offset == k) & (k < joined))
            if k >= last:  # the others come anew in every beat
                b.check(part == 0, (joined != 0) & (k >= joined))
        later = s.between(joined, offset, "later")
        b.check(front == note, here & (offset >= joined) & (later == 0))
        b.check(back == note, here & (offset >= joined) & (later == 1))

    return Bench(dut, ["i"], ["o"], body)


# parts, period, slices of the last beat of a period
_CASES = ((2, 1, 2), (3, 1, 3), (4, 1, 4), (2, 1, 1), (2, 2, 1), (4, 2, 3), (3, 3, 2))


def _proofs() -> list[Proof]:
    found = []
    for parts, period, last in _CASES:
        text = f"{parts} slices"
        if last < parts:
            text += f", {last} of one beat in {period}"
        for kind, build in (("cut", _cut), ("join", _join)):
            found.append(
                Proof(
                    f"{kind}_{parts}_{period}_{last}",
                    f"{kind.capitalize()} of {text}",
                    lambda f=build, a=(parts, period, last): f(*a),
                    "prove",
                    2,
                )
            )
    no_turn = ("step_counter(m, beat, self.period)\n        # The", "pass\n        # The")
    keeps = ("part.eq(Const(0, self.width))", "part.eq(part)")
    found += [
        Proof(
            "fault_cut",
            "Downsizer that does not count beats",
            lambda: _cut(2, 2, 1, mutant(Downsizer, *no_turn), False),
            "bmc",
            12,
            fails=True,
        ),
        Proof(
            "fault_join",
            "Upsizer that leaves old slices above a short beat",
            lambda: _join(3, 3, 2, mutant(Upsizer, *keeps), False),
            "bmc",
            14,
            fails=True,
        ),
    ]
    return found


PROOFS = _proofs()
