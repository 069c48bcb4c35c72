"""The foldings worth a look: of every neuron, clocks an image against estimated cost."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sterna.gen.design.banks import bank_choices, banks_of
from sterna.gen.design.design import Design
from sterna.gen.design.engines import engine_of, one_row, tables_fit
from sterna.gen.design.graph import weighted_inputs
from sterna.gen.design.instances import core_instances
from sterna.gen.design.legal import MAX_LANES, refusal
from sterna.gen.design.reads import read_choices, reads_of
from sterna.gen.design.specs import is_depthwise, weight_rows
from sterna.gen.design.streams import input_edge
from sterna.gen.device.memories import STYLES
from sterna.gen.fold.fold import compute_clocks, legal_choices, visit_items
from sterna.gen.model.cost import Cost, estimate_core
from sterna.golden.errors import DesignError
from sterna.golden.fabric import fabric_of
from sterna.golden.network import Network
from sterna.golden.window import window_split
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.input_join import ShortcutSpec
from sterna.hw.stream.edge import MAX_WIDTH
from sterna.hw.top.network_top import CoreInstance

__all__ = ["Candidate", "candidates"]

Entries = dict[str, dict[str, Any]]
NEAR = 1.6
"""A folding is looked at where lanes and neurons alone say that it is at most this much dearer than
the cheapest one that is as fast."""
FEW = 3  # of those of equal pe
CONSTANT = 0.13
TABLES = 0.55
"""A weight in the logic, and a lane of tables, against a lane with a weight from a memory, in LUTs;
zeros in the logic cost nothing."""


@dataclass(frozen=True)
class Candidate:
    """Foldings of all weighted inputs of one neuron: clocks an image, cost, entries by node.
    narrow: weight words are read in pieces, to spare ports of block RAM."""

    clocks: int
    cost: Cost
    entries: Entries
    narrow: bool = False


def candidates(
    network: Network,
    design: Design,
    groups: list[list[str]],
    given: Entries,
    constants: bool = False,
) -> dict[str, list[Candidate]]:
    """By the first node of every group, fastest first. ``design``: any of this network, with its
    family, memories and widths; ``given``: parts of foldings that are decided; ``constants``:
    weights may be put into the logic (engine 'constant') where ``given`` names no engine.

    DesignError, naming the node, where a group has none.
    """
    made = {c.target: c for c in core_instances(network, design)}
    out, known = {}, {}
    for group in groups:
        base = made[network.readers(group[0])[0]]
        found = []
        worth = _worth(network, group, given, design.family, constants)
        for entries in _stored(network, worth, design, given):
            spec = _spec(network, design.family, base, entries)
            clocks = max(_clocks(network, n, e) for n, e in entries.items())
            key = _key(spec)
            if key not in known:
                instance = CoreInstance(base.name, base.target, spec, ())
                known[key] = estimate_core(instance, design.family)
            narrow = any(reads_of(e) > reads_of(given.get(n, {})) for n, e in entries.items())
            found.append(Candidate(clocks, known[key], entries, narrow))
        if not found:
            raise DesignError(
                f"node '{group[-1]}': no folding is possible for {', '.join(map(repr, group))} "
                "with what is given; give them the same pe, with simd and tp of fewer lanes"
            )
        out[group[0]] = found
    return out


def _key(spec: ConvSpec) -> tuple[Any, ...]:
    """Equal for cores of equal cost."""
    fronts = tuple(
        (
            f.geometry,
            f.out_channels,
            f.channels,
            f.split_channels,
            f.groups,
            f.depthwise,
            f.kind,
            f.bits,
            f.held,
            f.pe,
            f.tp,
            f.z_width,
            f.weight_region is None,
            f.ram_style,
            f.engine,
            f.banks,
            f.reads,
            tuple(f.weights) if f.engine == "constant" else None,
        )
        for f in spec.fronts
    )
    rule, bounds = spec.params.rule, spec.params.bounds
    names = ("u", "v", "current", "margin", "drive", "x")
    widths = tuple(bounds.width(n) for n in names)
    return (
        fronts,
        widths,
        tuple(spec.params.fields.items()),
        rule.reset,
        rule.leak,
        str(rule.synapse),
        spec.steps,
        spec.readout,
        len(spec.shortcuts),
        spec.params.shared_reset,
    )


def _worth(
    network: Network, group: list[str], given: Entries, family: str, constants: bool
) -> Iterator[Entries]:
    """Foldings that may be the best ones, by a rough count of lanes and neurons. ``constants``:
    weights may be in the logic wherever nothing is said of the engine."""
    rough = _rough(network, group, given, family)
    least, seen = float("inf"), []
    for _, cost, entries in sorted(rough, key=lambda r: (r[0], r[1])):
        least = min(least, cost)
        if cost <= NEAR * least and entries not in seen:
            seen.append(entries)
            yield entries
    # One engine's rough count says little of the other's: no folding above goes for one of these.
    for engine in ("constant", "tables") if constants else ("tables",):
        known = _with_engine(network, group, given, engine, family)
        for clocks, cost, entries in _rough(network, group, known, family) if known else ():
            if cost <= NEAR * min([c for n, c, _ in rough if n <= clocks] or [cost]):
                yield entries


def _stored(
    network: Network, every: Iterator[Entries], design: Design, given: Entries
) -> Iterator[Entries]:
    """Each folding with what yosys would make of its weight memories, then with other storage:
    block RAM may be what runs out, or what there is enough of; last with words read in pieces.
    Where styles and reads are given, those."""
    has_lut_ram = fabric_of(design.family).lut_ram is not None
    built_in = {c.name for c in design.cores if c.patchable or not has_lut_ram}
    fixed = {n: e["ram_style"] for n, e in given.items() if "ram_style" in e}
    for entries in every:
        free = {n for n, e in entries.items() if e["engine"] != "constant"} - set(fixed)
        styles = [s for s in STYLES if s != "distributed" or not free & built_in]
        for style in styles if free else ("auto",):
            yield {
                n: e | {"ram_style": style if n in free else fixed.get(n, "auto")}
                for n, e in entries.items()
            }
        several = {
            n: read_choices(network, n, e)
            for n, e in entries.items()
            if "reads" not in given.get(n, {})
        }
        for reads in sorted({r for choices in several.values() for r in choices}):
            yield {
                n: e
                | {"ram_style": fixed.get(n, "auto")}
                | ({"reads": reads} if reads in several.get(n, ()) else {})
                for n, e in entries.items()
            }


def _with_engine(
    network: Network, group: list[str], given: Entries, engine: str, family: str
) -> Entries:
    """What is given, with another engine for all of the group; empty where that cannot be."""
    out: Entries = {}
    for name in group:
        mine = given.get(name, {})
        if "engine" in mine or reads_of(mine) > 1:
            return {}
        if engine == "constant" and mine.get("ram_style", "auto") != "auto":
            return {}  # storage is demanded, so there is a memory
        if engine == "constant" and mine.get("memory", "rom") != "rom":
            return {}
        out[name] = mine | {"engine": engine}
        if engine == "constant":
            out[name] |= (whole := one_row(network, name))
            if not whole or any(mine.get(k, v) != v for k, v in whole.items()):
                return {}
            if refusal(network, name, whole | {"tp": mine.get("tp", 1)}):
                return {}
        elif not tables_fit(network, name, legal_choices(network, name, out[name], family), family):
            return {}
    return out


def _rough(
    network: Network, group: list[str], given: Entries, family: str
) -> list[tuple[int, float, Entries]]:
    """(clocks, rough cost, folding of each node) of one neuron's inputs."""
    legal = {name: legal_choices(network, name, given.get(name, {}), family) for name in group}
    shared = set.intersection(*(set(c["pe"]) for c in legal.values()))
    for most in (MAX_LANES, 1 << 40):
        rough = []
        for pe in sorted(shared):
            of = {n: _of_pe(network, n, legal[n], pe, given.get(n, {}), most) for n in group}
            rough += _together(group, of)
        if rough:
            return rough
    return []


def _together(
    group: list[str], of: dict[str, list[tuple[int, float, dict[str, Any]]]]
) -> list[tuple[int, float, Entries]]:
    """`_rough` of one pe: ``of`` has the foldings of each node."""
    rough: list[tuple[int, float, Entries]] = []
    if all(of.values()):
        for clocks in sorted({c for options in of.values() for c, _, _ in options}):
            fits = {n: [o for o in options if o[0] <= clocks] for n, options in of.items()}
            if not all(fits.values()):
                continue
            for k in range(FEW if len(group) == 1 else 1):
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
    given: dict[str, Any],
    most: int,
) -> list[tuple[int, float, dict[str, Any]]]:
    node, engine, out = network.weighted(name), engine_of(given), []
    for simd in legal["simd"]:
        for tp in legal["tp"]:
            if pe * simd * tp > most:
                continue
            if refusal(network, name, given | {"pe": pe, "simd": simd, "tp": tp}):
                continue
            choices = bank_choices(network, name, visit_items(network, name, simd, tp))
            for banks in [given["banks"]] if "banks" in given else choices:
                entry = {"pe": pe, "simd": simd, "tp": tp, "engine": engine}
                entry |= {"banks": banks} if banks > 1 else {}
                entry |= {"reads": reads_of(given)} if reads_of(given) > 1 else {}
                if engine == "constant":
                    lanes = CONSTANT * tp * int((node.weight != 0).sum())
                elif engine == "tables":
                    lanes = TABLES * pe * simd * tp
                else:
                    lanes = pe * simd * (tp + 1 / 4)
                cost = lanes + 20 * pe * banks + 2 * simd * tp
                out.append((_clocks(network, name, entry), cost, entry))
    return out


def _clocks(network: Network, name: str, entry: dict[str, Any]) -> int:
    return compute_clocks(network, name, entry["pe"], entry["simd"], entry["tp"], banks_of(entry))


def _spec(network: Network, family: str, base: CoreInstance, entries: Entries) -> ConvSpec:
    """The core of another folding, with the streams it would like."""
    spec = base.spec
    assert isinstance(spec, ConvSpec)
    target = network.neuron(base.target)
    names = weighted_inputs(network, target)
    pe = entries[names[0]]["pe"]
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
    network: Network, front: FrontSpec, name: str, entry: dict[str, Any], family: str
) -> FrontSpec:
    node = network.weighted(name)
    shape = network.shape[node.input]
    split = window_split(node, shape, entry["simd"])
    clocks = _clocks(network, name, entry)
    edge = input_edge(network, name, entry, None, clocks, family)
    geometry = replace(front.geometry, edge=edge, rows=split.rows, columns=split.columns)
    assert front.depthwise == is_depthwise(node, shape)
    rows = entry["engine"] == "constant"  # no contents but what the logic is made of
    return replace(
        front,
        geometry=geometry,
        split_channels=split.channels,
        pe=entry["pe"],
        tp=entry["tp"],
        family=family,
        engine=entry["engine"],
        ram_style=entry["ram_style"],
        banks=banks_of(entry),
        reads=reads_of(entry),
        weights=weight_rows(node, shape, entry["pe"], entry["simd"]) if rows else [],
    )
