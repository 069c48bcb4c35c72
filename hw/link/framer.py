"""From contents to frames on the line: CRC and COBS, built in a memory while another one leaves."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sterna.golden.device.link import CRC_BYTES
from sterna.hw.link.crc import SerialCrc

__all__ = ["CONTENT", "Framer"]

CONTENT = data.StructLayout({"byte": 8, "last": 1})
"""A byte of a frame's content before its CRC."""


class Framer(wiring.Component):
    """Appends the CRC, encodes by COBS in place, and sends the frame with its zero byte.

    A block memory has room for two frames: one is built, at 9 clocks a byte of content and 40 more,
    while the other leaves, at a byte in three clocks or as fast as it is taken.

    Members
    -------
    i : in, stream of CONTENT, 1 to 249 bytes a frame
    room : out, a frame can be built to its end without waiting for the line
    cancel : in, forget the frame being built (not one already leaving)
    o : out, stream of the line's bytes; ``valid`` and ``payload`` are registers
    """

    i: stream.Interface
    room: Signal
    cancel: Signal
    o: stream.Interface

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(CONTENT)),
                "room": Out(1),
                "cancel": In(1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = SerialCrc()
        m.submodules.memory = memory = Memory(shape=8, depth=512, init=[])
        write, read = memory.write_port(), memory.read_port()
        # `at` is the next byte's place, `code` that of the code byte of the block being written.
        half = Signal()
        full = Signal(2)
        at = Signal(8, init=1)
        code = Signal(8)
        finished = Signal()
        emptied = Signal()
        address = Signal(8)
        byte = Signal(8)
        m.d.comb += [
            self.room.eq(~full.bit_select(half, 1)),
            write.addr.eq(Cat(address, half)),
            # A zero is only its block's code byte, and the next block begins in its place.
            address.eq(Mux(byte == 0, code, at)),
            write.data.eq(Mux(byte == 0, at - code, byte)),
            crc.data.eq(byte),
            crc.clear.eq(finished | self.cancel),
        ]
        with m.If(write.en):
            m.d.sync += at.eq(at + 1)
            with m.If(byte == 0):
                m.d.sync += code.eq(at)
        left = Signal(range(CRC_BYTES + 1))
        with m.FSM():
            with m.State("CONTENT"):
                m.d.comb += [
                    self.i.ready.eq(~crc.busy & self.room),
                    byte.eq(self.i.payload.byte),
                    crc.load.eq(self.i.valid & self.i.ready & ~self.cancel),
                    write.en.eq(crc.load),
                ]
                m.d.sync += left.eq(CRC_BYTES)
                with m.If(crc.load & self.i.payload.last):
                    m.next = "CRC"
            with m.State("CRC"):
                with m.If(~crc.busy):
                    m.d.comb += [byte.eq(crc.crc[:8]), crc.drain.eq(1)]
                    m.d.comb += [write.en.eq(1), crc.load.eq(1)]
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "CODE"
                with m.If(self.cancel):
                    m.next = "CONTENT"
            with m.State("CODE"):
                m.d.comb += write.en.eq(1)  # the last block's
                m.next = "ZERO"
                with m.If(self.cancel):
                    m.next = "CONTENT"
            with m.State("ZERO"):
                # `code` is where the zero of the frame's end belongs.
                m.d.comb += [write.data.eq(0), write.en.eq(1), finished.eq(~self.cancel)]
                m.next = "CONTENT"
        with m.If(finished | self.cancel):
            m.d.sync += [at.eq(at.init), code.eq(0)]
        m.d.sync += half.eq(half ^ finished)
        leaving = self._send(m, write, read, full, emptied)
        m.d.sync += full.eq(
            (full | Cat(finished & ~half, finished & half))
            & ~Cat(emptied & ~leaving, emptied & leaving)
        )
        return m

    def _send(self, m: Module, write: Any, read: Any, full: Signal, emptied: Signal) -> Signal:
        """Sends full halves in turn, up to their zero; returns which one."""
        at = Signal(8)
        half = Signal()
        fetched = Signal()
        m.d.comb += [
            # Never beside a write: no logic for what that returns.
            read.en.eq(~write.en),
            read.addr.eq(Cat(at, half)),
        ]
        # A byte goes from the memory into a register only: block RAM is slow to give its data.
        with m.If(fetched):
            m.d.sync += [self.o.payload.eq(read.data), self.o.valid.eq(1), fetched.eq(0)]
        with m.Elif(~self.o.valid):
            m.d.sync += fetched.eq(full.bit_select(half, 1) & read.en)
        with m.Elif(self.o.ready):
            m.d.sync += [self.o.valid.eq(0), at.eq(at + 1)]
            with m.If(self.o.payload == 0):
                m.d.comb += emptied.eq(1)
                m.d.sync += [at.eq(0), half.eq(~half)]
        return half
