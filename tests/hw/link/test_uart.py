"""The UARTs: every ratio of the two clocks at the full rate of the line, and bad lines."""

import random
import warnings

import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from streamtest import refusal

from sterna.hw.link.uart import UartReceiver, UartTransmitter

PERIOD = 1e-6  # of `uart`


class Pair(wiring.Component):
    """A transmitter and a receiver; the test is the wire between them."""

    def __init__(self, divisor):
        self.divisor = divisor
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "tx": Out(1, init=1),
                "rx": In(1, init=1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object):
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.uart = ClockDomain()
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        wiring.connect(m, receiver.o, wiring.flipped(self.o))
        m.d.comb += [self.tx.eq(transmitter.tx), receiver.rx.eq(self.rx)]
        return m


def simulate(dut, ratio, *benches, background=()):
    simulator = Simulator(dut)
    simulator.add_clock(PERIOD, phase=PERIOD / 3, domain="uart")
    simulator.add_clock(PERIOD / ratio, domain="sync")
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulator.run()


@pytest.mark.parametrize("divisor", [4, 5, 12])
@pytest.mark.parametrize("ratio", [0.25, 0.71, 1, 3.3, 16])
def test_bytes_pass_at_the_full_rate_of_the_line(divisor, ratio):
    count = 60
    sent = [*random.Random(divisor).randbytes(count - 4), 0, 255, 0, 255]
    dut, got, edges = Pair(divisor), [], []

    async def give(ctx):
        for byte in sent:
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
            # Not the byte any more: it must have been taken.
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.payload, ~byte & 255)
            # What a memory needs to give the next.
            await ctx.tick()

    async def wire(ctx):
        last, clock = 1, 0
        async for _, _, level in ctx.tick("uart").sample(dut.tx):
            if level != last:
                edges.append(clock)
            last, clock = level, clock + 1
            ctx.set(dut.rx, level)

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        while len(got) < count:
            _, _, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                got.append(byte)
        await ctx.tick().repeat(12 * divisor)

    simulate(dut, ratio, give, take, background=[wire])
    assert got == sent
    # From the first start bit to the stop bit of the last byte, which was 255, of 8 bits 1.
    assert edges[-1] - edges[0] == (10 * count - 9) * divisor


def line_of(byte, divisor, start=0, stop=1):
    bits = [start, *(byte >> k & 1 for k in range(8)), stop]
    return [bit for bit in bits for _ in range(divisor)]


def received(levels, divisor=8):
    dut, got = Pair(divisor), []

    async def drive(ctx):
        for level in [1] * 20 + levels + [1] * 20 * divisor:
            ctx.set(dut.rx, level)
            await ctx.tick("uart")

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid:
                got.append(byte)

    simulate(dut, 0.9, drive, background=[take])
    return got


def test_a_byte_without_stop_bit_is_dropped_and_a_break_does_no_harm():
    good = line_of(0x5A, 8)
    assert received(good) == [0x5A]
    assert received(line_of(0x33, 8, stop=0) + [1] * 8 + good) == [0x5A]
    assert received([0] * 1000 + [1] * 3 + good) == [0x5A]
    assert received(good + [0] * 85 + [1] * 8 + good) == [0x5A, 0x5A]


def test_a_spike_is_no_start_bit():
    assert received([0, 0, 0] + [1] * 5 + line_of(0xC3, 8)) == [0xC3]


@pytest.mark.parametrize("rate", [0.96, 1.04])
def test_other_ends_with_another_clock_are_understood(rate):
    levels = [level for byte in b"\x00\xff\x55\xaa" * 8 for level in line_of(byte, 100)]
    count = int(len(levels) / 100 * 16 * rate)
    sampled = [levels[min(int(k / 16 / rate * 100), len(levels) - 1)] for k in range(count)]
    assert received(sampled, 16) == [*b"\x00\xff\x55\xaa" * 8]


@pytest.mark.parametrize("part", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("divisor", [3, 4.5, True])
def test_refuses_a_divisor_that_cannot_be(part, divisor):
    assert refusal(lambda: part(divisor)) == (
        f"a UART of {divisor!r} clocks a bit; use at least 4: a lower baud rate"
    )
