"""An AXI4-Lite master for Amaranth's simulator that checks the slave's rules as it goes."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from sterna.hw.memory.chain import Chain

__all__ = ["LIMIT", "SLVERR", "Design", "fields", "read", "simulate", "write"]

SLVERR = 2
LIMIT = 2000


async def write(ctx, bus, address, data, *, strobe=0xF, delays=(0, 0, 0), clocks=None):
    """One write; delays of AW, W (from now) and B (from bvalid), in clocks. Returns bresp.

    ``clocks``, a list, gets the clocks from the last accepted beat to bvalid.
    """
    sent = {"aw": None, "w": None}
    seen = None
    for cycle in range(LIMIT):
        for k, channel in enumerate(("aw", "w")):
            offer = sent[channel] is None and cycle >= delays[k]
            ctx.set(getattr(bus, channel + "valid"), offer)
            # Anything may be on a channel that is not valid.
            ctx.set(bus.awaddr if channel == "aw" else bus.wdata, 0x5555)
            if offer:
                if channel == "aw":
                    ctx.set(bus.awaddr, address)
                else:
                    ctx.set(bus.wdata, data)
                    ctx.set(bus.wstrb, strobe)
                if ctx.get(getattr(bus, channel + "ready")):
                    sent[channel] = cycle
        if ctx.get(bus.bvalid):
            assert sent["aw"] is not None and sent["w"] is not None, "response before the write"
            if seen is None:
                seen = (cycle, ctx.get(bus.bresp))
            assert ctx.get(bus.bresp) == seen[1], "bresp changed"
        else:
            assert seen is None, "bvalid fell"
        ready = seen is not None and cycle - seen[0] >= delays[2]
        ctx.set(bus.bready, ready)
        await ctx.tick()
        if ready:
            ctx.set(bus.bready, 0)
            assert not ctx.get(bus.bvalid), "bvalid stayed"
            if clocks is not None:
                clocks.append(seen[0] - max(sent["aw"], sent["w"]))
            return seen[1]
    raise AssertionError(f"no answer to a write of {address:#x}")


async def read(ctx, bus, address, *, delays=(0, 0), clocks=None):
    """One read; delays of AR (from now) and R (from rvalid). Returns (rdata, rresp)."""
    sent, seen = None, None
    for cycle in range(LIMIT):
        offer = sent is None and cycle >= delays[0]
        ctx.set(bus.arvalid, offer)
        ctx.set(bus.araddr, address if offer else 0x5555)
        if offer and ctx.get(bus.arready):
            sent = cycle
        if ctx.get(bus.rvalid):
            assert sent is not None, "response before the read"
            answer = (ctx.get(bus.rdata), ctx.get(bus.rresp))
            if seen is None:
                seen = (cycle, answer)
            assert answer == seen[1], "read data changed"
        else:
            assert seen is None, "rvalid fell"
        ready = seen is not None and cycle - seen[0] >= delays[1]
        ctx.set(bus.rready, ready)
        await ctx.tick()
        if ready:
            ctx.set(bus.rready, 0)
            assert not ctx.get(bus.rvalid), "rvalid stayed"
            if clocks is not None:
                clocks.append(seen[0] - sent)
            return seen[1]
    raise AssertionError(f"no answer to a read of {address:#x}")


def simulate(dut, *benches, background=()):
    """Run the benches to their end, clock ``sync``."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    simulator.run()


def fields(registers, name, value):
    """The fields of a register value, by name."""
    register = next(r for r in registers if r.name == name)
    return {f.name: value >> f.low & (1 << f.width) - 1 for f in register.fields}


class Design(wiring.Component):
    """A control plane or chain master with memories on its ring, in the list's order."""

    def __init__(self, master, memories: list):
        self.master, self.memories = master, memories
        super().__init__({})

    def elaborate(self, platform: object):
        m = Module()
        m.submodules.master = self.master
        hop = self.master.chain_o
        for k, memory in enumerate(self.memories):
            m.submodules[f"memory_{k}"] = memory
            wiring.connect(m, hop, memory.chain_i)
            hop = memory.chain_o
        if not self.memories:
            hop = wiring.flipped(Chain.create())
            m.d.sync += hop.word.eq(self.master.chain_o.word)
            m.d.comb += self.master.chain_i.word.eq(hop.word)
        else:
            wiring.connect(m, hop, self.master.chain_i)
        return m
