"""The control plane of a design: AXI4-Lite slave, registers, counters, daisy chain."""

__all__ = ["ControlPlane", "IDENT"]

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device import csr
from sterna.golden.device.csr import ADDRESS_BITS
from sterna.golden.errors import DesignError
from sterna.hw.control.axil import AxiLite, AxiLiteSlave
from sterna.hw.control.counters import ImageCounters
from sterna.hw.control.decoder import RegisterDecoder
from sterna.hw.control.registers import register_map
from sterna.hw.control.tally import Tally
from sterna.hw.memory.chain import REGION_BITS, Chain, ChainOp
from sterna.hw.memory.chain_master import ChainMaster
from sterna.hw.memory.delay import delay
from sterna.hw.memory.weight_memory import WeightMemory

IDENT = ("weights_id_lo", "weights_id_hi", "rom_crc")
"""Registers that are rows of the ident memory, where there is one."""
COUNTERS = ("image_clocks", "images", "total_clocks", "dropped")
"""Registers of the counters that every design has."""


class ControlPlane(wiring.Component):
    """Everything a host reaches over AXI4-Lite; `register_map` lists the registers.

    No combinational path from any input to any output of the bus; of the rest ``hold`` and
    ``repeat`` come from registers alone. Reads and writes of plain registers have their response
    5 clocks after the last address or data beat, reads of counters up to a clock for each of them
    and three more later. An access through ``chain_data`` takes the ring's
    length, the node's latency and about 10 clocks more, and SLVERR after `PATIENCE` clocks in which
    nothing came back; a write's response means that the word is
    in its memory. Refused with SLVERR and without effect: addresses without a register, writes to a
    read-only register or with some byte strobes off; chain accesses and CRC passes while an image
    is in flight or a CRC pass is under way, or to a region or address nobody answers for;
    ``crc_words`` beyond 21 bits; repetitions while there is no image to repeat.

    A chain write that leaves for the ring sets weights_id to zero, so that half-loaded weights
    cannot carry the id of others; the loader writes it last. A reset keeps weights_id, as it keeps
    the memories. A load is many accesses: a loader sets ``control.hold`` first, waits for
    ``status.idle``, and clears it when all is loaded.

    Parameters
    ----------
    structure_id, weights_id : the identities, unsigned 64 bits; of a ram design ``weights_id`` is
        that of the contents after configuration, 0 for none
    rom_crc : CRC-32 of the words of all fixed memories, 0 without any
    ident : None, or rows of a block memory that holds the identity of what is in the fixed
        memories, so that new contents can be put into a bitstream: row 0 weights_id low half (a
        design without regions), 1 its high half, 2 rom_crc. Reads take two clocks more then
    compact : of the ident memory, see `WeightMemory`; counters in flip-flops, and image_clocks
        reads 0
    cores : names of the cores with a stall counter
    regions : memories on the ring; with 0 there is no ring and no chain registers
    in_flight : images that may be between the input and the start of their result
    settle : clocks within which ``flying`` rises after the last clock with ``hold`` low in which an
        image was started

    Members
    -------
    axil : the AXI4-Lite slave, 16 address bits
    flying : in, images in flight, from a register: those whose ``image_start`` was and whose
        ``image_done`` is to come
    ready : in, one can be started; else status.idle is low, but accesses are made all the same
    image_start, image_done, tlast_early, tlast_late : in, one clock each, see `ImageCounters`;
        a repeated image has its ``image_start`` too
    stall : in, one bit a core (absent without cores)
    hold : out, start no image
    unloaded : out, weights_id is zero in a design that can be reloaded
    repeatable : in, there is a last image; stays
    repeat : out, start it once more (and not while ``hold``)
    repeat_ack : in, one clock, a repetition has been started; ``repeat`` follows one clock later
    chain_o, chain_i : the ring (absent without regions)
    """

    def __init__(
        self,
        structure_id: int,
        weights_id: int = 0,
        cores: Sequence[str] = (),
        regions: int = 0,
        settle: int = 4,
        rom_crc: int = 0,
        ident: Sequence[int] | None = None,
        compact: bool = False,
        in_flight: int = 0,
    ):
        for name, value in (("structure_id", structure_id), ("weights_id", weights_id)):
            if not 0 <= value < 1 << 64:
                raise DesignError(f"{name} {value:#x} is no unsigned 64-bit number; hash again")
        if not 0 <= regions <= 1 << REGION_BITS:
            raise DesignError(
                f"{regions} reloadable memories, the chain has {1 << REGION_BITS} regions; "
                "make some cores rom"
            )
        self.structure_id, self.weights_id = structure_id, weights_id
        self.rom_crc, self.ident, self.compact = rom_crc, ident, compact
        self.in_flight = in_flight
        self.cores, self.regions, self.settle = tuple(cores), regions, settle
        self.registers = register_map(self.cores, ram=regions > 0)
        members = {
            "axil": In(AxiLite(ADDRESS_BITS)),
            "flying": In(range(max(64, in_flight + 8))),  # some leave, behind their packet's start
            "ready": In(1, init=1),  # pyright: ignore[reportCallIssue]
            "image_start": In(1),
            "image_done": In(1),
            "tlast_early": In(1),
            "tlast_late": In(1),
            "hold": Out(1),
            "unloaded": Out(1),
            "repeatable": In(1),
            "repeat": Out(1),
            "repeat_ack": In(1),
        }
        if self.cores:
            members["stall"] = In(len(self.cores))
        if regions:
            members |= {"chain_o": Out(Chain), "chain_i": In(Chain)}
        super().__init__(members)

    def elaborate(self, platform: object):
        m = Module()
        slave = m.submodules.slave = AxiLiteSlave(ADDRESS_BITS)
        # A memory for the counters takes less than flip-flops where it is LUT RAM.
        late = () if self.compact else (*COUNTERS, *(f"stall_{core}" for core in self.cores))
        decoder = m.submodules.decoder = RegisterDecoder(self.registers, late)
        wiring.connect(m, wiring.flipped(self.axil), slave.bus)
        request, weights_id, rom_crc = self._identity(m, slave)
        idle = Signal()
        m.d.comb += [
            idle.eq(self.flying == 0),
            decoder.rom_crc_value.eq(rom_crc),
            decoder.request.eq(request),
            decoder.write.eq(slave.write),
            decoder.address.eq(slave.address),
            decoder.id_value.eq(csr.ID),
            decoder.version_value.eq(csr.VERSION),
            decoder.structure_id_lo_value.eq(self.structure_id & 0xFFFFFFFF),
            decoder.structure_id_hi_value.eq(self.structure_id >> 32),
            decoder.config_cores.eq(len(self.cores)),
            decoder.config_regions.eq(self.regions),
            decoder.status_idle.eq(idle & self.ready),
            decoder.status_held.eq(self.hold),
        ]
        refused = self._state(m, slave, decoder)
        if self.regions:
            self._chain(m, slave, decoder, idle, refused)
        else:
            m.d.comb += [
                decoder.weights_id_lo_value.eq(weights_id[0]),
                decoder.weights_id_hi_value.eq(weights_id[1]),
                slave.done.eq(decoder.decided),
                slave.error.eq(~decoder.hit | refused),
                slave.rdata.eq(decoder.rdata),
                self.hold.eq(decoder.control_hold),
            ]
        if self.compact:
            self._counters(m, slave, decoder)
        else:
            self._tally(m, slave, decoder)
        return m

    def _identity(self, m: Module, slave: AxiLiteSlave):
        """(request to the decoder, halves of weights_id, rom_crc): constants, or read from the
        block memory, whose row is chosen by the address that the request brings."""
        if self.ident is None:
            halves = Const(self.weights_id & 0xFFFFFFFF, 32), Const(self.weights_id >> 32, 32)
            return slave.request, halves, Const(self.rom_crc, 32)
        m.submodules.ident = ident = WeightMemory(
            len(self.ident), 32, self.ident, style="block", compact=self.compact
        )
        rows = {csr.ADDRESS[n] // 4: row for row, n in enumerate(IDENT)}
        with m.Switch(slave.address):
            for address, row in rows.items():
                with m.Case(address):
                    m.d.comb += ident.addr.eq(row)
        request = slave.request
        request = delay(m, request, WeightMemory.latency, "late")
        return request, (ident.data, ident.data), ident.data

    def _state(self, m: Module, slave: AxiLiteSlave, decoder: RegisterDecoder) -> Value:
        """Control, error flags, repetitions; whether those that are written are refused."""
        held = Signal()
        early = Signal()
        late = Signal()
        repeats = Signal(32)
        m.d.comb += [
            decoder.control_hold.eq(held),
            decoder.status_tlast_early.eq(early),
            decoder.status_tlast_late.eq(late),
            decoder.repeat_value.eq(repeats),
            self.repeat.eq(repeats != 0),
        ]
        with m.If(decoder.control_written):
            m.d.sync += held.eq(slave.wdata[1])
        with m.If(decoder.status_written):
            m.d.sync += [early.eq(early & ~slave.wdata[2]), late.eq(late & ~slave.wdata[3])]
        with m.If(self.tlast_early):
            m.d.sync += early.eq(1)
        with m.If(self.tlast_late):
            m.d.sync += late.eq(1)
        # Without an image none is pending, and none is taken.
        with m.If(decoder.repeat_written & self.repeatable):
            m.d.sync += repeats.eq(slave.wdata)
        with m.Elif(self.repeat_ack & self.repeat):
            m.d.sync += repeats.eq(repeats - 1)
        return decoder.repeat_written & ~self.repeatable & slave.wdata.any()

    def _counters(self, m: Module, slave: AxiLiteSlave, decoder: RegisterDecoder) -> None:
        counters = m.submodules.counters = ImageCounters(len(self.cores))
        self._count(m, counters, slave, decoder)
        m.d.comb += [
            decoder.images_value.eq(counters.images),
            decoder.total_clocks_value.eq(counters.total_clocks),
            decoder.dropped_early.eq(counters.dropped_early),
            decoder.dropped_late.eq(counters.dropped_late),
        ]
        for k, core in enumerate(self.cores):
            m.d.comb += getattr(decoder, f"stall_{core}_value").eq(counters.stalls[k])

    def _tally(self, m: Module, slave: AxiLiteSlave, decoder: RegisterDecoder) -> None:
        """The same in a memory, and the row that the address asks for."""
        tally = m.submodules.tally = Tally(len(self.cores), in_flight=self.in_flight)
        self._count(m, tally, slave, decoder)
        m.d.comb += [
            decoder.late_value.eq(tally.value),
            decoder.late_ready.eq(tally.ready),
        ]
        # Of other addresses the row does not matter: a few bits tell.
        first = csr.ADDRESS["stalls"] // 4
        rows = {csr.ADDRESS[name] // 4: Tally.row(name) for name in COUNTERS}
        with m.If(slave.address >= first):
            m.d.comb += tally.wanted.eq(slave.address + (Tally.row("stalls") - first))
        with m.Else():
            table = Array(rows.get(8 + n, 0) for n in range(8))
            m.d.comb += tally.wanted.eq(table[slave.address[:3]])

    def _count(
        self,
        m: Module,
        counters: ImageCounters | Tally,
        slave: AxiLiteSlave,
        decoder: RegisterDecoder,
    ) -> None:
        # Images that were in flight at the last clear do not count when they are done.
        older = Signal.like(self.flying)
        with m.If(counters.clear):
            m.d.sync += older.eq(self.flying + self.image_start - self.image_done)
        with m.Elif(counters.older & self.image_done):
            m.d.sync += older.eq(older - 1)
        m.d.comb += [
            counters.older.eq(older != 0),
            counters.clear.eq(decoder.control_written & slave.wdata[0]),
            counters.image_start.eq(self.image_start),
            counters.image_done.eq(self.image_done),
            counters.drop_early.eq(self.tlast_early),
            counters.drop_late.eq(self.tlast_late),
        ]
        if self.cores:
            m.d.comb += counters.stall.eq(self.stall)

    def _chain(
        self, m: Module, slave: AxiLiteSlave, decoder: RegisterDecoder, idle: Value, other: Value
    ) -> None:
        """The chain's master, and what a request waits for when it goes to the chain; ``other``:
        one to another register is refused."""
        master = m.submodules.master = ChainMaster(self.settle)
        wiring.connect(m, master.chain_o, wiring.flipped(self.chain_o))
        wiring.connect(m, wiring.flipped(self.chain_i), master.chain_i)
        seeks, walks = decoder.chain_address_written, decoder.crc_words_written
        access = decoder.chain_data_written | decoder.chain_data_read
        refused = Signal()
        pending = Signal()
        m.d.comb += [
            refused.eq(
                (seeks | walks | access) & master.crc_busy
                | walks & slave.wdata[len(master.left) :].any()
                | other
            ),
            master.seek.eq(seeks & ~refused),
            master.start.eq((walks | access) & ~refused),
            master.write.eq(slave.write),
            master.data.eq(slave.wdata),
            master.idle.eq(idle),
            self.hold.eq(master.hold | decoder.control_hold),
            decoder.chain_address_addr.eq(master.addr),
            decoder.chain_address_region.eq(master.region),
            decoder.crc_words_value.eq(master.left),
            decoder.crc_result_value.eq(master.crc),
            decoder.status_crc_busy.eq(master.crc_busy),
            decoder.status_crc_done.eq(master.crc_done),
            decoder.status_crc_error.eq(master.crc_error),
        ]
        walk = Signal()
        with m.If(master.start):
            m.d.sync += [pending.eq(1), walk.eq(walks)]
        with m.Elif(master.done):
            m.d.sync += pending.eq(0)
        m.d.comb += master.walk.eq(walk)
        with m.If(pending):
            m.d.comb += [
                slave.done.eq(master.done),
                slave.error.eq(master.error),
                slave.rdata.eq(master.rdata),
            ]
        with m.Else():
            m.d.comb += [
                slave.done.eq(decoder.decided & ~master.start),
                slave.error.eq(~decoder.hit | refused),
                slave.rdata.eq(decoder.rdata),
            ]
        leaving, words = master.chain_o.word, []
        for half, name in enumerate(("lo", "hi")):
            init = self.weights_id >> 32 * half & 0xFFFFFFFF
            word = Signal(32, init=init, name=f"weights_{name}", reset_less=True)
            words.append(word)
            m.d.comb += getattr(decoder, f"weights_id_{name}_value").eq(word)
            with m.If(getattr(decoder, f"weights_id_{name}_written")):
                m.d.sync += word.eq(slave.wdata)
            with m.Elif(leaving.valid & (leaving.op == ChainOp.WRITE)):
                m.d.sync += word.eq(0)
        m.d.sync += self.unloaded.eq(Cat(words) == 0)
