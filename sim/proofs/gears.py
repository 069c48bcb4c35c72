"""Gearbox and its steps: every plane of every channel arrives where it belongs, once.

The prover picks any channel, any plane and any pixel (by its number modulo 8): that bit is noted
where it enters and compared where it must leave. Bits of pad lanes and pad planes are zero.
"""

from collections.abc import Callable
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, Mux, Signal, Value

from sterna.hw.stream.edge import Edge
from sterna.hw.stream.gearbox import Gearbox, LaneMerge, LaneSplit, PlaneStep
from sterna.sim.proofs.kit import Bench, Proof, counter, mutant, patience, taken

__all__ = ["PROOFS"]

_NUMBER_BITS = 3  # more pixels than can be inside at once, asserted


def _place(edge: Edge, channel: int, plane: int) -> tuple[int, int]:
    """Beat within the pixel, and bit within the beat."""
    group, lane = divmod(channel, edge.lanes)
    beat, high = divmod(plane, edge.pb)
    return group * edge.plane_beats + beat, high * edge.lanes + lane


def _pads(edge: Edge) -> list[int]:
    """For every beat of a pixel, a mask of the bits that hold nothing."""
    masks = [(1 << edge.width) - 1] * edge.beats_per_pixel
    for channel in range(edge.channels):
        for plane in range(edge.planes):
            beat, bit = _place(edge, channel, plane)
            masks[beat] &= ~(1 << bit)
    return masks


class _Side:
    """One end: counts its beats and pixels, and knows where the chosen bit lies."""

    def __init__(self, b: Bench, edge: Edge, stream: Any, places: Value, name: str):
        moved = taken(stream)
        self.beat = counter(b, moved, edge.beats_per_pixel, f"{name}_beat")
        last = moved & (self.beat == edge.beats_per_pixel - 1)
        self.pixel = counter(b, last, 1 << _NUMBER_BITS, f"{name}_pixel")
        self.bit = stream.payload.bit_select(places[8:16], 1)
        self.here = self.beat == places[:8]
        padding = [
            ((stream.payload & mask) == 0) | (self.beat != beat)
            for beat, mask in enumerate(_pads(edge))
            if mask
        ]
        self.padded = Cat(padding).all() if padding else None


def _gear(src: Edge, dst: Edge, component: Callable = Gearbox) -> Bench:
    dut = component(src, dst)

    def body(b: Bench) -> None:
        lines = [
            sum(v << 8 * k for k, v in enumerate((*_place(src, c, p), *_place(dst, c, p))))
            for c in range(src.channels)
            for p in range(src.planes)
        ]
        places, number = AnyConst(32), AnyConst(_NUMBER_BITS)
        b.assume(places.matches(*lines))
        i = _Side(b, src, dut.i, places[:16], "in")
        o = _Side(b, dst, dut.o, places[16:], "out")
        if i.padded is not None:
            b.assume(~dut.i.valid | i.padded)
        if o.padded is not None:
            b.check(o.padded, dut.o.valid)
        note, have = Signal(name="note"), Signal(name="have")
        enters = taken(dut.i) & i.here & (i.pixel == number)
        leaves = dut.o.valid & o.here & (o.pixel == number)
        with b.m.If(enters):
            b.m.d.sync += note.eq(i.bit)
        b.m.d.sync += have.eq(Mux(enters, 1, have & ~(leaves & dut.o.ready)))
        b.check(~(enters & have))  # else there were too many pixels inside for their numbers
        b.check(have & (o.bit == note), leaves)
        patience(
            b,
            dut.i.valid & dut.o.ready,
            taken(dut.o),
            2 * (src.beats_per_pixel + dst.beats_per_pixel) + 4,
        )

    return Bench(dut, ["i"], ["o"], body)


# name: component, (channels, lanes, planes, pb) before and after, clocks
_CASES = {
    "plane_narrow": (PlaneStep, (2, 1, 5, 4), (2, 1, 5, 2), 12),
    "plane_widen": (PlaneStep, (2, 1, 5, 2), (2, 1, 5, 4), 12),
    "lane_split": (LaneSplit, (3, 2, 2, 2), (3, 1, 2, 2), 12),
    "lane_split_memory": (LaneSplit, (2, 2, 2, 1), (2, 1, 2, 1), 12),
    "lane_split_memory_pads": (LaneSplit, (3, 2, 3, 2), (3, 1, 3, 2), 12),
    "lane_merge": (LaneMerge, (3, 1, 2, 2), (3, 2, 2, 2), 12),
    "lane_merge_memory": (LaneMerge, (2, 1, 2, 1), (2, 2, 2, 1), 12),
    "lane_merge_memory_pads": (LaneMerge, (3, 1, 3, 2), (3, 2, 3, 2), 12),
    "gearbox": (Gearbox, (3, 2, 2, 1), (3, 3, 2, 2), 16),
    "gearbox_lanes_2_3": (Gearbox, (6, 2, 1, 1), (6, 3, 1, 1), 16),
}


def _proofs() -> list[Proof]:
    found = []
    for name, (component, a, z, clocks) in _CASES.items():
        src, dst = Edge(*a), Edge(*z)
        found.append(
            Proof(
                f"gear_{name}",
                f"{component.__name__}, {src.channels} channels x {src.planes} planes,"
                f" {src.lanes} lanes x {src.pb} to {dst.lanes} x {dst.pb}",
                lambda c=component, s=src, d=dst: _gear(s, d, c),
                "bmc",
                clocks,
            )
        )
    room = ("self.i.ready.eq(used != 2 * beats)", "self.i.ready.eq(1)")
    found.append(
        Proof(
            "fault_lane_split",
            "LaneSplit that takes beats without room",
            lambda: _gear(Edge(2, 2, 2, 1), Edge(2, 1, 2, 1), mutant(LaneSplit, *room)),
            "bmc",
            12,
            fails=True,
        )
    )
    return found


PROOFS = _proofs()
