"""One stream for several readers, each at its own pace."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.stream.buffers import Buffer

__all__ = ["Fork"]


class Fork(wiring.Component):
    """Gives every beat of ``i`` to each of ``o_0`` .. ``o_{branches - 1}`` exactly once, in order.

    Eager: a branch gets a beat as soon as it is ready, whatever the others do; a done bit a branch
    remembers it, and the next beat comes up when all have the present one. So no branch is ever
    more than one beat ahead of another.

    Ports: ``i`` and every ``o_k``, streams of ``unsigned(width)``. Latency 1 clock; one beat a
    clock. A :class:`Buffer` in front: no combinational path, and none between two branches.

    Raises:
        DesignError: fewer than two branches, or a width below 1.
    """

    i: stream.Interface

    def __init__(self, width: int, branches: int):
        if width < 1:
            raise DesignError(f"a fork needs a width of at least 1 bit, not {width}")
        if branches < 2:
            raise DesignError(
                f"a fork needs at least 2 branches, not {branches}; connect one reader directly"
            )
        self.width, self.branches = width, branches
        signature = stream.Signature(unsigned(width))
        super().__init__({"i": In(signature)} | {f"o_{k}": Out(signature) for k in range(branches)})

    @property
    def outputs(self) -> list[stream.Interface]:
        """The branches, in order."""
        return [getattr(self, f"o_{k}") for k in range(self.branches)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = Buffer(self.width)
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        done = Signal(self.branches)
        served = Signal(self.branches)  # has the beat, or takes it in this clock
        m.d.comb += [
            served.eq(done | Cat(o.ready for o in self.outputs)),
            buffer.o.ready.eq(served.all()),
        ]
        for k, o in enumerate(self.outputs):
            m.d.comb += [o.payload.eq(buffer.o.payload), o.valid.eq(buffer.o.valid & ~done[k])]
        with m.If(buffer.o.valid):
            with m.If(served.all()):
                m.d.sync += done.eq(0)
            with m.Else():
                m.d.sync += done.eq(served)
        return m
