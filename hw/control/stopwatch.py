"""A time between two events, kept in a memory that many share: the little that is its own."""

__all__ = ["Stopwatch"]

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Stopwatch(wiring.Component):
    """Clocks from ``start`` to ``stop``, both included, in two rows of a `Tally`.

    The running row has the clocks up to its last turn, and those since then are counted here. With
    ``stop`` that count is kept, and at its next turn the latest row becomes the running row and the
    count together. The turns of both rows come every ``period`` clocks, that of the running row
    right behind that of the latest one.

    Members
    -------
    clear : in, forget a ``stop`` that has not reached its row
    start, stop : in, one clock each
    at_latest, at_running : in, it is the turn of the row
    copies : out, the turn is the latest row's, which becomes the running row and ``more``
    more : out, what is to be added in this turn, zero in turns of others
    zero : out, in this turn the row to be added to is to be taken for zero
    """

    def __init__(self, period: int):
        self.period = period
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "stop": In(1),
                "at_latest": In(1),
                "at_running": In(1),
                "copies": Out(1),
                "more": Out(range(period + 2)),
                "zero": Out(1),
            }
        )

    def elaborate(self, platform: object):
        m = Module()
        # Clocks since the last turn, and whether the running row still has those of another time;
        # then the same as they were at the last stop.
        since = Signal.like(self.more)
        fresh = Signal()
        kept = Signal.like(self.more)
        kept_fresh = Signal()
        waiting = Signal()
        m.d.sync += since.eq(Mux(self.at_running, 0, since) + 1)
        with m.If(self.start):
            m.d.sync += [since.eq(2), fresh.eq(1)]
        with m.Elif(self.at_running):
            m.d.sync += fresh.eq(0)
        with m.If(self.stop):
            m.d.sync += [kept.eq(since), kept_fresh.eq(fresh), waiting.eq(1)]
            with m.If(self.at_running):
                m.d.sync += [kept.eq(0), kept_fresh.eq(0)]
        with m.If(self.at_latest | self.clear):
            m.d.sync += waiting.eq(0)

        now = self.at_running | self.at_latest & self.stop
        m.d.comb += [
            self.copies.eq(self.at_latest & (self.stop | waiting)),
            self.more.eq(Mux(now, since, Mux(self.copies, kept, 0))),
            self.zero.eq(Mux(now, fresh, self.copies & kept_fresh)),
        ]
        return m
