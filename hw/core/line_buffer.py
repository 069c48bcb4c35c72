"""Line buffer: the rows under a sliding window, circulating from image to image."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sterna.golden.bounds import signed_bits
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.walker import Loop
from sterna.hw.core.window_read import READING, Asked, Pick, Place, WindowRead
from sterna.hw.memory.delay import delay
from sterna.hw.memory.shape import Memories, MemoryShape
from sterna.hw.once import once
from sterna.hw.stream.buffers import step_counter

__all__ = ["LineBuffer"]


def _count(m: Module, counter: Signal, period: int) -> None:
    if period > 1:  # a counter of one turn stays 0
        step_counter(m, counter, period)


def _choose(m: Module, which: Value, values: Sequence[Value], name: str) -> Value:
    """``values[which]``, each made by itself: only the choice waits for ``which``."""
    made = [Signal(v.shape(), name=f"{name}_{n}") for n, v in enumerate(values)]
    m.d.comb += [s.eq(v) for s, v in zip(made, values, strict=True)]
    return Array(made)[which]


def _past(base: Value, step: int, slots: int) -> Value:
    """The row slot ``step`` further than ``base``."""
    total = base + step % slots
    return Mux(total >= slots, total - slots, total)


def _turned(g: Geometry, offset: Value, turn: Value, step: int, walked: int) -> tuple[Value, Value]:
    """(offset, turn) a ``step`` of columns further, less the words ``walked`` before."""
    k = g.columns
    carry = turn + step % k >= k
    base = (step // k) * g.words_per_pixel - walked
    return (
        offset + Mux(carry, base + g.words_per_pixel, base),
        Mux(carry, turn + step % k - k, turn + step % k),
    )


@once
class LineBuffer(wiring.Component):
    """Keeps ``geometry.slots`` rows of a map and reads window words of them, one a clock.

    Rows are written as they arrive and never moved: a slot is free again when the window has left
    it, and the next image's rows follow the last one's without a gap. Padding is masked at the
    read. ``rows`` x ``columns`` pixels are read at once from as many banks (pixel (y, x) lies in
    row bank y mod rows, column bank x mod columns) and rotated into place: of each, with ``pick``,
    only the planes and lanes that the item reads, which are chosen before.

    Ports
    -----
    i : in, stream of ``geometry.edge``
    rows_ok : out, the rows of the next output row are here (registered counters, no path from i)
    row_end, image_end : in, from the walker: an output row has been issued
    valid, step, top : in, an item of the walker over ``loops``
    part, sub, blank : in, with ``pick`` only, of the item: which planes and which lanes are read,
        and that the word is to be zero
    word : out, unsigned(rows * columns * width), width that of the edge or planes * lanes of
        ``pick``, ``latency`` clocks after the item, with ``pick`` `PICKING` more; pixel (row,
        column) at bit ``(row * columns + column) * width``; pad pixels are zero
    """

    latency = 1 + READING
    freeing = 5
    """Clocks from a ``row_end`` to the first in which the rows it leaves are free for the input."""

    def __init__(self, geometry: Geometry, loops: Sequence[Loop], pick: Pick | None = None):
        self.geometry = geometry
        self.loops = list(loops)
        self.pick = pick
        g, edge = geometry, geometry.edge
        self.width = edge.width if pick is None else pick.planes * pick.lanes
        ports = {
            "i": In(stream.Signature(unsigned(edge.width))),
            "rows_ok": Out(1),
            "row_end": In(1),
            "image_end": In(1),
            "valid": In(1),
            "step": In(len(loops) + 2),
            "top": In(1),
            "word": Out(g.rows * g.columns * self.width),
        }
        if pick is not None:
            ports |= {
                "part": In(range(max(2, edge.pb // pick.planes))),
                "sub": In(range(max(2, edge.lanes // pick.lanes))),
                "blank": In(1),
            }
        super().__init__(ports)

    i: stream.Interface
    part: Signal
    sub: Signal
    blank: Signal

    @staticmethod
    def memories_of(geometry: Geometry) -> Memories:
        g = geometry
        bank = MemoryShape(g.edge.width, max(2, g.bank_depth), "fifo")
        return {
            f"bank_{row}_{column}": bank for row in range(g.rows) for column in range(g.columns)
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, memories = self.geometry, self.memories_of(self.geometry)
        banks: list[list[Memory]] = []
        for row in range(g.rows):
            banks.append([])
            for column in range(g.columns):
                name = f"bank_{row}_{column}"
                # A slot is written only when no window reads it any more (see `_account`), so a
                # read beside a write is of padding, masked, or between items, unused: no logic for
                # which of the two comes first.
                m.submodules[name] = memory = memories[name].make(attrs={"no_rw_check": True})
                banks[-1].append(memory)
        row_written = self._write(m, banks)
        self._account(m, row_written)
        asked = None
        if self.pick is not None:
            asked = Asked(self.pick, self.part, self.sub, self.blank)
        m.d.comb += self.word.eq(WindowRead(g, asked).word(m, banks, self._position(m)))
        return m

    def _write(self, m: Module, banks: list[list[Memory]]) -> Value:
        """Puts beats away; returns the pulse of a complete row."""
        g = self.geometry
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        word = Signal(range(max(2, g.words_per_pixel)), name="word_in")
        x = Signal(range(max(2, g.width)), name="x_in")
        column = Signal(range(max(2, g.columns)))
        row = Signal(range(max(2, g.rows)))
        start = Signal(range(max(2, g.bank_depth)))  # of the row in its bank
        address = Signal(range(max(2, g.bank_depth)))
        block = Signal.like(address)  # of the pixel's column block, when there are several columns
        word_last, x_last = word == g.words_per_pixel - 1, x == g.width - 1
        column_last = column == g.columns - 1
        # The coming beat is its row's last: a register, because ``i.valid`` may come late.
        final = Signal(init=int(g.width * g.words_per_pixel == 1))
        row_done = taken & final
        for r, line in enumerate(banks):
            for c, memory in enumerate(line):
                port = memory.write_port()
                m.d.comb += [
                    port.addr.eq(address),
                    port.data.eq(self.i.payload),
                    port.en.eq(taken & (row == r) & (column == c)),
                ]
        with m.If(taken):
            if g.words_per_pixel > 1:
                m.d.sync += final.eq((word == g.words_per_pixel - 2) & x_last)
            elif g.width > 1:
                m.d.sync += final.eq(x == g.width - 2)
            m.d.sync += address.eq(address + 1)
            _count(m, word, g.words_per_pixel)
            with m.If(word_last):
                _count(m, x, g.width)
                _count(m, column, g.columns)
                if g.columns > 1:
                    with m.If(column_last):
                        m.d.sync += block.eq(address + 1)
                    with m.Else():
                        m.d.sync += address.eq(block)
            with m.If(word_last & x_last):
                m.d.sync += column.eq(0)
                _count(m, row, g.rows)
                with m.If(row == g.rows - 1):
                    after = Signal.like(start)
                    m.d.comb += after.eq(start + g.row_words)
                    with m.If(start == g.bank_depth - g.row_words):
                        m.d.comb += after.eq(0)
                    m.d.sync += [start.eq(after), address.eq(after), block.eq(after)]
                with m.Else():
                    m.d.sync += [address.eq(start), block.eq(start)]
        return row_done

    def _account(self, m: Module, row_written: Value) -> None:
        """Counts rows: those here beyond the next output row's need, those free for the writer.

        Both answers are sign bits of registers: what asks is far away, and asks every clock.
        """
        g = self.geometry
        taken = self._taken_by_row()
        # Where the last windows lie wholly below the image, the next image's first is above them
        # (next_image < 0): rows that were free already are then needed again, filled beyond slots.
        kernel, stride = g.extent[0], g.advance[0]
        reach = g.slots + max(stride, abs(g.next_image))
        first = min(kernel - g.border[0], g.height)
        least = min(kernel, g.height + g.border[0] - (g.out_height - 1) * stride)
        # A row ends with its rows here, so spare falls below 0 by one row's step at most.
        spare = Signal(signed(signed_bits(-max(first, *taken), reach - least)), init=-first)
        room = Signal(signed(signed_bits(-reach, 2 * reach)), init=g.slots - g.border[0] - 1)
        # Rows that the output row being issued needs less than the next one: a register, too.
        usual = max(set(taken), key=taken.count)
        less = Signal(signed(signed_bits(min(0, *taken), max(1, *taken))), init=taken[0])
        row = Signal(range(max(2, g.out_height)), init=1 % g.out_height, name="row_to_end")
        following = Signal.like(less)
        m.d.comb += following.eq(usual)
        with m.Switch(row):
            for number, rows in enumerate(taken):
                if rows != usual:
                    with m.Case(number):
                        m.d.comb += following.eq(rows)
        with m.If(self.row_end):
            m.d.sync += less.eq(following)
            _count(m, row, g.out_height)
        # What ends a row comes late in the clock: it chooses between sums that wait for nothing.
        sums = [spare, spare + 1, spare - less, spare - less + 1]
        m.d.sync += spare.eq(_choose(m, Cat(row_written, self.row_end), sums, "spare"))
        # Reads issued for a row are still on their way to memory when the next row begins.
        ends = delay(m, Cat(self.row_end, self.image_end), self.freeing - 1, "delayed", False)
        freed = Mux(ends[1], g.next_image, stride)
        later = room + Mux(ends[0], freed, 0)
        m.d.sync += room.eq(_choose(m, row_written, [later, later - 1], "room"))
        m.d.comb += [self.rows_ok.eq(~spare[-1]), self.i.ready.eq(~room[-1])]

    def _taken_by_row(self) -> list[int]:
        """By how many rows the need of each output row is below that of the next one, the next
        image's first behind the last. Rows below the image are never needed."""
        g = self.geometry
        need = [
            min(row * g.advance[0] - g.border[0] + g.extent[0], g.height)
            for row in range(g.out_height)
        ]
        need.append(g.height + need[0])
        return [b - a for a, b in zip(need, need[1:])]

    @property
    def _turning(self) -> bool:
        """Whether the positions of a pool begin in different column banks."""
        g = self.geometry
        return g.pool[1] > 1 and g.stride[1] % g.columns > 0

    def _position(self, m: Module) -> Place:
        """Registers that follow the walker's items."""
        g, loops = self.geometry, self.loops
        k, (pt, _, pl, _) = g.columns, g.border
        sh, sw = g.advance
        first_turn, first_offset = -pl % k, (-pl // k) * g.words_per_pixel
        slot = Signal(range(g.slots), init=-pt % g.slots)
        slot_base = Signal(range(g.slots), init=-pt % g.slots)
        span_x = max(g.width, g.out_width * sw) + g.extent[1] + pl
        span_y = max(g.height, g.out_height * sh) + g.extent[0] + pt
        x = Signal(signed(signed_bits(-pl, span_x)), init=-pl)
        y = Signal(signed(signed_bits(-pt, span_y)), init=-pt)
        y_base = Signal.like(y, init=-pt)
        turn = Signal(range(max(2, k)), init=first_turn)
        # Two's complement, wide enough that only masked pixels wrap round.
        bits = max(1, (g.bank_depth - 1).bit_length()) + 1
        offset = Signal(bits, init=first_offset % (1 << bits))

        # Where positions turn the column banks, a visit's first position is kept: by how far they
        # carry the offset depends on where the window was.
        row_offset, row_turn = offset, turn
        if self._turning:
            row_offset = Signal.like(offset, name="row_offset", init=offset.init)
            row_turn = Signal.like(turn, name="row_turn", init=first_turn)
        item = Place(slot, x, y, offset, turn)
        row = Place(slot_base, x, y_base, row_offset, row_turn)
        walked = loops if not self._turning else [p for p in loops if p.visit]
        walked_words = sum((p.count - 1) * p.words for p in walked)
        walked_x = sum((p.count - 1) * p.columns for p in loops)
        with m.If(self.valid):
            self._within(m, item, row)
            with m.If(self.step[1]):
                moved_offset, turns = _turned(g, row_offset, row_turn, sw, walked_words)
                m.d.sync += [
                    turn.eq(turns),
                    offset.eq(moved_offset),
                    x.eq(x + sw - walked_x),
                    slot.eq(slot_base),
                    y.eq(y_base),
                ]
            with m.If(self.step[0]):
                moved = Mux(
                    self.top, _past(slot_base, g.next_image, g.slots), _past(slot_base, sh, g.slots)
                )
                moved_y = Mux(self.top, -pt, y_base + sh)
                m.d.sync += [turn.eq(first_turn), offset.eq(first_offset), x.eq(-pl)]
                m.d.sync += [slot.eq(moved), slot_base.eq(moved), y.eq(moved_y), y_base.eq(moved_y)]
            if self._turning:
                with m.If(self.step[1]):
                    m.d.sync += [row_offset.eq(moved_offset), row_turn.eq(turns)]
                with m.If(self.step[0]):
                    m.d.sync += [row_offset.eq(first_offset), row_turn.eq(first_turn)]
        return item

    def _within(self, m: Module, item: Place, row: Place) -> None:
        """Steps of the loops inside an output pixel, whose rows and visit begin at ``row``: a
        loop's step takes back what those inside it went."""
        g = self.geometry
        slot, x, y, offset, turn = item
        for n, p in enumerate(self.loops):
            inner = self.loops[n + 1 :]
            words = p.words - sum((q.count - 1) * q.words for q in inner)
            columns = p.columns - sum((q.count - 1) * q.columns for q in inner)
            rows = p.rows - sum((q.count - 1) * q.rows for q in inner)
            with m.If(self.step[n + 2]):
                if self._turning and (p.visit or p.position):
                    across = p.position and p.columns
                    if across:
                        moved, turns = _turned(g, offset, turn, g.stride[1], -words)
                    else:
                        before = sum((q.count - 1) * q.words for q in inner if q.visit)
                        moved, turns = row.offset + (p.words - before), row.turn
                    m.d.sync += [offset.eq(moved), turn.eq(turns), x.eq(x + columns)]
                    if p.visit:
                        m.d.sync += row.offset.eq(moved)
                else:
                    m.d.sync += [offset.eq(offset + words), x.eq(x + columns)]
                if any(q.rows for q in self.loops[: n + 1]):
                    if rows:
                        m.d.sync += [slot.eq(_past(slot, rows, g.slots)), y.eq(y + rows)]
                elif any(q.rows for q in inner):
                    m.d.sync += [slot.eq(row.slot), y.eq(row.y)]
