"""AXI4-Lite slave: from the five channels to one request at a time."""

__all__ = ["AxiLite", "AxiLiteSlave", "Response"]

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out


class Response(enum.Enum, shape=2):
    """The responses this slave gives, as AXI4 encodes them."""

    OKAY = 0
    SLVERR = 2


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32 data bits, from the master's side; ``address_bits`` of byte address.

    Without AWPROT and ARPROT, which a slave may ignore.
    """

    def __init__(self, address_bits: int = 16):
        self.address_bits = address_bits
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AxiLiteSlave(wiring.Component):
    """Turns AXI4-Lite (AMBA IHI 0022) into single requests, reads and writes in turn.

    Address and data of a write may come in either order. Every output of the bus is a register or
    its inverse: no combinational path from any bus input. Reads and writes do not wait for each
    other's response to be taken. The two low address bits are ignored (a reader picks its bytes).
    A write that drives some of the four bytes gets SLVERR and no request: registers have effects
    that half a word could not have. One that drives none is legal and does nothing: OKAY, and no
    request either.

    A request is ``request`` for one clock with ``write``, ``address`` and ``wdata``, which stay
    until ``done``. The answer is ``done`` for one clock, at least one clock after ``request``, with
    ``error`` and, of a read, ``rdata``. The response is on the bus one clock after ``done``; with a
    ``done`` one clock after ``request`` a transfer takes 4 clocks from the handshake of its last
    address or data beat to ``bvalid`` or ``rvalid``.

    Members
    -------
    bus : the AXI4-Lite slave side
    request : out, one clock
    write : out, 1 for a write
    address : out, unsigned(address_bits - 2), in words of 32 bits
    wdata : out, 32 bits
    done, error : in
    rdata : in, 32 bits
    """

    def __init__(self, address_bits: int = 16):
        super().__init__(
            {
                "bus": In(AxiLite(address_bits)),
                "request": Out(1),
                "write": Out(1),
                "address": Out(address_bits - 2),
                "wdata": Out(32),
                "done": In(1),
                "error": In(1),
                "rdata": In(32),
            }
        )

    def elaborate(self, platform: object):
        m = Module()
        bus = self.bus
        # One beat of each channel is held until its request has been answered.
        held_aw, held_w, held_ar = (Signal(name=f"held_{c}") for c in ("aw", "w", "ar"))
        write_address, read_address = (
            Signal.like(self.address, name=f"{n}_address") for n in ("write", "read")
        )
        whole, partial = Signal(name="whole"), Signal(name="partial")
        waiting = Signal()
        # After a transfer the other direction goes first, so neither can starve.
        reads_first = Signal()
        m.d.comb += [
            bus.awready.eq(~held_aw),
            bus.wready.eq(~held_w),
            bus.arready.eq(~held_ar),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [held_aw.eq(1), write_address.eq(bus.awaddr[2:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [held_w.eq(1), self.wdata.eq(bus.wdata), whole.eq(bus.wstrb.all())]
            m.d.sync += partial.eq(bus.wstrb.any() & ~bus.wstrb.all())
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [held_ar.eq(1), read_address.eq(bus.araddr[2:])]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)

        can_write = Signal()
        can_read = Signal()
        m.d.comb += [
            can_write.eq(held_aw & held_w & ~bus.bvalid),
            can_read.eq(held_ar & ~bus.rvalid),
        ]
        m.d.sync += self.request.eq(0)
        with m.If(~waiting):
            with m.If(can_read & (reads_first | ~can_write)):
                m.d.sync += [waiting.eq(1), self.request.eq(1), self.write.eq(0)]
                m.d.sync += self.address.eq(read_address)
            with m.Elif(can_write):
                m.d.sync += [waiting.eq(1), self.request.eq(whole), self.write.eq(1)]
                m.d.sync += self.address.eq(write_address)
        with m.Elif(self.done | (self.write & ~whole)):
            response = Signal(Response)
            # Without a request nobody has said anything: ``error`` is that of another transfer.
            with m.If(Mux(self.write & ~whole, partial, self.error)):
                m.d.comb += response.eq(Response.SLVERR)
            m.d.sync += [waiting.eq(0), reads_first.eq(self.write)]
            with m.If(self.write):
                m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(response)]
                m.d.sync += [held_aw.eq(0), held_w.eq(0)]
            with m.Else():
                m.d.sync += [bus.rvalid.eq(1), bus.rresp.eq(response), bus.rdata.eq(self.rdata)]
                m.d.sync += held_ar.eq(0)
        return m
