"""Wide beats to narrow slices and back, in registers: what every width change is made of."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sterna.golden.errors import DesignError
from sterna.hw.stream.buffers import Buffer, counter_of, step_counter

__all__ = ["Downsizer", "Upsizer"]


def _check(width: int, parts: int, period: int, last: int) -> None:
    if width < 1 or parts < 1 or period < 1 or not 1 <= last <= parts:
        raise DesignError(
            f"cannot move {parts} slices of {width} bits, {last} in every beat number {period};"
            " all must be at least 1, and the last beat no fuller than the others"
        )


def _place(m: Module, moved: "Downsizer | Upsizer") -> tuple[Signal, Signal, Signal | None]:
    """(number of a slice in its beat, whether it is the beat's last, number of the beat in its
    period where beats differ); the caller steps them."""
    index = counter_of(moved.parts, name="index")
    final = Signal(name="final")
    if moved.last == moved.parts:
        m.d.comb += final.eq(index == moved.parts - 1)
        return index, final, None
    beat = counter_of(moved.period, name="beat")
    short = Signal(name="short")
    m.d.comb += [
        short.eq(beat == moved.period - 1),
        final.eq(index == Mux(short, moved.last - 1, moved.parts - 1)),
    ]
    return index, final, beat


class Downsizer(wiring.Component):
    """Cuts every beat into ``parts`` slices of ``width`` bits, lowest first.

    Of every ``period``-th beat only the first ``last`` slices leave. Ports: ``i``, a stream of
    ``parts * width`` bits; ``o``, a stream of ``width`` bits. One slice a clock without gaps;
    latency 2 clocks (1 where ``parts`` is 1). No combinational path.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, width: int, parts: int, *, period: int = 1, last: int | None = None):
        last = parts if last is None else last
        _check(width, parts, period, last)
        self.width, self.parts, self.period, self.last = width, parts, period, last
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(parts * width))),
                "o": Out(stream.Signature(unsigned(width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = Buffer(self.width)
        connect(m, buffer.o, flipped(self.o))
        if self.parts == 1:
            connect(m, flipped(self.i), buffer.i)
            return m
        held = Signal(self.parts * self.width, reset_less=True)
        busy = Signal()
        index, final, beat = _place(m, self)
        if beat is not None:
            with m.If(busy & final & buffer.i.ready):
                step_counter(m, beat, self.period)
        # The buffer's ready is a register: so is, through logic, this one.
        m.d.comb += [
            buffer.i.payload.eq(held[: self.width]),
            buffer.i.valid.eq(busy),
            self.i.ready.eq(~busy | (final & buffer.i.ready)),
        ]
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.payload), busy.eq(self.i.valid), index.eq(0)]
        with m.Elif(buffer.i.ready):
            m.d.sync += [held.eq(held >> self.width), index.eq(index + 1)]
        return m


class Upsizer(wiring.Component):
    """Joins ``parts`` slices of ``width`` bits to one beat, the first lowest.

    Every ``period``-th beat is made of ``last`` slices only, zeros above. Ports: ``i``, a stream of
    ``width`` bits; ``o``, a stream of ``parts * width`` bits. One slice a clock without gaps;
    latency 2 clocks from a beat's last slice (1 where ``parts`` is 1). No combinational path.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, width: int, parts: int, *, period: int = 1, last: int | None = None):
        last = parts if last is None else last
        _check(width, parts, period, last)
        self.width, self.parts, self.period, self.last = width, parts, period, last
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(width))),
                "o": Out(stream.Signature(unsigned(parts * width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = Buffer(self.width)
        connect(m, flipped(self.i), buffer.i)
        if self.parts == 1:
            connect(m, buffer.o, flipped(self.o))
            return m
        slices = [Signal(self.width, name=f"slice_{k}", reset_less=True) for k in range(self.parts)]
        full = Signal()
        take = Signal()
        index, final, beat = _place(m, self)
        if beat is not None:
            with m.If(take & final):
                step_counter(m, beat, self.period)
        m.d.comb += [
            self.o.payload.eq(Cat(slices)),
            self.o.valid.eq(full),
            buffer.o.ready.eq(~full | self.o.ready),
            take.eq(buffer.o.valid & buffer.o.ready),
        ]
        with m.If(take):
            m.d.sync += [full.eq(final), index.eq(Mux(final, 0, index + 1))]
            for k, part in enumerate(slices):
                with m.If(index == k):
                    m.d.sync += part.eq(buffer.o.payload)
                if k >= self.last:  # the others come anew in every beat
                    with m.Elif(index == 0):
                        m.d.sync += part.eq(Const(0, self.width))
        with m.Elif(self.o.ready):
            m.d.sync += full.eq(0)
        return m
