"""Weight and parameter memory: fixed (rom) or reloadable through the daisy chain (ram)."""

__all__ = ["WeightMemory"]

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sterna.golden.errors import DesignError
from sterna.hw.memory.chain import WORD_BITS, Chain, ChainLayout, ChainNode
from sterna.hw.memory.shape import Memories, MemoryShape


class WeightMemory(wiring.Component):
    """A memory of ``depth`` rows of ``width`` bits with one free-running read port.

    ``data`` is the row of the ``addr`` presented exactly two clocks before: the block's own read
    register, then one more, because a block RAM read that goes into logic directly limits the
    clock. Rows behind ``depth`` are not defined; the reader must not use them.

    With a ``region`` the memory is a ram: it sits in the chain and is cut into words of at most 32
    bits, each written on its own (see `ChainLayout`). ``init`` is then only what a simulation or a
    bitstream starts with. A chain access owns the address, so the reader must be idle during one
    and for two clocks after; the chain's master sees to it.

    A single row is registers, of a rom constants, where no style is demanded: every bit is read in
    every clock, and a storage for several rows would only add to it.

    Parameters
    ----------
    depth, width : rows and bits of a row
    init : row values, unsigned, at most ``depth``; the rest is zero
    region : number in the chain, or None for a rom
    style : ``"block"`` or ``"distributed"`` (LUT RAM; of a rom: logic) where that is demanded of
        the synthesiser, by the ``ram_style``/``rom_style`` attribute; ``"auto"`` leaves it open
    compact : of a rom, the second register is at the address instead, where that has fewer bits:
        for families with few cells and slow clocks

    Members
    -------
    addr : in, unsigned(max(1, log2 depth))
    data : out, unsigned(width), two clocks after ``addr``
    chain_i, chain_o : the ring, only with a region
    """

    latency = 2

    def __init__(
        self,
        depth: int,
        width: int,
        init: Sequence[int] = (),
        region: int | None = None,
        style: str = "auto",
        compact: bool = False,
    ):
        self.layout = ChainLayout(depth, width)
        self.depth, self.width, self.region = depth, width, region
        self.memories = self.memories_of(depth, width, region is not None, style)
        # A chain access needs the row to wait, not the address.
        self.compact = compact and region is None and ceil_log2(depth) < width
        self.init = [int(row) for row in init]
        if len(self.init) > depth:
            raise DesignError(
                f"a memory of {depth} rows was given {len(self.init)}; make it deeper or pack less"
            )
        for index, row in enumerate(self.init):
            if not 0 <= row < 1 << width:
                raise DesignError(
                    f"row {index} is {row}, outside {width} unsigned bits; "
                    "mask signed values before packing"
                )
        members = {"addr": In(max(1, ceil_log2(depth))), "data": Out(width)}
        self.node: ChainNode | None = None
        if region is not None:
            self.node = ChainNode(region, self.layout, row_latency=self.latency)
            members |= {"chain_i": In(Chain), "chain_o": Out(Chain)}
        super().__init__(members)

    @staticmethod
    def memories_of(depth: int, width: int, chained: bool, style: str = "auto") -> Memories:
        """Of a memory with these parameters, ``chained`` with a region."""
        # Of one row nothing needs to be chosen, unless a storage is demanded.
        if depth == 1 and style == "auto":
            return {}
        rows = max(2, depth)  # a single row has no address; the second one is never reached
        if not chained:
            return {"memory": MemoryShape(width, rows, "rom", style)}
        widths = enumerate(ChainLayout(depth, width).widths)
        return {f"bank_{k}": MemoryShape(w, rows, "ram", style) for k, w in widths}

    def elaborate(self, platform: object):
        m = Module()
        # Without the common reset the register may move into the block.
        output = Signal(self.width, reset_less=True)
        if self.node is None and not self.memories:
            m.d.comb += self.data.eq(self.init[0] if self.init else 0)
            return m
        if self.node is None:
            memory = m.submodules.memory = self.memories["memory"].make(self.init)
            port = memory.read_port()
            if self.compact:
                m.d.sync += port.addr.eq(self.addr)
                m.d.comb += self.data.eq(port.data)
                return m
            m.d.comb += [port.addr.eq(self.addr), self.data.eq(output)]
            m.d.sync += output.eq(port.data)
            return m

        node = m.submodules.node = self.node
        wiring.connect(m, wiring.flipped(self.chain_i), node.chain_i)
        wiring.connect(m, node.chain_o, wiring.flipped(self.chain_o))
        m.d.comb += [node.rdata.eq(output), self.data.eq(output)]
        rows = [self.layout.split(row) for row in self.init]
        for k, width in enumerate(self.layout.widths):
            part = output[WORD_BITS * k : WORD_BITS * k + width]
            read = self._word if self.memories else self._row
            m.d.sync += part.eq(read(m, k, [r[k] for r in rows]))
            with m.If(node.blank[k]):
                m.d.sync += part.eq(0)
        return m

    def _row(self, m: Module, k: int, init: list[int]) -> Value:
        """Bank ``k`` of the only row, in registers."""
        assert self.node is not None
        # Like a memory, it keeps what it has through a reset.
        row = Signal(
            self.layout.widths[k], name=f"row_{k}", init=init[0] if init else 0, reset_less=True
        )
        with m.If(self.node.we[k]):
            m.d.sync += row.eq(self.node.wdata)
        return row

    def _word(self, m: Module, k: int, init: list[int]) -> Value:
        """Bank ``k`` of all rows, in a memory; what it reads."""
        node = self.node
        assert node is not None
        memory = m.submodules[f"bank_{k}"] = self.memories[f"bank_{k}"].make(init)
        port, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            port.addr.eq(Mux(node.access, node.row, self.addr)),
            # Never both in one clock: no logic for what a read beside a write returns.
            port.en.eq(~node.we[k]),
            # One address for both: a LUT RAM of one port will do.
            write.addr.eq(port.addr),
            write.data.eq(node.wdata),
            write.en.eq(node.we[k]),
        ]
        return port.data
