"""The daisy chain that writes and reads memories at run time: its word, its addresses, its node.

A ring of registers leaves the AXI4-Lite slave, passes every reloadable memory and returns to the
slave. At most one access is on its way at any time (the master waits for the word to come back), so
a node may keep a read for as long as its memory needs. The node whose region and address match
turns the word into a response; a word that returns unchanged was for nobody, which is how the
master knows of a wrong region or address.
"""

__all__ = [
    "ADDRESS_BITS",
    "REGION_BITS",
    "ChainLayout",
    "Chain",
    "ChainNode",
    "ChainOp",
    "ChainWord",
]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import Const, Module, Signal, Value, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sterna.golden.errors import DesignError

ADDRESS_BITS = 20
REGION_BITS = 8
WORD_BITS = 32

# Words of a row joined between two registers of the read-back: more would limit the clock.
_WAYS = 16


class ChainOp(enum.Enum, shape=2):
    """What a chain word asks for, or that it has been answered."""

    NOP = 0
    WRITE = 1
    READ = 2
    RESPONSE = 3


class ChainWord(data.Struct):
    """One word of the ring, 63 bits: an access while ``valid`` and ``op`` is not NOP."""

    valid: unsigned(1)  # pyright: ignore[reportInvalidTypeForm]
    op: ChainOp
    region: unsigned(REGION_BITS)  # pyright: ignore[reportInvalidTypeForm]
    addr: unsigned(ADDRESS_BITS)  # pyright: ignore[reportInvalidTypeForm]
    data: unsigned(WORD_BITS)  # pyright: ignore[reportInvalidTypeForm]


Chain = wiring.Signature({"word": Out(ChainWord)})
"""One hop of the ring, from the register that drives it. No back-pressure: one access at a time."""


@dataclass(frozen=True)
class ChainLayout:
    """How a memory of ``depth`` rows of ``width`` bits is seen from the chain.

    A row is cut into words of 32 bits, low bits first; the last may be narrower and reads
    zero-extended. Row r, word k is chain address ``r * 2**bits + k``. Where the number of words is
    no power of two the addresses behind the last one hold nothing: writing them has no effect and
    they read zero, so that a region is one linear array of ``words`` words.
    """

    depth: int
    width: int

    def __post_init__(self) -> None:
        if self.depth < 1 or self.width < 1:
            raise DesignError(
                f"a memory of {self.depth} rows of {self.width} bits holds nothing; "
                "give at least one row of one bit"
            )

    @property
    def per_row(self) -> int:
        """Words of a row."""
        return -(-self.width // WORD_BITS)

    @property
    def bits(self) -> int:
        """Low address bits that choose the word."""
        return ceil_log2(self.per_row)

    @property
    def words(self) -> int:
        """Chain addresses of the region, the empty ones included."""
        return self.depth << self.bits

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of every word of a row."""
        return tuple(min(WORD_BITS, self.width - WORD_BITS * k) for k in range(self.per_row))

    def address(self, row: int, word: int = 0) -> int:
        """Chain address of a word."""
        if not (0 <= row < self.depth and 0 <= word < self.per_row):
            raise DesignError(
                f"row {row} word {word} is outside a memory of {self.depth} rows "
                f"of {self.per_row} words"
            )
        return row << self.bits | word

    def split(self, row: int) -> tuple[int, ...]:
        """The words of a row value."""
        return tuple(row >> WORD_BITS * k & (1 << w) - 1 for k, w in enumerate(self.widths))

    def linear(self, rows: Sequence[int]) -> list[int]:
        """All ``words`` 32-bit words of the region in address order; missing rows are zero.

        This is what a loader writes from address 0 and what the CRC-32 read-back pass covers.
        """
        pad = (0,) * ((1 << self.bits) - self.per_row)
        full = [word for row in rows for word in self.split(row) + pad]
        return full + [0] * (self.words - len(full))


class ChainNode(wiring.Component):
    """One memory's place in the ring.

    A word for others, and the answer to a write, leave one clock after they came in; the answer to
    a read leaves ``latency + 2`` clocks after, when ``rdata`` has been there. Writing: ``we`` has
    the bit of the word set for one clock, with ``row`` and ``wdata``. Reading: ``busy`` is high
    from one clock after the word came in until the answer leaves, with ``row`` and ``blank``; the
    memory presents that row in ``rdata`` ``row_latency`` clocks after, the words marked in
    ``blank`` as zero. Zeros by the synchronous reset of the memory's output register and an OR
    take a third of the logic of a multiplexer.

    Parameters
    ----------
    region : number of the region, 0..255, unique in the ring
    layout : the memory's shape
    row_latency : clocks from ``row`` to ``rdata``

    Members
    -------
    chain_i, chain_o : the ring
    row : out, unsigned(log2 depth)
    we : out, one bit a word of a row
    wdata : out, 32 bits; a narrower one takes the low bits
    busy : out, a read is under way
    access : out, a read is under way or a row is written: ``row`` is to be the memory's address
    blank : out, one bit a word of a row, ``busy`` and another one is read
    rdata : in, ``width`` bits, the row
    """

    def __init__(self, region: int, layout: ChainLayout, row_latency: int = 2):
        if not 0 <= region < 1 << REGION_BITS:
            raise DesignError(
                f"region {region} does not fit the chain; number regions 0..{2**REGION_BITS - 1}"
            )
        if layout.words > 1 << ADDRESS_BITS:
            raise DesignError(
                f"region {region}: {layout.depth} rows of {layout.per_row} words need "
                f"{layout.words} chain addresses of {1 << ADDRESS_BITS}; use a rom or a narrower "
                "fold"
            )
        self.region = region
        self.layout = layout
        self.row_latency = row_latency
        super().__init__(
            {
                "chain_i": In(Chain),
                "chain_o": Out(Chain),
                "row": Out(max(1, ceil_log2(layout.depth))),
                "we": Out(layout.per_row),
                "wdata": Out(WORD_BITS),
                "busy": Out(1),
                "access": Out(1),
                "blank": Out(layout.per_row),
                "rdata": In(layout.width),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from the first clock of ``busy`` to the answer's register being loaded."""
        levels, ways = 0, self.layout.per_row
        while ways > 1 or levels == 0:
            levels, ways = levels + 1, -(-ways // _WAYS)
        return self.row_latency + levels

    def elaborate(self, platform: object):
        m = Module()
        bits = self.layout.bits
        coming = self.chain_i.word
        valid = Signal(name="word_valid")
        word = Signal(ChainWord, reset_less=True)  # what is valid is reset, the rest is not
        writing = Signal()
        waited = Signal(range(self.latency + 1))

        inside: Value = Const(1)
        if self.layout.words < 1 << ADDRESS_BITS:
            inside = coming.addr < self.layout.words
        joined = self._joined(m)
        mine = Signal()
        m.d.comb += mine.eq(
            coming.valid
            & (coming.region == self.region)
            & inside
            & ((coming.op == ChainOp.WRITE) | (coming.op == ChainOp.READ))
        )
        m.d.sync += writing.eq(0)
        with m.If(self.busy):
            m.d.sync += waited.eq(waited + 1)
            with m.If(waited == self.latency):
                m.d.sync += [self.busy.eq(0), valid.eq(1), word.data.eq(joined)]
        with m.Else():
            m.d.sync += [word.eq(coming), valid.eq(coming.valid), waited.eq(0)]
            with m.If(mine):
                m.d.sync += word.op.eq(ChainOp.RESPONSE)
                with m.If(coming.op == ChainOp.READ):
                    m.d.sync += [self.busy.eq(1), valid.eq(0)]
                with m.Else():
                    m.d.sync += writing.eq(1)

        which = word.addr[:bits] if bits else Const(0, 1)
        m.d.comb += [
            self.chain_o.word.eq(word),
            self.chain_o.word.valid.eq(valid),
            self.row.eq(word.addr[bits:]),
            self.wdata.eq(word.data),
            self.access.eq(self.busy | writing),
        ]
        for k in range(self.layout.per_row):
            other = Signal(name=f"other_{k}")
            m.d.comb += [
                other.eq((which ^ k).any()),
                self.we[k].eq(writing & ~other),
                self.blank[k].eq(self.busy & other),
            ]
        return m

    def _joined(self, m: Module) -> Value:
        """The OR of the words of ``rdata``, a register behind every ``_WAYS``."""
        words: list[Value] = [
            self.rdata[WORD_BITS * k : WORD_BITS * (k + 1)] for k in range(self.layout.per_row)
        ]
        level = 0
        while len(words) > 1 or level == 0:
            held = []
            for k in range(0, len(words), _WAYS):
                name = f"read_{level}_{k // _WAYS}"
                register = Signal(WORD_BITS, name=name, reset_less=True)
                m.d.sync += register.eq(reduce(or_, words[k : k + _WAYS]))
                held.append(register)
            words, level = held, level + 1
        return words[0]
