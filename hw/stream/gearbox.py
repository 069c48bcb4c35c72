"""Changes the lanes and planes of a beat: where two cores with different foldings meet."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sterna.golden.errors import DesignError
from sterna.hw.stream.buffers import Buffer, Fifo, step_counter
from sterna.hw.stream.edge import Edge
from sterna.hw.stream.gear_path import (
    BETWEEN,
    clocks_per_pixel,
    in_memory,
    lane_parts,
    lanes_meet,
    path,
    planes_meet,
    step_memories,
    storage_bits,
)
from sterna.hw.stream.slices import Downsizer, Upsizer

__all__ = ["Gearbox", "LaneMerge", "LaneSplit", "PlaneStep", "gear_steps"]


def _bits(value: Value, indices: list[int | None]) -> Cat:
    """A permutation of bits; None is a zero."""
    return Cat(Const(0, 1) if k is None else value[k] for k in indices)


class _Step(wiring.Component):
    """One canonical step between two edges. Ports: ``i`` (``src``) and ``o`` (``dst``)."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, src: Edge, dst: Edge):
        self.src = src
        self.dst = dst
        super().__init__({"i": In(src.signature), "o": Out(dst.signature)})

    @property
    def clocks_per_pixel(self) -> int:
        """Clocks a pixel takes when neither end ever waits."""
        return max(self.src.beats_per_pixel, self.dst.beats_per_pixel)

    def _refuse(self, what: str) -> DesignError:
        s, d = self.src, self.dst
        return DesignError(
            f"no single {what} leads from {s.lanes} lanes x {s.pb} planes to {d.lanes} lanes x"
            f" {d.pb} planes of {s.channels} channels x {s.planes} planes; use Gearbox"
        )


class PlaneStep(_Step):
    """Changes planes a beat, lanes unchanged: one ``pb`` divides the other, or is all planes.

    Narrowing drops beats of pad planes, widening fills with zero planes. Registers only.
    """

    def __init__(self, src: Edge, dst: Edge):
        super().__init__(src, dst)
        if src.lanes != dst.lanes or not planes_meet(src.planes, src.pb, dst.pb):
            raise self._refuse("plane step")

    def slicer(self) -> Downsizer | Upsizer:
        """A new one of what does the work."""
        src, dst = self.src, self.dst
        if dst.pb > src.pb:
            parts = src.plane_beats if dst.plane_beats == 1 else dst.pb // src.pb
            last = src.plane_beats - (dst.plane_beats - 1) * parts
            return Upsizer(src.width, parts, period=dst.plane_beats, last=last)
        parts = dst.plane_beats if src.plane_beats == 1 else src.pb // dst.pb
        last = dst.plane_beats - (src.plane_beats - 1) * parts
        return Downsizer(dst.width, parts, period=src.plane_beats, last=last)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slicer = self.slicer()
        if isinstance(slicer, Upsizer):
            m.submodules.join = slicer
            connect(m, flipped(self.i), slicer.i)
            # Planes are the outer index of a beat, so slices simply follow each other.
            m.d.comb += _passed(self.o, slicer.o, slicer.o.payload)
        else:
            m.submodules.cut = slicer
            m.d.comb += _passed(slicer.i, self.i, self.i.payload)
            connect(m, slicer.o, flipped(self.o))
        return m


class LaneSplit(_Step):
    """Wide groups to narrower ones: lanes divide, or the wide group is the whole pixel.

    ``for j in slices: for i in plane beats``: slice j of beat i. Groups of nothing but pad lanes
    do not leave. With more than one plane beat a memory holds two wide groups: one leaves while
    the next one comes.
    """

    def __init__(self, src: Edge, dst: Edge):
        super().__init__(src, dst)
        if (
            src.pb != dst.pb
            or src.lanes < dst.lanes
            or not lanes_meet(src.channels, src.lanes, dst.lanes)
        ):
            raise self._refuse("lane split")
        self.parts = lane_parts(dst, src)
        self.last = dst.groups - (src.groups - 1) * self.parts

    def slicer(self) -> Downsizer | None:
        """A new one of what does the work; None where a memory does."""
        src, parts = self.src, self.parts
        if in_memory(src, self.dst):
            return None
        period = src.groups if src.plane_beats == 1 else 1
        return Downsizer(self.dst.width, parts, period=period, last=self.last)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        src, dst, parts = self.src, self.dst, self.parts
        lanes = [j * dst.lanes + lane for j in range(parts) for lane in range(dst.lanes)]
        sliced = _bits(
            self.i.payload,
            [
                plane * src.lanes + lane if lane < src.lanes else None
                for j in range(parts)
                for plane in range(src.pb)
                for lane in lanes[j * dst.lanes : (j + 1) * dst.lanes]
            ],
        )
        if (cut := self.slicer()) is not None:
            m.submodules.cut = cut
            m.d.comb += _passed(cut.i, self.i, sliced)
            connect(m, cut.o, flipped(self.o))
            return m
        # Two halves of one group each: while one leaves, the next may come, however unevenly.
        beats = src.plane_beats
        m.submodules.memory = memory = step_memories(src, dst)["memory"].make()
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.submodules.buffer = buffer = Buffer(dst.width)
        connect(m, buffer.o, flipped(self.o))
        # used: beats held; fresh: beats of which no slice has left yet.
        used = Signal(range(2 * beats + 1))
        fresh = Signal(range(2 * beats + 1))
        beat = Signal(range(beats))
        bank = Signal()
        j = Signal(range(parts))
        first, final, put, take, turn = (
            Signal(name=n) for n in ("first", "final", "put", "take", "turn")
        )
        m.d.comb += [
            self.i.ready.eq(used != 2 * beats),
            put.eq(self.i.valid & self.i.ready),
            write.en.eq(put),
            write.data.eq(sliced),
            read.addr.eq(Mux(bank, beat + beats, beat)),
            first.eq(j == 0),
            buffer.i.payload.eq(read.data.word_select(j, dst.width)),
            buffer.i.valid.eq(~first | (fresh != 0)),
            take.eq(buffer.i.valid & buffer.i.ready),
            turn.eq(take & (beat == beats - 1)),
        ]
        _count_slices(m, j, final, turn, parts, self.last, src.groups)
        m.d.sync += [
            used.eq(used + put - (take & final)),
            fresh.eq(fresh + put - (take & first)),
            bank.eq(bank ^ (turn & final)),
        ]
        with m.If(put):
            step_counter(m, write.addr, 2 * beats)
        with m.If(take):
            step_counter(m, beat, beats)
        return m


class LaneMerge(_Step):
    """Narrow groups to wider ones: lanes divide, or the wide group is the whole pixel.

    The last group of a pixel is filled up with zero lanes. With more than one plane beat, memories
    hold two wide groups: one leaves while the next one comes.
    """

    def __init__(self, src: Edge, dst: Edge):
        super().__init__(src, dst)
        if (
            src.pb != dst.pb
            or src.lanes > dst.lanes
            or not lanes_meet(src.channels, src.lanes, dst.lanes)
        ):
            raise self._refuse("lane merge")
        self.parts = lane_parts(src, dst)
        self.last = src.groups - (dst.groups - 1) * self.parts

    def slicer(self) -> Upsizer | None:
        """A new one of what does the work; None where memories do."""
        src, parts = self.src, self.parts
        if in_memory(src, self.dst):
            return None
        period = self.dst.groups if src.plane_beats == 1 else 1
        return Upsizer(src.width, parts, period=period, last=self.last)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        src, dst, parts = self.src, self.dst, self.parts
        order = [
            lane // src.lanes * src.width + plane * src.lanes + lane % src.lanes
            if lane < parts * src.lanes
            else None
            for plane in range(dst.pb)
            for lane in range(dst.lanes)
        ]
        if (upsizer := self.slicer()) is not None:
            m.submodules.join = upsizer
            connect(m, flipped(self.i), upsizer.i)
            m.d.comb += _passed(self.o, upsizer.o, _bits(upsizer.o.payload, order))
            return m
        # Two halves of one group each: while one leaves, the next may come, however unevenly.
        beats = src.plane_beats
        # used: beats begun and not gone; whole: beats complete and not gone.
        used = Signal(range(2 * beats + 1))
        whole = Signal(range(2 * beats + 1))
        beat = Signal(range(beats))
        bank = Signal()
        j = Signal(range(parts))
        first, final, put, take, turn = (
            Signal(name=n) for n in ("first", "final", "put", "take", "turn")
        )
        out_beat = Signal(range(beats))
        out_turn = Signal()
        out_addr = Signal(range(2 * beats))
        m.d.comb += [
            first.eq(j == 0),
            self.i.ready.eq(~first | (used != 2 * beats)),
            put.eq(self.i.valid & self.i.ready),
            turn.eq(put & (beat == beats - 1)),
            self.o.valid.eq(whole != 0),
            take.eq(self.o.valid & self.o.ready),
            out_turn.eq(take & (out_beat == beats - 1)),
        ]
        _count_slices(m, j, final, turn, parts, self.last, dst.groups)
        short = _count_groups(m, out_turn, dst.groups) if self.last < parts else Const(0, 1)
        slices = []
        memories = step_memories(src, dst)
        for k in range(parts):
            m.submodules[f"memory_{k}"] = memory = memories[f"memory_{k}"].make()
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(put & (j == k)),
                write.addr.eq(Mux(bank, beat + beats, beat)),
                write.data.eq(self.i.payload),
                read.addr.eq(out_addr),
            ]
            slices.append(read.data if k < self.last else Mux(short, 0, read.data))
        m.d.comb += self.o.payload.eq(_bits(Cat(slices), order))
        m.d.sync += [
            used.eq(used + (put & first) - take),
            whole.eq(whole + (put & final) - take),
            bank.eq(bank ^ (turn & final)),
        ]
        with m.If(put):
            step_counter(m, beat, beats)
        with m.If(take):
            step_counter(m, out_beat, beats)
            step_counter(m, out_addr, 2 * beats)
        return m


class Gearbox(wiring.Component):
    """Connects two edges of the same channels, planes and code, whatever their lanes and ``pb``.

    Ports: ``i`` (``src.signature``), ``o`` (``dst.signature``). A chain of steps, each with its own
    registers or memory, on the :func:`path` with the fewest clocks and then the least storage.

    Attributes:
        needed: False where both edges are equal (``src == dst``). Connect them directly then: the
            component would be wires, with a combinational path.
        path: the edges passed, ``src`` and ``dst`` included; a canonical step between any two.
        clocks_per_pixel: clocks a pixel takes at full rate, met exactly.
        storage_bits: bits of data held in registers and memories.

    Raises:
        DesignError: channels, planes or code differ.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, src: Edge, dst: Edge):
        self.src = src
        self.dst = dst
        self.path = path(src, dst)
        self.needed = len(self.path) > 1
        self.clocks_per_pixel = clocks_per_pixel(src, dst)
        self.storage_bits = storage_bits(self.path)
        super().__init__({"i": In(src.signature), "o": Out(dst.signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source = flipped(self.i)
        for k, step in enumerate(gear_steps(self.src, self.dst)):
            if k:
                # A pixel's last group is shorter: without room between them, steps wait in turn.
                m.submodules[f"fifo_{k}"] = fifo = Fifo(step.src.width, BETWEEN)
                connect(m, source, fifo.i)
                source = fifo.o
            m.submodules[f"step_{k}"] = step
            connect(m, source, step.i)
            source = step.o
        connect(m, source, flipped(self.o))
        return m


def gear_steps(src: Edge, dst: Edge) -> list[PlaneStep | LaneSplit | LaneMerge]:
    """New components for the way from ``src`` to ``dst``, none if they are equal."""
    edges = path(src, dst)
    return [_step(a, b) for a, b in zip(edges, edges[1:])]


def _step(a: Edge, b: Edge) -> PlaneStep | LaneSplit | LaneMerge:
    if a.pb != b.pb:
        return PlaneStep(a, b)
    return LaneSplit(a, b) if a.lanes > b.lanes else LaneMerge(a, b)


def _passed(sink: stream.Interface, source: stream.Interface, payload: Value) -> list[Any]:
    """Connect two streams with the payload rewired on the way (shorter: cut, longer: zeros)."""
    return [
        sink.payload.eq(payload),
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
    ]


def _count_groups(m: Module, turn: Value, period: int) -> Signal:
    """Count the groups of a pixel on ``turn``; returns "this is the last one"."""
    group = Signal(range(period))
    last = Signal()
    m.d.comb += last.eq(group == period - 1)
    with m.If(turn):
        step_counter(m, group, period)
    return last


def _count_slices(
    m: Module, j: Signal, final: Signal, turn: Value, parts: int, last: int, period: int
) -> None:
    """Advance ``j`` on ``turn``; ``final`` is its last value in this group of the pixel."""
    if last == parts:
        m.d.comb += final.eq(j == parts - 1)
    else:
        short = _count_groups(m, turn & final, period)
        m.d.comb += final.eq(j == Mux(short, last - 1, parts - 1))
    with m.If(turn):
        m.d.sync += j.eq(Mux(final, 0, j + 1))
