"""The features of a SpikingConv, part by part (see `gen.model.features`)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod

import numpy as np

from sterna.gen.device.memories import MemoryShape
from sterna.gen.device.shift_registers import Delays, tree_delays
from sterna.gen.model.parts import Part, counter_bits
from sterna.golden.bounds import signed_bits
from sterna.hw.core.accumulate import REGISTER_TURNS
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.input_join import shortcut_visits, sum_visits
from sterna.hw.core.lane_turns import REGISTER_STEPS
from sterna.hw.core.scan_banks import ScanBanks
from sterna.hw.core.walker import Loop
from sterna.hw.dot.compress import DotProduct
from sterna.hw.dot.constant import ConstantDot
from sterna.hw.dot.tables import TablesDot

__all__ = ["ENGINE_COSTS", "buffer_part", "conv_parts", "walker_part"]

FEW_ROWS = 4
"""Fixed weights of so few rows make trees smaller: many lanes have equal ones, or zeros."""


def conv_parts(name: str, spec: ConvSpec, family: str) -> list[Part]:
    parts = []
    for front in spec.fronts:
        parts += [
            walker_part(name, front.geometry, front.loops(), front.visit_clocks),
            buffer_part(name, front.geometry, front.loops()),
            ENGINE_COSTS[front.engine].part(name, front),
            _sums(name, front),
        ]
        if not front.dot_engine.in_logic:
            parts.append(
                _weights(
                    name,
                    front.memory_depth,
                    front.memory_width,
                    front.weight_region is not None,
                    style=front.ram_style,
                )
            )
            if front.dot_engine.written:
                parts[-1].add(expands=1)
            if front.reads > 1:
                parts.append(_assembler(name, front))
    parts += [
        _weights(
            name,
            spec.param_depth,
            spec.param_width,
            spec.param_region is not None,
            "params",
            spec.param_style,
        ),
        *(_scan(name, spec) for _ in range(spec.banks)),
        *(_out(name, spec) for _ in range(spec.banks)),
    ]
    if spec.banks > 1:
        parts.append(_banks(name, spec))
    if spec.turns > 1:
        parts.append(_turns(name, spec))
    if spec.joined:
        parts.append(_join(name, spec))
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


def buffer_part(name: str, g: Geometry, loops: list[Loop]) -> Part:
    width, r, k = g.edge.width, g.rows, g.columns
    banks, address = r * k, counter_bits(g.bank_depth)
    place = (
        signed_bits(-g.padding[2], max(g.width, g.out_width * g.stride[1]) + g.kernel[1])
        + signed_bits(-g.padding[0], max(g.height, g.out_height * g.stride[0]) + g.kernel[0])
        + address
    )
    turning = sum(p.count > 1 for p in loops)
    part = Part(name, "buffer")
    # "fifo": a line buffer never needs the old word where both ports meet.
    part.memories += [MemoryShape(width, max(2, g.bank_depth), "fifo")] * banks
    part.add(
        each=1,
        addresses=address * (banks + 1),
        place=place,
        moves=place * turning,
        slots=address * g.slots if g.slots > r else 0,
        words=width * banks,
        columns=width * banks * (k - 1),
        rows=width * banks * (r - 1),
        masks=width * banks if any(g.padding) else 0,
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
    simd: int, tp: int, bits: int, kind: str, family: str
) -> tuple[int, int, int, Delays, int, Delays]:
    """Of one output: sums at once; leaves and LUTs of a tree, and its registers; LUTs and registers
    of the shared popcount's tree."""
    dot = DotProduct(1, simd, tp, bits, kind, False, family)
    dot._MustUse__silence = True  # type: ignore  # only asked, never built
    tree, pop = dot._tree, dot._pop_tree
    leaves = sum(len(column) for column in tree.leaves)
    waits = tree_delays(tree, dot.latency - tree.latency, result=False)
    return dot.sums, leaves, tree.cost, waits, pop.cost, tree_delays(pop, dot.latency - pop.latency)


def _constant(name: str, front: FrontSpec) -> Part:
    """Trees over the weights that are not zero, by the plan's own count."""
    dot = front.make_dot()
    dot._MustUse__silence = True  # type: ignore  # only asked, never built
    assert isinstance(dot, ConstantDot)
    plan, sums = dot.plan, front.pe * dot.sums * front.z_width
    part = Part(name, "dot constant", {"tree": plan.cost, "sums": sums})
    behind = plan.latency - (plan.pop is not None)
    trees = [(t.tree, behind - plan.early - t.tree.latency) for t in plan.trees if t.tree]
    if plan.pop is not None:
        trees.append((plan.pop, behind - plan.pop.latency))
    for tree, late in trees:
        part.delay(tree_delays(tree, late, leaves=False), dot.sums)
    return part


def _tables(name: str, front: FrontSpec) -> Part:
    """LUT RAM as it is cut, the tree by the plan's own count, and a correction for each sum."""
    dot = front.make_dot()
    dot._MustUse__silence = True  # type: ignore  # only asked, never built
    assert isinstance(dot, TablesDot)
    s, tree, trees = dot.shape, dot.tree, front.pe * dot.sums
    tables = s.blocks * s.groups
    bus = len(dot.load.as_value()) * s.segments
    part = Part(name, "dot tables")
    part.memories += [MemoryShape(s.block * s.bits, max(2, s.rows << s.lanes), "comb")] * (
        tables * front.tp
    )
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
        part.delay(Delays({dot.latency - 1: counter_bits(s.rows)}))
    return part


def _dot(name: str, front: FrontSpec) -> Part:
    family = front.family
    sums, leaves, cost, waits, pop_cost, pop_waits = _tree(
        front.simd, front.tp, front.bits, front.kind, family
    )
    outputs = _outputs(front)
    trees = outputs * sums
    part = Part(name, f"dot {front.kind}")
    lanes = front.lanes // front.pe * outputs
    if front.weight_region is None and front.weight_depth <= FEW_ROWS:
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


def _sums(name: str, front: FrontSpec) -> Part:
    """Lanes and planes of the window word, accumulators, steps in order."""
    edge, width = front.geometry.edge, front.z_width
    sums = max(1, front.tp // front.bits)
    bits = _outputs(front) * sums * width
    pixels = front.geometry.rows * front.geometry.columns
    act = front.tp * (front.pe * pixels if front.depthwise else front.simd)
    lanes = 1 if front.depthwise else edge.lanes // front.split_channels
    compress = front.dot_engine.counts
    alone = front.folds == 1  # nothing to accumulate
    turns = 0 if alone else front.plane_groups
    part = Part(name, "sums")
    part.add(
        each=1,
        act=act,
        picks=act * (lanes * (edge.pb // front.tp) - 1),
        adders=0 if alone and (not compress or front.kind == "binary") else bits,
        rings=bits * (turns if turns <= REGISTER_TURNS else 0),
        x=front.banks * front.pe * width,
    )
    if turns > REGISTER_TURNS:
        part.memories.append(MemoryShape(bits, turns, "comb"))
        part.add(starts=bits)
    if front.kind == "binary" and compress:
        pops = width * sums * (front.pe if front.depthwise else 1)
        part.add(
            adders=(0 if alone else pops) + bits,
            rings=pops * (turns if turns <= REGISTER_TURNS else 0),
        )
        if turns > REGISTER_TURNS:
            part.memories.append(MemoryShape(pops, turns, "comb"))
            part.add(starts=pops)
    if sums > 1:
        groups = ceil(front.steps / sums)
        part.add(steps=front.banks * bits)
        if groups > 1:
            part.memories += [MemoryShape(bits, groups, "comb")] * front.banks
        else:
            part.add(store=front.banks * bits)
    if front.parts > 1:
        part.add(parts=front.pe * width)
    return part


def _weights(
    name: str, depth: int, width: int, ram: bool, kind: str = "weights", style: str = "auto"
) -> Part:
    """A memory of weights or parameters, with its place in the daisy chain."""
    part = Part(name, kind)
    single = depth == 1 and style == "auto"
    if single and not ram:
        return part  # constants
    part.add(each=1, word=width, address=counter_bits(depth))
    if not ram:
        part.memories.append(MemoryShape(width, max(2, depth), "rom", style))
        return part
    banks = ceil(width / 32)
    widths = [32] * (width // 32) + ([width % 32] if width % 32 else [])
    if single:
        part.add(single=width)  # registers
    else:
        part.memories += [MemoryShape(w, max(2, depth), "bank", style) for w in widths]
    part.add(node=1, banks=banks, joined=width, reread=counter_bits(depth))
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
    params, rule = spec.params, spec.params.rule
    bounds, pe = params.bounds, spec.scan_pe
    width, margin = bounds.width("u", "v", "current"), bounds.width("margin")
    back = rule.reset == "subtract" and not params.shared_reset
    adds = width + (width if back else 0) + (margin if params.fires else 0)
    drives = sum(
        w
        for field_name, w in (
            ("add", width),
            ("back", width if back else 0),
            ("over", margin if params.fires else 0),
        )
        if field_name in params.fields or field_name == "add"
    )
    part = Part(name, "readout" if spec.readout else "scan")
    part.add(
        each=1,
        channels=pe,
        adders=pe * adds,
        drives=pe * drives,
        fields=pe * params.width,
        keeps=pe * width * (rule.reset != "none"),
    )
    if spec.banks > 1:  # sums wait for the bank's parameters
        waits = ScanBanks.row_clocks(spec.banks, spec.param_depth)
        part.delay(Delays({waits: spec.pe * spec.front.z_width}))
    for decay in (rule.leak, rule.synapse):
        # A factor of 2**-n is a shift, without an adder.
        if decay is not None and not isinstance(decay, str) and decay.num > 1:
            part.add(decays=pe * width * (1 if decay.k2 is None else 3))
    if rule.synapse is not None:
        part.add(currents=pe * (bounds.width("current") + bounds.width("drive")))
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


def _turns(name: str, spec: ConvSpec) -> Part:
    """What holds a visit's sums while they take turns at the scan."""
    bits = spec.pe * spec.front.z_width
    part = Part(name, "turns")
    count = counter_bits(spec.steps) + counter_bits(spec.turns)
    part.add(each=1, moved=bits - bits // spec.turns, count=count)
    if spec.front.held or spec.steps <= REGISTER_STEPS:
        part.delay(Delays({1 if spec.front.held else spec.steps: bits}))
    else:
        part.memories.append(MemoryShape(bits, spec.steps, "comb"))
    return part


def _out(name: str, spec: ConvSpec) -> Part:
    part = Part(name, "words" if spec.readout else "beats")
    if spec.readout:
        width, depth = spec.scan_pe * spec.logit_bits, max(2, spec.credits * spec.turns)
        part.add(each=1, width=width)
    else:
        edge = spec.out_edge
        width, depth = edge.width, max(2, ceil(spec.credits / spec.banks) * edge.plane_beats)
        part.add(each=1, width=width, count=counter_bits(edge.pb) + counter_bits(edge.plane_beats))
    part.memories.append(MemoryShape(width, depth, "comb"))
    part.add(level=counter_bits(depth + 1))
    return part


def _join(name: str, spec: ConvSpec) -> Part:
    part = Part(name, "join")
    width = spec.params.bounds.width("x")
    for other in spec.others:
        visits = sum_visits(spec.front, other, spec.visit_interval)
        bits = other.pe * other.z_width
        part.memories.append(
            MemoryShape(bits, max(2, visits * (1 if other.held else other.steps)), "comb")
        )
        part.add(queues=1, bits=bits, adders=spec.pe * width)
    for shortcut in spec.shortcuts:
        visits = shortcut_visits(spec.front, spec.visit_interval)
        edge = shortcut.edge
        part.memories.append(MemoryShape(edge.width, max(2, visits * edge.plane_beats), "comb"))
        part.add(
            queues=1,
            bits=shortcut.bits * edge.lanes,
            picks=edge.width,
            adders=spec.pe * width * shortcut.bits,
        )
    return part


# --- everything else --------------------------------------------------------------------------
