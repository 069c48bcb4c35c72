"""What a line buffer reads: the banks' words, of them what is wanted, turned into a window."""

from typing import NamedTuple

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from sterna.hw.core.geometry import Geometry
from sterna.hw.memory.delay import delay

__all__ = ["PICKING", "READING", "Asked", "Pick", "Place", "WindowRead"]


class Pick(NamedTuple):
    """What of a beat an item reads: so many planes side by side, of so many lanes side by side;
    blanks: some words are to be zero."""

    planes: int
    lanes: int
    blanks: bool = False


class Place(NamedTuple):
    """Where a read is: row slot, column and row of the map, word offset in its banks, and by how
    many columns these are turned."""

    slot: Signal
    x: Signal
    y: Signal
    offset: Signal
    turn: Signal


PICKING = 1
"""Clocks of the choice of planes and lanes."""
READING = 6
"""Clocks from an item's place to its word, without that choice."""
_HELD = 5  # from an item, a clock before its place, to the banks' words in registers


class Asked(NamedTuple):
    """Of an item, what of a beat it reads: which planes, which lanes, None where it reads all;
    blank: a word of zeros."""

    pick: Pick
    part: Signal | None
    sub: Signal | None
    blank: Signal | None


class WindowRead:
    """The stages behind an item's place: tables and masks, addresses, memories, registers, the
    choice of planes and lanes where it is ``asked``, rotations. The word is `READING` clocks behind
    the place, with a choice `PICKING` more."""

    def __init__(self, geometry: Geometry, asked: Asked | None):
        self.geometry, self.asked = geometry, asked
        pick = None if asked is None else asked.pick
        self.width = geometry.edge.width if pick is None else pick.planes * pick.lanes
        self.late = 0 if pick is None else PICKING

    def word(self, m: Module, banks: list[list[Memory]], item: Place) -> Value:
        """The window's word of an item, a register."""
        g = self.geometry
        slot, x, y, offset, turn = item
        r, k = g.rows, g.columns
        lines = g.slots // r
        address_bits = max(1, (g.bank_depth - 1).bit_length())
        # Where a slot's row lies in its bank, and where the row after the last bank's does.
        # None of these is an item's sign: what they are behind a reset is looked at by nobody.
        here = Signal(address_bits, reset_less=True)
        after = Signal(address_bits, reset_less=True)
        line_turn = Signal(range(max(2, r)), reset_less=True)
        near = Signal.like(offset, reset_less=True)
        far = Signal.like(offset, reset_less=True)
        turn_1 = Signal.like(turn, reset_less=True)
        rows_in = Signal(r, reset_less=True)
        columns_in = Signal(k, reset_less=True)
        table = lambda f: Array(Const(f(s), address_bits) for s in range(g.slots))[slot]  # noqa: E731
        m.d.sync += [
            here.eq(table(lambda s: s // r * g.row_words)),
            after.eq(table(lambda s: (s // r + 1) % lines * g.row_words)),
            line_turn.eq(Array(Const(s % r, range(max(2, r))) for s in range(g.slots))[slot]),
            near.eq(offset),
            far.eq(offset + g.words_per_pixel),
            turn_1.eq(turn),
            rows_in.eq(Cat((y + n >= 0) & (y + n < g.height) for n in range(r))),
            columns_in.eq(Cat((x + n >= 0) & (x + n < g.width) for n in range(k))),
        ]
        data: list[list[Signal]] = []
        for row, line in enumerate(banks):
            data.append([])
            for column, memory in enumerate(line):
                port = memory.read_port()
                address = Signal(address_bits, name=f"address_{row}_{column}", reset_less=True)
                # The last bank never lies before the window's first row or column.
                base = here if row == r - 1 else Mux(line_turn > row, after, here)
                at = near if column == k - 1 else Mux(turn_1 > column, far, near)
                m.d.sync += address.eq(base + at)
                held = Signal(g.edge.width, name=f"held_{row}_{column}", reset_less=True)
                m.d.comb += port.addr.eq(address)
                m.d.sync += held.eq(port.data)
                data[-1].append(held)
        if self.asked is not None:
            data = self._picked(m, self.asked, data)
        turn_2 = delay(m, turn_1, 3 + self.late, "turn", True)
        line_turn_2 = delay(m, line_turn, 4 + self.late, "line_turn", True)
        return self._rotate(m, data, turn_2, line_turn_2, self._pads(m, rows_in, columns_in))

    def _picked(self, m: Module, asked: Asked, data: list[list[Signal]]) -> list[list[Signal]]:
        """Of each bank's word what the item reads, a register: before the rotations, which then
        turn no more than that."""
        edge, pick = self.geometry.edge, asked.pick
        part = None if asked.part is None else delay(m, asked.part, _HELD, "part_{0}", True)
        sub = None if asked.sub is None else delay(m, asked.sub, _HELD, "sub_{0}", True)
        out: list[list[Signal]] = []
        for row, line in enumerate(data):
            out.append([])
            for column, held in enumerate(line):
                planes: Value = held
                if part is not None:
                    planes = held.word_select(part, pick.planes * edge.lanes)
                lines = [planes[n * edge.lanes : (n + 1) * edge.lanes] for n in range(pick.planes)]
                if sub is not None:
                    lines = [one.word_select(sub, pick.lanes) for one in lines]
                picked = Signal(self.width, name=f"picked_{row}_{column}", reset_less=True)
                m.d.sync += picked.eq(Cat(lines))
                out[-1].append(picked)
        return out

    def _pads(self, m: Module, rows_in: Value, columns_in: Value) -> list[Signal]:
        """Of each pixel of the window that it is zero, in the clock before it leaves: a register,
        which resets all of the pixel. None where every pixel is one of the map."""
        g = self.geometry
        if not any(g.border):
            return []
        inside = delay(m, Cat(rows_in, columns_in), 3 + self.late, "mask", True)
        blank: Value = Const(0)
        if self.asked is not None and self.asked.blank is not None:
            blank = delay(m, self.asked.blank, _HELD + self.late, "blank_{0}")
        pads: list[Signal] = []
        for row in range(g.rows):
            for column in range(g.columns):
                pad = Signal(name=f"pad_{row}_{column}")
                m.d.sync += pad.eq(blank | ~(inside[row] & inside[g.rows + column]))
                pads.append(pad)
        return pads

    def _rotate(
        self,
        m: Module,
        data: list[list[Signal]],
        turn: Value,
        line_turn: Value,
        pads: list[Signal],
    ) -> Value:
        """The window's word of what the banks gave: a register behind the columns' rotation."""
        g = self.geometry
        r, k = g.rows, g.columns
        turned: list[list[Signal]] = []
        for row in range(r):
            turned.append([])
            for column in range(k):
                pixel = Signal(self.width, name=f"pixel_{row}_{column}", reset_less=True)
                choice = Array(data[row][(column + n) % k] for n in range(k))
                m.d.sync += pixel.eq(choice[turn] if k > 1 else data[row][0])
                turned[-1].append(pixel)
        word = Signal(r * k * self.width, reset_less=True)
        for row in range(r):
            for column in range(k):
                n = row * k + column
                choice = Array(turned[(row + n) % r][column] for n in range(r))
                pixel = word.word_select(n, self.width)
                m.d.sync += pixel.eq(choice[line_turn] if r > 1 else turned[0][column])
                if pads:
                    with m.If(pads[n]):
                        m.d.sync += pixel.eq(0)
        return word
