"""From scan results to stream beats: spikes of a visit to plane beats, logits to words."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.memory.shape import Memories, inside
from sterna.hw.stream.buffers import Fifo
from sterna.hw.stream.edge import Edge

__all__ = ["DONE_LATENCY", "BeatCollector", "WordSerializer"]

DONE_LATENCY = 1
"""Clocks from the leaving of a visit's last beat or word to ``visit_done``."""


class BeatCollector(wiring.Component):
    """Gathers ``edge.pb`` steps into a beat and keeps the beats of up to ``visits`` visits.

    The writer never looks: it must have a credit for every visit. Ports: in ``push``, ``last``
    (step T-1), ``spikes`` (lanes / turns); ``o``, stream of ``edge``; out ``visit_done``, a
    registered pulse when the last beat of a visit has left.

    With several ``turns`` all steps of the first lanes come first, then those of the next ones; T
    is then a multiple of ``edge.pb``. A beat is complete with its last step of the last turn.
    """

    latency = 1 + Fifo.latency
    """Clocks from a beat's last step to the beat: a register, then the FIFO."""

    o: stream.Interface

    def __init__(self, edge: Edge, visits: int, turns: int = 1):
        assert edge.lanes % turns == 0 and (turns == 1 or edge.planes % edge.pb == 0)
        self.edge, self.visits, self.turns = edge, visits, turns
        super().__init__(
            {
                "push": In(1),
                "last": In(1),
                "spikes": In(edge.lanes // turns),
                "visit_done": Out(1),
                "o": Out(stream.Signature(unsigned(edge.width))),
            }
        )

    @staticmethod
    def depth_of(edge: Edge, visits: int) -> int:
        """Beats of the FIFO."""
        return max(2, visits * edge.plane_beats)

    @staticmethod
    def memories_of(edge: Edge, visits: int) -> Memories:
        depth = BeatCollector.depth_of(edge, visits)
        return inside("fifo", Fifo.memories_of(edge.width, depth))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        e = self.edge
        m.submodules.fifo = fifo = Fifo(e.width, self.depth_of(e, self.visits))
        step = Signal(range(max(2, e.pb)))
        full = Signal()
        planes = self._moved(m) if self.turns > 1 else self._placed(m, step)
        ends = (step == e.pb - 1) | self.last
        with m.If(self.push):
            m.d.sync += step.eq(Mux(ends, 0, step + 1))
        m.d.sync += full.eq(self.push & ends & self._last_turn(m))
        m.d.comb += [
            fifo.i.payload.eq(Cat(planes)),
            fifo.i.valid.eq(full),
        ]
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        m.d.sync += self.visit_done.eq(_last_of(m, self.o.valid & self.o.ready, e.plane_beats))
        return m

    def _last_turn(self, m: Module) -> Value:
        if self.turns == 1:
            return Const(1, 1)
        turn = Signal(range(max(2, self.turns)))
        with m.If(self.push & self.last):
            m.d.sync += turn.eq(Mux(turn == self.turns - 1, 0, turn + 1))
        return turn == self.turns - 1

    def _placed(self, m: Module, step: Signal) -> list[Signal]:
        """One turn: every step goes where it belongs."""
        planes: list[Signal] = []
        for k in range(self.edge.pb):
            plane = Signal(self.edge.lanes, name=f"plane_{k}")
            with m.If(self.push):
                with m.If(step == k):
                    m.d.sync += plane.eq(self.spikes)
                with m.Elif(step == 0):
                    m.d.sync += plane.eq(0)  # planes past the last step are zero
            planes.append(plane)
        return planes

    def _moved(self, m: Module) -> list[Value]:
        """Several turns: all that came moves on by a step; a turn is then its steps further, so
        the latest steps of all turns lie at the same distance, and no place needs a choice."""
        e = self.edge
        stages: list[list[Signal]] = []
        value: Value = self.spikes
        for turn in range(self.turns):
            stages.insert(0, [])
            for k in range(e.planes):
                stage = Signal(len(self.spikes), name=f"stage_{turn}_{k}", reset_less=True)
                with m.If(self.push):
                    m.d.sync += stage.eq(value)
                stages[0].append(stage)
                value = stage
        return [lanes[e.pb - 1 - k] for k in range(e.pb) for lanes in stages]


class WordSerializer(wiring.Component):
    """Sends ``count`` words of ``width`` bits, given side by side, one after another.

    Ports: in ``push``, ``words``; ``o``, stream of unsigned(width); out ``visit_done``. A visit is
    ``turns`` pushes; those of up to ``visits`` visits are kept, and each visit must hold a credit.
    """

    latency = Fifo.latency + 1
    """Clocks from a push to its first word: the FIFO, then a register."""

    o: stream.Interface

    def __init__(self, count: int, width: int, visits: int, turns: int = 1):
        self.count, self.width, self.visits, self.turns = count, width, visits, turns
        super().__init__(
            {
                "push": In(1),
                "words": In(count * width),
                "visit_done": Out(1),
                "o": Out(stream.Signature(unsigned(width))),
            }
        )

    @staticmethod
    def depth_of(visits: int, turns: int) -> int:
        """Pushes in the FIFO."""
        return max(2, visits * turns)

    @staticmethod
    def memories_of(count: int, width: int, visits: int, turns: int) -> Memories:
        depth = WordSerializer.depth_of(visits, turns)
        return inside("fifo", Fifo.memories_of(count * width, depth))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.depth_of(self.visits, self.turns)
        m.submodules.fifo = fifo = Fifo(self.count * self.width, depth)
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
        m.d.sync += self.visit_done.eq(_last_of(m, (left == 1) & self.o.ready, self.turns))
        return m


def _last_of(m: Module, event: Value, count: int) -> Value:
    """The event, only at its ``count``-th time."""
    if count == 1:
        return event
    seen = Signal(range(count))
    with m.If(event):
        m.d.sync += seen.eq(Mux(seen == count - 1, 0, seen + 1))
    return event & (seen == count - 1)
