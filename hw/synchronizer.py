"""Into another clock domain: two flip-flops, marked for the tools that look for them."""

from amaranth.hdl import Elaboratable, Module, Signal

__all__ = ["Synchronizer"]


class Synchronizer(Elaboratable):
    """``o`` follows the single bit ``i`` by two flip-flops of ``domain``, which start at ``init``.

    Amaranth's FFSynchronizer leaves attributes to a platform, and a design in Verilog has none:
    here both flip-flops carry ASYNC_REG, by which Vivado keeps them side by side, and out of a
    shift register of LUTs. As there, a reset leaves them alone.
    """

    def __init__(self, i: Signal, o: Signal, *, domain: str, init: int = 0):
        self.i, self.o, self.domain, self.init = i, o, domain, init

    def elaborate(self, platform) -> Module:
        m = Module()
        value = self.i
        for stage in range(2):
            register = Signal(
                name=f"stage{stage}", init=self.init, reset_less=True,
                attrs={"ASYNC_REG": "TRUE"},
            )  # fmt: skip
            m.d[self.domain] += register.eq(value)
            value = register
        m.d.comb += self.o.eq(value)
        return m
