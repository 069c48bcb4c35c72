"""From a folding to the streams of every core: its edges, the branches between them, its law."""

from dataclasses import dataclass, field, replace
from typing import Any

from sterna.gen.design.design import BranchDesign, CoreDesign, Design, EdgeDesign
from sterna.gen.design.engines import constants_of
from sterna.gen.design.folding import KEYS, Foldings
from sterna.gen.design.graph import CoreNodes, Port, ports, unit_of, weighted_inputs
from sterna.gen.design.meet import shortcut_edge, steps_a_beat
from sterna.gen.design.rows import spare_rows
from sterna.gen.design.specs import declared_ranges, flattens, front_spec, input_map
from sterna.gen.design.stream_cores import StreamCore, stream_core
from sterna.gen.design.streams import SLACK, input_edge, pixels_of
from sterna.golden.network import (
    Network,
    Neuron,
    NeuronNode,
    WeightedNode,
)
from sterna.hw.dot.engines import ENGINES
from sterna.hw.stream.axis import image_clocks, result_clocks
from sterna.hw.stream.edge import MAX_WIDTH, Edge
from sterna.hw.stream.gear_path import clocks_per_pixel

__all__ = ["plan"]


@dataclass
class _Plan:
    """What is decided so far; streams by node name, in the channels of their maker."""

    network: Network
    cores: list[CoreNodes]
    foldings: Foldings
    target: int
    family: str
    patchable: bool = False
    streams: dict[str, Edge] = field(default_factory=dict)
    branches: list[BranchDesign] = field(default_factory=list)
    out: list[CoreDesign] = field(default_factory=list)
    regions: int = 0

    def readers(self, node: str) -> list[Port]:
        return [p for p in ports(self.network) if p.source == node]

    def core(self, reader: str) -> CoreNodes:
        return next(c for c in self.cores if c.name == reader)


def plan(
    network: Network,
    cores: list[CoreNodes],
    foldings: Foldings,
    target: int,
    family: str,
    clock_mhz: float,
    axis_width: int | None,
    patchable: bool = False,
) -> Design:
    """The design of complete foldings, before its buffers are sized. ``target``: clocks an image
    that streams should keep up with. DesignError names the node whose beats are too wide."""
    p = _Plan(network, cores, foldings, target, family, patchable)
    first, pixels = _input(p)
    p.streams[network.input.name] = first
    axis_width = axis_width or _axis_width(first, pixels, target)
    for name in network.order:  # a neuron's shortcuts may be made later than its sums
        node = network[name]
        if isinstance(node, NeuronNode):
            _neuron(p, node)
        elif any(c.name == name for c in cores):
            core = stream_core(node)
            nodes = p.core(name)
            p.out.append(_stream(p, core, nodes) if core else _conv(p, nodes))
    classes = network.shape[network.readout.name][0]
    design = Design(
        network=network.name,
        family=family,
        clock_mhz=clock_mhz,
        axis_width=axis_width,
        input=EdgeDesign.of(first),
        cores=p.out,
        branches=_by_unit(network, p.branches),
        taps=[_tap(network, c) for c in p.out if c.output],
        end_intervals={
            "axis_input": image_clocks(first, pixels, axis_width),
            "axis_output": result_clocks(classes),
        },
    )
    bound = design.interval
    return replace(design, cores=[_with_spare_rows(network, c, bound, family) for c in p.out])


def _with_spare_rows(network: Network, core: CoreDesign, bound: int, family: str) -> CoreDesign:
    """A stride of spare rows where both input (or the gearbox before it) and computing take all the
    time there is, and more where rows are of a few clocks."""
    node = network[core.name]
    beats = max(core.law.get("input", 0), core.law.get("gearbox", 0))
    tight = min(core.law.get("compute", 0), beats) >= SLACK * bound
    if isinstance(node, WeightedNode):
        front = front_spec(network, core, family)
        if tight and not node.flattens:
            core = replace(core, spare_rows=front.geometry.advance[0])
            front = front_spec(network, core, family)
        g, groups = front.geometry, front.output_groups
        items, pitch = front.items, front.visit_clocks
        if front.arrives:  # a row is a word, and only the last one's visits have results
            groups, pitch = groups * (g.edge.lanes // front.split_channels), items
            bound -= front.visits * (front.visit_clocks - items)
    elif (kind := stream_core(node)) and kind.windowed:
        spec = kind.spec(network, core.name, [core.input.edge])
        if tight:
            core = replace(core, spare_rows=spec.geometries[0].stride[0])
            spec = kind.spec(network, core.name, [core.input.edge], core.spare_rows)
        (g,), items = spec.geometries, spec.visit_clocks
        groups, pitch = g.edge.beats_per_pixel, items
    else:
        return core
    return replace(core, spare_rows=spare_rows(g, g.out_width * groups, items, pitch, bound))


def _by_unit(network: Network, branches: list[BranchDesign]) -> list[BranchDesign]:
    """Branches in the order of the top's: by neuron, pool or merge, sums before shortcuts."""
    place = {name: n for n, name in enumerate(network.order)}

    def key(b: BranchDesign) -> tuple[int, int, int]:
        unit = unit_of(network, b.reader)
        if b.reader == unit:
            return place[unit], True, b.port
        return place[unit], False, weighted_inputs(network, network.neuron(unit)).index(b.reader)

    return sorted(branches, key=key)


def _input(p: _Plan) -> tuple[Edge, int]:
    """(stream of images, pixels an image) as the first reader wants it.

    Where all that read it flatten it, the image is one pixel, so that their beats need not end with
    a pixel of it.
    """
    network, name = p.network, p.network.input.name
    cores = {c.name: c for c in p.cores}
    readers = [cores[r.reader] for r in p.readers(name) if r.reader in cores]
    maps = [r for r in readers if not flattens(network, r.name)]
    edge = _wish(p, (maps or readers)[0], None)
    shape = network.shape[name] if maps else input_map(network, network[readers[0].name])  # type: ignore[arg-type]
    return replace(edge, channels=shape[0]), shape[1] * shape[2]


def _wish(p: _Plan, nodes: CoreNodes, given: Edge | None) -> Edge:
    """The stream that a conv, pool or merge core would like to read."""
    node = p.network[nodes.name]
    if isinstance(node, WeightedNode):
        return input_edge(p.network, node.name, p.foldings[node.name], given, p.target, p.family)
    core = stream_core(node)
    assert core is not None
    return core.wish(p.network, nodes, given, p.target)


def _branch(p: _Plan, source: str, reader: str, port: int, taken: Edge) -> int:
    """Record a branch; returns its gearbox's clocks an image."""
    made, node = p.streams[source], p.network[reader]
    given = Edge(taken.channels, made.lanes, made.planes, made.pb)
    p.branches.append(
        BranchDesign(source, reader, port, EdgeDesign.of(given), EdgeDesign.of(taken))
    )
    if given == taken:
        return 0
    if isinstance(node, WeightedNode):
        pixels = pixels_of(p.network, node)
    else:
        _, h, w = p.network.shape[source]
        pixels = h * w
    return clocks_per_pixel(given, taken) * pixels


def _conv(p: _Plan, nodes: CoreNodes) -> CoreDesign:
    """The weighted sum ``nodes.name``; its branch, folding and law (without the output term)."""
    network, folding, source = p.network, p.foldings[nodes.name], nodes.sources[0]
    node, target = network.weighted(nodes.name), network.neuron(nodes.target)
    made = p.streams[source]
    whole = source == network.input.name and len(p.readers(source)) == 1
    given = Edge(input_map(network, node)[0], made.lanes, made.planes, made.pb)
    edge = given if whole else _wish(p, nodes, given)
    gear = _branch(p, source, node.name, 0, edge)
    ram = folding.memory == "ram"
    declares = (ram or p.patchable) and nodes.main
    regions = [p.regions, p.regions + 1] if nodes.main else [p.regions]
    core = CoreDesign(
        name=nodes.name,
        op="conv",
        sources=[source],
        target=nodes.target,
        main=nodes.main,
        input=EdgeDesign.of(edge),
        output=None,
        lanes=folding.pe * folding.simd * folding.tp,
        law={},
        ranges=declared_ranges(target.rule) if declares else None,
        regions=regions if ram else None,
        patchable=p.patchable and not ram,
        constants=constants_of(node) if ENGINES[folding.engine].in_logic else None,
        **{k: getattr(folding, k) for k in KEYS},
    )
    p.regions += len(regions) if ram else 0
    spec = front_spec(network, core, p.family)
    return replace(core, law=spec.law() | ({"gearbox": gear} if gear else {}))


def _neuron(p: _Plan, target: NeuronNode) -> None:
    """Completes the main core of a neuron: its shortcuts' branches, the stream that it makes."""
    network = p.network
    at = next(n for n, c in enumerate(p.out) if c.target == target.name and c.main)
    core = p.out[at]
    gear, (channels, h, w) = core.law.get("gearbox", 0), network.shape[target.name]
    for n, source in enumerate(target.inputs):
        if network.is_weighted(source):
            continue
        edge = shortcut_edge(network, source, p.streams[source], core.pe, p.target)
        gear = max(gear, _branch(p, source, target.name, n, edge))
    if isinstance(target, Neuron):
        p.streams[target.name] = made = _output(p, target.name, core.pe)
        core = replace(core, output=EdgeDesign.of(made))
        beats = made.beats_per_pixel
    else:
        beats = channels
    law = core.law | {"output": h * w * beats} | ({"gearbox": gear} if gear else {})
    p.out[at] = replace(core, law=law)


def _output(p: _Plan, node: str, pe: int) -> Edge:
    """A scan can gather any number of steps into a beat: as many as its readers take."""
    network = p.network
    channels, height, width = network.shape[node]
    steps = network.steps
    most = max(1, min(steps, MAX_WIDTH // pe))
    wishes = []
    for port in p.readers(node):
        reader = network[port.reader]
        if isinstance(reader, WeightedNode):
            wide = Edge(input_map(network, reader)[0], pe, steps, most)
            wishes.append(_wish(p, p.core(reader.name), wide).pb)
        elif (core := stream_core(reader)) and core.windowed:
            wishes.append(_wish(p, p.core(reader.name), Edge(channels, pe, steps, most)).pb)
        else:
            wishes.append(steps_a_beat(Edge(channels, pe, steps, 1), height * width, p.target))
    return Edge(channels, pe, steps, min(max(wishes), most))


def _stream(p: _Plan, kind: StreamCore, nodes: CoreNodes) -> CoreDesign:
    source, made = nodes.sources[0], [p.streams[s] for s in nodes.sources]
    if kind.windowed and source == p.network.input.name and len(p.readers(source)) == 1:
        edges = [kind.wish(p.network, nodes, None, p.target)]
    else:
        edges = kind.edges(p.network, nodes, made, p.target)
    gears = [
        _branch(p, source, nodes.name, n, edge)
        for n, (source, edge) in enumerate(zip(nodes.sources, edges, strict=True))
    ]
    spec = kind.spec(p.network, nodes.name, edges)
    p.streams[nodes.target] = spec.out_edge
    return CoreDesign(
        name=nodes.name,
        op=nodes.op,
        sources=list(nodes.sources),
        target=nodes.target,
        main=True,
        pe=1,
        simd=1,
        tp=1,
        input=EdgeDesign.of(edges[0]),
        output=EdgeDesign.of(spec.out_edge),
        lanes=0,
        law=spec.law() | ({"gearbox": max(gears)} if max(gears) else {}),
    )


def _axis_width(edge: Edge, pixels: int, target: int) -> int:
    """The narrowest AXI4-Stream that keeps up, as a power of two of bytes."""
    late = lambda bits: max(0, image_clocks(edge, pixels, bits) - target)  # noqa: E731
    return min((8, 16, 32, 64, 128), key=lambda bits: (late(bits), bits))


def _tap(network: Network, core: CoreDesign) -> dict[str, Any]:
    assert core.output is not None
    channels, height, width = network.shape[core.target]
    return {
        "node": core.target,
        "channels": channels,
        "height": height,
        "width": width,
        "lanes": core.output.lanes,
        "planes": core.output.planes,
        "pb": core.output.pb,
        "bits_per_step": network.bits(core.target),
    }
