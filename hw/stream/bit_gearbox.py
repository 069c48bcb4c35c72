"""Words of one width to words of another, bit for bit, starting afresh with every packet."""

from math import gcd

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sterna.golden.errors import DesignError
from sterna.hw.stream.buffers import Buffer, counter_of, step_counter
from sterna.hw.stream.slices import Downsizer, Upsizer

__all__ = ["BitGearbox"]


class BitGearbox(wiring.Component):
    """Packets of ``packet_bits`` bits, in ``w_in``-bit words and out in ``w_out``-bit words.

    Bit 0 of a word comes first. A packet is ``words_in`` words; the bits of its last word past
    ``packet_bits`` are dropped, whatever they are, and the next packet starts with the next word.
    Ports: ``i`` (``w_in`` bits), ``o`` (``w_out`` bits). No combinational path; latency at most
    2 clocks from the word that completes an output word.

    Where one width divides the other, slices move in registers; else words are shifted by steps of
    the greatest common divisor into a register of less than ``w_in + w_out`` bits.

    Attributes:
        words_in, words_out: words of a packet.
        clocks_per_packet: ``max(words_in, words_out)``, met exactly when no end waits.

    Raises:
        DesignError: a width below 1, or ``packet_bits`` not a positive multiple of ``w_out``.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, w_in: int, w_out: int, packet_bits: int):
        if w_in < 1 or w_out < 1:
            raise DesignError(f"words of {w_in} and {w_out} bits; both must be at least 1 bit")
        if packet_bits < 1 or packet_bits % w_out:
            raise DesignError(
                f"a packet of {packet_bits} bits is no whole number of {w_out}-bit words"
            )
        self.w_in = w_in
        self.w_out = w_out
        self.packet_bits = packet_bits
        self.words_in = -(-packet_bits // w_in)
        self.words_out = packet_bits // w_out
        self.clocks_per_packet = max(self.words_in, self.words_out)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(w_in))),
                "o": Out(stream.Signature(unsigned(w_out))),
            }
        )

    def slicer(self) -> Downsizer | Upsizer | None:
        """A new one of what does the work; None where words are shifted."""
        if self.w_in % self.w_out == 0:
            parts = self.w_in // self.w_out
            last = self.words_out - (self.words_in - 1) * parts
            return Downsizer(self.w_out, parts, period=self.words_in, last=last)
        if self.w_out % self.w_in == 0:
            return Upsizer(self.w_in, self.w_out // self.w_in)
        return None

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step = self.slicer()
        if step is None:
            self._shift(m)
            return m
        m.submodules.step = step
        connect(m, flipped(self.i), step.i)
        connect(m, step.o, flipped(self.o))
        return m

    def _shift(self, m: Module) -> None:
        """Collect words in ``bits``, of which the lowest ``fill`` units are there; zeros above."""
        unit = gcd(self.w_in, self.w_out)
        ins, outs = self.w_in // unit, self.w_out // unit
        last_bits = self.packet_bits - (self.words_in - 1) * self.w_in
        m.submodules.buffer = buffer = Buffer(self.w_out)
        connect(m, buffer.o, flipped(self.o))
        bits = Signal(self.w_in + self.w_out - unit)
        fill = Signal(range(ins + outs))
        left = Signal(range(ins + outs))
        emit = Signal()
        put = Signal()
        word = counter_of(self.words_in)
        last = Signal()
        rest = Signal.like(bits)
        taken: Value = self.i.payload
        if last_bits < self.w_in:
            # Pad bits are dropped here, so that `bits` is zero above `fill`.
            taken = Mux(last, self.i.payload & Const((1 << last_bits) - 1, self.w_in), taken)
        shifted = Signal.like(bits)
        with m.Switch(left):
            for k in range(1, outs):
                with m.Case(k):
                    m.d.comb += shifted.eq(taken << (k * unit))
            with m.Default():
                m.d.comb += shifted.eq(taken)
        m.d.comb += [
            buffer.i.payload.eq(bits[: self.w_out]),
            buffer.i.valid.eq(fill >= outs),
            emit.eq(buffer.i.valid & buffer.i.ready),
            left.eq(Mux(emit, fill - outs, fill)),
            rest.eq(Mux(emit, bits >> self.w_out, bits)),
            self.i.ready.eq(left < outs),
            put.eq(self.i.valid & self.i.ready),
            last.eq(word == self.words_in - 1),
        ]
        m.d.sync += [bits.eq(Mux(put, rest | shifted, rest)), fill.eq(left)]
        with m.If(put):
            m.d.sync += fill.eq(left + Mux(last, last_bits // unit, ins))
            step_counter(m, word, self.words_in)
