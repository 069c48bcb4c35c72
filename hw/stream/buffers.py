"""Small stream buffers without a combinational path: of one and two registers, and a FIFO."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.memory.shape import Memories, MemoryShape

__all__ = ["Buffer", "Fifo", "Slot", "counter_of", "step_counter"]


def step_counter(m: Module, counter: Signal, period: int) -> None:
    """In the current condition, count ``counter`` on from 0 to ``period - 1`` and round."""
    if period == 1 << len(counter):
        m.d.sync += counter.eq(counter + 1)
    elif period > 1:
        m.d.sync += counter.eq(Mux(counter == period - 1, 0, counter + 1))


def counter_of(period: int, **kwargs: Any) -> Signal:
    """A register for 0 to ``period - 1``, never of zero bits: Verilog has no such vectors."""
    return Signal(range(max(period, 2)), src_loc_at=1, **kwargs)  # named after the caller's


class Buffer(wiring.Component):
    """Two registers that cut every combinational path of a stream, at full rate.

    Ports: ``i`` and ``o``, streams of ``unsigned(width)``. Latency 1 clock; one beat a clock.
    ``i.ready``, ``o.valid`` and ``o.payload`` are flip-flops.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, width: int):
        if width < 1:
            raise DesignError(f"a buffer needs a width of at least 1 bit, not {width}")
        self.width = width
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(width))),
                "o": Out(stream.Signature(unsigned(width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        front = Signal(self.width, reset_less=True)  # what is valid is reset, payloads are not
        back = Signal(self.width, reset_less=True)
        front_valid = Signal()
        open_ = Signal()  # the back register is empty
        m.d.comb += [
            self.o.payload.eq(front),
            self.o.valid.eq(front_valid),
            self.i.ready.eq(open_),
        ]
        with m.If(~front_valid | self.o.ready):
            m.d.sync += [
                front.eq(Mux(open_, self.i.payload, back)),
                # open_ is 0 in the first clock after reset, with nothing in the back register.
                front_valid.eq(Mux(open_, self.i.valid, front_valid)),
                open_.eq(1),
            ]
        with m.Elif(open_ & self.i.valid):
            m.d.sync += [back.eq(self.i.payload), open_.eq(0)]
        return m


class Slot(Buffer):
    """A Buffer of one register, at half rate: one beat in two clocks, all outputs still flip-flops
    or their inverse."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full = Signal()
        payload = Signal(self.width, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(full),
            self.o.payload.eq(payload),
        ]
        with m.If(full):
            m.d.sync += full.eq(~self.o.ready)
        with m.Elif(self.i.valid):
            m.d.sync += [full.eq(1), payload.eq(self.i.payload)]
        return m


class Fifo(wiring.Component):
    """First in, first out: ``depth`` beats in memory that is read combinationally (LUT RAM).

    Ports: ``i`` and ``o``, streams of ``unsigned(width)``; out ``level``, beats inside now.
    Latency 1 clock; one beat a clock at every level but full. ``i.ready`` and ``o.valid`` are
    flip-flops; ``o.payload`` is a memory read at a register's address.
    """

    latency = 1
    freeing = 1
    """Clocks from a beat's leaving to the first in which another may come in its place."""

    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, width: int, depth: int):
        if width < 1:
            raise DesignError(f"a FIFO needs a width of at least 1 bit, not {width}")
        if depth < 2:
            raise DesignError(f"a FIFO needs a depth of at least 2, not {depth}")
        self.width = width
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(width))),
                "o": Out(stream.Signature(unsigned(width))),
                "level": Out(range(depth + 1)),
            }
        )

    @staticmethod
    def memories_of(width: int, depth: int) -> Memories:
        return {"memory": MemoryShape(width, depth, "comb")}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = self.memories_of(self.width, self.depth)["memory"].make()
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        room = Signal()  # a register: not full
        some = Signal()  # a register: not empty
        put, take = Signal(name="put"), Signal(name="take")
        level = Signal.like(self.level)
        m.d.comb += [
            put.eq(self.i.valid & room),
            take.eq(self.o.ready & some),
            write.en.eq(put),
            write.data.eq(self.i.payload),
            self.o.payload.eq(read.data),
            self.o.valid.eq(some),
            self.i.ready.eq(room),
            self.level.eq(level),
        ]
        with m.If(put):
            step_counter(m, write.addr, self.depth)
        with m.If(take):
            step_counter(m, read.addr, self.depth)
        m.d.sync += level.eq(level + put - take)
        m.d.sync += [
            room.eq((level < self.depth - 1) | ((level == self.depth - 1) & ~put) | take),
            some.eq((level > 1) | ((level == 1) & ~take) | put),
        ]
        return m
