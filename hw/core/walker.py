"""The loop nest of a core: output pixels, then the loops inside a pixel, one item a clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Loop", "Walker"]


@dataclass(frozen=True)
class Loop:
    """One loop inside an output pixel.

    count: turns. words, columns, rows: what one turn adds to the word address, to x and to y of
    the read. visit: a turn begins a new visit (the unit that is granted by ``go``); visit loops
    come before all others. position: a turn goes to another position of a pool. adds: a visit loop
    whose turns add up, so that only visits of its last turn have results.
    """

    name: str
    count: int
    words: int = 0
    columns: int = 0
    rows: int = 0
    visit: bool = False
    position: bool = False
    adds: bool = False


class Walker(wiring.Component):
    """Walks ``out_height`` x ``out_width`` pixels x ``loops`` for ever, image after image.

    A visit (all turns of the non-visit loops) is issued without a pause once ``go`` and
    ``rows_ok`` are 1 at its first item. One that has results, as all have but for ``rows_add``
    (output rows add up: the last one has) and loops that add, begins at least ``visit_clocks``
    before the next.

    Ports, all outputs registered and describing one item, one clock after its issue:

    go, rows_ok : in, looked at for the first item of a visit only
    start : out, combinational: a visit with results is issued in this clock (to count credits)
    row_end : out, combinational: the last item of an output row is issued in this clock
    image_end : out, with row_end: it was the last row of the image
    valid : out
    step : out, one bit a loop [oy, ox, *loops]: the loop whose turn led to this item; none is set
        for the very first item after reset; ``step[0]`` together with ``top`` is a new image
    top : out, the item lies in the first output row
    final : out, where not all visits have results: the item is of one that has
    first, last : out, one bit a loop of ``loops``: its counter is at its first, last turn
    index : out, counters of ``loops``, least significant loop first in the list order
    """

    latency = 1
    """Clocks from an item's issue to its description."""

    def __init__(
        self,
        out_height: int,
        out_width: int,
        loops: Sequence[Loop],
        visit_clocks: int,
        rows_add: bool = False,
    ):
        self.sizes = [out_height, out_width, *(p.count for p in loops)]
        self.loops = list(loops)
        self.visit_items = prod(p.count for p in loops if not p.visit)
        self.pause = max(0, visit_clocks - self.visit_items)
        self.adding = [k + 2 for k, p in enumerate(self.loops) if p.adds]
        self.adding += [0, 1] if rows_add else []
        n = len(self.loops)
        super().__init__(
            {
                "go": In(1),
                "rows_ok": In(1),
                "start": Out(1),
                "row_end": Out(1),
                "image_end": Out(1),
                "valid": Out(1),
                "step": Out(n + 2),
                "top": Out(1),
                "first": Out(max(n, 1)),
                "last": Out(max(n, 1)),
            }
            | {f"index_{p.name}": Out(range(max(p.count, 2))) for p in self.loops}
            | ({"final": Out(1)} if self.adding else {})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        counters = [Signal(range(max(n, 2)), name=f"count_{k}") for k, n in enumerate(self.sizes)]
        at_last = Signal(len(self.sizes))
        inner_last = Signal(len(self.sizes))  # every loop inside this one is at its last turn
        issue, fresh = Signal(name="issue"), Signal(name="fresh", init=1)
        m.d.comb += at_last.eq(Cat(c == n - 1 for c, n in zip(counters, self.sizes, strict=True)))
        for k in range(len(self.sizes)):
            m.d.comb += inner_last[k].eq(at_last[k + 1 :].all())
        ready = self.go & self.rows_ok
        pause = Signal(range(self.pause + 1))
        rested = Signal(init=1)
        if self.pause:
            ready &= rested
            with m.If(pause != 0):
                m.d.sync += pause.eq(pause - 1)
            m.d.sync += rested.eq(pause[1:] == 0)
        m.d.comb += issue.eq(~fresh | ready)
        inner = [k + 2 for k, p in enumerate(self.loops) if not p.visit]
        visit_end = at_last[inner[0] :].all()
        start, result_end = issue & fresh, visit_end
        if self.adding:
            final = Cat(at_last[k] for k in self.adding).all()
            start, result_end = start & final, visit_end & final
            with m.If(issue):
                m.d.sync += self.final.eq(final)
        advanced = Signal(len(self.sizes))
        with m.If(issue):
            m.d.sync += fresh.eq(visit_end)
            for k, (counter, size) in enumerate(zip(counters, self.sizes, strict=True)):
                with m.If(inner_last[k]):
                    if size > 1:
                        m.d.sync += counter.eq(counter + 1)
                        with m.If(at_last[k]):
                            m.d.sync += counter.eq(0)
                # The outermost loop turns over into the next image: that is its step, too.
                stop = ~at_last[k] if k else 1
                m.d.sync += advanced[k].eq(inner_last[k] & stop)
            if self.pause:
                with m.If(result_end):
                    m.d.sync += [pause.eq(self.pause), rested.eq(0)]
            m.d.sync += [
                self.step.eq(advanced),
                self.top.eq(counters[0] == 0),
                self.first.eq(Cat(c == 0 for c in counters[2:])),
                self.last.eq(at_last[2:]),
            ]
            for p, c in zip(self.loops, counters[2:], strict=True):
                m.d.sync += getattr(self, f"index_{p.name}").eq(c)
        m.d.sync += self.valid.eq(issue)
        m.d.comb += [
            self.start.eq(start),
            self.row_end.eq(issue & inner_last[0]),
            self.image_end.eq(issue & inner_last[0] & at_last[0]),
        ]
        return m
