import random
import zlib

import pytest
from amaranth.hdl import ResetInserter, Signal
from axildriver import SLVERR, Design, fields, read, simulate, write
from combpath import assert_lint_clean, assert_no_comb_path

from sterna.golden.device.csr import ID, VERSION
from sterna.golden.errors import DesignError
from sterna.hw.control.control import ControlPlane
from sterna.hw.memory.weight_memory import WeightMemory

# The refused ones are collected at any later time.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

STRUCTURE, WEIGHTS = 0x0123456789ABCDEF, 0xFEDCBA9876543210


class Host:
    """Registers by name, over the bus, with random order and back-pressure."""

    def __init__(self, ctx, plane, seed=0):
        self.ctx, self.plane, self.random = ctx, plane, random.Random(seed)
        self.at = {r.name: r.address for r in plane.registers}

    def _delays(self, n):
        return [self.random.choice([0, 0, 0, 1, 4]) for _ in range(n)]

    async def write(self, name, value, expect=0):
        response = await write(
            self.ctx, self.plane.axil, self.at[name], value, delays=self._delays(3)
        )
        assert response == expect, name

    async def read(self, name, expect=0):
        value, response = await read(
            self.ctx, self.plane.axil, self.at[name], delays=self._delays(2)
        )
        assert response == expect, name
        return value

    async def fields(self, name):
        return fields(self.plane.registers, name, await self.read(name))

    async def status(self):
        return await self.fields("status")


def _ram_design():
    random_ = random.Random(3)
    shapes = [(5, 70), (8, 9), (2, 290)]
    rows = [[random_.getrandbits(w) for _ in range(d)] for d, w in shapes]
    memories = [WeightMemory(*s, r, region=k) for k, (s, r) in enumerate(zip(shapes, rows))]
    plane = ControlPlane(STRUCTURE, WEIGHTS, ("conv1", "fc"), regions=len(shapes))
    return Design(plane, memories), plane, memories, rows


def test_every_register_of_a_rom_design_reads_what_it_should():
    plane = ControlPlane(STRUCTURE, WEIGHTS, ("a", "b", "c"))

    async def bench(ctx):
        host = Host(ctx, plane)
        values = {name: await host.read(name) for name in host.at}
        assert values["id"].to_bytes(4, "little") == b"STRN" and values["id"] == ID
        assert values["version"] == VERSION
        assert values["structure_id_hi"] << 32 | values["structure_id_lo"] == STRUCTURE
        assert values["weights_id_hi"] << 32 | values["weights_id_lo"] == WEIGHTS
        assert await host.fields("config") == {"cores": 3, "regions": 0}
        assert await host.status() == {"idle": 1, "held": 0, "tlast_early": 0, "tlast_late": 0}
        writable = {r.name for r in plane.registers if r.writable}
        assert writable == {"control", "status", "repeat"}
        for name in host.at:
            await host.write(name, 0, 0 if name in writable else SLVERR)
        for address in (0x40, 0x44, 0x48, 0x4C, 0x3C, 0x10C, 0x8000, 0xFFFC):
            assert (await read(ctx, plane.axil, address))[1] == SLVERR
            assert await write(ctx, plane.axil, address, 1) == SLVERR
        # The two low bits count for nothing.
        for low in range(4):
            assert await read(ctx, plane.axil, host.at["id"] + low) == (ID, 0)
            assert await write(ctx, plane.axil, host.at["control"] + low, low & 2) == 0
            assert ctx.get(plane.hold) == low >> 1
            assert await write(ctx, plane.axil, host.at["id"] + low, 0) == SLVERR
        await host.write("control", 0)
        # Part of a word is refused, and without effect; nothing of it has no effect, either.
        for strobe in (1, 0, 7, 0, 14):
            for address in (host.at["control"], 0xFFFC):
                wanted = SLVERR if strobe else 0
                assert await write(ctx, plane.axil, address, 2, strobe=strobe) == wanted
                assert not ctx.get(plane.hold)

    simulate(plane, bench)


def test_flags_counters_hold_and_repeat():
    plane = ControlPlane(1, 2, ("a", "b"))

    async def bench(ctx):
        host = Host(ctx, plane)

        async def pulse(name):
            ctx.set(getattr(plane, name), 1)
            await ctx.tick()
            ctx.set(getattr(plane, name), 0)
            flying = (name == "image_start") - (name == "image_done")
            ctx.set(plane.flying, ctx.get(plane.flying) + flying)

        await pulse("image_start")
        await ctx.tick().repeat(9)
        await pulse("image_start")
        await ctx.tick().repeat(4)
        await pulse("tlast_late")
        await ctx.tick().repeat(3)
        ctx.set(plane.stall, 2)
        await ctx.tick().repeat(6)
        ctx.set(plane.stall, 0)
        await pulse("image_done")
        assert await host.read("image_clocks") == 1 + 9 + 1 + 4 + 1 + 3 + 6 + 1
        assert await host.read("total_clocks") == 26
        assert await host.read("images") == 1
        assert await host.read("stall_a") == 0
        assert await host.read("stall_b") == 6
        assert await host.fields("dropped") == {"early": 0, "late": 1}
        assert await host.status() == {"idle": 0, "held": 0, "tlast_early": 0, "tlast_late": 1}
        await pulse("image_start")
        await pulse("tlast_early")
        assert await host.fields("dropped") == {"early": 1, "late": 1}
        await host.write("status", 1 << 2)
        assert await host.status() == {"idle": 0, "held": 0, "tlast_early": 0, "tlast_late": 1}
        await host.write("status", 1 << 3)
        assert await host.read("status") == 0
        await host.write("control", 3)
        assert ctx.get(plane.hold)
        assert await host.fields("control") == {"clear": 0, "hold": 1}
        for name in ("image_clocks", "total_clocks", "images", "stall_b", "dropped"):
            assert await host.read(name) == 0
        # Two images were in flight: of what they do no counter knows.
        await pulse("image_start")
        for done in range(3):
            await ctx.tick().repeat(7)
            await pulse("image_done")
            assert await host.read("images") == (done == 2)
            assert (await host.read("total_clocks") > 0) == (done == 2)
            assert (await host.read("image_clocks") > 0) == (done == 2)
        await host.write("control", 0)
        assert not ctx.get(plane.hold) and not ctx.get(plane.repeat)
        await host.write("repeat", 0)
        await host.write("repeat", 3, SLVERR)  # no image is there
        assert not ctx.get(plane.repeat) and await host.read("repeat") == 0
        await host.write("repeat", 0)
        ctx.set(plane.repeatable, 1)
        await host.write("repeat", 3)
        for left in (3, 2, 1):
            assert ctx.get(plane.repeat) and await host.read("repeat") == left
            await pulse("repeat_ack")
        assert not ctx.get(plane.repeat)
        await pulse("repeat_ack")  # without a request: no wrap
        assert await host.read("repeat") == 0
        await host.write("repeat", 9)
        await host.write("repeat", 0)
        assert not ctx.get(plane.repeat)

    simulate(plane, bench)


def _crc(words):
    return zlib.crc32(b"".join(word.to_bytes(4, "little") for word in words))


async def _pass(host, region, words):
    await host.write("chain_address", region << 24)
    await host.write("crc_words", words)
    for _ in range(2000):
        status = await host.status()
        if not status["crc_busy"]:
            assert status["crc_done"] != status["crc_error"]
            return await host.read("crc_result") if status["crc_done"] else None
    raise AssertionError("the pass did not end")


def test_load_read_back_and_crc():
    design, plane, memories, rows = _ram_design()
    random_ = random.Random(8)
    loaded = {}

    async def bench(ctx):
        host = Host(ctx, plane, seed=1)
        for memory, old in zip(memories, rows):
            layout, region = memory.layout, memory.region
            assert await _pass(host, region, layout.words) == _crc(layout.linear(old))
            new = [random_.getrandbits(memory.width) for _ in old]
            words = loaded[region] = layout.linear(new)
            await host.write("control", 2)
            await host.write("chain_address", region << 24)
            for word in words:
                await host.write("chain_data", word)
            assert await host.fields("chain_address") == {"addr": len(words), "region": region}
            await host.write("control", 0)
            assert await _pass(host, region, layout.words) == _crc(words)
            await host.write("chain_address", region << 24 | 1)
            for word in words[1:4]:
                assert await host.read("chain_data") == word
            for row, value in enumerate(new):  # and what the datapath sees
                ctx.set(memory.addr, row)
                await ctx.tick().repeat(2)
                assert ctx.get(memory.data) == value
        # Nobody answers: SLVERR, the address stays, the pass says so.
        for region, addr in ((3, 0), (0, memories[0].layout.words), (255, 5)):
            await host.write("chain_address", region << 24 | addr)
            await host.write("chain_data", 1, SLVERR)
            await host.read("chain_data", SLVERR)
            assert await host.fields("chain_address") == {"addr": addr, "region": region}
        assert await _pass(host, 1, memories[1].layout.words + 1) is None
        await host.write("crc_words", 1 << 21, SLVERR)
        assert await _pass(host, 1, 2) == _crc(loaded[1][:2])

    simulate(design, bench)


def test_weights_id_is_written_last():
    design, plane, _, _ = _ram_design()

    async def bench(ctx):
        host = Host(ctx, plane, seed=2)
        assert await host.read("weights_id_lo") == WEIGHTS & 0xFFFFFFFF
        assert await host.read("chain_data") is not None  # a read changes nothing
        assert await host.read("weights_id_hi") == WEIGHTS >> 32
        await host.write("chain_address", 0)
        ctx.set(plane.flying, 1)
        await host.write("chain_data", 5, SLVERR)  # nor does a refused write
        ctx.set(plane.flying, 0)
        assert await host.read("weights_id_lo") == WEIGHTS & 0xFFFFFFFF
        assert not ctx.get(plane.unloaded)
        await host.write("chain_data", 5)
        assert ctx.get(plane.unloaded)
        assert await host.read("weights_id_lo") == await host.read("weights_id_hi") == 0
        await host.write("weights_id_lo", 0x11)
        await host.write("weights_id_hi", 0x22)
        assert not ctx.get(plane.unloaded)
        assert (await host.read("weights_id_lo"), await host.read("weights_id_hi")) == (0x11, 0x22)
        await host.write("chain_address", 9 << 24)  # of no memory, but it left for the ring
        await host.write("chain_data", 5, SLVERR)
        assert ctx.get(plane.unloaded)

    simulate(design, bench)


def test_a_reset_keeps_weights_id_as_it_keeps_the_memories():
    design, plane, _, _ = _ram_design()
    reset = Signal()

    async def bench(ctx):
        host = Host(ctx, plane, seed=2)
        await host.write("control", 2)
        for value in (0x77, 0):
            await host.write("weights_id_lo", value)
            await host.write("weights_id_hi", 0)
            ctx.set(reset, 1)
            await ctx.tick().repeat(3)
            ctx.set(reset, 0)
            await ctx.tick().repeat(3)
            assert await host.read("weights_id_lo") == value
            assert ctx.get(plane.unloaded) == (value == 0)
            assert not ctx.get(plane.hold)  # the rest is reset

    simulate(ResetInserter(reset)(design), bench)


def test_identity_can_come_from_a_memory_that_a_bitstream_fills():
    rows = [0x11223344, 0x55667788, 0x99AABBCC, *range(509)]
    plane = ControlPlane(STRUCTURE, 0, ("a",), ident=rows)

    async def bench(ctx):
        host = Host(ctx, plane, seed=4)
        for _ in range(3):
            assert await host.read("weights_id_lo") == rows[0]
            assert await host.read("id") == ID
            assert await host.read("weights_id_hi") == rows[1]
            assert await host.read("rom_crc") == rows[2]
            assert await host.read("structure_id_lo") == STRUCTURE & 0xFFFFFFFF
        assert not ctx.get(plane.unloaded)

    simulate(plane, bench)


def test_busy_refuses_and_has_no_effect():
    design, plane, memories, rows = _ram_design()
    words = memories[0].layout.linear(rows[0])

    async def bench(ctx):
        host = Host(ctx, plane, seed=3)
        # An image in flight.
        ctx.set(plane.flying, 1)
        await host.write("chain_address", 0)
        await host.write("chain_data", 0, SLVERR)
        await host.read("chain_data", SLVERR)
        await host.write("crc_words", 4, SLVERR)
        assert not ctx.get(plane.hold)
        # A pass under way: registers answer, the chain does not.
        ctx.set(plane.flying, 0)
        await host.write("crc_words", len(words))
        assert ctx.get(plane.hold)
        await host.write("chain_address", 1 << 24, SLVERR)
        await host.write("chain_data", 0, SLVERR)
        await host.read("chain_data", SLVERR)
        await host.write("crc_words", 1, SLVERR)
        status = await host.status()
        assert status["crc_busy"] and status["held"] and not status["crc_done"]
        assert await host.read("id") == ID
        assert 0 < await host.read("crc_words") <= len(words)
        while ctx.get(plane.hold):
            await ctx.tick()
        assert await host.read("crc_result") == _crc(words)
        assert await host.fields("chain_address") == {"addr": len(words), "region": 0}
        await host.write("chain_address", 0)
        assert [await host.read("chain_data") for _ in words] == words

    simulate(design, bench)


def test_hold_covers_every_access_and_the_clocks_around_it():
    design, plane, memories, _ = _ram_design()
    trace = []

    async def watch(ctx):
        sample = ctx.tick().sample(
            plane.hold, plane.chain_o.word.valid, plane.chain_i.word.valid, memories[0].node.busy
        )
        async for _, _, *values in sample:
            trace.append(values)

    async def bench(ctx):
        host = Host(ctx, plane)
        await ctx.tick().repeat(5)
        await host.read("chain_data")
        await host.write("chain_data", 7)
        await ctx.tick().repeat(12)

    simulate(design, bench, background=[watch])
    touched = [k for k, (_, *rest) in enumerate(trace) if any(rest)]
    held = [k for k, (hold, *_) in enumerate(trace) if hold]
    for k in touched:
        assert set(range(k - 3, k + 4)) <= set(held)
    assert 0 < len(held) < len(trace)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structure_id": 1 << 64}, "structure_id"),
        ({"structure_id": 0, "weights_id": -1}, "weights_id"),
        ({"structure_id": 0, "regions": 257}, "257 reloadable"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(DesignError, match=message):
        ControlPlane(**arguments)


def test_no_path_through_and_lint():
    assert_no_comb_path(ControlPlane(1, 2, ("a", "b"), regions=2))
    waivers = ("DECLFILENAME", "CASEINCOMPLETE")
    assert_lint_clean(ControlPlane(1, 2, ("a", "b"), regions=2), waivers)
    assert_lint_clean(ControlPlane(1, 2), waivers)
