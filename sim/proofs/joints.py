"""Fork and merge: every branch gets every word once, and words meet their partners."""

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, Const, Signal, Value

from sterna.hw.stream.edge import Edge
from sterna.hw.stream.fork import Fork
from sterna.hw.stream.merge import MergeSpec, SpikingMerge
from sterna.sim.proofs.buffers import buffer_contents
from sterna.sim.proofs.kit import Bench, Inside, Proof, Tracker, counter, mutant, taken

__all__ = ["PROOFS", "fork_invariants"]


def fork_invariants(b: Bench, inside: Inside) -> Value:
    """Claims of a Fork's done bits; returns them."""
    done = inside("done")
    b.check(~done.all())  # else the word would have gone
    b.check(inside.part("buffer")("front_valid"), done.any())
    return done


def _fork(branches: int, component: type = Fork, invariants: bool = True) -> Bench:
    dut = component(2, branches)

    def body(b: Bench) -> None:
        tracks = [Tracker.between(b, dut.i, o, 2, f"branch_{k}") for k, o in enumerate(dut.outputs)]
        for k, track in enumerate(tracks):
            # No branch more than a word ahead of another, and eager: one that is not ahead
            # has its word on offer, whatever the others do.
            behind = reduce(and_, (track.fill >= other.fill for other in tracks))
            for other in tracks:
                b.check(track.fill <= other.fill + 1)
            b.check(dut.outputs[k].valid == (behind & (track.fill != 0)))
        full = reduce(or_, (t.fill == 2 for t in tracks))
        b.check(dut.i.ready == ~full, b.started)
        if invariants:
            done = fork_invariants(b, b.inside)
            count, (front, back) = buffer_contents(b.inside.part("buffer"))
            for k, track in enumerate(tracks):
                left = Signal(2, name=f"left_{k}")
                b.m.d.comb += left.eq(count - done[k])
                track.invariant(left, [])
                here = track.offset < track.fill
                b.check(front == track.note, here & (track.offset == 0) & ~done[k])
                second = track.offset + done[k] == 1
                b.check(back == track.note, here & second)

    return Bench(dut, ["i"], [f"o_{k}" for k in range(branches)], body)


def _spec(
    mode: str,
    channels: Sequence[int],
    lanes: int,
    steps: int,
    beat_steps: int,
    bits: Sequence[int],
    shifts: Sequence[int],
    out_bits: int,
) -> MergeSpec:
    edges = tuple(Edge(c, lanes, steps * n, beat_steps * n) for c, n in zip(channels, bits))
    return MergeSpec(mode, edges, tuple(bits), tuple(shifts), out_bits, steps, 1)


def _meant(spec: MergeSpec, which: Sequence[int], words: Sequence[Value]) -> Value:
    """The output beat of the words of inputs ``which``, by the definition of the mode."""
    lanes, planes = spec.inputs[0].lanes, []
    for step in range(spec.beat_steps):
        values = []
        for lane in range(lanes):
            terms = []
            for k, word in zip(which, words):
                n = spec.bits[k]
                bits = [word[(step * n + bit) * lanes + lane] for bit in range(n)]
                terms.append(Cat(bits) * (1 << spec.shifts[k]))
            if spec.mode == "andnot":
                values.append((terms[0] == 1) & (terms[1] == 0))
            elif spec.mode in ("and", "or"):
                values.append(reduce(and_ if spec.mode == "and" else or_, terms))
            else:
                values.append(sum(terms, Const(0, 1)))
        wide = [Cat(value, Const(0, spec.out_bits)) for value in values]
        planes += [value[bit] for bit in range(spec.out_bits) for value in wide]
    return Cat(planes)


def _merge(spec: MergeSpec, component: type = SpikingMerge, invariants: bool = True) -> Bench:
    """All modes but concat: the n-th words of all inputs make the n-th of the output."""
    dut = component(spec)

    def body(b: Bench) -> None:
        number = AnyConst(2)
        tracks = []
        for k, i in enumerate(dut.inputs):
            track = Tracker(b, taken(i), i.payload, taken(dut.o), dut.o.valid, 2, number, f"in_{k}")
            track.exact_room(i.ready, 2)
            if invariants:
                track.invariant(*buffer_contents(b.inside.part(f"buffer_{k}")))
            tracks.append(track)
            b.check(track.offset == tracks[0].offset)  # one word, one number
        b.check(dut.o.valid == Cat(track.fill != 0 for track in tracks).all())
        meant = _meant(spec, range(len(tracks)), [track.note for track in tracks])
        b.check(dut.o.payload == meant, tracks[0].next)

    return Bench(dut, [f"i_{k}" for k in range(len(spec.inputs))], ["o"], body)


def _concat(spec: MergeSpec, component: type = SpikingMerge, invariants: bool = True) -> Bench:
    """Per pixel, the beats of input 0, then those of input 1 and so on."""
    dut = component(spec)
    beats = [edge.beats_per_pixel for edge in spec.inputs]

    def body(b: Bench) -> None:
        place = counter(b, taken(dut.o), sum(beats), "place")
        for k, i in enumerate(dut.inputs):
            start = sum(beats[:k])
            mine = (place >= start) & (place < start + beats[k])
            track = Tracker(
                b, taken(i), i.payload, taken(dut.o) & mine, dut.o.valid & mine, 2, name=f"in_{k}"
            )
            track.exact_room(i.ready, 2)
            b.check(dut.o.valid == (track.fill != 0), mine)
            b.check(dut.o.payload == _meant(spec, [k], [track.note]), track.next)
            if invariants:
                track.invariant(*buffer_contents(b.inside.part(f"buffer_{k}")))
                b.check(b.inside("turn")[k] == mine)
                b.check(b.inside("beat") == place - start, mine)

    return Bench(dut, [f"i_{k}" for k in range(len(spec.inputs))], ["o"], body)


def _proofs() -> list[Proof]:
    found = [
        Proof(f"fork_{n}", f"Fork of {n} branches", lambda n=n: _fork(n), "prove", 2)
        for n in (2, 3, 4)
    ]
    merges = {
        "add": _spec("add", (2, 2), 2, 3, 2, (1, 1), (0, 0), 2),
        "add_3": _spec("add", (2,) * 3, 1, 2, 1, (1, 2, 1), (0, 0, 0), 3),
        "add_shifted": _spec("add", (1, 1), 1, 2, 2, (2, 1), (0, 2), 3),
        "or": _spec("or", (2,) * 3, 2, 2, 2, (1,) * 3, (0,) * 3, 1),
        "and": _spec("and", (2, 2), 2, 2, 1, (1, 1), (0, 0), 1),
        "andnot": _spec("andnot", (2, 2), 2, 3, 2, (1, 1), (0, 0), 1),
    }
    for name, spec in merges.items():
        text = f"SpikingMerge {spec.mode} of {len(spec.inputs)}, bits {spec.bits}"
        found.append(
            Proof(
                f"merge_{name}",
                text + (f", shifts {spec.shifts}" if any(spec.shifts) else ""),
                lambda s=spec: _merge(s),
                "prove",
                2,
            )
        )
    concats = {
        "concat": _spec("concat", (2, 2), 1, 2, 2, (1, 1), (0, 0), 1),
        "concat_3": _spec("concat", (2, 1, 3), 1, 3, 2, (1, 1, 1), (0, 0, 0), 1),
        "concat_shifted": _spec("concat", (2, 4), 2, 2, 1, (2, 1), (0, 1), 2),
    }
    for name, spec in concats.items():
        found.append(
            Proof(
                f"merge_{name}",
                f"SpikingMerge concat of channels "
                f"{tuple(e.channels for e in spec.inputs)}, bits {spec.bits}",
                lambda s=spec: _concat(s),
                "prove",
                2,
            )
        )
    no_done = ("o.valid.eq(buffer.o.valid & ~done[k])", "o.valid.eq(buffer.o.valid)")
    any_beat = (
        "every.eq(Cat(s.valid for s in streams).all())",
        "every.eq(Cat(s.valid for s in streams).any())",
    )
    last_beat = ("turn.rotate_left(1)", "turn.rotate_right(1)")
    found += [
        Proof(
            "fault_fork",
            "Fork that forgets which branch is done",
            lambda: _fork(2, mutant(Fork, *no_done), False),
            "bmc",
            8,
            fails=True,
            quick=True,
        ),
        Proof(
            "fault_merge",
            "SpikingMerge that waits for any input only",
            lambda: _merge(merges["add"], mutant(SpikingMerge, *any_beat), False),
            "bmc",
            8,
            fails=True,
        ),
        Proof(
            "fault_concat",
            "SpikingMerge concat in the wrong order",
            lambda: _concat(concats["concat_3"], mutant(SpikingMerge, *last_beat), False),
            "bmc",
            12,
            fails=True,
        ),
    ]
    return found


PROOFS = _proofs()
