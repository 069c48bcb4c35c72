"""From scan results to stream beats: spikes of a visit to plane beats, logits to words."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.fifo import Fifo
from sterna.hw.stream import Edge

__all__ = ["BeatCollector", "WordSerializer"]


class BeatCollector(wiring.Component):
    """Gathers ``edge.pb`` steps into a beat and keeps the beats of up to ``visits`` visits.

    The writer never looks: it must have a credit for every visit. Ports: in ``push``, ``last``
    (step T-1), ``spikes`` (lanes); ``o``, stream of ``edge``; out ``visit_done``, a registered
    pulse when the last beat of a visit has left.
    """

    o: stream.Interface

    def __init__(self, edge: Edge, visits: int):
        self.edge, self.visits = edge, visits
        super().__init__(
            {
                "push": In(1),
                "last": In(1),
                "spikes": In(edge.lanes),
                "visit_done": Out(1),
                "o": Out(stream.Signature(unsigned(edge.width))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        e = self.edge
        m.submodules.fifo = fifo = Fifo(e.width, max(2, self.visits * e.plane_beats))
        step = Signal(range(max(2, e.pb)))
        beat = Signal(e.width)
        full = Signal()
        planes: list[Value] = []
        for k in range(e.pb):
            plane = Signal(e.lanes, name=f"plane_{k}")
            with m.If(self.push):
                with m.If(step == k):
                    m.d.sync += plane.eq(self.spikes)
                with m.Elif(step == 0):
                    m.d.sync += plane.eq(0)  # planes past the last step are zero
            planes.append(plane)
        ends = (step == e.pb - 1) | self.last
        with m.If(self.push):
            m.d.sync += step.eq(Mux(ends, 0, step + 1))
        m.d.sync += full.eq(self.push & ends)
        m.d.comb += [
            beat.eq(Cat(planes)),
            fifo.i.payload.eq(beat),
            fifo.i.valid.eq(full),
        ]
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        m.d.sync += self.visit_done.eq(
            _last_of(m, self.o.valid & self.o.ready, e.plane_beats)
        )
        return m


class WordSerializer(wiring.Component):
    """Sends ``count`` words of ``width`` bits, given side by side, one after another.

    Ports: in ``push``, ``words``; ``o``, stream of unsigned(width); out ``visit_done``. Pushes are
    kept for up to ``visits`` visits and must hold a credit each.
    """

    o: stream.Interface

    def __init__(self, count: int, width: int, visits: int):
        self.count, self.width, self.visits = count, width, visits
        super().__init__(
            {
                "push": In(1),
                "words": In(count * width),
                "visit_done": Out(1),
                "o": Out(stream.Signature(unsigned(width))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.fifo = fifo = Fifo(self.count * self.width, max(2, self.visits))
        left = Signal(range(self.count + 1))
        shift = Signal(self.count * self.width)
        m.d.comb += [
            fifo.i.payload.eq(self.words),
            fifo.i.valid.eq(self.push),
            self.o.valid.eq(left != 0),
            self.o.payload.eq(shift[: self.width]),
            fifo.o.ready.eq((left == 0) | ((left == 1) & self.o.ready)),
        ]
        with m.If(fifo.o.valid & fifo.o.ready):
            m.d.sync += [left.eq(self.count), shift.eq(fifo.o.payload)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [left.eq(left - 1), shift.eq(shift >> self.width)]
        m.d.sync += self.visit_done.eq((left == 1) & self.o.ready)
        return m


def _last_of(m: Module, event: Value, count: int) -> Value:
    """The event, only at its ``count``-th time."""
    if count == 1:
        return event
    seen = Signal(range(count))
    with m.If(event):
        m.d.sync += seen.eq(Mux(seen == count - 1, 0, seen + 1))
    return event & (seen == count - 1)
