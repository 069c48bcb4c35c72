"""A host and a network around the link's hardware, in Amaranth's simulator."""

import random
import warnings

from amaranth.sim import Simulator

from sterna.golden.device.csr import ADDRESS
from sterna.golden.device.link import (
    BoardFrame,
    HostFrame,
    Identity,
    ToBoard,
    ToHost,
    unwire,
)
from sterna.hw.link.link import Link, LinkSpec

__all__ = [
    "SESSION",
    "SPEC",
    "LinkBench",
    "poll",
    "read_body",
    "result",
    "run",
    "settled",
    "write_body",
]

SESSION = 0x0201
SPEC = LinkSpec(
    structure_id=0x0011223344556600,
    image_bytes=6,
    classes=3,
    axis_width=16,
    buffer=256,
    slots=4,
    divisor=4,
)


class LinkBench:
    """Plays the line, the network's streams and its registers; everything seen is recorded.

    frames: what the board sent. images: packets that the network took, (bytes, complete).
    registers: value by address; those in ``refusing`` answer SLVERR. writes: (address, word).
    """

    def __init__(
        self, spec: LinkSpec = SPEC, *, seed: int = 0, stalls: float = 0.0, line_stalls: float = 0.0
    ):
        self.spec, self.link = spec, Link(spec)
        self.random, self.stalls, self.line_stalls = random.Random(seed), stalls, line_stalls
        self.raw, self.parsed, self.known = bytearray(), 0, []
        self.images, self.packet = [], bytearray()
        self.results = []  # packets to send, lists of words
        self.sent_words = 0
        self.registers = {ADDRESS["status"]: 1}
        self.refusing, self.writes, self.reads = set(), [], []
        self.resets = 0
        self.blocked = False  # the network takes no beat
        self.seq = 0
        self.got = 0

    @property
    def frames(self):
        """Frames complete so far; fails on a damaged one."""
        *parts, _ = bytes(self.raw[self.parsed :]).split(b"\0")
        for part in parts:
            content = unwire(part)
            assert content is not None, f"a damaged frame from the board: {part.hex()}"
            self.known.append(BoardFrame.parse(content))
            self.parsed += len(part) + 1
        return self.known

    def of(self, kind):
        return [f for f in self.frames if f.kind == kind]

    async def send(self, ctx, data: bytes):
        port = self.link.rx
        for byte in data:
            ctx.set(port.valid, 1)
            ctx.set(port.payload, byte)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)
            while self.random.random() < self.line_stalls:
                await ctx.tick()

    async def give(self, ctx, kind, body=b"", *, seq=None, session=SESSION, got=None):
        """Send a frame; of a sequenced kind the next in order."""
        if seq is None:
            seq = 0
            if kind in (ToBoard.IMAGE, ToBoard.WRITE, ToBoard.READ, ToBoard.MODE):
                seq, self.seq = self.seq, (self.seq + 1) % 256
        frame = HostFrame(kind, session, seq, self.got if got is None else got, body)
        await self.send(ctx, frame.pack())

    async def open(self, ctx, session=SESSION, bits=0):
        before = len(self.of(ToHost.IDENTITY))
        self.seq = self.got = 0
        await self.give(ctx, ToBoard.HELLO, bytes([bits]), session=session, got=0)
        await self.wait(ctx, lambda: len(self.of(ToHost.IDENTITY)) > before)
        frame = self.of(ToHost.IDENTITY)[-1]
        assert frame.session == session
        assert Identity.parse(frame.body) == self.spec.identity
        return frame

    async def wait(self, ctx, ready, clocks=20_000):
        for _ in range(clocks // 10):
            if ready():
                return
            await ctx.tick().repeat(10)
        raise AssertionError(f"nothing came; frames {self.frames}")

    async def line(self, ctx):
        port = self.link.tx
        ctx.set(port.ready, 1)
        held, ready = None, 1
        while True:
            _, _, valid, byte = await ctx.tick().sample(port.valid, port.payload)
            assert held is None or (valid and byte == held), "a byte changed before it was taken"
            if valid and ready:
                self.raw.append(byte)
            held = byte if valid and not ready else None
            ready = int(self.random.random() >= self.line_stalls)
            ctx.set(port.ready, ready)

    async def take_images(self, ctx):
        port = self.link.s_axis
        ready = 0
        while True:
            _, _, valid, data, last = await ctx.tick().sample(port.tvalid, port.tdata, port.tlast)
            if valid and ready:
                self.packet += data.to_bytes(self.spec.axis_width // 8, "little")
                if last:
                    whole = len(self.packet) == self.spec.image_bytes
                    self.images.append((bytes(self.packet), whole))
                    self.packet.clear()
            ready = int(not self.blocked and self.random.random() >= self.stalls)
            ctx.set(port.tready, ready)

    async def make_results(self, ctx):
        port = self.link.m_axis
        while True:
            while not self.results:
                await ctx.tick()
            packet = self.results.pop(0)
            for k, word in enumerate(packet):
                while self.random.random() < self.stalls:
                    await ctx.tick()
                ctx.set(port.tvalid, 1)
                ctx.set(port.tdata, word)
                ctx.set(port.tlast, k == len(packet) - 1)
                await ctx.tick().until(port.tready)
                self.sent_words += 1
                ctx.set(port.tvalid, 0)

    async def serve_registers(self, ctx):
        bus = self.link.s_axil
        while True:
            ctx.set(bus.arready, 1)
            await ctx.tick()
            if ctx.get(bus.arvalid):
                address = ctx.get(bus.araddr)
                ctx.set(bus.arready, 1)
                await ctx.tick()
                ctx.set(bus.arready, 0)
                while self.random.random() < self.stalls:
                    await ctx.tick()
                self.reads.append(address)
                ctx.set(bus.rdata, self.registers.get(address & ~3, address * 0x10001))
                ctx.set(bus.rresp, 2 if address & ~3 in self.refusing else 0)
                ctx.set(bus.rvalid, 1)
                await ctx.tick().until(bus.rready)
                ctx.set(bus.rvalid, 0)
                # Nothing may read the answer once it has been taken.
                ctx.set(bus.rdata, 0xDEADBEEF)
            elif ctx.get(bus.awvalid) and ctx.get(bus.wvalid):
                address, word = ctx.get(bus.awaddr), ctx.get(bus.wdata)
                assert ctx.get(bus.wstrb) == 15
                ctx.set(bus.arready, 0)
                ctx.set(bus.awready, 1)
                first = self.random.random() < 0.5
                ctx.set(bus.wready, first)
                await ctx.tick()
                ctx.set(bus.awready, 0)
                if not first:
                    assert ctx.get(bus.wvalid) and ctx.get(bus.wdata) == word
                    ctx.set(bus.wready, 1)
                    await ctx.tick()
                ctx.set(bus.wready, 0)
                refused = address & ~3 in self.refusing
                if not refused:
                    self.writes.append((address, word))
                ctx.set(bus.bresp, 2 if refused else 0)
                ctx.set(bus.bvalid, 1)
                await ctx.tick().until(bus.bready)
                ctx.set(bus.bvalid, 0)

    async def count_resets(self, ctx):
        while True:
            _, _, reset = await ctx.tick().sample(self.link.reset_network)
            if reset:
                self.resets += 1
                self.packet.clear()


def run(bench: LinkBench, scenario) -> LinkBench:
    """Run ``async def scenario(ctx, bench)`` to its end; warnings are errors."""
    simulator = Simulator(bench.link)
    simulator.add_clock(1e-6)

    async def host(ctx):
        await ctx.tick()
        await scenario(ctx, bench)

    simulator.add_testbench(host)
    for part in ("line", "take_images", "make_results", "serve_registers", "count_resets"):
        simulator.add_testbench(getattr(bench, part), background=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulator.run()
    return bench


def result(number, words=4):
    return [number << 8 | k | 0x01000000 for k in range(words)]


def write_body(address, *words):
    return address.to_bytes(2, "little") + b"".join(w.to_bytes(4, "little") for w in words)


def read_body(address, count):
    return address.to_bytes(2, "little") + bytes([count])


async def poll(ctx, bench, **settings):
    """The board's state when all that was sent is judged: the last frame before it falls silent."""
    await bench.give(ctx, ToBoard.POLL, **settings)
    count = -1
    while len(bench.raw) != count or not bench.frames:
        count = len(bench.raw)
        await ctx.tick().repeat(250)
    return bench.frames[-1]


async def settled(ctx, bench):
    """The board's state when all that it accepted is executed."""
    for _ in range(20):
        frame = await poll(ctx, bench)
        if frame.done == frame.next:
            return frame
    raise AssertionError(f"never executed: {frame}")
