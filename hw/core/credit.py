"""Credits: how many visits may still be issued before the output has no room for their results."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Credit"]


class Credit(wiring.Component):
    """A counter up to ``count`` that starts there, or at ``start``. ``some`` is a register: at
    least one credit is left.

    Ports: in ``take`` (only while ``some``), in ``give``, out ``some``.
    """

    latency = 1
    """Clocks from ``give`` to ``some``."""

    take: Signal
    give: Signal
    some: Signal

    def __init__(self, count: int, start: int | None = None):
        self.count = count
        self.start = count if start is None else start
        some = Out(1, init=int(self.start > 0))  # pyright: ignore[reportCallIssue]
        super().__init__({"take": In(1), "give": In(1), "some": some})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(range(self.count + 1), init=self.start)
        # ``take`` comes late in a clock: it only decides whether the count moves.
        with m.If(self.take ^ self.give):
            m.d.sync += left.eq(left + Mux(self.give, 1, -1))
        m.d.sync += self.some.eq((left > 1) | ((left == 1) & ~self.take) | self.give)
        return m
