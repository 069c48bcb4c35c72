"""The dot product by tables of sums in LUT RAM: engine ``tables`` (distributed arithmetic).

Spikes are an address: a table holds what a few lanes of one output add up to for each pattern of
their spikes. Lane by lane an entry counts ``s`` where the weight is +1 and ``~s`` where it is -1,
one too many each time; so entries are counts, as narrow as can be, and a correction of the output
takes its number of -1 back. Ternary and binary weights cost the same.

Tables are only written, one after another, over a bus that `sterna.hw.dot.expander` drives.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sterna.golden.device.fabric import LutRam, fabric_of
from sterna.golden.errors import DesignError
from sterna.hw.dot.compress import check_lanes
from sterna.hw.dot.compressor_tree import build, cheapest_tree
from sterna.hw.memory.delay import delay
from sterna.hw.memory.shape import Memories, MemoryShape
from sterna.hw.once import once

__all__ = ["TableShape", "TablesDot", "load_layout", "table_shape"]

#: Tables that share one copy of the load bus; a copy for all would be slow on a large device.
SEGMENT = 512


@dataclass(frozen=True)
class TableShape:
    """How the weights of ``pe`` outputs x ``simd`` inputs, in ``rows`` rows, are cut into tables.

    lanes: of a table; bits: of an entry; block: outputs whose tables of the same lanes are written
    together, because they share a LUT RAM (1 for depthwise, whose outputs read lanes of their own).
    """

    pe: int
    simd: int
    rows: int
    lanes: int
    bits: int
    block: int

    @property
    def groups(self) -> int:
        """Tables of an output."""
        return -(-self.simd // self.lanes)

    @property
    def blocks(self) -> int:
        return -(-self.pe // self.block)

    @property
    def segments(self) -> int:
        """Copies of the load bus."""
        return -(-self.blocks * (self.groups + 1) // SEGMENT)

    @property
    def table_bits(self) -> int:
        """Of a row of one table."""
        return self.block * self.bits

    @property
    def row_bits(self) -> int:
        return ceil_log2(self.rows)

    def luts(self, ram: LutRam) -> int:
        """LUTs of the tables for one plane."""
        return self.blocks * self.groups * -(-self.block * self.bits // ram.width) * ram.luts


def table_shape(pe: int, simd: int, rows: int, depthwise: bool, family: str) -> TableShape:
    """The cheapest cut, tables and the adding of their entries.

    DesignError where the family has no LUT RAM or there are more rows than it is deep for.
    """
    ram = fabric_of(family).lut_ram
    if ram is None:
        raise DesignError(f"engine 'tables': {family} has no LUT RAM; use engine 'compress'")
    if not 1 <= rows <= ram.rows:
        raise DesignError(
            f"engine 'tables': {rows} rows of weights, and LUT RAM of {family} is deep enough for "
            f"{ram.rows}; raise pe or simd, or use engine 'compress'"
        )
    shapes = []
    for lanes in range(1, min(simd, ram.address - ceil_log2(rows)) + 1):
        bits = lanes.bit_length()
        block = 1 if depthwise else min(pe, ram.width // bits)
        shapes.append(TableShape(pe, simd, rows, lanes, bits, block))
    # Adding costs about a LUT for each bit that is gone in the end.
    return min(shapes, key=lambda s: (s.luts(ram) + s.pe * s.groups * s.bits, -s.lanes))


def load_layout(shape: TableShape, width: int) -> data.StructLayout:
    """The load bus: ``shift`` moves the write enable to the next table, ``enter`` to the first;
    ``addr`` (row above spikes) and ``data`` of the outputs of a block; their ``correction``."""
    return data.StructLayout(
        {
            "shift": unsigned(1),
            "enter": unsigned(1),
            "addr": unsigned(shape.lanes + shape.row_bits),
            "data": unsigned(shape.block * shape.bits),
            "correction": unsigned(shape.block * width),
        }
    )


@once
class TablesDot(wiring.Component):
    """Dot products of binary planes with weights that are tables, fully pipelined.

    Parameters: ``pe``, ``simd``, ``tp``, ``bits_per_step``, ``kind``, ``depthwise`` and ``family``
    as of `DotProduct`; ``rows``, of weights; ``width``, bits of a result. DesignError for the
    shapes that `DotProduct` refuses, for a family without LUT RAM, and for more rows than it has.

    Ports, free running (no enable, no valid):

    - in  ``act``  unsigned(act_lanes*tp), as of `DotProduct`
    - in  ``row``  of the weights that this act is for (only with more than one)
    - out ``z``    unsigned(pe*sums*width), value of (p, j) at ``(p*sums + j)*width``: the dot
      product itself modulo 2**width, a signed number where it fits
    - in  ``load`` see `load_layout`. The tables in the order of the write enable: block by block
      its groups of lanes, then its correction, the number of its weights -1 taken from zero, times
      2**group - 1. While the enable is at a table, ``addr`` and ``data`` are written every clock.
    - out ``loaded`` a clock in which the write enable leaves the last table

    While tables are written, ``z`` is not defined.

    Attributes: ``latency`` clocks from ``act`` to ``z``; ``sums``; ``group``, planes of a step that
    are added at once; ``act_lanes``; ``shape``, a `TableShape`.
    """

    act: Signal
    row: Signal
    z: Signal
    load: data.View
    loaded: Signal

    def __init__(
        self,
        pe: int,
        simd: int,
        tp: int,
        bits_per_step: int,
        kind: str,
        depthwise: bool = False,
        family: str = "generic",
        *,
        rows: int = 1,
        width: int,
    ) -> None:
        check_lanes(pe, simd, tp, bits_per_step, kind, family)
        self.shape = table_shape(pe, simd, rows, depthwise, family)
        self.memories = self.memories_of(self.shape, tp, depthwise)
        self.pe, self.simd, self.tp, self.kind = pe, simd, tp, kind
        self.depthwise, self.family, self.width = depthwise, family, width
        self.sums = max(1, tp // bits_per_step)
        self.group = tp // self.sums
        self.act_lanes = simd * (pe if depthwise else 1)
        self.tree = cheapest_tree(self._heights(), self._tree_width, family)
        # The table's register, the tree, the register behind the correction.
        self.latency = 1 + self.tree.latency + 1
        self.row_latency = self.latency - 1  # the row waits for the sums to be corrected
        ports = {
            "act": In(self.act_lanes * tp),
            "z": Out(pe * self.sums * width),
            "load": In(load_layout(self.shape, width)),
            "loaded": Out(1),
        }
        if rows > 1:
            ports["row"] = In(self.shape.row_bits)
        super().__init__(ports)

    @staticmethod
    def memories_of(shape: TableShape, tp: int, depthwise: bool) -> Memories:
        """The tables; of those that are one memory each has a write enable for its bits."""
        return {
            f"table_{part[0]}_{g}_{plane}": MemoryShape(
                len(part) * shape.table_bits, 1 << (shape.lanes + shape.row_bits), "comb"
            )
            for segment in _segments(shape)
            for g, plane, part in _columns(segment, shape.groups, tp, depthwise)
        }

    @property
    def _tree_width(self) -> int:
        """What is beyond the width of the result is a multiple of 2**width: it counts for
        nothing."""
        return min(self.width, (self.simd * (2**self.group - 1)).bit_length())

    def _bits(self, group: int) -> int:
        """Of an entry; the last table may have fewer lanes."""
        n = self.shape.lanes
        return (min(self.simd, (group + 1) * n) - group * n).bit_length()

    def _heights(self) -> list[int]:
        heights = [0] * (self.group + self.shape.bits)
        for k in range(self.group):
            for g in range(self.shape.groups):
                for digit in range(self._bits(g)):
                    heights[k + digit] += 1
        return heights[: self._tree_width]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entries, corrections = self._tables(m)
        digits = build(m, self.tree, self._leaves(entries), "sum", self.pe * self.sums)
        w = self.width
        row = delay(m, self.row, self.row_latency, "row_{0}", True) if self.shape.rows > 1 else 0
        for p in range(self.pe):
            held = corrections[p // self.shape.block].word_select(row, self.shape.block * w)
            minus = held.word_select(p % self.shape.block, w)
            for t in range(p * self.sums, (p + 1) * self.sums):
                z = Signal(w, name=f"z_{t}", reset_less=True)
                m.d.sync += z.eq(Cat(digit[t] for digit in digits) + minus)
                m.d.comb += self.z[t * w : (t + 1) * w].eq(z)
        return m

    def _leaves(self, entries: dict[tuple[int, int, int], Value]) -> list[list[Value]]:
        """The digits of the entries by their weight, vectors over (p, j)."""
        leaves: list[list[Value]] = [[] for _ in range(self._tree_width)]
        for k in range(self.group):
            for g in range(self.shape.groups):
                for digit in range(min(self._bits(g), self._tree_width - k)):
                    leaves[k + digit].append(
                        Cat(
                            entries[p, g, j * self.group + k][digit]
                            for p in range(self.pe)
                            for j in range(self.sums)
                        )
                    )
        return leaves

    def _tables(self, m: Module) -> tuple[dict[tuple[int, int, int], Value], list[Value]]:
        """Entries, in a register, by (output, group of lanes, plane); corrections of each block,
        row by row."""
        s = self.shape
        entries: dict[tuple[int, int, int], Value] = {}
        corrections: list[Value] = []
        bus, enter = self.load, self.load.enter
        for n, segment in enumerate(_segments(s)):
            # The bus goes on by a register, and the write enable with it.
            own = Signal(self.load.shape(), name=f"load_{n}")
            m.d.sync += [own.eq(bus), own.enter.eq(enter)]
            bus, enter = own, own.enter
            enables: dict[tuple[int, int], Value] = {}
            for a, g in segment:
                enable = Signal(name=f"write_{a}_{g}")
                with m.If(bus.shift):
                    m.d.sync += enable.eq(enter)
                enter = enable
                if g == s.groups:
                    corrections.append(self._correction(m, bus, enable, a))
                else:
                    enables[a, g] = enable
            for g, plane, blocks in _columns(segment, s.groups, self.tp, self.depthwise):
                self._column(m, bus, g, plane, {a: enables[a, g] for a in blocks}, entries)
        m.d.comb += self.loaded.eq(enter & bus.shift)
        return entries, corrections

    def _correction(self, m: Module, bus: "data.View | Signal", enable: Value, block: int) -> Value:
        """Registers of a block's corrections, row by row."""
        s, size = self.shape, self.shape.block * self.width
        held = Signal(s.rows * size, name=f"correction_{block}", reset_less=True)
        for row in range(s.rows):
            with m.If(enable & (bus.addr[s.lanes :] == row)):
                m.d.sync += held[row * size : (row + 1) * size].eq(bus.correction)
        return held

    def _column(
        self,
        m: Module,
        bus: "data.View | Signal",
        g: int,
        plane: int,
        enables: dict[int, Value],
        entries: dict[tuple[int, int, int], Value],
    ) -> None:
        """The memory of one group of lanes in one plane, of the blocks with these write enables."""
        s, size, first = self.shape, self.shape.table_bits, min(enables)
        width = min(self.simd, (g + 1) * s.lanes) - g * s.lanes
        name = f"table_{first}_{g}_{plane}"
        memory = m.submodules[name] = self.memories[name].make()
        read = memory.read_port(domain="comb")
        write = memory.write_port(granularity=size)
        at = plane * self.act_lanes + g * s.lanes
        at += first * self.simd if self.depthwise else 0
        spikes = Cat(self.act[at : at + width], Const(0, s.lanes - width))
        m.d.comb += [
            read.addr.eq(Cat(spikes, self.row) if s.rows > 1 else spikes),
            write.addr.eq(bus.addr),
            write.data.eq(bus.data.replicate(len(enables))),
            write.en.eq(Cat(enables.values())),
        ]
        held = Signal(len(enables) * size, name=f"{name}_entry", reset_less=True)
        m.d.sync += held.eq(read.data)
        for n, a in enumerate(enables):
            for q in range(s.block):
                low = n * size + q * s.bits
                entries[a * s.block + q, g, plane] = held[low : low + s.bits]


def _segments(shape: TableShape) -> list[list[tuple[int, int]]]:
    """(block, group of lanes) of all tables in the order of the write enable, cut where the load
    bus has a register; group ``shape.groups`` is a block's correction."""
    order = [(a, g) for a in range(shape.blocks) for g in range(shape.groups + 1)]
    return [order[n : n + SEGMENT] for n in range(0, len(order), SEGMENT)]


def _columns(
    segment: list[tuple[int, int]], groups: int, tp: int, depthwise: bool
) -> list[tuple[int, int, list[int]]]:
    """The memories of a segment: group of lanes, plane, blocks. Tables that read the same lanes are
    one memory."""
    blocks: dict[int, list[int]] = {}
    for a, g in segment:
        if g < groups:
            blocks.setdefault(g, []).append(a)
    return [
        (g, plane, part)
        for g, some in blocks.items()
        for plane in range(tp)
        for part in ([[a] for a in some] if depthwise else [some])
    ]
