"""Pools: a core for streams (sum, max, or, first, over any window and stride, on planes as they
come), and the largest sums of a window in front of a neuron."""

from dataclasses import dataclass
from typing import ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.bounds import signed_bits
from sterna.golden.errors import DesignError
from sterna.hw.core.credit import Credit
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.law import Delays, visit_terms
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.core.walker import Loop, Walker
from sterna.hw.memory.delay import delay
from sterna.hw.memory.shape import Memories, MemoryShape, inside
from sterna.hw.stream.buffers import Fifo, counter_of, step_counter
from sterna.hw.stream.edge import Edge

__all__ = ["LargestSums", "PoolSpec", "PoolWalk", "SpikingPool"]

REGISTER_TURNS = 4
"""Up to this many pulses of a position are kept in registers; beyond, in LUT RAM."""


@dataclass(frozen=True)
class PoolSpec:
    """geometry: window over the input (pb a multiple of ``bits``). mode: sum, max, or, first.
    bits, out_bits: of one value before and after; steps: T."""

    stalls: ClassVar[bool] = True
    geometry: Geometry
    mode: str
    bits: int
    out_bits: int
    steps: int

    def __post_init__(self) -> None:
        if self.geometry.edge.pb % self.bits:
            raise DesignError(
                f"a pool needs whole values in a beat: pb {self.geometry.edge.pb} is not a "
                f"multiple of {self.bits} bits"
            )

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """Of its line buffers."""
        return (self.geometry,)

    @property
    def beat_steps(self) -> int:
        return self.geometry.edge.pb // self.bits

    @property
    def out_edge(self) -> Edge:
        e, bits = self.geometry.edge, self.out_bits
        return Edge(e.channels, e.lanes, self.steps * bits, self.beat_steps * bits)

    @property
    def visit_clocks(self) -> int:
        return self.geometry.kernel[0] * self.geometry.kernel[1]

    def law(self) -> dict[str, int]:
        """See `sterna.hw.core.law`: a visit makes one beat, of one window pixel a clock."""
        g = self.geometry
        visits = g.out_height * g.out_width * g.edge.beats_per_pixel
        return visit_terms(visits, self.visit_clocks, g.input_beats, 1)

    @property
    def interval(self) -> int:
        """Clocks an image."""
        return max(self.law().values())

    @property
    def credits(self) -> int:
        """Visits between a start and its beat's leaving; more only costs FIFO words."""
        return -(-(LineBuffer.latency + 10) // self.visit_clocks) + 2

    @property
    def fifo_depth(self) -> int:
        return max(2, self.credits)

    def delays(self) -> Delays:
        """The value and its ``done`` are registers in front of the FIFO."""
        last = self.visit_clocks - 1 + Walker.latency + LineBuffer.latency
        return Delays((last + 1 + Fifo.latency,), 1 + Credit.latency)

    def memories(self) -> Memories:
        """What a `SpikingPool` makes, by its place."""
        fifo = Fifo.memories_of(self.out_edge.width, self.fifo_depth)
        buffer = LineBuffer.memories_of(self.geometry)
        return inside("buffer", buffer) | inside("fifo", fifo)

    def loops(self) -> list[Loop]:
        g, e = self.geometry, self.geometry.edge
        return [
            Loop("group", e.groups, words=e.plane_beats, visit=True),
            Loop("beat", e.plane_beats, words=1, visit=True),
            Loop("row", g.kernel[0], rows=1),
            Loop("column", g.kernel[1], words=e.beats_per_pixel, columns=1),
        ]


class SpikingPool(wiring.Component):
    """Line buffer -> one window pixel a clock -> sum, largest, or, or earliest spike.

    Ports: ``i``, stream of ``spec.geometry.edge``; ``o``, stream of ``spec.out_edge``; out
    ``stalled``: the core waits for room at its output.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, spec: PoolSpec):
        self.spec = spec
        g = spec.geometry
        self.loops = spec.loops()
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(g.edge.width))),
                "o": Out(stream.Signature(unsigned(spec.out_edge.width))),
                "stalled": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s, g = self.spec, self.spec.geometry
        m.submodules.walker = walker = Walker(g.out_height, g.out_width, self.loops, s.visit_clocks)
        m.submodules.buffer = buffer = LineBuffer(g, self.loops)
        m.submodules.credit = credit = Credit(s.credits)
        m.submodules.fifo = fifo = Fifo(s.out_edge.width, s.fifo_depth)
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        m.d.comb += [
            walker.rows_ok.eq(buffer.rows_ok),
            walker.go.eq(credit.some),
            credit.take.eq(walker.start),
            self.stalled.eq(~credit.some),
            buffer.row_end.eq(walker.row_end),
            buffer.image_end.eq(walker.image_end),
            buffer.valid.eq(walker.valid),
            buffer.step.eq(walker.step),
            buffer.top.eq(walker.top),
        ]
        m.d.sync += credit.give.eq(self.o.valid & self.o.ready)
        flags: Value = Cat(
            walker.valid, walker.first[2:].all(), walker.last[2:].all(), walker.first[1]
        )
        flags = delay(m, flags, LineBuffer.latency, "flags_{0}")
        values = self._combine(m, buffer.word, flags)
        done = Signal()
        early = Signal()
        m.d.sync += [done.eq(flags[0] & flags[2]), early.eq(flags[3])]
        if s.mode == "first":
            values = self._earliest(m, values, done, early)
        m.d.comb += [fifo.i.valid.eq(done), fifo.i.payload.eq(self._planes(values))]
        return m

    def _combine(self, m: Module, word: Value, flags: Value) -> list[list[Value]]:
        """Registers [step in beat][lane] of the window's sum, largest or union so far."""
        s, lanes = self.spec, self.spec.geometry.edge.lanes
        out: list[list[Value]] = []
        for step in range(s.beat_steps):
            row: list[Value] = []
            for lane in range(lanes):
                value = Cat(word[(step * s.bits + k) * lanes + lane] for k in range(s.bits))
                total = Signal(s.out_bits, name=f"value_{step}_{lane}", reset_less=True)
                old = Mux(flags[1], 0, total)
                with m.If(flags[0]):
                    if s.mode == "max" and s.bits > 1:
                        m.d.sync += total.eq(Mux(flags[1] | (value > total), value, total))
                    else:
                        m.d.sync += total.eq(old + value if s.mode == "sum" else old | value)
                row.append(total)
            out.append(row)
        return out

    def _earliest(
        self, m: Module, values: list[list[Value]], done: Signal, early: Signal
    ) -> list[list[Value]]:
        """Only the first spike of each lane; ``early``: the beat holds step 0."""
        out: list[list[Value]] = [[] for _ in values]
        for lane in range(self.spec.geometry.edge.lanes):
            fired = Signal(name=f"fired_{lane}")
            seen: Value = fired & ~early
            for step, row in enumerate(values):
                out[step].append(row[lane] & ~seen)
                seen = seen | row[lane]
            with m.If(done):
                m.d.sync += fired.eq(seen)
        return out

    def _planes(self, values: list[list[Value]]) -> Value:
        bits = range(self.spec.out_bits)
        return Cat(value[k] for row in values for k in bits for value in row)


@dataclass(frozen=True)
class PoolWalk:
    """How a front walks over the positions of a pool: ``groups`` visits a pixel of ``geometry``'s
    outputs, each of all positions of the pool, rows first."""

    geometry: Geometry
    groups: int

    def place(self, m: Module, step: Value) -> tuple[Value, Value, Value]:
        """(first, last position of a visit; it lies in the padding), by the place on the map, which
        goes on at ``step``."""
        g, (top, _, left, _) = self.geometry, self.geometry.pool_padding
        sizes = (g.out_height, g.out_width, self.groups, *g.pool)
        counters = [counter_of(n, name=f"count_{k}") for k, n in enumerate(sizes)]
        at_last = [c == n - 1 for c, n in zip(counters, sizes, strict=True)]
        reach = (
            signed_bits(-pad, count * s + q)
            for pad, count, s, q in zip((top, left), sizes[:2], g.pool_stride, g.pool, strict=True)
        )
        high, wide = map(signed, reach)
        y, row = Signal(high, name="y", init=-top), Signal(high, name="row", init=-top)
        x, column = Signal(wide, name="x", init=-left), Signal(wide, name="column", init=-left)
        with m.If(step):
            # From the innermost loop outwards: each that turns over lets the next one go on.
            m.d.sync += x.eq(x + 1)
            step_counter(m, counters[4], sizes[4])
            with m.If(at_last[4]):
                m.d.sync += [x.eq(column), y.eq(y + 1)]
                step_counter(m, counters[3], sizes[3])
                with m.If(at_last[3]):
                    m.d.sync += y.eq(row)
                    step_counter(m, counters[2], sizes[2])
                    with m.If(at_last[2]):
                        right = column + g.pool_stride[1]
                        m.d.sync += [x.eq(right), column.eq(right)]
                        step_counter(m, counters[1], sizes[1])
                        with m.If(at_last[1]):
                            down = Mux(at_last[0], -top, row + g.pool_stride[0])
                            m.d.sync += [x.eq(-left), column.eq(-left), y.eq(down), row.eq(down)]
                            step_counter(m, counters[0], sizes[0])
        first = (counters[3] == 0) & (counters[4] == 0)
        rows, columns = g.places
        outside = (y < 0) | (y >= rows) | (x < 0) | (x >= columns)
        return first, at_last[3] & at_last[4], outside


class LargestSums(wiring.Component):
    """The largest of the sums at the positions of a pool's window, field by field.

    A visit's pulses come position by position, ``turns`` of each, in one order; those of the last
    position bring out the maxima, a clock later. There may be a pulse in every clock. Positions of
    the pool's padding count for nothing.

    Ports: in ``ready_z``, ``z`` (fields * width, signed); out ``ready``, ``largest``.
    """

    latency = 1

    def __init__(self, *, fields: int, width: int, pool: PoolWalk, turns: int):
        self.fields, self.width, self.pool, self.turns = fields, width, pool, turns
        self.memories = self.memories_of(fields * width, turns)
        size = fields * width
        super().__init__({"ready_z": In(1), "z": In(size), "ready": Out(1), "largest": Out(size)})

    @staticmethod
    def memories_of(bits: int, turns: int) -> Memories:
        """Of ``bits`` bits a pulse."""
        return {} if turns <= REGISTER_TURNS else {"memory": MemoryShape(bits, turns, "comb")}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turn = counter_of(self.turns, name="turn")
        step = self.ready_z & (turn == self.turns - 1)
        with m.If(self.ready_z):
            step_counter(m, turn, self.turns)
        if any(self.pool.geometry.pool_padding):
            first, last, outside = self.pool.place(m, step)
        else:
            positions = self.pool.geometry.positions
            position = counter_of(positions, name="position")
            with m.If(step):
                step_counter(m, position, positions)
            first, last, outside = position == 0, position == positions - 1, None
        old = Signal(len(self.z))
        new = Signal(len(self.z))
        least = Const(1 << self.width - 1, self.width)
        for n in range(self.fields):
            z, kept = (value.word_select(n, self.width) for value in (self.z, old))
            if outside is not None:
                z = Mux(outside, least, z)
            larger = first | (z.as_signed() > kept.as_signed())
            m.d.comb += new.word_select(n, self.width).eq(Mux(larger, z, kept))
        m.d.comb += old.eq(self._kept(m, new, turn))
        done = Signal()
        m.d.sync += done.eq(self.ready_z & last)
        m.d.comb += self.ready.eq(done)
        return m

    def _kept(self, m: Module, new: Signal, turn: Value) -> Value:
        """The maxima of this turn so far; the newest ones go out."""
        head = Signal(len(self.z), name="head", reset_less=True)
        with m.If(self.ready_z):
            m.d.sync += head.eq(new)
        m.d.comb += self.largest.eq(head)
        if self.memories:
            memory = m.submodules.memory = self.memories["memory"].make()
            read, write = memory.read_port(domain="comb"), memory.write_port()
            m.d.comb += [
                read.addr.eq(turn),
                write.addr.eq(turn),
                write.data.eq(new),
                write.en.eq(self.ready_z),
            ]
            return read.data
        tail = head
        for n in range(1, self.turns):
            kept = Signal(len(self.z), name=f"kept_{n}", reset_less=True)
            with m.If(self.ready_z):
                m.d.sync += kept.eq(tail)
            tail = kept
        return tail
