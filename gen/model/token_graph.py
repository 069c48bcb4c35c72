"""The token model's description of a network's hardware, from the very objects that elaborate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from amaranth.hdl import Elaboratable

from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.input_join import ShortcutQueue, shortcut_frees, sum_delays
from sterna.hw.core.law import Delays
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.core.pool import PoolSpec
from sterna.hw.stream.axis import ImageInput
from sterna.hw.stream.bit_gearbox import BitGearbox
from sterna.hw.stream.buffers import Fifo
from sterna.hw.stream.edge import Edge
from sterna.hw.stream.gear_path import BETWEEN
from sterna.hw.stream.gearbox import LaneSplit, PlaneStep, gear_steps
from sterna.hw.stream.merge import MergeSpec
from sterna.hw.stream.skip_fifo import latency_of
from sterna.hw.stream.slices import Downsizer, Upsizer
from sterna.hw.top.network_top import Branch, CoreSpec, TopSpec

__all__ = ["TokenGraph", "token_graph", "KINDS"]

KINDS = {
    name: number
    for number, name in enumerate(
        (
            "fifo",
            "cut",
            "join",
            "split",
            "gather",
            "shifter",
            "fork",
            "meet",
            "concat",
            "source",
            "result",
            "sink",
            "shortcut",
            "core",
        )
    )
}
"""Units of tokens.cpp; their comments there say what their parameters are."""


@dataclass
class TokenGraph:
    """Units and channels. ``text``: for each unit its kind, then a counted list each of parameters,
    input channels and output channels. A channel is a number; it leaves one unit and enters one.

    In ``text``, ``images`` is where the number of images stands (two behind it that of those in
    flight, then numerator and denominator of the clocks an image that the sender keeps to),
    ``limit`` where the largest interval does (numerator, denominator, packets before it holds,
    clocks of grace), ``depths`` the depth (and behind it the latency) of each buffer.
    Channels: ``input`` of ``words`` an image, ``output`` of ``packet`` words a result, ``taps`` of
    the nodes' streams, ``entries`` before and behind each buffer.
    """

    text: list[int] = field(default_factory=list)
    channels: int = 0
    images: int = 0
    limit: int = 0
    words: int = 0
    packet: int = 0
    input: int = 0
    output: int = 0
    forks: int = 0
    taps: dict[str, int] = field(default_factory=dict)
    depths: list[int] = field(default_factory=list)
    entries: list[tuple[int, int]] = field(default_factory=list)

    def channel(self) -> int:
        self.channels += 1
        return self.channels - 1

    def unit(self, kind: str, parameters: list[int], inputs: list[int], outputs: list[int]) -> int:
        """Add a unit; returns where its first parameter stands in ``text``."""
        at = len(self.text) + 2
        self.text.append(KINDS[kind])
        for part in (parameters, inputs, outputs):
            self.text += [len(part), *part]
        return at

    def step(self, kind: str, parameters: list[int], source: int) -> int:
        """Add a unit with one input and one output; returns its output."""
        out = self.channel()
        self.unit(kind, parameters, [source], [out])
        return out

    def fifo(self, source: int, depth: int, latency: int = Fifo.latency) -> int:
        return self.step("fifo", [depth, latency], source)

    def buffer(self, source: int) -> int:
        """``hw.stream.buffers.Buffer``: two places, like a FIFO of two."""
        return self.fifo(source, 2)

    def slicer(self, slicer: Downsizer | Upsizer, source: int, behind: int = 0) -> int:
        """``behind``: beats of room of a FIFO in front of it, 0: none."""
        numbers = [slicer.parts, slicer.last, slicer.period]
        joins = isinstance(slicer, Upsizer) and slicer.parts > 1
        if behind and not joins:
            source = self.fifo(source, behind)
        if joins:
            fifos = [behind, 2] if behind else [2]
            numbers += [sum(fifos), Fifo.latency * len(fifos), len(fifos)]
            return self.step("join", numbers, source)
        if slicer.parts > 1:
            source = self.step("cut", numbers, source)
        return self.buffer(source)

    def gearbox(self, given: Edge, taken: Edge, source: int) -> int:
        for number, step in enumerate(gear_steps(given, taken)):
            between = BETWEEN if number else 0
            slicer = _asked(step).slicer()
            if slicer is not None:
                source = self.slicer(_asked(slicer), source, between)
                continue
            if between:
                source = self.fifo(source, between)
            assert not isinstance(step, PlaneStep)
            wide = step.src if isinstance(step, LaneSplit) else step.dst
            numbers = [step.parts, step.last, wide.groups, wide.plane_beats]
            if isinstance(step, LaneSplit):
                source = self.buffer(self.step("split", numbers, source))
            else:
                source = self.step("gather", numbers, source)
        return source

    def bit_gearbox(self, gear: BitGearbox, source: int) -> int:
        slicer = _asked(gear).slicer()
        if slicer is not None:
            return self.slicer(_asked(slicer), source)
        unit = gcd(gear.w_in, gear.w_out)
        rest = gear.packet_bits - (gear.words_in - 1) * gear.w_in
        numbers = [gear.w_in // unit, gear.w_out // unit, rest // unit, gear.words_in]
        return self.buffer(self.step("shifter", numbers, source))


def token_graph(spec: TopSpec) -> TokenGraph:
    """All of a :class:`NetworkTop` that decides when a beat moves."""
    graph = TokenGraph()
    flags, at = _image(graph, spec)
    waiting = {spec.image: _spread(graph, at, spec.readings(spec.image))}
    for instance in spec.cores:
        inputs = [_branch(graph, b, waiting[b.source].pop(0)) for b in instance.branches]
        at = _FLOWS[type(instance.spec)](graph, instance.spec, inputs)
        graph.taps[instance.target] = at
        waiting[instance.target] = _spread(graph, at, spec.readings(instance.target))
    graph.packet = spec.classes + 1
    out = graph.channel()
    graph.unit("result", [spec.classes], [at, flags], [out])
    # A Buffer, or a Slot of one place.
    graph.output = graph.fifo(out, 1 if spec.slow_result else 2)
    graph.limit = graph.unit("sink", [graph.packet, 0, 1, 2, 0], [graph.output], []) + 1
    return graph


def _image(graph: TokenGraph, spec: TopSpec) -> tuple[int, int]:
    """ImageInput: the channels of its flags and of its beats."""
    image = _asked(ImageInput(spec.edge, spec.height, spec.width, spec.axis_width))
    words, flags = graph.channel(), graph.channel()
    at = graph.unit("source", [0, image.words, spec.flight, 0, 1], [], [words, flags])
    graph.images, graph.words, graph.input = at, image.words, words
    gear = BitGearbox(spec.axis_width, image.canonical.width, image.bits)
    beats = graph.bit_gearbox(gear, words)
    if image.canonical != spec.edge:
        beats = graph.gearbox(image.canonical, spec.edge, beats)
    return flags, beats


def _spread(graph: TokenGraph, source: int, count: int) -> list[int]:
    """A stream for each of its readings."""
    if count < 2:
        return [source]
    outputs = [graph.channel() for _ in range(count)]
    graph.forks += 1
    graph.unit("fork", [], [graph.buffer(source)], outputs)
    return outputs


def _branch(graph: TokenGraph, branch: Branch, source: int) -> int:
    if branch.buffer is not None:
        kind, depth = branch.buffer
        out = graph.channel()
        graph.depths.append(graph.unit("fifo", [depth, latency_of(kind)], [source], [out]))
        graph.entries.append((source, out))
        source = out
    if branch.given != branch.taken:
        source = graph.gearbox(branch.given, branch.taken, source)
    if branch.ahead is not None:
        kind, depth = branch.ahead
        source = graph.fifo(source, depth, latency_of(kind))
    return source


def _merge(graph: TokenGraph, spec: MergeSpec, inputs: list[int]) -> int:
    inputs = [graph.buffer(i) for i in inputs]
    out = graph.channel()
    if spec.mode == "concat":
        graph.unit("concat", [edge.beats_per_pixel for edge in spec.inputs], inputs, [out])
    else:
        graph.unit("meet", [], inputs, [out])
    return out


def _pool(graph: TokenGraph, spec: PoolSpec, inputs: list[int]) -> int:
    g, clocks = spec.geometry, spec.visit_clocks
    visits = g.out_width * g.edge.beats_per_pixel
    return _core(graph, g, visits, clocks, clocks, 0, spec.credits, spec.delays(), inputs)


def _neuron(graph: TokenGraph, spec: ConvSpec, inputs: list[int]) -> int:
    main, queues = spec.front, []
    for front, source in zip(spec.others, inputs[1:], strict=False):
        queues.append(
            _front(graph, front, spec.sum_visits(front), sum_delays(main, front), [source])
        )
    for shortcut, source in zip(spec.shortcuts, inputs[len(spec.fronts) :], strict=True):
        depth = ShortcutQueue.depth_of(shortcut, spec.shortcut_visits)
        queues.append(graph.step("shortcut", [depth, *shortcut_frees(main, shortcut)], source))
    return _front(graph, main, spec.credits, spec.delays(), [inputs[0], *queues])


def _front(graph: TokenGraph, f: FrontSpec, credits: int, delays: Delays, inputs: list[int]) -> int:
    g, visits = f.geometry, f.geometry.out_width * f.output_groups
    if f.arrives:
        visits *= g.edge.lanes // f.split_channels
    of = visits, f.items, f.visit_clocks, f.output_groups if f.arrives else 0
    return _core(graph, g, *of, credits, delays, inputs)


def _core(
    graph: TokenGraph,
    g: Geometry,
    visits: int,
    items: int,
    pitch: int,
    results: int,
    credits: int,
    delays: Delays,
    inputs: list[int],
) -> int:
    """A walker over a line buffer, ``visits`` visits an output row of ``items`` items each.

    ``results``: where rows add up, the visits of the last one that have results, its last ones;
    else 0. ``credits``: visits that may be under way. ``inputs``: map, queues.
    """
    out = graph.channel()
    numbers = [
        g.width * g.words_per_pixel,
        g.height,
        g.extent[0],
        g.advance[0],
        g.border[0],
        g.out_height,
        g.slots,
        visits,
        items,
        max(items, pitch),
        results,
        credits,
        delays.back,
        LineBuffer.freeing,
    ]
    graph.unit("core", [*numbers, *delays.tokens], inputs, [out])
    return out


_FLOWS: dict[type[CoreSpec], Callable[..., int]] = {
    ConvSpec: _neuron,
    PoolSpec: _pool,
    MergeSpec: _merge,
}
"""By a core's specification: adds its units, of the channels of its inputs; returns its output."""


def _asked(component: Any) -> Any:
    """A component of which only the numbers are wanted: no warning that it is not used."""
    component._MustUse__silence = True
    for part in vars(component).values():
        if isinstance(part, Elaboratable):
            _asked(part)
    return component
