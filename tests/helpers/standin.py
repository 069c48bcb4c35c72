"""A small design with the ports of a board top and two memories, for tests of the tools' flow."""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class StandIn(wiring.Component):
    """Bits from ``rx`` are addresses; what the memories say goes to ``tx``.

    ``memories``: name -> (depth, width, rows).
    """

    def __init__(self, memories: dict[str, tuple[int, int, list[int]]]):
        self.memories = memories
        super().__init__({"rx": In(1), "tx": Out(1), "led": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift, slow, words = Signal(16), Signal(8), []
        m.d.uart += slow.eq(Cat(slow[1:], self.rx))
        m.d.sync += shift.eq(Cat(shift[1:], slow[0]))
        for name, (depth, width, rows) in self.memories.items():
            attrs = {"ram_style": "block", "rom_style": "block"}
            memory = Memory(shape=width, depth=depth, init=rows, attrs=attrs)
            m.submodules[name] = memory
            port = memory.read_port()
            word = Signal(width)
            m.d.sync += word.eq(port.data)
            m.d.comb += port.addr.eq(shift)
            words.append(word)
        bits = Cat(*words)
        count, out = Signal(range(len(bits))), Signal()
        m.d.sync += [count.eq(count + 1), out.eq(Array(bits)[count])]
        m.d.comb += [self.tx.eq(out), self.led.eq(Const(1) ^ slow[1])]
        return m
