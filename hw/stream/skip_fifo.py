"""Where the early branch of a fork waits: a FIFO of exact depth in any kind of storage."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.memory.shape import Memories, MemoryShape
from sterna.hw.stream.buffers import counter_of, step_counter

__all__ = ["KINDS", "SkipFifo", "check_size", "full_rate_depth", "known", "latency_of"]

KINDS = ("registers", "lutram", "block")

_LATENCY = {"registers": 1, "lutram": 1, "block": 3}


def latency_of(kind: str) -> int:
    """Clocks from a beat's entry into an empty FIFO of ``kind`` to its first clock at the exit.

    A FIFO of ``depth`` passes ``min(1, depth / (latency + 1))`` beats a clock.
    """
    return _LATENCY[known(kind)]


def full_rate_depth(kind: str) -> int:
    """The smallest depth that passes a beat a clock: room is only known a clock later."""
    return latency_of(kind) + 1


def known(kind: str) -> str:
    """The kind itself. DesignError where there is no such storage."""
    if kind not in KINDS:
        raise DesignError(f"storage {kind!r} of a FIFO is not one of {', '.join(KINDS)}")
    return kind


def check_size(width: int, depth: int) -> None:
    """DesignError where a FIFO holds nothing."""
    if width < 1 or depth < 1:
        raise DesignError(
            f"a skip FIFO needs a width and a depth of at least 1, not {width} and {depth}"
        )


def _some(level: Signal, put: Value, take: Value) -> Value:
    """Whether ``level + put - take`` is not 0, with the comparisons beside the handshake."""
    more = level > 1 if len(level) > 1 else Const(0, 1)
    return more | ((level == 1) & ~take) | put


class SkipFifo(wiring.Component):
    """First in, first out: ``depth`` beats in all, none more, none less, in storage of ``kind``.

    Ports: ``i`` and ``o``, streams of ``unsigned(width)``; out ``level``, beats inside now, those
    in output registers included. With ``limited`` also in ``limit``: where it is not 0 the FIFO
    behaves, clock for clock, as one of that depth (constant from reset on; above ``depth`` it means
    ``depth``). For simulation: the limit adds a comparison to the room register.

    ``i.ready`` and ``o.valid`` are flip-flops, and so is ``o.payload``, but for 'lutram' (a memory
    read at a register's address). A block RAM read goes into a register of its own.

    Attributes:
        latency: clocks from an entry into the empty FIFO to the exit, see :func:`latency_of`; full
            rate from :func:`full_rate_depth` on.

    Raises:
        DesignError: an unknown kind, a width or a depth below 1.
    """

    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, width: int, depth: int, kind: str = "lutram", limited: bool = False):
        check_size(width, depth)
        self.width, self.depth, self.kind, self.limited = width, depth, known(kind), limited
        self.latency = latency_of(kind)
        members = {
            "i": In(stream.Signature(unsigned(width))),
            "o": Out(stream.Signature(unsigned(width))),
            "level": Out(range(depth + 1)),
        }
        if limited:
            members["limit"] = In(range(depth + 1))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        room = Signal()
        put, take = Signal(name="put"), Signal(name="take")
        level = Signal.like(self.level, name="level")
        following = Signal.like(self.level, name="following")
        m.d.comb += [
            put.eq(self.i.valid & room),
            take.eq(self.o.ready & self.o.valid),
            following.eq(level + put - take),
            self.i.ready.eq(room),
            self.level.eq(level),
        ]
        m.d.sync += level.eq(following)
        if self.limited:
            none = (self.limit == 0) | (self.limit > self.depth)
            m.d.sync += room.eq(following < Mux(none, self.depth, self.limit))
        elif self.depth == 1:
            m.d.sync += room.eq(following == 0)
        else:
            # The same, with the comparisons beside the handshake and not behind it.
            m.d.sync += room.eq(
                (level < self.depth - 1) | ((level == self.depth - 1) & ~put) | take
            )
        {"registers": self._registers, "lutram": self._lut_ram, "block": self._block}[self.kind](
            m, put, take, level
        )
        return m

    def _registers(self, m: Module, put: Value, take: Value, level: Signal) -> None:
        """The oldest beat is always in the first register; taking it shifts the others down."""
        some = Signal()
        words = [Signal(self.width, name=f"word_{k}", reset_less=True) for k in range(self.depth)]
        m.d.comb += [self.o.payload.eq(words[0]), self.o.valid.eq(some)]
        m.d.sync += some.eq(_some(level, put, take))
        for k, word in enumerate(words):
            behind = words[k + 1] if k + 1 < self.depth else self.i.payload
            with m.If(level == k):
                m.d.sync += word.eq(self.i.payload)
            with m.Elif(take):
                # With one beat more than this register's, the new one comes to lie here.
                m.d.sync += word.eq(Mux(level == k + 1, self.i.payload, behind))

    @staticmethod
    def memories_of(width: int, depth: int, kind: str) -> Memories:
        if kind == "registers":
            return {}
        # A single row has no address; the second one is never reached.
        return {"memory": MemoryShape(width, max(2, depth), "fifo" if kind == "block" else "comb")}

    def _memory(self, m: Module) -> Memory:
        shape = self.memories_of(self.width, self.depth, self.kind)["memory"]
        # A row is never read in the clock in which it is written, which the synthesiser cannot
        # know.
        m.submodules.memory = memory = shape.make(attrs={"no_rw_check": 1})
        return memory

    def _lut_ram(self, m: Module, put: Value, take: Value, level: Signal) -> None:
        memory = self._memory(m)
        some = Signal()
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(put),
            write.data.eq(self.i.payload),
            self.o.payload.eq(read.data),
            self.o.valid.eq(some),
        ]
        with m.If(put):
            step_counter(m, write.addr, self.depth)
        with m.If(take):
            step_counter(m, read.addr, self.depth)
        m.d.sync += some.eq(_some(level, put, take))

    def _block(self, m: Module, put: Value, take: Value, level: Signal) -> None:
        """Memory -> its own output register -> a second one, each filled as soon as it is free."""
        memory = self._memory(m)
        write, read = memory.write_port(), memory.read_port()
        address = counter_of(self.depth)
        stored = Signal.like(self.level, name="stored")  # beats in memory proper
        some = Signal()
        fetched = Signal()  # one is at the memory's output
        out = Signal(self.width, reset_less=True)
        out_valid = Signal()
        fetch, gone, move = Signal(name="fetch"), Signal(name="gone"), Signal(name="move")
        m.d.comb += [
            write.en.eq(put),
            write.data.eq(self.i.payload),
            move.eq(~out_valid | self.o.ready),
            fetch.eq(~fetched | move),
            gone.eq(fetch & some),
            read.en.eq(fetch),
            read.addr.eq(address),
            self.o.payload.eq(out),
            self.o.valid.eq(out_valid),
        ]
        with m.If(put):
            step_counter(m, write.addr, self.depth)
        with m.If(gone):
            step_counter(m, address, self.depth)
        m.d.sync += [
            stored.eq(stored + put - gone),
            some.eq(_some(stored, put, gone)),
        ]
        with m.If(fetch):
            m.d.sync += fetched.eq(some)
        with m.If(move):
            m.d.sync += [out.eq(read.data), out_valid.eq(fetched)]
