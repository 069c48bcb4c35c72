"""CRC-32 (zlib's) of a stream of bytes, a bit a clock: 32 cells of feedback and no table."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RESIDUE", "SerialCrc"]

POLYNOMIAL = 0xEDB88320
RESIDUE = 0xDEBB20E3
"""``state`` after any bytes and then their CRC-32, low byte first."""


class SerialCrc(wiring.Component):
    """Eight clocks a byte.

    Members
    -------
    clear : in, begin anew, whatever is under way or loaded
    load : in, take ``data``; not while ``busy``
    data : in, 8 bits
    drain : in, with ``load``: instead of taking a byte, move ``state`` down by a byte
    busy : out, a byte is being worked in: the 8 clocks after ``load``
    state : out, 32 bits; inverted, it is the CRC of the bytes since ``clear``
    """

    clear: Signal
    load: Signal
    data: Signal
    drain: Signal
    busy: Signal
    state: Signal

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "load": In(1),
            "data": In(8),
            "drain": In(1),
            "busy": Out(1),
            "state": Out(32, init=0xFFFFFFFF),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        byte, left, drains, feedback = Signal(8), Signal(3), Signal(), Signal()
        m.d.comb += feedback.eq((self.state[0] ^ byte[0]) & ~drains)
        with m.If(self.load):
            m.d.sync += [byte.eq(self.data), drains.eq(self.drain), self.busy.eq(1), left.eq(7)]
        with m.Elif(self.busy):
            m.d.sync += [
                byte.eq(byte >> 1),
                self.state.eq((self.state >> 1) ^ Mux(feedback, POLYNOMIAL, 0)),
                left.eq(left - 1),
                self.busy.eq(left != 0),
            ]
        with m.If(self.clear):
            m.d.sync += [self.state.eq(self.state.init), self.busy.eq(0)]
        return m
