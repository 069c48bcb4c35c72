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

__all__ = ["WindowReader", "expected_words", "read_windows", "nest"]


class WindowReader(wiring.Component):
    """What a core does: the walker's items go to the line buffer, ``ok`` comes with each word."""

    def __init__(self, geometry: Geometry, loops: list[Loop], visit_clocks: int = 1):
        self.geometry = geometry
        self.walker = Walker(geometry.out_height, geometry.out_width, loops, visit_clocks)
        self.buffer = LineBuffer(geometry, loops)
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
        ok = walker.valid
        for n in range(LineBuffer.latency):
            later = type(walker.valid)(name=f"ok_{n}")
            m.d.sync += later.eq(ok)
            ok = later
        m.d.comb += self.ok.eq(ok)
        return m


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


def expected_words(geometry: Geometry, loops: list[Loop], image: np.ndarray) -> list[int]:
    """Every word of an image [H, W, words of a pixel] in the order of the walk."""
    g, width = geometry, geometry.edge.width
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
                word |= int(image[y + r, x + c, at]) << (r * g.columns + c) * width
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
