"""Weight words out of several reads of a narrower memory, where block RAM is short of ports."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sterna.golden.errors import DesignError
from sterna.hw.memory.weight_memory import WeightMemory

__all__ = ["MOST_READS", "WordAssembler", "piece_width", "split_rows"]

MOST_READS = 4
"""More would begin before the walker knows what comes next."""


def piece_width(width: int, reads: int) -> int:
    """Bits of a row of memory, ``reads`` of which make a word of ``width`` bits."""
    return -(-width // reads)


def split_rows(rows: Sequence[int], width: int, reads: int) -> list[int]:
    """Rows of memory for words of ``width`` bits, low bits first."""
    piece = piece_width(width, reads)
    mask = (1 << piece) - 1
    return [row >> k * piece & mask for row in rows for k in range(reads)]


class WordAssembler(wiring.Component):
    """Reads words of ``width`` bits in ``reads`` pieces, one a clock, one word after another.

    A word that is used for P clocks leaves its memory idle for all but one of them: P reads of a
    P-th of the bits need a P-th of the block RAM's ports, for registers that hold the word.

    Parameters
    ----------
    words : of ``width`` bits in the memory, which has ``words`` * ``reads`` rows
    width : bits of a word
    reads : pieces of a word, 2 to `MOST_READS`
    apart : clocks of a register between the address' counter and the memory, 0 or 1
    again : whether words of a group are read more than once

    Ports
    -----
    fetch : in, a word is wanted; at least ``reads`` clocks after the last one
    on : in, with ``fetch``: the word behind the last one, else the first of all
    again, group : in, with ``fetch`` and ``on``, of ``again``: the first word of the group instead;
        the word begins a group (as the first of all does)
    addr : out, row of the memory, for data `WeightMemory.latency` clocks later
    data : in, a row of memory
    word : out, the word, from ``latency`` clocks after ``fetch`` until the next one comes
    """

    def __init__(self, words: int, width: int, reads: int, apart: int, again: bool = False):
        if not 2 <= reads <= MOST_READS:
            raise DesignError(f"a word is made of 2 to {MOST_READS} reads, not {reads}")
        self.width, self.reads, self.apart, self.regroups = width, reads, apart, again
        self.piece = piece_width(width, reads)
        self.latency = reads + apart + WeightMemory.latency + 1
        bits = max(1, ceil_log2(words * reads))
        super().__init__(
            {
                "fetch": In(1),
                "on": In(1),
                "addr": Out(bits),
                "data": In(self.piece),
                "word": Out(width),
            }
            | ({"again": In(1), "group": In(1)} if again else {})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = Signal.like(self.addr)
        # Bit k: the fetch of k + 1 clocks ago.
        ago = Signal(self.latency - 1)
        m.d.sync += ago.eq(Cat(self.fetch, ago))
        with m.If(self.fetch):
            m.d.sync += row.eq(Mux(self.on, row + 1, 0))
        with m.Elif(ago[: self.reads - 1].any()):
            m.d.sync += row.eq(row + 1)
        if self.regroups:
            first = Signal.like(self.addr, name="first")
            with m.If(self.fetch & self.again):
                m.d.sync += row.eq(first)
            with m.If(self.fetch & (self.group | ~self.on)):
                m.d.sync += first.eq(Mux(self.on, row + 1, 0))
        if self.apart:
            m.d.sync += self.addr.eq(row)
        else:
            m.d.comb += self.addr.eq(row)
        # Every row read goes through here: in the clock of a word's last piece, these are the rest.
        rest = Signal(self.piece * (self.reads - 1), reset_less=True)
        whole = Cat(rest, self.data)
        m.d.sync += rest.eq(whole[self.piece :])
        word = Signal(self.width, reset_less=True)
        with m.If(ago[-1]):
            m.d.sync += word.eq(whole)
        m.d.comb += self.word.eq(word)
        return m
