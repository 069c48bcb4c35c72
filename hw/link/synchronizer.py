"""Into another clock domain: two flip-flops, marked for the tools that look for them."""

from amaranth.hdl import Module, Signal

__all__ = ["synchronized"]


def synchronized(m: Module, bit: Signal, domain: str, name: str, init: int = 0) -> Signal:
    """``bit``, two flip-flops of ``domain`` later; they start at ``init`` and know no reset.

    Amaranth's FFSynchronizer leaves attributes to a platform, and a design in Verilog has none:
    here both carry ASYNC_REG, by which Vivado keeps them side by side, and out of a shift register
    of LUTs. They are registers of ``m`` itself: an attribute of a module's port might be lost.
    """
    for stage in range(2):
        register = Signal(
            name=f"{name}_stage{stage}", init=init, reset_less=True, attrs={"ASYNC_REG": "TRUE"}
        )
        m.d[domain] += register.eq(bit)
        bit = register
    return bit
