"""UART, 8 data bits, no parity, 1 stop bit: the line's side runs by the board's own oscillator.

So the baud rate does not depend on the network's clock, which is chosen after place and route.
Domain ``uart`` samples and shifts; domain ``sync`` sees streams of bytes. A byte crosses in a
register that keeps still while a toggle passes two flip-flops: ``sync`` may run at a quarter of
``uart``'s frequency up to 16 times it, in any phase, at the full rate of the line.
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.link.synchronizer import synchronized

__all__ = ["MIN_DIVISOR", "UartReceiver", "UartTransmitter", "check_divisor"]

MIN_DIVISOR = 4
"""Clocks of ``uart`` a bit, at least: with fewer the middle of a bit cannot be told."""


def check_divisor(divisor: int) -> None:
    """Raises DesignError where ``divisor`` is no number of clocks a bit that can be built."""
    if isinstance(divisor, bool) or not isinstance(divisor, int) or divisor < MIN_DIVISOR:
        raise DesignError(
            f"a UART of {divisor!r} clocks a bit; use at least {MIN_DIVISOR}: a lower baud rate"
        )


class UartReceiver(wiring.Component):
    """From the line to bytes.

    A bit is sampled in its middle. A byte whose stop bit is not 1 is dropped, and nothing is
    received until the line is 1 again, so a break does no harm. A byte that is not taken before
    the next one is there is lost: the frame's CRC tells.

    Members
    -------
    rx : in, the pin; not synchronous to anything
    o : out, stream of bytes in ``sync``; ``payload`` is a register of ``uart`` that keeps still for
        a byte's time

    Raises DesignError where ``divisor``, the clocks of ``uart`` a bit, is below MIN_DIVISOR.
    """

    rx: Signal
    o: stream.Interface

    def __init__(self, divisor: int):
        check_divisor(divisor)
        self.divisor = divisor
        rx = In(1, init=1)  # pyright: ignore[reportCallIssue]
        super().__init__({"rx": rx, "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = synchronized(m, self.rx, "uart", "line", init=1)
        timer = Signal(range(self.divisor))
        left = Signal(4)
        bits = Signal(8)
        byte = Signal(8)
        flips = Signal()
        quiet = Signal()  # the line has been 1 since the last byte
        with m.If(left == 0):
            m.d.uart += timer.eq(self.divisor // 2 - 1)
            with m.If(line):
                m.d.uart += quiet.eq(1)
            with m.Elif(quiet):
                m.d.uart += left.eq(10)
        with m.Elif(timer != 0):
            m.d.uart += timer.eq(timer - 1)
        with m.Else():
            m.d.uart += [timer.eq(self.divisor - 1), left.eq(left - 1)]
            m.d.uart += bits.eq(Cat(bits[1:], line))
            with m.If((left == 10) & line):
                m.d.uart += left.eq(0)  # no start bit, a spike
            with m.If(left == 1):
                m.d.uart += quiet.eq(line)
                with m.If(line):
                    m.d.uart += [byte.eq(bits), flips.eq(~flips)]
        seen = synchronized(m, flips, "sync", "seen")
        known = Signal()
        m.d.comb += [self.o.valid.eq(seen != known), self.o.payload.eq(byte)]
        with m.If(self.o.ready):
            m.d.sync += known.eq(seen)
        return m


class UartTransmitter(wiring.Component):
    """From bytes to the line, without a gap between bytes that are there in time.

    Members
    -------
    i : in, stream of bytes in ``sync``; ``ready`` depends on flip-flops only, and comes when the
        line takes the byte, from ``payload`` itself
    tx : out, the pin, a flip-flop of ``uart``; 1 at rest

    Raises DesignError where ``divisor``, the clocks of ``uart`` a bit, is below MIN_DIVISOR.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, divisor: int):
        check_divisor(divisor)
        self.divisor = divisor
        tx = Out(1, init=1)  # pyright: ignore[reportCallIssue]
        super().__init__({"i": In(stream.Signature(8)), "tx": tx})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A byte is asked for by a toggle, and has been taken when the other one has followed.
        asks = Signal()
        took = Signal()
        asking = Signal()
        asked = synchronized(m, asks, "uart", "asked")
        taken = synchronized(m, took, "sync", "taken")
        m.d.comb += self.i.ready.eq(asking & (asks == taken))
        with m.If(self.i.ready):
            m.d.sync += asking.eq(0)
        with m.Elif(self.i.valid & ~asking):
            m.d.sync += [asks.eq(~asks), asking.eq(1)]

        timer = Signal(range(self.divisor))
        left = Signal(4)
        bits = Signal(9, init=0x1FF)  # what follows the bit on the line
        with m.If(timer != 0):
            m.d.uart += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.uart += [Cat(self.tx, bits).eq(Cat(bits, Const(1, 1))), left.eq(left - 1)]
            m.d.uart += timer.eq(self.divisor - 1)
        with m.Elif(asked != took):
            m.d.uart += Cat(self.tx, bits).eq(Cat(Const(0, 1), self.i.payload, Const(1, 1)))
            m.d.uart += [timer.eq(self.divisor - 1), left.eq(9), took.eq(asked)]
        return m
