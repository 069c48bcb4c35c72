"""A delay line: registers one behind the other."""

from amaranth.hdl import Module, Signal, Value

__all__ = ["delay", "delay_line"]


def delay_line(
    m: Module, value: Value, clocks: int, name: str, reset_less: bool | None = None
) -> list[Value]:
    """``value`` and what it was: element n is n clocks later, the last one ``clocks``.

    name: of the registers; ``{0}`` in it is the number of each, ``{1}`` its clocks. reset_less:
    they keep what they have through a reset; None: where they are wider than flags are, 8 bits.
    """
    line = [value]
    for n in range(clocks):
        wide = len(value) > 8 if reset_less is None else reset_less
        register = Signal(value.shape(), name=name.format(n, n + 1), reset_less=wide)
        m.d.sync += register.eq(line[-1])
        line.append(register)
    return line


def delay(m: Module, value: Value, clocks: int, name: str, reset_less: bool | None = None) -> Value:
    """``value``, ``clocks`` registers later, see `delay_line`."""
    return delay_line(m, value, clocks, name, reset_less)[-1]
