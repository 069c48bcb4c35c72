"""The features of a SpikingConv, part by part (see `gen.model.features`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, prod

import numpy as np

from sterna.gen.device.shift_registers import Delays, tree_delays
from sterna.gen.model.parts import Part, counter_bits, within
from sterna.golden.bounds import signed_bits
from sterna.hw.core.accumulate import REGISTER_TURNS, StepFeeder
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.walker import Loop
from sterna.hw.core.window_read import Pick
from sterna.hw.dot.compress import DotProduct
from sterna.hw.dot.constant import ConstantDot
from sterna.hw.dot.engines import FEW_ROWS
from sterna.hw.dot.tables import TablesDot
from sterna.hw.memory.chain import WORD_BITS
from sterna.hw.memory.shape import Memories, MemoryShape
from sterna.hw.neuron.lane_turns import LaneTurns
from sterna.hw.neuron.scan import NeuronScan
from sterna.hw.neuron.scan_banks import ScanBanks

__all__ = ["ENGINE_COSTS", "buffer_part", "conv_parts", "walker_part"]


def conv_parts(name: str, spec: ConvSpec, family: str) -> list[Part]:
    parts, memories = [], spec.memories()
    for front in spec.fronts:
        parts += _front(name, front)
    row = spec.param_depth, spec.param_width
    parts += [
        _weights(name, *row, spec.param_region is not None, within(memories, "params"), "params"),
        *(_scan(name, spec) for _ in range(spec.banks)),
        *(_out(name, spec, shape) for shape in within(memories, "out", "banks")),
    ]
    if spec.banks > 1:
        parts.append(_banks(name, spec))
    if spec.turns > 1:
        parts.append(_turns(name, spec, within(memories, "turns")))
    if spec.joined:
        queues = [s for place, s in memories.items() if place.startswith(("sums_", "shortcut_"))]
        parts.append(_join(name, spec, queues))
    return parts


def _front(name: str, front: FrontSpec) -> list[Part]:
    memories = front.memories()
    parts = [
        walker_part(name, front.geometry, front.loops(), front.visit_clocks),
        buffer_part(name, front.geometry, front.loops(), memories, front.pick),
        ENGINE_COSTS[front.engine].part(name, front),
        _sums(name, front, memories),
    ]
    if front.positions > 1:
        parts.append(_largest(name, front, memories))
    if not front.dot_engine.in_logic:
        row, chained = (front.memory_depth, front.memory_width), front.weight_region is not None
        parts.append(_weights(name, *row, chained, within(memories, "weights"), "weights"))
        if front.dot_engine.written:
            parts[-1].add(expands=1)
        if front.reads > 1:
            parts.append(_assembler(name, front))
    return parts


def walker_part(name: str, g: Geometry, loops: list[Loop], visit: int) -> Part:
    sizes = g.out_height, g.out_width, *(p.count for p in loops)
    counters = sum(counter_bits(n) for n in sizes if n > 1)
    turning = sum(p.count > 1 for p in loops)
    items = prod(p.count for p in loops if not p.visit)
    return Part(
        name,
        "walker",
        {
            "each": 1,
            "counters": counters,
            "loops": turning,
            "pause": counter_bits(visit) if visit > items else 0,
        },
    )


def buffer_part(
    name: str, g: Geometry, loops: list[Loop], memories: Memories, pick: Pick | None = None
) -> Part:
    r, k = g.rows, g.columns
    # Of a pixel in a register, what is chosen of it, what is rotated.
    held, width = g.edge.width, g.edge.width if pick is None else pick.planes * pick.lanes
    banks, address = r * k, counter_bits(g.bank_depth)
    place = (
        signed_bits(-g.border[2], max(g.width, g.out_width * g.advance[1]) + g.extent[1])
        + signed_bits(-g.border[0], max(g.height, g.out_height * g.advance[0]) + g.extent[0])
        + address
    )
    turning = sum(p.count > 1 for p in loops)
    part = Part(name, "buffer", memories=within(memories, "buffer"))
    part.add(
        each=1,
        addresses=address * (banks + 1),
        place=place,
        moves=place * turning,
        slots=address * g.slots if g.slots > r else 0,
        words=(held + 2 * width) * banks / 3,
        picks=(held // width - 1) * width * banks,
        columns=width * banks * (k - 1),
        rows=width * banks * (r - 1),
        masks=width * banks if any(g.border) else 0,
        counts=counter_bits(g.height) + counter_bits(g.width),
    )
    return part


def _outputs(front: FrontSpec) -> int:
    """Outputs at once whose sums can differ: the synthesiser makes one of those that are equal,
    and few fixed weights leave few that are not."""
    if front.weight_region is not None or front.depthwise:
        return front.pe
    weights = min(front.simd * front.weight_depth, front.pe)  # 2**pe is enough
    return min(front.pe, (3 if front.kind == "ternary" else 2) ** weights)


@lru_cache(maxsize=1 << 14)
def _tree(
    simd: int, tp: int, bits: int, kind: str, family: str, chained: bool
) -> tuple[int, int, int, Delays, int, Delays]:
    """Of one output: sums at once; leaves and LUTs of a tree, and its registers; LUTs and registers
    of the shared popcount's tree."""
    dot = DotProduct(1, simd, tp, bits, kind, False, family, chained=chained)
    dot._MustUse__silence = True  # type: ignore  # only asked, never built
    tree, pop = dot.tree, dot.pop_tree
    leaves = sum(len(column) for column in tree.leaves)
    waits = tree_delays(tree, dot.latency - tree.latency, result=False)
    return dot.sums, leaves, tree.cost, waits, pop.cost, tree_delays(pop, dot.latency - pop.latency)


def _constant(name: str, front: FrontSpec) -> Part:
    """Trees over the weights that are not zero, by the hardware's own count."""
    dot = front.make_dot()
    dot._MustUse__silence = True  # type: ignore  # only asked, never built
    assert isinstance(dot, ConstantDot)
    made, sums = dot.trees, front.pe * dot.sums * front.z_width
    part = Part(name, "dot constant", {"tree": made.cost, "sums": sums})
    trees = [(t.tree, made.early) for t in made.outputs if t.tree is not None]
    trees += [(made.pop, 0)] if made.pop is not None else []
    for tree, after in trees:
        part.delay(tree_delays(tree, made.waits(tree, after), leaves=False), dot.sums)
    return part


def _tables(name: str, front: FrontSpec) -> Part:
    """LUT RAM as it is cut, the tree by the hardware's own count, and a correction for each sum."""
    dot = front.make_dot()
    dot._MustUse__silence = True  # type: ignore  # only asked, never built
    assert isinstance(dot, TablesDot)
    s, tree, trees = dot.shape, dot.tree, front.pe * dot.sums
    tables = s.blocks * s.groups
    bus = len(dot.load.as_value()) * s.segments
    # A synthesiser cuts a memory where its write enables end.
    one = [replace(m, width=s.table_bits) for m in dot.memories.values()]
    count = [m.width // s.table_bits for m in dot.memories.values()]
    part = Part(name, "dot tables")
    part.memories += [shape for shape, times in zip(one, count) for _ in range(times)]
    part.add(
        tree=trees * tree.cost,
        adders=trees * front.z_width,
        held=trees * front.z_width
        + front.pe * s.groups * s.bits * front.tp
        + tables
        + front.pe * s.rows * front.z_width
        + bus,
    )
    part.delay(tree_delays(tree), trees)
    if s.rows > 1:  # the correction's row waits for the sums
        part.delay(Delays({dot.row_latency: counter_bits(s.rows)}))
    return part


def _dot(name: str, front: FrontSpec) -> Part:
    few = front.weight_region is None and front.weight_depth <= FEW_ROWS
    sums, leaves, cost, waits, pop_cost, pop_waits = _tree(
        front.simd, front.tp, front.bits, front.kind, front.family, not few
    )
    outputs = _outputs(front)
    trees = outputs * sums
    part = Part(name, f"dot {front.kind}")
    lanes = front.lanes // front.pe * outputs
    if few:
        part.add(few_lanes=lanes, few_tree=trees * cost)
    else:
        part.add(lanes=lanes, leaves=trees * leaves, tree=trees * cost, trees=trees)
    part.delay(waits, trees)
    if front.kind == "binary":
        pops = sums * (front.pe if front.depthwise else 1)
        part.add(tree=pops * pop_cost)
        part.delay(pop_waits, pops)
    return part


@dataclass(frozen=True)
class EngineCost:
    """part: features of the dot product. lanes: before any is planned, LUTs of its lanes by weight,
    pe, simd and tp."""

    part: Callable[[str, FrontSpec], Part]
    lanes: Callable[[np.ndarray, int, int, int], float]


ENGINE_COSTS = {
    "compress": EngineCost(_dot, lambda weight, pe, simd, tp: pe * simd * (tp + 1 / 4)),
    # Zeros cost nothing.
    "constant": EngineCost(
        _constant, lambda weight, pe, simd, tp: 0.13 * tp * np.count_nonzero(weight)
    ),
    "tables": EngineCost(_tables, lambda weight, pe, simd, tp: 0.55 * pe * simd * tp),
}
"""By the engine's name, all of `hw.dot.engines`."""


def _sums(name: str, front: FrontSpec, memories: Memories) -> Part:
    """Accumulators, steps in order."""
    width, sums, outputs = front.z_width, front.sums, _outputs(front)
    bits = outputs * sums * width
    pixels = front.geometry.rows * front.geometry.columns
    act = front.tp * (front.pe * pixels if front.depthwise else front.simd)
    compress = front.dot_engine.counts
    alone = front.accumulated == 1  # nothing to add up
    turns = 0 if alone else front.sum_turns
    part = Part(name, "sums")
    for place, shape in memories.items():
        if place.startswith(("accumulate.sum", "feeder.")):
            part.memories.append(replace(shape, width=shape.width // front.pe * outputs))
        elif place.startswith("accumulate.pop"):
            part.memories.append(shape)
    part.add(
        each=1,
        act=act,
        adders=0 if alone and (not compress or front.kind == "binary") else bits,
        rings=bits * (turns if turns <= REGISTER_TURNS else 0),
        x=front.banks * front.pe * width,
    )
    if turns > REGISTER_TURNS:
        part.add(starts=bits)
    if front.kind == "binary" and compress:
        pops = width * sums * front.pops
        part.add(
            adders=(0 if alone else pops) + bits,
            rings=pops * (turns if turns <= REGISTER_TURNS else 0),
        )
        if turns > REGISTER_TURNS:
            part.add(starts=pops)
    if sums > 1:
        part.add(steps=front.banks * bits)
        if not within(memories, "feeder"):
            part.add(store=front.banks * bits)
    if front.parts > 1:
        part.add(parts=front.pe * width)
    return part


def _largest(name: str, front: FrontSpec, memories: Memories) -> Part:
    """The largest sums of a pool's positions; what keeps them in LUT RAM is among the sums'."""
    bits = _outputs(front) * front.sums * front.z_width
    part = Part(name, "largest", {"bits": bits})
    if not within(memories, "feeder.pool"):
        turns = StepFeeder.pulses_of(front.sums, front.steps, front.held)
        part.delay(Delays({turns - 1: bits} if turns > 1 else {}))
    return part


def _weights(
    name: str, depth: int, width: int, chained: bool, memories: list[MemoryShape], kind: str
) -> Part:
    """A memory of weights or parameters, with its place in the daisy chain."""
    part = Part(name, kind, memories=memories)
    if not memories and not chained:
        return part  # constants
    part.add(each=1, word=width, address=counter_bits(depth))
    if chained:
        part.add(single=0 if memories else width)  # registers
        part.add(node=1, banks=ceil(width / WORD_BITS), joined=width, reread=counter_bits(depth))
    return part


def _assembler(name: str, front: FrontSpec) -> Part:
    """Registers of weight words read in pieces: the word, and all pieces of it but one."""
    return Part(
        name,
        "assembler",
        {
            "each": 1,
            "address": counter_bits(front.memory_depth),
            "held": front.weight_width + front.memory_width * (front.reads - 1),
        },
    )


def _scan(name: str, spec: ConvSpec) -> Part:
    part = Part(name, "readout" if spec.readout else "scan")
    part.add(each=1, channels=spec.scan_pe)
    part.add(**{k: spec.scan_pe * bits for k, bits in NeuronScan.size_of(spec.params).items()})
    if spec.banks > 1:  # sums wait for the bank's parameters
        waits = ScanBanks.row_clocks(spec.banks, spec.param_depth)
        part.delay(Delays({waits: spec.pe * spec.front.z_width}))
    return part


def _banks(name: str, spec: ConvSpec) -> Part:
    """What several banks need besides their scans: rows of parameters kept, the choice of beats."""
    part = Part(name, "banks")
    part.add(
        each=spec.banks,
        picks=(spec.banks - 1) * spec.out_edge.width,
        rows=spec.banks * spec.param_width * (spec.param_depth > 1),
    )
    return part


def _turns(name: str, spec: ConvSpec, memories: list[MemoryShape]) -> Part:
    """What holds a visit's sums while they take turns at the scan."""
    bits = spec.pe * spec.front.z_width
    part = Part(name, "turns", memories=memories)
    count = counter_bits(spec.steps) + counter_bits(spec.turns)
    part.add(each=1, moved=bits - bits // spec.turns, count=count)
    if not memories:
        part.delay(Delays({LaneTurns.kept_of(spec.steps, spec.front.held): bits}))
    return part


def _out(name: str, spec: ConvSpec, fifo: MemoryShape) -> Part:
    part = Part(name, "words" if spec.readout else "beats", memories=[fifo])
    part.add(each=1, width=fifo.width, level=counter_bits(fifo.depth + 1))
    if not spec.readout:
        edge = spec.out_edge
        part.add(count=counter_bits(edge.pb) + counter_bits(edge.plane_beats))
    return part


def _join(name: str, spec: ConvSpec, queues: list[MemoryShape]) -> Part:
    part = Part(name, "join", memories=queues)
    width = spec.params.bounds.width("x")
    for other in spec.others:
        part.add(queues=1, bits=other.pe * other.z_width, adders=spec.pe * width)
    for shortcut in spec.shortcuts:
        edge = shortcut.edge
        part.add(
            queues=1,
            bits=shortcut.bits * edge.lanes,
            picks=edge.width,
            adders=spec.pe * width * shortcut.bits,
        )
    return part


# --- everything else --------------------------------------------------------------------------
