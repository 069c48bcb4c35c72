"""The start and end of the daisy chain: single accesses and the CRC-32 read-back pass."""

__all__ = ["PATIENCE", "ChainMaster"]

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from sterna.hw.memory.chain import ADDRESS_BITS, REGION_BITS, WORD_BITS, Chain, ChainOp

_CRC_BITS = 8

PATIENCE = 1023
"""Clocks the master waits for a word to come back. A whole ring takes a third of them: a clock
for each of at most 256 nodes, and about ten more in the one that answers."""


class ChainMaster(wiring.Component):
    """Sends one access at a time around the ring while no image is in flight.

    ``start`` (one clock, while neither an access nor a pass is under way) begins a write
    (``write``), a read, or a CRC pass over ``data`` words (``walk``), at ``region`` and ``addr``.
    If ``idle`` is low it is refused. Else ``hold`` rises, and ``settle`` clocks later, if ``idle``
    stayed high, the access is made; so ``idle`` must fall within ``settle`` clocks of the last
    clock in which an image could still be started. ``hold`` falls ``settle`` clocks after the end,
    when the memories present what the datapath addresses.

    ``done`` is high for one clock: for an access when its word has come back, with ``error`` if it
    was refused or nobody answered, and ``rdata``; for a pass as soon as it is accepted or refused.
    ``addr`` counts up (modulo 2**20) with every answered access. A pass ends with ``crc_done``, or
    with ``crc_error`` where nobody answered or the address space ended. A ring from which nothing
    comes back within ``patience`` clocks has not answered: the bus never hangs on it.

    Members
    -------
    seek : in, one clock, while no pass is under way: ``addr`` and ``region`` from ``data``
    start, write, walk : in
    data : in, 32 bits, stable until ``done``
    idle : in
    hold : out
    done, error, rdata : out
    addr, region : out, where the next access goes
    left : out, 21 bits, words of the pass still to be read
    crc : out, 32 bits, zlib's CRC-32 over the little-endian bytes of the words
    crc_busy, crc_done, crc_error : out, stay until the next pass starts
    chain_o, chain_i : the ring
    """

    def __init__(self, settle: int = 4, patience: int = PATIENCE):
        self.settle, self.patience = settle, patience
        super().__init__(
            {
                "seek": In(1),
                "start": In(1),
                "write": In(1),
                "walk": In(1),
                "data": In(WORD_BITS),
                "idle": In(1),
                "hold": Out(1),
                "done": Out(1),
                "error": Out(1),
                "rdata": Out(WORD_BITS),
                "addr": Out(ADDRESS_BITS),
                "region": Out(REGION_BITS),
                "left": Out(ADDRESS_BITS + 1),
                "crc": Out(32),
                "crc_busy": Out(1),
                "crc_done": Out(1),
                "crc_error": Out(1),
                "chain_o": Out(Chain),
                "chain_i": In(Chain),
            }
        )

    def elaborate(self, platform: object):
        m = Module()
        crc = m.submodules.crc = CRC32_ISO_HDLC(data_width=_CRC_BITS).create()
        m.d.comb += [self.crc.eq(crc.crc), crc.data.eq(self.rdata[:_CRC_BITS])]
        out, back = self.chain_o.word, self.chain_i.word
        answered = Signal()
        m.d.comb += answered.eq(back.valid & (back.op == ChainOp.RESPONSE))
        timer = Signal(range(max(self.settle, self.patience) + 1))
        settled = Signal()
        m.d.comb += settled.eq(timer == 0)
        byte = Signal(range(WORD_BITS // _CRC_BITS))
        walking = self.crc_busy

        m.d.sync += [self.done.eq(0), out.valid.eq(0)]
        with m.If(~settled):
            m.d.sync += timer.eq(timer - 1)
        with m.If(self.seek):
            m.d.sync += [self.addr.eq(self.data), self.region.eq(self.data[-REGION_BITS:])]

        with m.FSM():
            with m.State("READY"):
                with m.If(settled):
                    m.d.sync += self.hold.eq(0)
                with m.If(self.start & ~self.idle):
                    m.d.sync += [self.done.eq(1), self.error.eq(1)]
                with m.Elif(self.start):
                    m.d.sync += [self.hold.eq(1), timer.eq(self.settle)]
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(~self.idle):
                    m.d.sync += [self.done.eq(1), self.error.eq(1)]
                    m.next = "READY"
                with m.Elif(settled):
                    m.next = "SEND"
                    with m.If(self.walk):
                        m.d.comb += crc.start.eq(1)  # pyright: ignore[reportOperatorIssue]
                        m.d.sync += [self.done.eq(1), self.error.eq(0)]
                        m.d.sync += [self.crc_busy.eq(1), self.crc_done.eq(0)]
                        m.d.sync += [self.crc_error.eq(0), self.left.eq(self.data)]
                        m.next = "NEXT"
            with m.State("NEXT"):
                with m.If(self.left == 0):
                    m.d.sync += [walking.eq(0), self.crc_done.eq(1), timer.eq(self.settle)]
                    m.next = "READY"
                with m.Else():
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.sync += [out.valid.eq(1), out.op.eq(ChainOp.READ), out.data.eq(self.data)]
                m.d.sync += [out.region.eq(self.region), out.addr.eq(self.addr)]
                with m.If(self.write & ~walking):
                    m.d.sync += out.op.eq(ChainOp.WRITE)
                m.d.sync += timer.eq(self.patience)
                m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(answered):
                    m.d.sync += [self.rdata.eq(back.data), self.addr.eq(self.addr + 1)]
                over = back.valid | settled  # the word is back, or will not come
                with m.If(over & walking):
                    m.d.sync += self.left.eq(self.left - 1)
                    m.next = "SUM"
                    # The pass must not start over at address 0.
                    with m.If(~answered | (self.addr.all() & (self.left != 1))):
                        m.d.sync += [walking.eq(0), self.crc_error.eq(1), timer.eq(self.settle)]
                        m.next = "READY"
                with m.Elif(over):
                    m.d.sync += [self.done.eq(1), self.error.eq(~answered), timer.eq(self.settle)]
                    m.next = "READY"
            with m.State("SUM"):
                m.d.comb += crc.valid.eq(1)
                m.d.sync += [byte.eq(byte + 1), self.rdata.eq(self.rdata >> _CRC_BITS)]
                with m.If(byte.all()):
                    m.next = "NEXT"
        return m
