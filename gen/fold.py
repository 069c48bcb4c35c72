"""Folding: PE, SIMD and TP of every core, the streams between them, and the clocks they cost."""

from dataclasses import replace
from typing import Any

from sterna.gen.design import FAMILIES, CoreDesign, Design, EdgeDesign
from sterna.gen.edges import input_edge, pixels_of, pool_edge
from sterna.gen.graph import CoreNodes, walk
from sterna.gen.latency import latency
from sterna.gen.specs import (
    conv_spec,
    declared_ranges,
    input_map,
    is_depthwise,
    pool_spec,
)  # fmt: skip
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Linear, Network, Neuron, Readout
from sterna.golden.window import legal_simd, window_of
from sterna.hw.axis import image_clocks
from sterna.hw.gearbox import clocks_per_pixel
from sterna.hw.stream import MAX_WIDTH, Edge

__all__ = ["fold", "legal_folding", "MAX_LANES"]

MAX_LANES = 1 << 16
MEMORIES = ("rom", "ram")


def legal_folding(network: Network, name: str) -> dict[str, list[int]]:
    """All legal pe, simd and tp of the weighted node ``name``."""
    node = network[name]
    assert isinstance(node, Conv2d | Linear)
    shape = network.shape[node.input]
    groups = 1 if isinstance(node, Linear) or is_depthwise(node, shape) else node.groups
    outputs = node.out_channels // groups
    bits, planes = network.bits(node.input), network.planes(node.input)
    tps = [t for t in range(1, min(planes, 64) + 1) if bits % t == 0 or t % bits == 0]
    pe = [d for d in range(1, outputs + 1) if outputs % d == 0]
    return {"pe": pe, "simd": legal_simd(node, shape), "tp": tps}


def fold(
    network: Network,
    folding: dict[str, dict[str, Any]] | None = None,
    *,
    family: str = "generic",
    clock_mhz: float = 100.0,
    fps: float | None = None,
    axis_width: int | None = None,
) -> Design:
    """Decide everything about the hardware of a network.

    ``folding`` gives pe, simd, tp, memory of some or all weighted nodes; the rest gets the fewest
    lanes that reach ``fps`` at ``clock_mhz``, or without ``fps`` that are not slower than the given
    ones (without those: than reading the image at one pixel in 8 clocks). Raises DesignError,
    naming the node, for a folding that is illegal or an fps that no folding reaches.
    """
    for name, entry in (folding or {}).items():
        if not isinstance(entry, dict):
            raise DesignError(f"folding of '{name}': is not an object with pe, simd, tp, memory")
    folding = {k: dict(v) for k, v in (folding or {}).items()}
    if family not in FAMILIES:
        raise DesignError(f"family {family!r} is not one of {', '.join(FAMILIES)}")
    # A folding file may hold anything here.
    for what, number in (("clock_mhz", clock_mhz), ("fps", 1.0 if fps is None else fps)):
        if not isinstance(number, int | float) or not 1e-6 < number < 1e12:
            raise DesignError(f"{what} {number!r} must be a number above 1e-6 and below 1e12")
    if axis_width is not None and (
        not isinstance(axis_width, int) or axis_width % 8 or not 8 <= axis_width <= MAX_WIDTH
    ):
        raise DesignError(
            f"an AXI4-Stream of {axis_width!r} bits; use a multiple of 8 up to {MAX_WIDTH}"
        )
    cores = walk(network)
    convs = [c.name for c in cores if c.op == "conv"]
    for name, entry in folding.items():
        if name not in convs:
            raise DesignError(
                f"folding: there is no core '{name}'; the cores are {', '.join(convs)}"
            )
        if unknown := set(entry) - {"pe", "simd", "tp", "memory"}:
            raise DesignError(f"folding of '{name}': unknown {', '.join(sorted(unknown))}")
        if entry.get("memory", "rom") not in MEMORIES:
            raise DesignError(f"folding of '{name}': memory {entry['memory']!r} is not rom or ram")
        _check_numbers(network, name, entry)
    complete = [n for n in convs if {"pe", "simd", "tp"} <= set(folding.get(n, {}))]
    if fps is not None:
        target = int(clock_mhz * 1e6 / fps)
    elif complete:
        target = max(_compute_clocks(network, n, **_three(folding[n])) for n in complete)
    else:
        _, h, w = network.input.shape
        target = 8 * h * w
    for name in convs:
        if name not in complete:
            folding[name] = _smallest(network, name, target, folding.get(name, {}), fps)
    target = max(
        [target, *(_compute_clocks(network, n, **_three(folding[n])) for n in convs)]
        if fps is None
        else [target]
    )
    design = _design(network, cores, folding, target, family, clock_mhz, axis_width)
    if fps is not None and design.interval > target:
        raise DesignError(
            f"node '{design.bottleneck}': takes {design.interval} clocks an image, {target} are "
            f"left at {fps:g} fps and {clock_mhz:g} MHz; lower the fps or raise the clock"
        )
    return replace(design, latency=latency(network, design))


def _check_numbers(network: Network, name: str, entry: dict[str, Any]) -> None:
    legal = legal_folding(network, name)
    for key, values in legal.items():
        value = entry.get(key, values[0])
        if isinstance(value, bool) or not isinstance(value, int) or value not in values:
            raise DesignError(
                f"node '{name}': {key} {value!r} is not legal; use one of "
                f"{', '.join(map(str, values))}"
            )


def _three(entry: dict[str, Any]) -> dict[str, int]:
    return {k: entry[k] for k in ("pe", "simd", "tp")}


def _compute_clocks(network: Network, name: str, pe: int, simd: int, tp: int) -> int:
    """The compute term of the law."""
    node = network[name]
    assert isinstance(node, Conv2d | Linear)
    _, oh, ow = network.shape[name]
    channels, (kh, kw) = window_of(node, network.shape[node.input])
    planes = -(-network.planes(node.input) // tp)
    visit = max(channels * kh * kw // simd * planes, network.steps)
    return oh * ow * (node.out_channels // pe) * visit


def _smallest(
    network: Network, name: str, target: int, given: dict[str, Any], fps: float | None
) -> dict[str, Any]:
    """The cheapest folding that is not slower than ``target``; else the fastest there is."""
    legal = legal_folding(network, name) | {
        k: [given[k]] for k in ("pe", "simd", "tp") if k in given
    }
    best: tuple[Any, dict[str, Any]] | None = None
    for pe in legal["pe"]:
        for simd in legal["simd"]:
            for tp in legal["tp"]:
                if pe * simd * tp > MAX_LANES:
                    continue
                entry = {"pe": pe, "simd": simd, "tp": tp}
                clocks = _compute_clocks(network, name, **entry)
                late = max(0, clocks - target)
                # Lanes cost most; a neuron costs about 20 of them; wide reads cost ports.
                cost = pe * simd * tp + 20 * pe + 2 * pe * simd / 8
                key = (late, cost)
                if best is None or key < best[0]:
                    best = key, entry
    assert best is not None
    if best[0][0] and fps is not None:
        raise DesignError(
            f"node '{name}': its fastest folding takes {target + best[0][0]} clocks an image, "
            f"{target} are left at {fps:g} fps; lower the fps or raise the clock"
        )
    return best[1] | {k: v for k, v in given.items() if k == "memory"}


def _design(
    network: Network,
    cores: list[CoreNodes],
    folding: dict[str, dict[str, Any]],
    target: int,
    family: str,
    clock_mhz: float,
    axis_width: int | None,
) -> Design:
    out: list[CoreDesign] = []
    made: Edge | None = None  # the stream of the core before
    first, ends = None, {}
    region = 0
    for position, nodes in enumerate(cores):
        node = network[nodes.name]
        following = cores[position + 1] if position + 1 < len(cores) else None
        if isinstance(node, Conv2d | Linear):
            entry = folding[nodes.name]
            given = made and Edge(input_map(network, node)[0], made.lanes, made.planes, made.pb)
            edge = input_edge(network, node.name, entry, given, target)
            core = _conv(network, nodes, edge, entry, region)
            region += 2 if core.memory == "ram" else 0
        else:
            edge = pool_edge(network, nodes, made, target)
            core = _pool(network, nodes, edge)
        if made is None:
            c, h, w = input_map(network, node)  # type: ignore[arg-type]
            first = replace(edge, channels=c)
            axis_width = axis_width or _axis_width(first, h * w, target)
            ends = {"axis_input": image_clocks(first, h * w, axis_width)}
        else:
            given = Edge(edge.channels, made.lanes, made.planes, made.pb)
            gear = clocks_per_pixel(given, edge) * pixels_of(network, node)
            core = replace(core, law=core.law | {"gearbox": gear})
        if core.op == "conv" and following is not None:
            core = _with_output(network, core, cores, position, folding, target)
        spec_law = _law(network, core, family)
        core = replace(core, law=spec_law | {k: v for k, v in core.law.items() if k == "gearbox"})
        made = core.output.edge if core.output else None
        out.append(core)
    assert first is not None and axis_width is not None
    classes = network.shape[network.readout.name][0]
    return Design(
        network=network.name,
        family=family,
        clock_mhz=clock_mhz,
        axis_width=axis_width,
        input=EdgeDesign.of(first),
        cores=out,
        taps=[_tap(network, c) for c in out if c.output],
        _ends=ends | {"axis_output": classes + 1},
    )


def _conv(
    network: Network, nodes: CoreNodes, edge: Edge, entry: dict[str, Any], region: int
) -> CoreDesign:
    memory = entry.get("memory", "rom")
    target = network[nodes.target]
    assert isinstance(target, Neuron | Readout)
    return CoreDesign(
        name=nodes.name, op="conv", source=nodes.source, target=nodes.target,
        pe=entry["pe"], simd=entry["simd"], tp=entry["tp"], memory=memory,
        input=EdgeDesign.of(edge), output=None, lanes=entry["pe"] * entry["simd"] * entry["tp"],
        law={}, ranges=declared_ranges(target.rule) if memory == "ram" else None,
        regions=[region, region + 1] if memory == "ram" else None,
    )  # fmt: skip


def _pool(network: Network, nodes: CoreNodes, edge: Edge) -> CoreDesign:
    spec = pool_spec(network, nodes.name, edge)
    return CoreDesign(
        name=nodes.name, op="pool", source=nodes.source, target=nodes.target, pe=1, simd=1, tp=1,
        memory="rom", input=EdgeDesign.of(edge), output=EdgeDesign.of(spec.out_edge), lanes=0,
        law={},
    )  # fmt: skip


def _with_output(
    network: Network,
    core: CoreDesign,
    cores: list[CoreNodes],
    position: int,
    folding: dict[str, dict[str, Any]],
    target: int,
) -> CoreDesign:
    """A scan can gather any number of steps into a beat: as many as the reader takes."""
    channels = network.shape[core.target][0]
    reader = network[cores[position + 1].name]
    steps = network.steps
    most = max(1, min(steps, MAX_WIDTH // core.pe))
    if isinstance(reader, Conv2d | Linear):
        wide = input_map(network, reader)[0]
        given = Edge(wide, core.pe, steps, most)
        edge = input_edge(network, reader.name, folding[reader.name], given, target)
        pb = min(edge.pb, most)
    else:
        wide = Edge(channels, core.pe, steps, most)
        pb = pool_edge(network, cores[position + 1], wide, target).pb
    return replace(core, output=EdgeDesign(channels, core.pe, steps, min(pb, most)))


def _law(network: Network, core: CoreDesign, family: str) -> dict[str, int]:
    """Terms of the initiation interval, clocks an image (DESIGN section 4)."""
    if core.op == "pool":
        spec = pool_spec(network, core.name, core.input.edge)
        g = spec.geometry
        out = g.out_height * g.out_width
        return {
            "compute": out * g.edge.beats_per_pixel * spec.visit_clocks,
            "input": g.input_beats,
            "output": out * spec.out_edge.beats_per_pixel,
        }
    spec = conv_spec(network, core, family)
    g = spec.geometry
    pixels = g.out_height * g.out_width * spec.output_groups
    return {
        "compute": pixels * spec.visit_clocks,
        "input": g.input_beats,
        "output": pixels * spec.out_beats,
    }


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
