"""CRC-32 (zlib's) of a stream of bytes, a bit a clock: 32 cells of feedback and no table."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RESIDUE", "SerialCrc"]

POLYNOMIAL = 0xEDB88320
RESIDUE = 0x2144DF1C
"""``crc`` after any bytes and then their CRC-32, low byte first."""


class SerialCrc(wiring.Component):
    """Eight clocks a byte.

    Members
    -------
    clear : in, begin anew, whatever is under way or loaded
    load : in, take ``data``; not while ``busy``
    data : in, 8 bits
    drain : in, with ``load``: instead of taking a byte, move ``crc`` down by a byte
    busy : out, a byte is being worked in: the 8 clocks after ``load``
    crc : out, 32 bits, of the bytes since ``clear``
    """

    clear: Signal
    load: Signal
    data: Signal
    drain: Signal
    busy: Signal
    crc: Signal

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "load": In(1),
                "data": In(8),
                "drain": In(1),
                "busy": Out(1),
                "crc": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        byte = Signal(8)
        left = Signal(3)
        drains = Signal()
        feedback = Signal()
        # The register is kept inverted, as it is read: it begins with zeros.
        m.d.comb += feedback.eq(~(self.crc[0] ^ byte[0]) & ~drains)
        with m.If(self.load):
            m.d.sync += [byte.eq(self.data), drains.eq(self.drain), self.busy.eq(1), left.eq(7)]
        with m.Elif(self.busy):
            m.d.sync += [
                byte.eq(byte >> 1),
                self.crc.eq(Cat(self.crc[1:], C(1, 1)) ^ Mux(feedback, POLYNOMIAL, 0)),
                left.eq(left - 1),
                self.busy.eq(left != 0),
            ]
        with m.If(self.clear):
            m.d.sync += [self.crc.eq(0), self.busy.eq(0)]
        return m
