"""A walker and a line buffer together, and what they must read, in numpy."""

import itertools
import random

import numpy as np
from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from sterna.hw.core.geometry import Geometry
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.core.walker import Loop, Walker
from sterna.hw.core.window_read import PICKING, Pick
from sterna.hw.stream.edge import Edge

__all__ = ["WindowReader", "expected_words", "picking", "read_windows", "nest"]

BLANK = 1
"""Of an item whose numbers of lanes and planes differ in this alone, the word is zero."""


class WindowReader(wiring.Component):
    """What a core does: the walker's items go to the line buffer, ``ok`` comes with each word."""

    def __init__(
        self,
        geometry: Geometry,
        loops: list[Loop],
        visit_clocks: int = 1,
        pick: Pick | None = None,
    ):
        self.geometry = geometry
        self.walker = Walker(geometry.out_height, geometry.out_width, loops, visit_clocks)
        self.buffer = LineBuffer(geometry, loops, pick)
        self.latency = LineBuffer.latency + (PICKING if pick else 0)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(geometry.edge.width))),
                "go": In(1),
                "ok": Out(1),
                "word": Out(len(self.buffer.word)),
            }
        )

    def elaborate(self, platform: object):
        m = Module()
        m.submodules.walker, m.submodules.buffer = walker, buffer = self.walker, self.buffer
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        m.d.comb += [
            walker.go.eq(self.go),
            walker.rows_ok.eq(buffer.rows_ok),
            buffer.row_end.eq(walker.row_end),
            buffer.image_end.eq(walker.image_end),
            buffer.valid.eq(walker.valid),
            buffer.step.eq(walker.step),
            buffer.top.eq(walker.top),
            self.word.eq(buffer.word),
        ]
        if buffer.pick is not None:
            m.d.comb += [
                buffer.sub.eq(walker.index_sub),
                buffer.part.eq(walker.index_part),
                buffer.blank.eq(walker.index_sub ^ walker.index_part == BLANK),  # type: ignore
            ]
        ok = walker.valid
        for n in range(self.latency):
            later = type(walker.valid)(name=f"ok_{n}")
            m.d.sync += later.eq(ok)
            ok = later
        m.d.comb += self.ok.eq(ok)
        return m


def picking(geometry: Geometry, pick: Pick) -> list[Loop]:
    """The loops of a choice, inside all others."""
    edge = geometry.edge
    return [Loop("sub", edge.lanes // pick.lanes), Loop("part", edge.pb // pick.planes)]


def nest(geometry: Geometry, groups: int = 1, repeats: int = 1) -> list[Loop]:
    """The loop nest of a core: ``repeats`` visits a group of words, then the positions of a pool,
    then the window, then words.

    With ``groups`` > 1 the visits of a pixel read one part of its words each.
    """
    edge = geometry.edge
    words = edge.groups // groups
    right, columns = geometry.stride[1], geometry.columns
    words_right = right // columns * edge.beats_per_pixel if right % columns == 0 else 0
    positions = [
        Loop("down", geometry.pool[0], rows=geometry.stride[0], position=True),
        Loop("across", geometry.pool[1], words=words_right, columns=right, position=True),
    ]
    return [
        Loop("g", groups, words=words * edge.plane_beats, visit=True),
        Loop("o", repeats, visit=True),
        *(positions if geometry.positions > 1 else []),
        Loop("row", geometry.kernel[0] // geometry.rows, rows=geometry.rows),
        Loop(
            "column",
            geometry.kernel[1] // geometry.columns,
            words=edge.beats_per_pixel,
            columns=geometry.columns,
        ),
        Loop("word", words, words=edge.plane_beats),
        Loop("beat", edge.plane_beats, words=1),
    ]


def picked_of(edge: Edge, pick: Pick | None, beat: int, turns: dict[str, int]) -> int:
    """What ``pick`` takes of a beat at ``turns`` of its loops."""
    if pick is None:
        return beat
    if turns["sub"] ^ turns["part"] == BLANK:
        return 0
    out, lanes = 0, pick.lanes
    for n in range(pick.planes):
        plane = turns["part"] * pick.planes + n
        line = beat >> plane * edge.lanes + turns["sub"] * lanes & (1 << lanes) - 1
        out |= line << n * lanes
    return out


def expected_words(
    geometry: Geometry, loops: list[Loop], image: np.ndarray, pick: Pick | None = None
) -> list[int]:
    """Every word of an image [H, W, words of a pixel] in the order of the walk."""
    g, names = geometry, [p.name for p in loops]
    width = g.edge.width if pick is None else pick.planes * pick.lanes
    height, breadth, _ = image.shape
    out = []
    for oy, ox, *turns in itertools.product(
        range(g.out_height), range(g.out_width), *(range(p.count) for p in loops)
    ):
        y = oy * g.advance[0] - g.border[0] + sum(n * p.rows for n, p in zip(turns, loops))
        x = ox * g.advance[1] - g.border[2] + sum(n * p.columns for n, p in zip(turns, loops))
        at = sum(n * p.words for n, p in zip(turns, loops) if not p.columns)
        word = 0
        for r, c in itertools.product(range(g.rows), range(g.columns)):
            if 0 <= y + r < height and 0 <= x + c < breadth:
                beat = int(image[y + r, x + c, at])
                beat = picked_of(g.edge, pick, beat, dict(zip(names, turns)))
                word |= beat << (r * g.columns + c) * width
        out.append(word)
    return out


def read_windows(
    dut: WindowReader, images: np.ndarray, count: int, *, in_stall=0.0, go_stall=0.0, seed=0
) -> tuple[list[int], list[int]]:
    """Streams images [N, H, W, words]; returns the first ``count`` words and their clocks."""
    rng = random.Random(seed)
    beats = [int(b) for b in images.reshape(-1)]
    words: list[int] = []
    clocks: list[int] = []

    async def bench(ctx):
        at, offered = 0, False
        for clock in range(40 * (len(beats) + count) + 200):
            offered = offered or (at < len(beats) and rng.random() >= in_stall)
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, beats[at] if offered else rng.getrandbits(len(dut.i.payload)))
            ctx.set(dut.go, rng.random() >= go_stall)
            if offered and ctx.get(dut.i.ready):
                at, offered = at + 1, False
            if ctx.get(dut.ok):
                words.append(ctx.get(dut.word))
                clocks.append(clock)
                if len(words) == count:
                    return
            await ctx.tick()
        raise AssertionError(f"{len(words)} of {count} words came, {at} beats were taken")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return words, clocks
