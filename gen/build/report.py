"""Everything known about a build, as one dictionary."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from sterna.gen.build.folder import BOARD, PLACED
from sterna.gen.build.graph_rows import buffer_rows, graph_rows
from sterna.gen.build.headline import headline
from sterna.gen.build.measurements import fits, measurements, placed_is_of, read_object
from sterna.gen.build.provenance import commands, history, provenance
from sterna.gen.build.resources import KEYS, device_of, resource_rows
from sterna.gen.build.stage_list import SOLUTION
from sterna.gen.build.stages import Build
from sterna.gen.design.design import CoreDesign, Design
from sterna.gen.design.graph import pool_of
from sterna.gen.device.boards import BOARDS, chip_of
from sterna.gen.device.family import family_of
from sterna.gen.model.cost import Cost, Estimate, estimate, fitted
from sterna.golden.files import network_files as files
from sterna.golden.network import Network, WeightedNode

__all__ = ["core_rows", "estimated", "report"]


_PLACED = {
    "options": {"board": str, "uart": [str], "seeds": int},
    "clock_mhz": (int, float),
    "fmax_mhz": {"sync": (int, float)},
    "used": {"luts": [int], "*": [int]},
    "tools": dict,
}
"""What a report says of a place and route."""


def report(build: Build, board: str | None = None) -> dict[str, Any]:
    """The report of a folded build.

    Parameters
    ----------
    build : Build
    board : str, optional
        Whose device the shares are of; default the one it is made for, or the smallest that holds
        it (`gen.build.resources.device_of`).

    Returns
    -------
    dict
        ``network``, ``structure_id``, ``weights_id``, ``steps``, ``family``, ``clock_mhz``,
        ``lanes``, ``weights``, ``weight_bits``, ``clocks_per_image`` (the law's bound),
        ``bottleneck``, ``modelled_clocks_per_image`` and ``latency_clocks`` (the token model's),
        ``warning`` (the network is slower than the law, or None), ``fps`` (at ``clock_mhz``),
        ``layers`` (one row a core), ``buffers`` (one a branch that waits), ``measured``,
        ``estimate`` (of luts, ff, bram ... before any synthesis, by `gen.model.cost`; None for a
        family without coefficients), ``ends_estimate`` (of it what no core takes: control and AXI),
        ``solver`` (what `gen.fold.solve` says of its choice, or None), ``tools`` (version and kind
        of the yosys and nextpnr that synthesised or placed it, by name); ``graph``, ``classes``
        (names), ``device``, ``resources``, ``placed`` (the last place and route, of this structure,
        or None), ``headline`` (`gen.build.headline`), ``provenance``, ``history``, ``commands``
        (`gen.build.provenance`); ``raster``, ``training`` and ``frontier``, None until a command
        made them.

    Raises
    ------
    UsageError
        There is no such board.
    """
    network, design = build.network, build.design
    layers = core_rows(network, design)
    costs = _costs(network, design, design.family)
    for row in layers:
        row["estimate"] = costs.cores[row["name"]].as_dict() if costs is not None else None
    structure = files.structure_id(network, design.to_json())
    measured = measurements(build)
    apart = {name: measured.pop(name, None) for name in ("raster", "training", "frontier")}
    placed = _placed(build)
    answer = {
        "network": network.name,
        "structure_id": structure,
        "weights_id": files.weights_id(network),
        "steps": network.steps,
        "family": design.family,
        "clock_mhz": design.clock_mhz,
        "lanes": sum(row["lanes"] for row in layers),
        "weights": sum(row["weights"] for row in layers),
        "weight_bits": sum(row["weight_bits"] for row in layers),
        "clocks_per_image": design.interval,
        "bottleneck": design.bottleneck,
        "modelled_clocks_per_image": design.modelled_interval,
        "latency_clocks": design.latency,
        "warning": design.warning,
        "fps": design.clock_mhz * 1e6 / design.interval,
        "layers": layers,
        "buffers": buffer_rows(network, design),
        "estimate": None if costs is None else costs.total.as_dict(),
        "ends_estimate": None if costs is None else _ends(costs, layers).as_dict(),
        "solver": read_object(build.folder / SOLUTION),
        "measured": measured,
        "tools": _tools(measured, placed),
        "graph": graph_rows(network, design),
        "classes": list(build.classes),
        "placed": placed,
        **apart,
    }
    return answer | _held_against(build, answer, board)


def _held_against(build: Build, answer: dict[str, Any], board: str | None) -> dict[str, Any]:
    """What follows from the rest: a device, and what is used of it; where all comes from."""
    measured, placed, family = answer["measured"], answer["placed"], answer["family"]
    said = build.record().get("fold", {}).get("options", {}).get("board")
    made_for = chip_of(said) if said in BOARDS else None
    if placed is not None:
        made_for = chip_of(placed["board"])
    cost = answer["estimate"]
    need = None if cost is None else {k: cost[k] for k in KEYS}
    device = device_of(family_of(family).coefficients, board, made_for, need)
    on = family if device is None else device["family"]
    rows = resource_rows(device, estimated(build, on), measured, placed, on)
    out = {
        "device": device,
        "resources": rows,
        "provenance": provenance(build),
        "history": history(build, measured, placed),
        "commands": commands(build, None if device is None else device["board"]),
    }
    return out | {"headline": headline(answer | out)}


def _placed(build: Build) -> dict[str, Any] | None:
    """The last place and route, where it was of this design."""
    found = read_object(build.folder / BOARD / PLACED)
    if found is None or not placed_is_of(found, build) or not fits(found, _PLACED):
        return None
    options = found["options"]
    where = chip_of(options["board"])
    said = {"board": where.name, "family": where.family, **{k: found[k] for k in _PLACED}}
    return said | {"seeds": options["seeds"]}


def _tools(
    measured: Mapping[str, Mapping[str, Any]], placed: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Of the measurements, and of the last place and route."""
    found = [m.get("tools") for m in (*measured.values(), placed or {})]
    return {k: tool for tools in found if isinstance(tools, dict) for k, tool in tools.items()}


def _costs(network: Network, design: Design, family: str) -> Estimate | None:
    if not fitted([family]):
        return None
    # A neuron with several weighted inputs is one piece of hardware, counted at its main core.
    found = estimate(network, design, family)
    names = {c.name: found.cores.get(c.name, Cost()) for c in design.cores}
    return Estimate(family, found.cores | names)


def _ends(costs: Estimate, layers: Sequence[Mapping[str, Any]]) -> Cost:
    names = {row["name"] for row in layers}
    return sum((c for name, c in costs.cores.items() if name not in names), Cost())


def estimated(build: Build, family: str) -> dict[str, Any] | None:
    """What the cost model says of a build on ``family``; None for a family it does not know."""
    costs = _costs(build.network, build.design, family)
    return None if costs is None else costs.total.as_dict()


def core_rows(network: Network, design: Design) -> list[dict[str, Any]]:
    """One row a core: what it is, how it is folded, its clocks an image, how busy it is."""
    return [_row(network, design, core) for core in design.cores]


def _row(network: Network, design: Design, core: CoreDesign) -> dict[str, Any]:
    node = network[core.name]
    weighted = isinstance(node, WeightedNode)
    weights = int(node.weight.size) if weighted else 0
    channels, height, width = network.shape[core.target]
    return {
        "name": core.name,
        "op": node.op,
        "output": f"{channels}x{height}x{width}",
        "kind": node.kind if weighted else "",
        "weights": weights,
        "weight_bits": node.weight_bits if weighted and not core.constants else 0,
        "pe": core.pe,
        "simd": core.simd,
        "tp": core.tp,
        "lanes": core.pe * core.simd * core.tp if weighted else 0,
        "memory": _memory(core) if weighted else "",
        "engine": core.engine if weighted else "",
        "pool": _pool(network, core) if weighted else "",
        "banks": core.banks,
        "reads": core.reads,
        "clocks": core.interval,
        "busy": core.interval / design.interval,
        "bound_by": max(core.law, key=lambda term: core.law[term]),
        "target": core.target,
    }


def _pool(network: Network, core: CoreDesign) -> str:
    """The pool of a core's sums, and how often it computes each where windows overlap."""
    if (pool := pool_of(network, core.name)) is None:
        return ""
    under, made = 1, prod(pool.kernel) * prod(network.shape[pool.name][1:])
    for count, k, s in zip(network.shape[pool.name][1:], pool.kernel, pool.stride, strict=True):
        under *= (count - 1) * min(k, s) + k
    again = f", sums made {made / under:.2f} times" if made > under else ""
    return f"{pool.mode} {pool.kernel[0]}x{pool.kernel[1]}{again}"


def _memory(core: CoreDesign) -> str:
    style = "" if core.ram_style == "auto" else f", {core.ram_style}"
    return core.memory + style + (f", {core.reads} reads" if core.reads > 1 else "")
