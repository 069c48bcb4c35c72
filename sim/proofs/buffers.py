"""Buffer, Fifo and SkipFifo: every word comes out once and in order, and the capacity is exact."""

from collections.abc import Callable
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Mux, Signal, Value

from sterna.hw.stream.buffers import Buffer, Fifo
from sterna.hw.stream.skip_fifo import KINDS, SkipFifo, latency_of
from sterna.sim.proofs.kit import Bench, Inside, Proof, Tracker, mutant

__all__ = ["PROOFS", "buffer_contents", "fifo_claims", "fifo_control"]

_WIDTH = 2  # control never looks at payloads


def buffer_contents(inside: Inside) -> tuple[Value, list[Value]]:
    """Of a Buffer: beats inside, and the beats, oldest first."""
    valid, full = inside("front_valid"), ~inside("open_")
    # The back register counts as closed in the clock after power-on, with nothing in front.
    return valid + (valid & full), [inside("front"), inside("back")]


def _buffer() -> Bench:
    def body(b: Bench) -> None:
        track = Tracker.between(b, b.dut.i, b.dut.o, 2)
        track.prompt(1)
        track.exact_room(b.dut.i.ready, 2)
        track.invariant(*buffer_contents(b.inside))

    return Bench(Buffer(_WIDTH), ["i"], ["o"], body)


def _row(depth: int, base: Value, offset: Value) -> Value:
    """``(base + offset) mod depth``, of numbers below and up to ``depth``."""
    total = base + offset
    return Mux(total >= depth, total - depth, total)


def _fifo(build: Callable[[], Any], depth: int, invariants: bool = True) -> Bench:
    """A FIFO over a memory read combinationally, or over shifting registers."""
    dut = build()
    kind = getattr(dut, "kind", "lutram")

    def body(b: Bench) -> None:
        room: Value | int = depth
        if getattr(dut, "limited", False):
            limit, room = AnyConst(len(dut.limit)), Signal(range(depth + 1), name="limit_means")
            b.m.d.comb += dut.limit.eq(limit)
            b.m.d.comb += room.eq(Mux((limit == 0) | (limit > depth), depth, limit))
        track = Tracker.between(b, dut.i, dut.o, depth)
        track.prompt(getattr(dut, "latency", 1))
        track.exact_room(dut.i.ready, room)
        b.check(track.fill <= room)
        b.check(dut.level == track.fill)
        if invariants:
            if isinstance(dut, SkipFifo):
                fifo_control(b, b.inside, dut)
            {"registers": _in_registers, "lutram": _in_lut_ram, "block": _in_block}[kind](
                b, track, depth
            )

    return Bench(dut, ["i"], ["o"], body)


def fifo_control(b: Bench, inside: Inside, dut: SkipFifo) -> None:
    """Claims of a SkipFifo's flags and counters: what holds of them whatever the words are."""
    level, some = dut.level, inside("some")
    b.check(level <= dut.depth)
    if not dut.limited:
        b.check(inside("room") == (level < dut.depth), b.started)
    if dut.kind != "block":
        b.check(some == (level != 0))
        return
    stored, fetched, last = inside("stored"), inside("fetched"), inside("out_valid")
    b.check(some == (stored != 0))
    b.check(stored + fetched + last == level)
    # Words pile up in memory only behind two full registers: what the latency rests on.
    b.check((fetched & last) | (stored < 2))


def fifo_claims(b: Bench, inside: Inside) -> Value:
    """Claims of a Fifo's flags, whatever the words are; returns its level."""
    level, depth = inside("level", 2), inside.part("memory").depth  # the counter and the port
    b.check(level <= depth)
    b.check(((inside("room") == (level < depth)) | ~b.started) & (inside("some") == (level != 0)))
    b.check(inside.part("memory").write_address < depth)
    b.check(inside.part("memory").read_address < depth)
    return level


def _in_registers(b: Bench, track: Tracker, depth: int) -> None:
    track.invariant(b.dut.level, [b.inside(f"word_{k}") for k in range(depth)])


def _in_lut_ram(b: Bench, track: Tracker, depth: int) -> None:
    memory = b.inside.part("memory")
    read, write = memory.read_address, memory.write_address
    b.check((read < depth) & (write == _row(depth, read, track.fill)))
    # What `no_rw_check` promises: a word that is there is not read where one is written.
    b.check(read != write, memory.write_enable & b.inside("some"))
    track.invariant(b.dut.level, [])
    track.invariant_at(memory.peek(_row(depth, read, track.offset)))


def _in_block(b: Bench, track: Tracker, depth: int) -> None:
    memory, stored = b.inside.part("memory"), b.inside("stored")
    read, write = memory.read_address, memory.write_address
    fetched, last = b.inside("fetched"), b.inside("out_valid")
    b.check((read < depth) & (write == _row(depth, read, stored)))
    b.check(read != write, memory.write_enable & b.inside("gone"))  # see above
    track.invariant(b.dut.level, [])
    ahead = Signal(2, name="ahead_of_memory")
    b.m.d.comb += ahead.eq(fetched + last)
    here = track.offset < track.fill
    b.check(b.dut.o.payload == track.note, here & last & (track.offset == 0))
    b.check(memory.read_data == track.note, here & fetched & (track.offset == last))
    row = memory.peek(_row(depth, read, (track.offset - ahead)[: len(track.offset)]))
    b.check(row == track.note, here & (track.offset >= ahead))


def _proofs() -> list[Proof]:
    found = [
        Proof("buffer", "Buffer", _buffer, "prove", 2, quick=True),
    ]
    for depth in (2, 3, 5):
        found.append(
            Proof(
                f"fifo_{depth}",
                f"Fifo, depth {depth}",
                lambda d=depth: _fifo(lambda: Fifo(_WIDTH, d), d),
                "prove",
                2,
            )
        )
    for kind in KINDS:
        for depth in (1, 2, 3, 6):
            found.append(
                Proof(
                    f"skip_fifo_{kind}_{depth}",
                    f"SkipFifo in {kind}, depth {depth}",
                    lambda k=kind, d=depth: _fifo(lambda: SkipFifo(_WIDTH, d, k), d),
                    "prove",
                    latency_of(kind) + 2,
                )
            )
        found.append(
            Proof(
                f"skip_fifo_{kind}_limited",
                f"SkipFifo in {kind}, any limit up to 5",
                lambda k=kind: _fifo(lambda: SkipFifo(_WIDTH, 5, k, limited=True), 5),
                "prove",
                latency_of(kind) + 2,
            )
        )
    room = "(level < self.depth - 1) | ((level == self.depth - 1) & ~put) | take"
    for kind in ("lutram", "block"):
        found.append(
            Proof(
                f"fault_room_{kind}",
                f"SkipFifo in {kind} with room for one more",
                lambda k=kind: _fifo(
                    lambda: mutant(SkipFifo, room, room.replace("- 1", "- 0"))(_WIDTH, 4, k),
                    4,
                    invariants=False,
                ),
                "bmc",
                10,
                fails=True,
                quick=kind == "lutram",
            )
        )
    return found


PROOFS = _proofs()
