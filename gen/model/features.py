"""What the parts of a design are made of, counted from their specifications: the cost model's
features.

A feature is a number of bits that pass an adder, a multiplexer or a register, a LUT count that the
hardware's own plan gives, or a constant; `gen.model.cost` multiplies each by what yosys makes of
it.
"""

from collections.abc import Callable

from sterna.gen.device.family import SHORTEST, family_of
from sterna.gen.device.memories import mapped
from sterna.gen.model.conv_features import buffer_part, conv_parts, walker_part
from sterna.gen.model.parts import Part, counter_bits, within
from sterna.hw.control.tally import Tally
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.pool import PoolSpec
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.stream.axis import ImageInput, ResultOutput, canonical_edge
from sterna.hw.stream.buffers import Fifo
from sterna.hw.stream.edge import Edge
from sterna.hw.stream.gear_path import BETWEEN, path, step_memories
from sterna.hw.stream.merge import MergeSpec
from sterna.hw.stream.skip_fifo import SkipFifo
from sterna.hw.top.network_top import CoreInstance, CoreSpec, TopSpec

__all__ = ["core_parts", "top_parts", "with_memories"]

LARGE_ROM = 4096
"""Bits from which on yosys takes about two LUT6 for one in a memory of fixed rows (0.70)."""


def top_parts(top: TopSpec, family: str) -> list[Part]:
    """All parts of a design."""
    parts = [_control(top), _image(top), _result(top)]
    for core in top.cores:
        parts += core_parts(core, family)
    for node in {b.source for c in top.cores for b in c.branches}:
        readings = top.readings(node)
        if readings > 1:
            width = next(b.given.width for c in top.cores for b in c.branches if b.source == node)
            parts.append(Part(node, "fork", {"each": 1, "bits": width, "branches": readings}))
    return with_memories(parts, family)


def with_memories(parts: list[Part], family: str) -> list[Part]:
    """The same parts with the features that follow from what their memories become."""
    chip = family_of(family)
    rows_of_lut = 1 << chip.lut_inputs
    for part in parts:
        for shape in part.memories:
            found = mapped(shape, family)
            if found.logic and shape.use == "rom":
                # One LUT a bit, or one for each of the functions there are of so few rows. Beyond a
                # LUT's inputs several, and what chooses among them: LUT4 for the rows there are,
                # LUT6 (and the multiplexers behind them) for all that the address can have.
                rows = shape.depth if chip.lut_inputs == 4 else 1 << counter_bits(shape.depth)
                if shape.depth <= rows_of_lut:
                    part.add(rom=min(shape.width, 1 << shape.depth))
                elif chip.lut_inputs == 6 and shape.bits >= LARGE_ROM:
                    part.add(large=shape.width * rows / rows_of_lut)
                else:
                    part.add(deep=shape.width * rows / rows_of_lut)
            elif found.logic:
                part.add(cells=shape.bits)
            part.add(muxes=found.muxes, imitated=found.imitated)
            if chip.shifts and part.kind == "buffer" and len(part.memories) == 1:
                # Nothing between the memory's imitated register and the two behind it.
                part.add(shifts=found.imitated)
        for clocks, bits in part.delays.items():
            if chip.shifts and clocks >= SHORTEST:
                part.add(shifts=bits)
            else:
                part.add(held=clocks * bits)
    return parts


def core_parts(core: CoreInstance, family: str) -> list[Part]:
    """Parts of a core with the gearboxes and FIFOs in front of it, without the memories' share."""
    parts = _PARTS[type(core.spec)](core.name, core.spec, family)
    for branch in core.branches:
        if branch.buffer is not None:
            parts.append(_wait(core.name, branch.given.width, *branch.buffer))
        if branch.given != branch.taken:
            parts += _gear(core.name, branch.given, branch.taken)
        if branch.ahead is not None:
            parts.append(_wait(core.name, branch.taken.width, *branch.ahead))
    return parts


def _pool(name: str, spec: PoolSpec, _: str) -> list[Part]:
    g, edge = spec.geometry, spec.geometry.edge
    memories = spec.memories()
    part = Part(name, "pool", memories=within(memories, "fifo"))
    values = spec.beat_steps * edge.lanes * spec.out_bits
    part.add(
        each=1,
        values=values,
        sums=values if spec.mode == "sum" or (spec.mode == "max" and spec.bits > 1) else 0,
        first=values if spec.mode == "first" else 0,
    )
    loops = spec.loops()
    return [part, walker_part(name, g, loops, 0), buffer_part(name, g, loops, memories)]


def _merge(name: str, spec: MergeSpec, _: str) -> list[Part]:
    widths = [edge.width for edge in spec.inputs]
    part = Part(name, "merge", {"each": 1, "bits": sum(widths)})
    joined = spec.out_edge.width
    part.add(**{"sums" if spec.mode == "add" else "gates": joined * (len(widths) - 1)})
    return [part]


_PARTS: dict[type[CoreSpec], Callable[..., list[Part]]] = {
    ConvSpec: conv_parts,
    PoolSpec: _pool,
    MergeSpec: _merge,
}


def _wait(name: str, width: int, kind: str, depth: int) -> Part:
    part = Part(name, f"wait {kind}", {"each": 1, "level": 3 * counter_bits(depth + 1)})
    part.memories += SkipFifo.memories_of(width, depth, kind).values()
    part.add(bits=width if part.memories else width * depth)
    return part


def _gear(name: str, given: Edge, taken: Edge) -> list[Part]:
    parts = []
    edges = path(given, taken)
    for n, (a, b) in enumerate(zip(edges, edges[1:])):
        narrow, wide = sorted((a, b), key=lambda edge: edge.width)
        part = Part(name, "gear", {"each": 1, "wide": wide.width, "narrow": narrow.width})
        if memories := list(step_memories(a, b).values()):
            # A memory of two groups takes the place of the wide register.
            part = Part(name, "gear", {"store": 1, "narrow": narrow.width}, memories)
            part.add(turns=wide.width)
        parts.append(part)
        if n:
            fifo = list(Fifo.memories_of(a.width, BETWEEN).values())
            parts.append(Part(name, "gear", {"fifos": 1}, fifo))
    return parts


def _control(top: TopSpec) -> Part:
    convs = [c.spec for c in top.cores if isinstance(c.spec, ConvSpec)]
    regions = sum(1 + len(c.fronts) for c in convs if c.param_region is not None)
    counted = [c for c in top.cores if c.spec.stalls and not top.compact]
    part = Part("control", "control")
    part.add(each=1, cores=len(counted), chain=bool(regions), ident=top.ident is not None)
    if top.ident is not None:
        part.memories += WeightMemory.memories_of(len(top.ident), 32, False, "block").values()
    if not top.compact:
        part.memories += Tally.memories_of(len(counted)).values()
    return part


def _image(top: TopSpec) -> Part:
    pixels = top.height * top.width
    wide = canonical_edge(top.edge, pixels, top.axis_width)
    part = Part("axis_input", "image")
    narrow, wider = sorted((top.axis_width, wide.width))
    part.add(
        each=1,
        narrow=narrow,
        wide=wider if wider > narrow else 0,
        barrel=(narrow + wider) if wider % narrow else 0,
    )
    memories = ImageInput.memories_of(top.edge, pixels, top.axis_width, top.repeat, top.flight)
    part.memories += memories.values()
    if top.repeat:
        part.add(counts=counter_bits(memories["image"].depth))
    if wide != top.edge:
        for gear in _gear("axis_input", wide, top.edge):
            part.add(**{f"gear_{k}": v for k, v in gear.counts.items()})
    return part


def _result(top: TopSpec) -> Part:
    part = Part("axis_output", "result")
    part.add(each=1, classes=counter_bits(top.classes))
    part.memories += ResultOutput.memories_of(top.classes, top.logit_bits).values()
    return part
