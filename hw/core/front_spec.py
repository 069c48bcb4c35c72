"""FrontSpec: everything that shapes a core up to the weighted sums, and the clocks that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from sterna.golden.device.fabric import fabric_of
from sterna.hw.core.accumulate import Accumulator, StepFeeder
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.law import early_clocks, last_clocks, visit_clocks, visit_terms
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.core.pool import LargestSums, PoolWalk
from sterna.hw.core.walker import Loop, Walker
from sterna.hw.core.window_read import PICKING, Pick
from sterna.hw.dot.engines import ENGINES, Dot, Engine
from sterna.hw.memory.shape import Memories, inside

__all__ = ["FrontSpec"]


@lru_cache(maxsize=256)
def _dot_latency(component: type[Dot], dot: tuple, more: tuple[tuple[str, int], ...]) -> int:
    product = component(*dot, **dict(more))
    product._MustUse__silence = True  # type: ignore  # only asked, never built
    return product.latency


@dataclass(frozen=True)
class FrontSpec:
    """Everything that shapes one weighted input of a neuron; weights come as memory rows.

    geometry: window over the input; its edge has lanes = a multiple of the read channels and pb a
    multiple of tp. bits: b of one input value. held: direct pixels, one value for all steps.
    channels: C/groups read for one output. split_channels: channels of a window word (rows and
    columns are the geometry's). z_width: signed bits of a weighted sum. shift: the neuron counts
    the sum 2**shift times. ram_style: of the weight memory, see `WeightMemory`; more rows than
    needed make it deeper. engine: of `sterna.hw.dot.engines`. banks: of neuron scans, see
    `sterna.hw.neuron.scan_banks`. reads: of the memory for a weight word, at most `plane_groups`,
    see `sterna.hw.memory.word_assembler`. nest: order of the loops, of `sterna.hw.core.law.NESTS`;
    in 'arrival' the geometry is `Geometry.arriving`. pool: 'max' or 'sum' of the sums at the
    positions of the geometry's pool, empty where it has none; z_width is of what comes out."""

    geometry: Geometry
    out_channels: int
    channels: int
    split_channels: int
    groups: int
    depthwise: bool
    kind: str
    bits: int
    held: bool
    steps: int
    pe: int
    tp: int
    z_width: int
    shift: int = 0
    family: str = "generic"
    weight_region: int | None = None
    weights: Sequence[int] = field(default_factory=list)
    ram_style: str = "auto"
    engine: str = "compress"
    banks: int = 1
    reads: int = 1
    pool: str = ""
    nest: str = "window"

    @property
    def compact(self) -> bool:
        return fabric_of(self.family).compact

    @property
    def simd(self) -> int:
        return self.split_channels * self.geometry.rows * self.geometry.columns

    @property
    def arrives(self) -> bool:
        """All output groups take turns at a window word, in the order of arrival."""
        return self.nest == "arrival"

    @property
    def pick(self) -> Pick:
        """What of a beat a window word has."""
        g = self.geometry
        lanes = g.edge.lanes if self.depthwise else self.split_channels
        return Pick(self.tp, lanes, self.pool == "sum" and any(g.pool_padding))

    @property
    def folds(self) -> int:
        """Window words of a visit, or of a position of it; of all visits, where they arrive."""
        return self.channels * self.geometry.kernel[0] * self.geometry.kernel[1] // self.simd

    @property
    def positions(self) -> int:
        """Of a pool, whose largest sums are taken."""
        return self.geometry.positions if self.pool == "max" else 1

    @property
    def largest(self) -> PoolWalk | None:
        """The walk over a pool whose largest sums are taken, if there is one."""
        return self.walk if self.positions > 1 else None

    @property
    def walk(self) -> PoolWalk:
        """Over the positions of a pool."""
        return PoolWalk(self.geometry, self.output_groups)

    @property
    def accumulated(self) -> int:
        """Window words that are added up to a sum."""
        return self.folds * self.geometry.positions // self.positions

    @property
    def items(self) -> int:
        """Clocks of a visit's window words; where they arrive, of the one that has its results."""
        if self.arrives:
            return self.plane_groups
        return self.folds * self.geometry.positions * self.plane_groups

    @property
    def plane_groups(self) -> int:
        """P, clocks a window word is held."""
        edge = self.geometry.edge
        return edge.plane_beats * (edge.pb // self.tp)

    @property
    def output_groups(self) -> int:
        return self.out_channels // self.pe

    @property
    def dot_latency(self) -> int:
        return _dot_latency(self.dot_engine.component, self.dot, tuple(self._more.items()))

    def make_dot(self) -> Dot:
        """The dot product of this engine."""
        return self.dot_engine.component(*self.dot, **self._more)

    @property
    def dot_engine(self) -> Engine:
        return ENGINES[self.engine]

    @property
    def _more(self) -> dict[str, Any]:
        return self.dot_engine.arguments(
            self.weight_depth, self.z_width, self.weights, self.weight_region
        )

    @property
    def sum_latency(self) -> int:
        """Clocks of the accumulators; none where a dot product is all of a sum."""
        alone = not self.dot_engine.counts and self.accumulated == 1
        return 0 if alone else Accumulator.latency_of(self.pops)

    @property
    def visits(self) -> int:
        """Visits (one pixel, PE outputs, all steps) of an image."""
        if self.arrives:
            return self.output_groups
        return self.geometry.out_height * self.geometry.out_width * self.output_groups

    @property
    def visit_clocks(self) -> int:
        """Clocks from one visit to the next: of the window's words, and of the bank's scan."""
        if self.arrives:
            return last_clocks(self.folds, self.plane_groups, self.steps, self.banks, self.pe)
        return visit_clocks(self.items, self.steps, self.banks)

    @property
    def early_clocks(self) -> int:
        """Clocks of an image that are no visit's: of words that arrive before the last fold."""
        if not self.arrives:
            return 0
        return early_clocks(self.folds, self.output_groups, self.plane_groups)

    @property
    def sum_turns(self) -> int:
        """Sums that are added up in turns, a clock each."""
        return self.plane_groups * (self.output_groups if self.arrives else 1)

    def law(self) -> dict[str, int]:
        """The terms of this input alone, see `sterna.hw.core.law`."""
        beats = self.geometry.input_beats
        return visit_terms(self.visits, self.visit_clocks, beats, early=self.early_clocks)

    @property
    def interval(self) -> int:
        """Initiation interval of this input alone, clocks an image (docs/design.md#interval)."""
        return max(self.law().values())

    @property
    def weight_depth(self) -> int:
        return self.output_groups * self.folds

    @property
    def weight_width(self) -> int:
        return self.pe * self.simd * (2 if self.kind == "ternary" else 1)

    @property
    def memory_depth(self) -> int:
        """Rows of the memory of weights: ``reads`` for a word, or as its engine has them."""
        return self._memory_shape[0]

    @property
    def memory_width(self) -> int:
        return self._memory_shape[1]

    @property
    def _memory_shape(self) -> tuple[int, int]:
        return self.dot_engine.memory_shape(self.weight_depth, self.weight_width, self.reads)

    @property
    def stored_depth(self) -> int:
        """Rows that are built: placeholders fill whole blocks."""
        return max(self.memory_depth, len(self.weights))

    @property
    def sums(self) -> int:
        """Steps in a plane group."""
        return max(1, self.tp // self.bits)

    @property
    def pops(self) -> int:
        """Popcounts of the spikes that are added up beside the sums."""
        if not self.dot_engine.counts or self.kind == "ternary":
            return 0
        return self.pe if self.depthwise else 1

    def memories(self) -> Memories:
        """What a `Front` makes, by its place."""
        turns, sum_bits = self.sum_turns, self.pe * self.sums * self.z_width
        pop_bits = self.pops * self.sums * self.z_width
        out = inside("buffer", LineBuffer.memories_of(self.geometry))
        out |= self.dot_engine.memories(
            self.dot,
            self.weight_depth,
            (self.stored_depth, self.memory_width),
            self.weight_region is not None,
            self.ram_style,
        )
        sums = Accumulator.memories_of(sum_bits, pop_bits, turns, self.accumulated)
        steps = StepFeeder.memories_of(sum_bits, self.sums, self.steps, self.banks)
        out |= inside("accumulate", sums) | inside("feeder", steps)
        if self.positions > 1:
            pulses = StepFeeder.pulses_of(self.sums, self.steps, self.held)
            out |= inside("feeder.pool", LargestSums.memories_of(sum_bits, pulses))
        return out

    @property
    def lanes(self) -> int:
        """Multiply lanes: PE x SIMD x TP."""
        return self.pe * self.simd * self.tp

    @property
    def parts(self) -> int:
        """Plane groups that make one step's sum, where a value has more planes than TP."""
        return self.bits // self.tp if self.tp < self.bits else 1

    @property
    def dot(self) -> tuple[int, int, int, int, str, bool, str]:
        """Arguments of the DotProduct."""
        return self.pe, self.simd, self.tp, self.bits, self.kind, self.depthwise, self.family

    @cached_property
    def step_clocks(self) -> tuple[int, ...]:
        """Clocks from ``start`` of a visit to ``valid`` of each of its T steps: always the same."""
        # Item 0 leaves the walker, then its word the line buffer.
        dot = Walker.latency + LineBuffer.latency + PICKING + self.dot_latency
        whole = dot + self.items - self.plane_groups + self.sum_latency
        pooled = 0 if self.largest is None else LargestSums.latency
        first = whole + pooled + StepFeeder.latency_of(self.sums)
        if self.sums > 1:
            return tuple(first + t for t in range(self.steps))
        joined = self.parts if self.parts > 1 else 0
        if self.held:
            return tuple(first + joined + t for t in range(self.steps))
        return tuple(first + joined + t * self.parts for t in range(self.steps))

    def loops(self) -> list[Loop]:
        """The loop nest inside a pixel: output groups, positions of a pool, folds, plane groups
        fastest; or inside a word that arrived: folds, output groups, plane groups."""
        g, edge = self.geometry, self.geometry.edge
        beats, subs = edge.plane_beats, edge.pb // self.tp
        if self.arrives:
            sub = Loop("sub", edge.lanes // self.split_channels, visit=True, adds=True)
            outer = [sub, Loop("o", self.output_groups, visit=True)]
            return [*outer, Loop("beat", beats, words=1), Loop("part", subs)]
        if self.depthwise:
            outer = [Loop("o", self.output_groups, words=beats, visit=True)]
            inner = []
        else:
            group = self.out_channels // self.groups // self.pe
            group_words = self.channels * beats // edge.lanes if self.groups > 1 else 0
            outer = [
                Loop("g", self.groups, words=group_words, visit=True),
                Loop("o", group, visit=True),
            ]
            inner = [
                Loop("word", max(1, self.channels // edge.lanes), words=beats),
                Loop("sub", edge.lanes // self.split_channels),
            ]
        if self.pool:
            (down, right), columns = g.stride, g.columns
            # Else `LineBuffer` turns the columns itself.
            words = right // columns * edge.beats_per_pixel if right % columns == 0 else 0
            outer += [
                Loop("down", g.pool[0], rows=down, position=True),
                Loop("across", g.pool[1], words=words, columns=right, position=True),
            ]
        fold = [
            Loop("row", g.kernel[0] // g.rows, rows=g.rows * g.dilation[0]),
            Loop(
                "column",
                g.kernel[1] // g.columns,
                words=edge.beats_per_pixel * g.dilation[1],
                columns=g.columns * g.dilation[1],
            ),
            *inner,
        ]
        return [*outer, *fold, Loop("beat", beats, words=1), Loop("part", subs)]
