import random

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from axildriver import SLVERR, read, simulate, write
from combpath import assert_lint_clean, assert_no_comb_path

from sterna.hw.control.axil import AxiLite, AxiLiteSlave

START = [0x01010101 * (k + 1) for k in range(32)]


class Words(wiring.Component):
    """A slave in front of 32 words; the upper half of the address space is refused."""

    def __init__(self, wait: int):
        self.wait = wait
        self.slave = AxiLiteSlave(8)
        self.writes: list[tuple[int, int]] = []
        super().__init__({"bus": wiring.In(AxiLite(8))})

    def elaborate(self, platform: object):
        m = Module()
        slave = m.submodules.slave = self.slave
        memory = m.submodules.memory = Memory(shape=32, depth=32, init=START)
        wiring.connect(m, wiring.flipped(self.bus), slave.bus)
        port, store = memory.read_port(domain="comb"), memory.write_port()
        bad = slave.address[5]
        done = slave.request
        for _ in range(self.wait):
            later = Signal()
            m.d.sync += later.eq(done)
            done = later
        m.d.comb += [
            port.addr.eq(slave.address),
            store.addr.eq(slave.address),
            store.data.eq(slave.wdata),
            store.en.eq(done & slave.write & ~bad),
            slave.rdata.eq(port.data),
            slave.error.eq(bad),
            slave.done.eq(done),
        ]
        return m


def _random_traffic(wait: int, seed: int, both: bool) -> None:
    dut = Words(wait)
    random_ = random.Random(seed)
    model = list(START)
    finished = []

    async def writer(ctx):
        for _ in range(60):
            address, data = random_.randrange(0, 256), random_.getrandbits(32)
            if both:
                address &= 0xBF  # the reader has the other half
            strobe = random_.choice([15, 15, 15, 7, 0, random_.randrange(16)])
            delays = [random_.choice([0, 0, 1, 3, 6]) for _ in range(3)]
            response = await write(ctx, dut.bus, address, data, strobe=strobe, delays=delays)
            if strobe == 0:  # legal, of any address, and without effect
                assert response == 0
            elif strobe != 15 or address & 0x80:
                assert response == SLVERR
            else:
                assert response == 0
                model[address >> 2] = data
            if not both:
                address = random_.randrange(0, 128)
                got, response = await read(ctx, dut.bus, address, delays=delays[:2])
                assert (got, response) == (model[address >> 2], 0)
        finished.append("writer")

    async def reader(ctx):
        for _ in range(60):
            address = random_.randrange(0, 256) | 0x40  # never written
            data, response = await read(ctx, dut.bus, address, delays=(random_.randrange(3), 2))
            if address & 0x80:
                assert response == SLVERR
            else:
                assert (data, response) == (START[address >> 2], 0)
        finished.append("reader")

    simulate(dut, *([writer, reader] if both else [writer]))
    assert sorted(finished) == (["reader", "writer"] if both else ["writer"])


def test_any_order_of_address_and_data_and_any_back_pressure():
    _random_traffic(wait=1, seed=1, both=False)
    _random_traffic(wait=5, seed=2, both=False)


def test_reads_and_writes_at_once():
    _random_traffic(wait=1, seed=3, both=True)
    _random_traffic(wait=4, seed=4, both=True)


def test_a_held_response_of_one_direction_does_not_stop_the_other():
    dut = Words(1)

    async def bench(ctx):
        bus = dut.bus
        ctx.set(bus.araddr, 4)
        ctx.set(bus.arvalid, 1)
        await ctx.tick()
        ctx.set(bus.arvalid, 0)
        await ctx.tick().repeat(10)
        assert ctx.get(bus.rvalid)  # nobody takes it
        for k in range(3):
            assert await write(ctx, bus, 8, k) == 0
        assert ctx.get(bus.rvalid)
        ctx.set(bus.rready, 1)
        await ctx.tick()
        ctx.set(bus.rready, 0)
        # And the other way round, with a further read before the response is taken.
        for name, value in (("awaddr", 12), ("awvalid", 1), ("wvalid", 1), ("wdata", 77)):
            ctx.set(getattr(bus, name), value)
        ctx.set(bus.wstrb, 15)
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        await ctx.tick().repeat(10)
        assert ctx.get(bus.bvalid)
        assert await read(ctx, bus, 8) == (2, 0)
        assert await read(ctx, bus, 12) == (77, 0)
        assert ctx.get(bus.bvalid)

    simulate(dut, bench)


def test_latency_is_four_clocks():
    dut = Words(1)

    async def bench(ctx):
        clocks: list[int] = []
        for delays in ((0, 0, 0), (0, 3, 0), (3, 0, 0), (0, 0, 4)):
            await write(ctx, dut.bus, 4, 5, delays=delays, clocks=clocks)
            await read(ctx, dut.bus, 4, clocks=clocks)
        assert clocks == [4] * 8

    simulate(dut, bench)


def test_no_path_through_and_lint():
    assert_no_comb_path(AxiLiteSlave(12))
    assert_lint_clean(AxiLiteSlave(12))
