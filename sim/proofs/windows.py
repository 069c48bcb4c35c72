"""LineBuffer behind its Walker: no row is overwritten that is still to be read, none read too soon.

Rows are counted on, image after image, and an output row needs rows ``low`` up to, but without,
``high``, those below and above its image left out. Induction shows that the two counters of the
buffer are exactly what they say (the rows here beyond the need, and the room), that their declared
widths hold them, and what follows. The bounded proofs look at the memories themselves: a pixel that
the prover picks comes out wherever a window covers it, and no bank gives a pixel that is used from
the address that it is written at in the same clock, which `no_rw_check` promises the synthesiser.
"""

from dataclasses import dataclass

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.core.geometry import Geometry
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.core.walker import Loop, Walker
from sterna.hw.stream.edge import Edge
from sterna.sim.proofs.kit import Bench, Proof, counter, mutant, taken

__all__ = ["GEOMETRIES", "PROOFS", "Core", "nest"]

_BITS = 7  # rows are counted modulo 128: far more than there are slots
_MEMORY = 3  # clocks from an item to its addresses at the memories


class Core(wiring.Component):
    """Walker and line buffer as `Front` connects them."""

    i: stream.Interface

    def __init__(
        self,
        g: Geometry,
        loops: list[Loop],
        buffer: type,
        visit_clocks: int,
        walker: type = Walker,
    ):
        adds = any(p.adds for p in loops)
        self.walker = walker(g.out_height, g.out_width, loops, visit_clocks, adds)
        self.buffer = buffer(g, loops)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(g.edge.width))),
                "go": In(1),
                "word": Out(len(self.buffer.word)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walker, m.submodules.buffer = walker, buffer = self.walker, self.buffer
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        m.d.comb += [
            walker.go.eq(self.go),
            walker.rows_ok.eq(buffer.rows_ok),
            self.word.eq(buffer.word),
            buffer.row_end.eq(walker.row_end),
            buffer.image_end.eq(walker.image_end),
            buffer.valid.eq(walker.valid),
            buffer.step.eq(walker.step),
            buffer.top.eq(walker.top),
        ]
        return m


@dataclass(frozen=True)
class _Rows:
    """By output row: what an output row of an image needs of the image's rows."""

    g: Geometry

    def table(self, what: str, row: Value) -> Value:
        g = self.g
        out = []
        for n in range(g.out_height):
            base = n * g.stride[0] - g.padding[0]
            out.append(
                {
                    "base": base,
                    "low": min(max(base, 0), g.height),
                    "high": min(base + g.kernel[0], g.height),
                }[what]
            )
        return Array(Const(v, signed(_BITS)) for v in out)[row]


def _later(b: Bench, value: Value, clocks: int, name: str, init: int = 0) -> Value:
    for n in range(clocks):
        register = Signal(len(value), name=f"{name}_{n}", init=init)
        b.m.d.sync += register.eq(value)
        value = register
    return value


def _count(b: Bench, loop: int) -> Value:
    """The walker's counter of a loop; one of a single turn is a constant."""
    sizes = b.dut.walker.sizes  # pyright: ignore[reportAttributeAccessIssue]
    return b.inside.part("walker")(f"count_{loop}") if sizes[loop] > 1 else Const(0, 1)


def _visits_apart(b: Bench, dut: Core, visit_clocks: int) -> None:
    """A visit begins no sooner than so many clocks behind the last one."""
    since = Signal(range(visit_clocks + 1), init=visit_clocks, name="since_start")
    start = dut.walker.start
    most = since == visit_clocks
    b.m.d.sync += since.eq(Mux(start, 1, Mux(most, visit_clocks, since + 1)))
    b.check(most, start)
    if dut.walker.pause:
        inside = b.inside.part("walker")
        left = visit_clocks - since
        pause, items = inside("pause"), dut.walker.visit_items
        place = Const(0, 1)
        for k, loop in enumerate(dut.walker.loops):
            if not loop.visit:
                place = place * loop.count + _count(b, k + 2)
        b.check(place == Mux(inside("fresh"), 0, since))
        # Mid-visit the rest of it and the pause lie ahead; behind it, the pause alone.
        b.check(pause <= dut.walker.pause)
        b.check((since >= items) & ((left <= pause) | (left == 0)) | ~inside("fresh"))
        b.check(inside("rested") == (pause == 0), inside("fresh"))


def _accounts(
    g: Geometry,
    loops: list[Loop],
    buffer: type = LineBuffer,
    invariants: bool = True,
    visit_clocks: int = 0,
) -> Bench:
    dut = Core(g, loops, buffer, visit_clocks)
    rows = _Rows(g)

    def body(b: Bench) -> None:
        m, walker = b.m, dut.walker
        inside, walks = b.inside.part("buffer"), b.inside.part("walker")
        beats = g.width * g.words_per_pixel
        beat = counter(b, taken(dut.i), beats, "beat")
        row_written = taken(dut.i) & (beat == beats - 1)
        written, written_slot = Signal(_BITS, name="written"), Signal(range(g.slots), name="at")
        with m.If(row_written):
            m.d.sync += [
                written.eq(written + 1),
                written_slot.eq(Mux(written_slot == g.slots - 1, 0, written_slot + 1)),
            ]
        b.check(written_slot < g.slots)
        # The output row that is issued, and its image's first row.
        oy, first = _count(b, 0), Signal(_BITS, name="first_row")
        with m.If(walker.image_end):
            m.d.sync += first.eq(first + g.height)
        low, high, base = (
            (first + rows.table(what, oy))[:_BITS] for what in ("low", "high", "base")
        )
        # As the items at the memories have it: one clock to the item, then the stages.
        low_read = _later(b, low, 1 + _MEMORY, "low")
        start_base = -g.padding[0] % (1 << _BITS)
        base_read = _later(b, base, 1 + _MEMORY, "base", init=start_base)
        far = (written - low_read)[:_BITS].as_signed()
        b.check((far >= 0) & (far < g.slots), taken(dut.i))  # none overwritten
        ahead = (written - high)[:_BITS].as_signed()
        b.check(ahead >= 0, walks("issue"))  # none read too soon
        if visit_clocks:
            _visits_apart(b, dut, visit_clocks)
        if not invariants:
            return
        word_in = inside("word_in") if g.words_per_pixel > 1 else Const(0, 1)
        x_in = inside("x_in") if g.width > 1 else Const(0, 1)
        b.check((word_in < g.words_per_pixel) & (x_in < g.width))
        b.check(beat == x_in * g.words_per_pixel + word_in)
        b.check(inside("final") == (beat == beats - 1))
        spare, room = inside("spare"), inside("room")
        b.check(oy < g.out_height)
        b.check(spare == ahead)
        room_is = (g.slots - 1 + base_read - written)[:_BITS].as_signed()
        b.check(room == room_is)
        b.check(~spare[-1], ~walks("fresh"))
        lasts = Cat(_count(b, k) < n for k, n in enumerate(walker.sizes))
        b.check(lasts.all())
        taken_rows = dut.buffer._taken_by_row()
        b.check(inside("less") == Array(Const(v, signed(8)) for v in taken_rows)[oy])
        b.check(inside("row_to_end") == Mux(oy == g.out_height - 1, 0, oy + 1))
        # Rows do not run away from each other.
        reach = g.slots + max(g.stride[0], abs(g.next_image))
        b.check((far >= 0) & (far <= reach) & (ahead <= reach) & (ahead >= -reach))
        apart = (low - low_read)[:_BITS].as_signed()
        b.check((apart >= 0) & (apart <= reach + g.height))

    return Bench(dut, ["i"], [], body, [dut.go])


def _reads(g: Geometry, loops: list[Loop], buffer: type = LineBuffer) -> Bench:
    """No bank gives a pixel that is used from where it is written in the same clock."""
    dut = Core(g, loops, buffer, 0)

    def body(b: Bench) -> None:
        at = _later(b, Cat(_count(b, 0), _count(b, 1)), 1, "at")
        y, x, _ = _item(b, dut, loops, at)
        _collisions(b, dut, y, x)

    return Bench(dut, ["i"], [], body, [dut.go])


def _item(b: Bench, dut: Core, loops: list[Loop], at: Value) -> tuple[Value, Value, Value]:
    """(y, x) of the pixel that the item's word begins at, and which word of a pixel it is."""
    g, walker = dut.buffer.geometry, dut.walker
    n0, n1 = len(_count(b, 0)), len(_count(b, 1))
    oy, ox = at[:n0], at[n0 : n0 + n1]
    index = {p.name: getattr(walker, f"index_{p.name}") for p in loops}
    y = oy * g.stride[0] - g.padding[0] + sum(index[p.name] * p.rows for p in loops)
    x = ox * g.stride[1] - g.padding[2] + sum(index[p.name] * p.columns for p in loops)
    w = sum((index[p.name] * p.words for p in loops if not (p.rows or p.columns)), Const(0))
    return y, x, w


def _contents(g: Geometry, loops: list[Loop], buffer: type = LineBuffer) -> Bench:
    dut = Core(g, loops, buffer, 0)

    def body(b: Bench) -> None:
        m, walker = b.m, dut.walker
        edge, wpp = g.edge, g.words_per_pixel
        beats = g.height * g.width * wpp
        beat = counter(b, taken(dut.i), beats, "beat")
        image_in = counter(b, taken(dut.i) & (beat == beats - 1), 4, "image_in")
        y_pick, x_pick = AnyConst(range(g.height)), AnyConst(range(g.width))
        w_pick = AnyConst(range(max(2, wpp)))
        b.assume((y_pick < g.height) & (x_pick < g.width) & (w_pick < wpp))
        notes = Array(Signal(edge.width, name=f"note_{n}") for n in range(4))
        with m.If(taken(dut.i) & (beat == (y_pick * g.width + x_pick) * wpp + w_pick)):
            m.d.sync += notes[image_in].eq(dut.i.payload)
        # The item in front of the buffer: its image, and the pixel its window word begins at.
        image_out = counter(b, walker.image_end, 4, "image_out")
        at = _later(b, Cat(_count(b, 0), _count(b, 1), image_out), 1, "at")
        image = at[-2:]
        y, x, w = _item(b, dut, loops, at)
        note = notes[image]
        for n in range(g.rows):
            for k in range(g.columns):
                inside = (y + n >= 0) & (y + n < g.height) & (x + k >= 0) & (x + k < g.width)
                hit = inside & (y + n == y_pick) & (x + k == x_pick) & (w == w_pick)
                meant = _later(
                    b,
                    Cat(walker.valid & hit, walker.valid & ~inside, note),
                    LineBuffer.latency,
                    f"meant_{n}_{k}",
                )
                part = dut.word.word_select(n * g.columns + k, edge.width)
                b.check(part == meant[2:], meant[0])
                b.check(part == 0, meant[1])

    return Bench(dut, ["i"], [], body, [dut.go])


def _collisions(b: Bench, dut: Core, y: Value, x: Value) -> None:
    """No bank is read for a pixel of the map where it is written in the same clock."""
    g = dut.buffer.geometry
    for r in range(g.rows):
        for c in range(g.columns):
            # Which of the window's pixels comes from this bank.
            row = Mux(y < 0, y + 8 * g.rows, y)
            column = Mux(x < 0, x + 8 * g.columns, x)
            n = (r - row % g.rows + g.rows) % g.rows
            k = (c - column % g.columns + g.columns) % g.columns
            used = dut.walker.valid & (y + n >= 0) & (y + n < g.height)
            used &= (x + k >= 0) & (x + k < g.width)
            memory = b.inside.part("buffer").part(f"bank_{r}_{c}")
            same = memory.read_address == memory.write_address
            b.check(~(same & memory.write_enable), _later(b, used, _MEMORY, f"used_{r}_{c}"))


def nest(g: Geometry) -> list[Loop]:
    """As `FrontSpec.loops` makes it, of one output group and whole beats."""
    return [
        Loop("o", 1, visit=True),
        Loop("row", g.kernel[0] // g.rows, rows=g.rows),
        Loop("column", g.kernel[1] // g.columns, words=g.edge.beats_per_pixel, columns=g.columns),
        Loop("beat", g.edge.beats_per_pixel, words=1),
    ]


def _results(visit_clocks: int, walker: type = Walker) -> Bench:
    """Two words that arrive, two output groups: only visits of the last word have results, and they
    begin so far apart."""
    g = Geometry.arriving(Edge(2, 1, 1, 1))
    sub, group = Loop("sub", 1, visit=True, adds=True), Loop("o", 2, visit=True)
    dut = Core(g, [sub, group, Loop("beat", 1, words=1)], LineBuffer, visit_clocks, walker)

    def body(b: Bench) -> None:
        since = Signal(range(visit_clocks + 1), init=visit_clocks, name="since_start")
        start, most = dut.walker.start, since == visit_clocks
        b.m.d.sync += since.eq(Mux(start, 1, Mux(most, visit_clocks, since + 1)))
        b.check(most & (_count(b, 0) == g.height - 1), start)

    return Bench(dut, ["i"], [], body, [dut.go])


_ONE, _TWO = Edge(1, 1, 1, 1), Edge(1, 1, 2, 1)
GEOMETRIES = {
    "2x2": Geometry(_ONE, 2, 2, (2, 2), (1, 1), (1, 0, 1, 0)),
    "3x1_rows": Geometry(_ONE, 3, 2, (3, 1), (1, 1), (1, 1, 0, 0), 3),
    "1x2_columns": Geometry(_ONE, 2, 3, (1, 2), (1, 1), (0, 0, 1, 1), 1, 2),
    "stride": Geometry(_ONE, 4, 2, (2, 1), (2, 1)),
    "planes": Geometry(_TWO, 2, 1, (2, 1), (1, 1), (1, 1, 0, 0)),
    "below": Geometry(_ONE, 2, 2, (4, 1), (1, 1), (3, 3, 0, 0), 2),
    "arriving": Geometry.arriving(Edge(2, 1, 2, 1)),
}


def _proofs() -> list[Proof]:
    found = []
    for name, g in GEOMETRIES.items():
        text = (
            f"LineBuffer {g.height}x{g.width}, window {g.kernel}, stride {g.stride}, "
            f"padding {g.padding}, reads {g.rows}x{g.columns}"
        )
        found.append(
            Proof(
                f"line_rows_{name}",
                f"{text}: row accounting",
                lambda g=g: _accounts(g, nest(g)),
                "prove",
                8,
            )
        )
        found.append(
            Proof(
                f"line_reads_{name}",
                f"{text}: no read where it is written",
                lambda g=g: _reads(g, nest(g)),
                "bmc",
                16,
            )
        )
    g = GEOMETRIES["2x2"]
    soon = ("self.freeing - 1, ", "self.freeing - 4, ")
    full = ("self.i.ready.eq(~room[-1])", "self.i.ready.eq(1)")
    hasty = ("visit_end & final", "visit_end & ~final")
    early = ("self.rows_ok.eq(~spare[-1])", "self.rows_ok.eq(1)")
    found += [
        Proof(
            "walker_apart",
            "Walker: visits of 4 items begin 6 clocks apart",
            lambda: _accounts(g, nest(g), visit_clocks=6),
            "prove",
            8,
        ),
        Proof(
            "walker_adds",
            "Walker: of words that arrive only the last one's visits have results, 5 clocks apart",
            lambda: _results(5),
            "bmc",
            30,
        ),
        Proof(
            "fault_walker_adds",
            "Walker that waits behind visits of other words: results too soon",
            lambda: _results(5, mutant(Walker, *hasty)),
            "bmc",
            20,
            fails=True,
        ),
        Proof(
            "fault_line_soon",
            "LineBuffer that frees rows while they are read",
            lambda: _accounts(g, nest(g), mutant(LineBuffer, *soon), False),
            "bmc",
            26,
            fails=True,
        ),
        Proof(
            "line_words",
            "LineBuffer 2x2, window (2, 2): every word of the first image",
            lambda: _contents(g, nest(g)),
            "bmc",
            13,
        ),
        Proof(
            "fault_line_reads",
            "LineBuffer that always takes input: memories",
            lambda: _reads(g, nest(g), mutant(LineBuffer, *full)),
            "bmc",
            18,
            fails=True,
        ),
        Proof(
            "fault_line_early",
            "LineBuffer whose rows are always there",
            lambda: _accounts(g, nest(g), mutant(LineBuffer, *early), False),
            "bmc",
            12,
            fails=True,
        ),
    ]
    return found


PROOFS = _proofs()
