"""The foldings worth a look: of every neuron, clocks an image against estimated cost."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

from sterna.gen.design.design import Design
from sterna.gen.design.engines import one_row, rows_fit
from sterna.gen.design.folding import Folding, Foldings, Given, legal_values, refusal
from sterna.gen.design.graph import neuron_of, weighted_inputs
from sterna.gen.design.instances import core_instances
from sterna.gen.design.legal import MAX_LANES, is_depthwise, word_clocks
from sterna.gen.design.specs import conv_geometry, front_keys, weight_rows
from sterna.gen.design.streams import input_edge
from sterna.gen.fold.complete import compute_clocks, legal_choices, visit_items
from sterna.gen.model.conv_features import ENGINE_COSTS
from sterna.gen.model.cost import Cost, estimate_core
from sterna.gen.tools.progress import at
from sterna.golden.device.fabric import fabric_of
from sterna.golden.errors import DesignError
from sterna.golden.network import Network
from sterna.golden.window import window_split
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.input_join import ShortcutSpec
from sterna.hw.dot.engines import ENGINES
from sterna.hw.memory.shape import STYLES
from sterna.hw.neuron.scan import NeuronScan
from sterna.hw.stream.edge import MAX_WIDTH
from sterna.hw.top.network_top import CoreInstance

__all__ = ["Candidate", "bank_choices", "candidates", "read_choices"]

WORTH = 1.6
"""A folding is looked at where lanes and neurons alone say that it is at most this much dearer than
the cheapest one that is as fast."""
PER_PE = 3  # of those of equal pe


@dataclass(frozen=True)
class Candidate:
    """Foldings of all weighted inputs of one neuron: clocks an image, cost, foldings by node.
    narrow: weight words are read in pieces, to spare ports of block RAM."""

    clocks: int
    cost: Cost
    entries: Foldings
    narrow: bool = False


def candidates(
    network: Network,
    design: Design,
    groups: list[list[str]],
    given: dict[str, Given],
    constants: bool = False,
) -> dict[str, list[Candidate]]:
    """By the first node of every group, fastest first. ``design``: any of this network, with its
    family, memories and widths; ``given``: parts of foldings that are decided; ``constants``:
    weights may be put into the logic where ``given`` names no engine.

    DesignError, naming the node, where a group has none.
    """
    made = {c.target: c for c in core_instances(network, design)}
    out, known = {}, {}
    for group in groups:
        base = made[neuron_of(network, group[0]).name]
        found = []
        worth = _worth(network, group, given, design.family, constants)
        for entries in _stored(network, worth, design, given):
            spec = _spec(network, design.family, base, entries)
            clocks = max(compute_clocks(network, n, f) for n, f in entries.items())
            key = _key(spec)
            if key not in known:
                instance = CoreInstance(base.name, base.target, spec, ())
                known[key] = estimate_core(instance, design.family)
            narrow = any(f.reads > given[n].reads for n, f in entries.items())
            found.append(Candidate(clocks, known[key], entries, narrow))
        if not found:
            raise DesignError(
                f"node '{group[-1]}': no folding is possible for {', '.join(map(repr, group))} "
                "with what is given; give them the same pe, with simd and tp of fewer lanes"
            )
        out[group[0]] = found
        at(len(out), len(groups))
    return out


def bank_choices(network: Network, name: str, items: int) -> list[int]:
    """Banks worth a look where a visit has ``items`` clocks of window words: 1, then powers of two,
    then as many as let it last no longer."""
    most = min(len(legal_values(network, name, "banks")), -(-network.steps // items))
    return sorted({most, *(1 << k for k in range(most.bit_length()))})


def read_choices(network: Network, name: str, folding: Folding) -> list[int]:
    """More than one read, where block RAM is short of ports; empty where none is possible."""
    if not ENGINES[folding.engine].in_pieces:
        return []
    most = min(legal_values(network, name, "reads")[-1], word_clocks(network, name, folding.tp))
    return [n for n in (2, 4) if n <= most]


def _key(spec: ConvSpec) -> Hashable:
    """Equal for cores of equal cost."""
    # Of weights only those count that are logic, and of a region whether there is one.
    fronts = tuple(
        replace(
            f,
            shift=0,
            weight_region=None if f.weight_region is None else 0,
            weights=tuple(f.weights) if f.dot_engine.in_logic else (),
        )
        for f in spec.fronts
    )
    return (
        fronts,
        tuple(NeuronScan.size_of(spec.params).items()),
        tuple(spec.params.fields.items()),
        spec.params.bounds.width("x"),
        spec.params.bounds.width("u", "v", "current"),  # of a readout's words
        NeuronScan.latency_of(spec.params),
        spec.param_depth,
        spec.steps,
        spec.readout,
        len(spec.shortcuts),
    )


def _worth(
    network: Network, group: list[str], given: dict[str, Given], family: str, constants: bool
) -> Iterator[Foldings]:
    """Foldings that may be the best ones, by a rough count of lanes and neurons. ``constants``:
    weights may be in the logic wherever nothing is said of the engine."""
    rough = _rough(network, group, given, family)
    least, seen = float("inf"), []
    for _, cost, entries in sorted(rough, key=lambda r: (r[0], r[1])):
        least = min(least, cost)
        if cost <= WORTH * least and entries not in seen:
            seen.append(entries)
            yield entries
    # One engine's rough count says little of the other's: no folding above goes for one of these.
    for engine, made in ENGINES.items():
        if engine == Folding.engine or (made.in_logic and not constants):
            continue
        known = _with_engine(network, group, given, engine, family)
        for clocks, cost, entries in _rough(network, group, known, family) if known else ():
            if cost <= WORTH * min([c for n, c, _ in rough if n <= clocks] or [cost]):
                yield entries


def _stored(
    network: Network, every: Iterator[Foldings], design: Design, given: dict[str, Given]
) -> Iterator[Foldings]:
    """Each folding with what yosys would make of its weight memories, then with other storage:
    block RAM may be what runs out, or what there is enough of; last with words read in pieces.
    Where styles and reads are given, those."""
    has_lut_ram = fabric_of(design.family).lut_ram is not None
    built_in = {c.name for c in design.cores if c.patchable or not has_lut_ram}
    for entries in every:
        free = {
            n
            for n, f in entries.items()
            if not ENGINES[f.engine].in_logic and "ram_style" not in given[n].said
        }
        styles = [s for s in STYLES if s != "distributed" or not free & built_in]
        for style in styles if free else ("auto",):
            yield {n: replace(f, ram_style=style) if n in free else f for n, f in entries.items()}
        several = {
            n: read_choices(network, n, f)
            for n, f in entries.items()
            if "reads" not in given[n].said
        }
        for reads in sorted({r for choices in several.values() for r in choices}):
            yield {
                n: replace(f, reads=reads) if reads in several.get(n, ()) else f
                for n, f in entries.items()
            }


def _with_engine(
    network: Network, group: list[str], given: dict[str, Given], engine: str, family: str
) -> dict[str, Given]:
    """What is given, with another engine for all of the group; empty where that cannot be."""
    out: dict[str, Given] = {}
    for name in group:
        mine, in_logic = given[name], ENGINES[engine].in_logic
        if "engine" in mine.said or mine.reads > 1:
            return {}
        if in_logic and (mine.ram_style, mine.memory) != ("auto", "rom"):
            return {}  # where storage is demanded, there is a memory
        out[name] = mine.also(engine=engine)
        if in_logic:
            whole = one_row(network, name)
            if not whole or any(k in mine.said and getattr(mine, k) != v for k, v in whole.items()):
                return {}
            out[name] = out[name].also(**whole)
            if refusal(network, name, out[name].complete()):
                return {}
        elif not rows_fit(
            network, name, engine, family, legal_choices(network, name, out[name], family)
        ):
            return {}
    return out


def _rough(
    network: Network, group: list[str], given: dict[str, Given], family: str
) -> list[tuple[int, float, Foldings]]:
    """(clocks, rough cost, folding of each node) of one neuron's inputs."""
    legal = {name: legal_choices(network, name, given[name], family) for name in group}
    shared = set.intersection(*(set(c["pe"]) for c in legal.values()))
    for most in (MAX_LANES, 1 << 40):
        rough = []
        for pe in sorted(shared):
            of = {n: _of_pe(network, n, legal[n], pe, given[n], most) for n in group}
            rough += _together(group, of)
        if rough:
            return rough
    return []


def _together(
    group: list[str], of: dict[str, list[tuple[int, float, Folding]]]
) -> list[tuple[int, float, Foldings]]:
    """`_rough` of one pe: ``of`` has the foldings of each node."""
    rough: list[tuple[int, float, Foldings]] = []
    if all(of.values()):
        for clocks in sorted({c for options in of.values() for c, _, _ in options}):
            fits = {n: [o for o in options if o[0] <= clocks] for n, options in of.items()}
            if not all(fits.values()):
                continue
            for k in range(PER_PE if len(group) == 1 else 1):
                best = {n: sorted(f, key=lambda o: o[1]) for n, f in fits.items()}
                if k >= max(map(len, best.values())):
                    break
                chosen = {n: b[min(k, len(b) - 1)] for n, b in best.items()}
                rough.append(
                    (
                        max(c for c, _, _ in chosen.values()),
                        sum(cost for _, cost, _ in chosen.values()),
                        {n: e for n, (_, _, e) in chosen.items()},
                    )
                )
    return rough


def _of_pe(
    network: Network,
    name: str,
    legal: dict[str, list[int]],
    pe: int,
    given: Given,
    most: int,
) -> list[tuple[int, float, Folding]]:
    node, out = network.weighted(name), []
    for simd in legal["simd"]:
        for tp in legal["tp"]:
            if pe * simd * tp > most:
                continue
            folding = given.complete(pe=pe, simd=simd, tp=tp)
            if refusal(network, name, folding):
                continue
            choices = bank_choices(network, name, visit_items(network, name, simd, tp))
            for banks in [given.banks] if "banks" in given.said else choices:
                each = replace(folding, banks=banks)
                lanes = ENGINE_COSTS[each.engine].lanes(node.weight, pe, simd, tp)
                cost = lanes + 20 * pe * banks + 2 * simd * tp
                out.append((compute_clocks(network, name, each), cost, each))
    return out


def _spec(network: Network, family: str, base: CoreInstance, entries: Foldings) -> ConvSpec:
    """The core of another folding, with the streams it would like."""
    spec = base.spec
    assert isinstance(spec, ConvSpec)
    target = network.neuron(base.target)
    names = weighted_inputs(network, target)
    pe = entries[names[0]].pe
    fronts = [
        _front(network, front, name, entries[name], family)
        for name, front in zip(names, spec.fronts, strict=True)
    ]
    shortcuts = []
    for s in spec.shortcuts:
        steps = max(1, min(s.edge.pb // s.bits, MAX_WIDTH // (pe * s.bits)))
        edge = s.edge.resized(lanes=pe, pb=steps * s.bits)
        shortcuts.append(ShortcutSpec(s.name, edge, s.bits))
    return replace(
        spec,
        front=fronts[0],
        others=tuple(fronts[1:]),
        shortcuts=tuple(shortcuts),
        out_pb=max(1, min(spec.steps, MAX_WIDTH // pe)) if not spec.readout else 1,
    )


def _front(
    network: Network, front: FrontSpec, name: str, folding: Folding, family: str
) -> FrontSpec:
    node = network.weighted(name)
    shape = network.shape[node.input]
    split = window_split(node, shape, folding.simd)
    clocks = compute_clocks(network, name, folding)
    edge = input_edge(network, name, folding, None, clocks, family)
    geometry = conv_geometry(network, name, folding, edge, front.geometry.spare)
    assert front.depthwise == is_depthwise(node, shape)
    rows = ENGINES[folding.engine].in_logic  # no contents but what the logic is made of
    return replace(
        front,
        geometry=geometry,
        split_channels=split.channels,
        family=family,
        weights=weight_rows(node, shape, folding.pe, folding.simd, folding.nest) if rows else [],
        **front_keys(folding),
    )
