"""Weights in a narrow memory, and what writes them into the tables of `sterna.hw.dot.tables`."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.dot.tables import TablesDot, load_layout
from sterna.hw.memory.chain import WORD_BITS, Chain, ChainLayout, ChainNode
from sterna.hw.memory.delay import delay
from sterna.hw.memory.shape import Memories, MemoryShape

__all__ = ["Expander", "copy_depth", "copy_words"]

_LATENCY = 2


def copy_depth(rows: int, row_width: int) -> int:
    """Words of 32 bits that hold ``rows`` rows of weights: each begins with a word."""
    return rows * -(-row_width // WORD_BITS)


def copy_words(rows: Sequence[int], row_width: int) -> list[int]:
    """Those words, of rows as `WeightMemory` has them: low bits first."""
    layout = ChainLayout(1, row_width)
    return [word for row in rows for word in layout.split(row)]


class Expander(wiring.Component):
    """A memory of weights that keeps the tables of a `TablesDot` in step with it.

    After a reset, and whenever the chain has written, it reads all weights, one a clock, and writes
    every table: ``clocks`` in all. ``ready`` is low meanwhile, from two clocks after the write on,
    and the tables must not be read. A chain access in the middle is served at once; all begins
    anew behind it.

    The memory is ``depth`` words of 32 bits (`copy_words`), with a ``region`` in the chain as a
    `WeightMemory` of that shape is; ``init`` and ``style`` are as there.

    Members
    -------
    ready : out, a register: the tables hold the weights of the memory
    load, loaded : to the dot product
    chain_i, chain_o : the ring, only with a region
    """

    chain_i: Any
    chain_o: Any
    ready: Signal
    load: data.View
    loaded: Signal

    def __init__(
        self,
        dot: TablesDot,
        init: Sequence[int] = (),
        region: int | None = None,
        style: str | None = None,
    ):
        self.shape, self.width, self.group = dot.shape, dot.width, dot.group
        self.weight_bits = 2 if dot.kind == "ternary" else 1
        self.row_words = copy_depth(1, dot.pe * dot.simd * self.weight_bits)
        # A placeholder may be deeper than what is read.
        self.depth = max(self.shape.rows * self.row_words, len(init))
        self.init, self.style = [int(word) for word in init], style
        self.memories = self.memories_of(self.depth, region is not None, style or "auto")
        if any(not 0 <= word < 1 << WORD_BITS for word in self.init):
            raise DesignError("engine 'tables': weights are words of 32 bits; pack them anew")
        members = {
            "ready": Out(1),
            "load": Out(load_layout(self.shape, self.width)),
            "loaded": In(1),
        }
        self.node: ChainNode | None = None
        if region is not None:
            self.node = ChainNode(region, ChainLayout(self.depth, WORD_BITS), row_latency=_LATENCY)
            members |= {"chain_i": In(Chain), "chain_o": Out(Chain)}
        super().__init__(members)

    @staticmethod
    def memories_of(depth: int, chained: bool, style: str = "auto") -> Memories:
        """Of an expander of ``depth`` words, ``chained`` with a region."""
        use = "ram" if chained else "rom"
        return {"memory": MemoryShape(WORD_BITS, max(2, depth), use, style)}

    @property
    def clocks(self) -> int:
        """From a reset to ``ready``."""
        s = self.shape
        table = s.block * s.lanes + _LATENCY + (1 << s.lanes)
        return s.rows * s.blocks * (s.groups * table + 1) + s.segments + 3

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s = self.shape
        walking = Signal()
        dirty = Signal(init=1)
        changed, disturbed = self._chained()
        m.d.sync += self.ready.eq(~(walking | dirty))
        row = Signal(range(max(2, s.rows)))
        block = Signal(range(max(2, s.blocks)))
        group = Signal(range(max(2, s.groups)))
        last_row, last_block = row == s.rows - 1, block == s.blocks - 1
        last_group = Signal()
        m.d.comb += last_group.eq(group == s.groups - 1)
        fetch = Signal()
        begin = Signal()
        weights, fetched = self._fetch(m, fetch, begin, last_block, last_group)
        writing = Signal()
        spikes = Signal(s.lanes)
        written = Signal()
        shift = Signal()
        m.d.sync += [shift.eq(fetched), self.load.enter.eq((block == 0) & (group == 0) & fetched)]
        m.d.comb += [self.load.shift.eq(shift), written.eq(writing & spikes.all())]
        self._entries(m, weights, writing, spikes, row, group == 0)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(dirty):
                    m.d.comb += begin.eq(1)
                    m.d.sync += [walking.eq(1), dirty.eq(0)]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += fetch.eq(1)
                with m.If(fetched):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += writing.eq(1)
                m.d.sync += spikes.eq(spikes + 1)
                with m.If(written):
                    m.d.sync += group.eq(Mux(last_group, 0, group + 1))
                    m.next = "FETCH"
                    with m.If(last_group):
                        m.d.sync += shift.eq(1)
                        m.next = "CORRECT"
            with m.State("CORRECT"):
                m.d.sync += block.eq(Mux(last_block, 0, block + 1))
                m.next = "FETCH"
                with m.If(last_block):
                    m.d.sync += row.eq(Mux(last_row, 0, row + 1))
                    with m.If(last_row):
                        m.d.sync += shift.eq(1)
                        m.next = "END"
            with m.State("END"):  # the write enable leaves the last table
                with m.If(self.loaded):
                    m.d.sync += walking.eq(0)
                    m.next = "IDLE"
        with m.If(changed | (disturbed & walking)):
            m.d.sync += dirty.eq(1)
        if self.node is not None:
            m.submodules.node = self.node
            wiring.connect(m, wiring.flipped(self.chain_i), self.node.chain_i)
            wiring.connect(m, self.node.chain_o, wiring.flipped(self.chain_o))
        return m

    def _chained(self) -> tuple[Value, Value]:
        """The chain has written a word; it has the memory's address."""
        if self.node is None:
            return Const(0), Const(0)
        return self.node.we[0], self.node.access

    def _fetch(
        self, m: Module, fetch: Value, begin: Value, last_block: Value, last_group: Value
    ) -> tuple[list[list[Value]], Value]:
        """While ``fetch``: the weights of a table and its neighbours of the block, one a clock.

        Returns (is +1, is -1) by output and lane, and the last clock of it.
        """
        s = self.shape
        per_word = WORD_BITS // self.weight_bits
        low = per_word.bit_length() - 1
        at = Signal(range(max(2, self.depth) * per_word))
        lane, output, wait = (
            Signal(range(max(2, n)), name=name)
            for n, name in ((s.lanes, "lane"), (s.block, "output"), (_LATENCY + 1, "wait"))
        )
        last_lane, last_output = lane == s.lanes - 1, output == s.block - 1
        # From a weight to the next: a lane, an output, a group, a block, a row on.
        stride = self.row_words * per_word
        moves = [1, s.simd - s.lanes + 1, 1 - (s.block - 1) * s.simd]
        end = s.simd - s.lanes * s.groups + 1
        moves += [end, end + stride - s.blocks * s.block * s.simd]
        move = Signal(len(at))
        m.d.comb += move.eq(moves[0])
        steps = [last_lane, last_lane & last_output]
        steps += [steps[1] & last_group, steps[1] & last_group & last_block]
        for condition, value in zip(steps, moves[1:], strict=True):
            with m.If(condition):
                m.d.comb += move.eq(value % (1 << len(at)))
        with m.If(fetch & (wait == 0)):
            m.d.sync += [at.eq(at + move), lane.eq(Mux(last_lane, 0, lane + 1))]
            with m.If(last_lane):
                m.d.sync += output.eq(Mux(last_output, 0, output + 1))
            with m.If(steps[1]):
                m.d.sync += wait.eq(_LATENCY)
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(begin):
            m.d.sync += at.eq(0)
        # The last table of an output may have fewer lanes.
        missing = s.lanes * s.groups - s.simd
        real = Const(1) if not missing else ~(last_group & (lane >= s.lanes - missing))
        flags = Cat(at[:low], real)
        flags = delay(m, flags, _LATENCY, "fetch_{0}", True)
        word = self._memory(m, at[low:])
        weight = word.word_select(flags[:low], self.weight_bits)
        plus, minus = weight[0], (weight[1] if self.weight_bits == 2 else ~weight[0])
        count = s.block * s.lanes
        held = Signal(2 * count, name="weights", reset_less=True)
        found = Cat(plus & flags[low], minus & flags[low])
        if self.weight_bits == 2:
            found = Cat(plus & ~minus & flags[low], minus & ~plus & flags[low])
        with m.If(fetch):
            m.d.sync += held.eq(Cat(held[2:], found))
        pairs = [held[2 * n : 2 * n + 2] for n in range(count)]
        fetched = Signal()
        m.d.comb += fetched.eq(fetch & (wait == 1))
        return [pairs[q * s.lanes : (q + 1) * s.lanes] for q in range(s.block)], fetched

    def _memory(self, m: Module, at: Value) -> Value:
        """The word at ``at``, two clocks later."""
        attrs = {} if self.style is None else {"ram_style": self.style, "rom_style": self.style}
        m.submodules.memory = memory = self.memories["memory"].make(self.init, attrs)
        read = memory.read_port()
        output = Signal(WORD_BITS, reset_less=True)
        m.d.comb += read.addr.eq(at)
        m.d.sync += output.eq(read.data)
        if self.node is not None:
            write = memory.write_port()
            m.d.comb += [
                read.addr.eq(Mux(self.node.access, self.node.row, at)),
                read.en.eq(~self.node.we[0]),
                write.addr.eq(read.addr),  # one address for both, see `WeightMemory`
                write.data.eq(self.node.wdata),
                write.en.eq(self.node.we[0]),
                self.node.rdata.eq(output),
            ]
        return output

    def _entries(
        self,
        m: Module,
        weights: list[list[Value]],
        writing: Value,
        spikes: Signal,
        row: Signal,
        first: Value,
    ) -> None:
        """The entries of a block for ``spikes``, and what its outputs' -1 add up to."""
        s, load = self.shape, self.load
        counts: list[Value] = []
        for output in weights:
            ones = [Mux(spikes[n], pair[0], pair[1]) for n, pair in enumerate(output)]
            count = Signal(s.bits, name=f"count_{len(counts)}")
            m.d.comb += count.eq(sum(ones[1:], Cat(ones[0])))
            counts.append(count)
        with m.If(writing):
            m.d.sync += [
                load.data.eq(Cat(counts)),
                load.addr.eq(Cat(spikes, row[: s.row_bits])),
            ]
            with m.If(spikes == 0):
                for q, count in enumerate(counts):
                    field = load.correction.word_select(q, self.width)
                    times = (count << self.group) - count
                    m.d.sync += field.eq(Mux(first, 0, field) - times)
