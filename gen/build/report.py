"""Everything known about a build, as one dictionary and as printed tables.

Measurements that other commands left in the build folder (``measured/*.json``) are included only if
they were made on this very Verilog and these very weights.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sterna.gen.build.drawing import draw, waits_for
from sterna.gen.build.folder import LIMIT
from sterna.gen.build.stage_list import SOLUTION
from sterna.gen.build.stages import Build
from sterna.gen.design.design import CoreDesign, Design
from sterna.gen.model.cost import Cost, Estimate, estimate, fitted
from sterna.golden import files
from sterna.golden.disk import canonical_json, parse_json, read_bytes
from sterna.golden.errors import FileError
from sterna.golden.network import Conv2d, Linear, Network

__all__ = [
    "buffer_rows",
    "core_rows",
    "estimated",
    "keep_measurement",
    "measurements",
    "page",
    "report",
    "rows_text",
    "table",
]


def report(build: Build) -> dict[str, Any]:
    """The report of a folded build.

    Keys: ``network``, ``structure_id``, ``weights_id``, ``steps``, ``family``, ``clock_mhz``,
    ``lanes``, ``weights``, ``weight_bits``, ``clocks_per_image`` (the law's bound),
    ``bottleneck``, ``modelled_clocks_per_image`` and ``latency_clocks`` (the token model's),
    ``warning`` (the network is slower than the law, or None), ``fps`` (at ``clock_mhz``),
    ``layers`` (one row a core), ``buffers`` (one a branch that waits), ``measured``, ``estimate``
    (of lut, ff, bram, lutram before any synthesis, by `gen.model.cost`; None for a family without
    coefficients), ``ends_estimate`` (of it what no core takes: control and AXI), ``solver`` (what
    `gen.fold.solve` says of its choice, or None), ``tools`` (version and kind of the yosys and
    nextpnr that synthesised or placed it, by name).
    """
    network, design = build.network, build.design
    layers = core_rows(network, design)
    costs = _costs(network, design, design.family)
    for row in layers:
        row["estimate"] = costs.cores[row["name"]].as_dict() if costs is not None else None
    return {
        "network": network.name,
        "structure_id": files.structure_id(network, design.to_json()),
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
        "solver": _read(build.folder / SOLUTION),
        "measured": (measured := measurements(build)),
        "tools": _tools(build, measured),
    }


def _tools(build: Build, measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of the measurements, and of the last place and route where it was of this structure."""
    found = [m.get("tools") for m in measured.values()]
    placed = _read(build.folder / "board" / "placed_record.json") or {}
    if placed.get("structure_id") == files.structure_id(build.network, build.design.to_json()):
        found.append(placed.get("tools"))
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


def buffer_rows(network: Network, design: Design) -> list[dict[str, Any]]:
    """One row a FIFO: the stream (``node``) and who reads it, depth in beats, width and bits, the
    token model's smallest depths, what its beats wait for."""
    rows = []
    for branch in design.buffers:
        buffer = branch.buffer
        assert buffer is not None
        rows.append(
            {
                "node": branch.source,
                "reader": branch.reader,
                "port": branch.port,
                "kind": buffer.kind,
                "depth": buffer.depth,
                "width": branch.given.edge.width,
                "min_no_deadlock": buffer.min_no_deadlock,
                "min_full_rate": buffer.min_full_rate,
                "margin": buffer.margin,
                "bits": buffer.bits,
                "waits_for": waits_for(network, branch),
            }
        )
    return rows


def _row(network: Network, design: Design, core: CoreDesign) -> dict[str, Any]:
    node = network[core.name]
    weighted = isinstance(node, Conv2d | Linear)
    weights = int(node.weight.size) if weighted else 0
    bits = 2 if weighted and node.kind == "ternary" else 1
    channels, height, width = network.shape[core.target]
    return {
        "name": core.name,
        "op": node.op,
        "output": f"{channels}x{height}x{width}",
        "kind": node.kind if weighted else "",
        "weights": weights,
        "weight_bits": 0 if core.engine == "constant" else weights * bits,
        "pe": core.pe,
        "simd": core.simd,
        "tp": core.tp,
        "lanes": core.pe * core.simd * core.tp if weighted else 0,
        "memory": _memory(core) if weighted else "",
        "engine": core.engine if weighted else "",
        "banks": core.banks,
        "reads": core.reads,
        "clocks": core.interval,
        "busy": core.interval / design.interval,
    }


def _memory(core: CoreDesign) -> str:
    style = "" if core.ram_style == "auto" else f", {core.ram_style}"
    return core.memory + style + (f", {core.reads} reads" if core.reads > 1 else "")


def _engine(row: Mapping[str, Any]) -> str:
    return row["engine"] + (f", {row['banks']} banks" if row["banks"] > 1 else "")


def table(answer: Mapping[str, Any]) -> str:
    """The report for people."""
    heads = (
        "core",
        "output",
        "weights",
        "pe",
        "simd",
        "tp",
        "lanes",
        "memory",
        "engine",
        "clocks",
        "busy",
        "~LUT",
        "~FF",
        "BRAM",
    )
    rows: list[tuple[Any, ...]] = [
        (
            r["name"],
            r["output"],
            f"{r['weights']} {r['kind']}" if r["weights"] else "",
            r["pe"],
            r["simd"],
            r["tp"],
            r["lanes"] or "",
            r["memory"],
            _engine(r),
            r["clocks"],
            f"{r['busy']:.0%}",
            *_core_cost(r),
        )
        for r in answer["layers"]
    ]
    if answer["ends_estimate"] is not None:
        ends = _core_cost({"estimate": answer["ends_estimate"]})
        rows.append(("control, AXI", *[""] * (len(heads) - 1 - len(ends)), *ends))
    if all(r["estimate"] is None for r in answer["layers"]):
        heads, rows = heads[:-3], [row[:-3] for row in rows]
    title = (
        f"{answer['network']}: T = {answer['steps']}, {answer['weights']} weights, "
        f"{answer['lanes']} lanes, family {answer['family']}"
    )
    rate = (
        f"{answer['clocks_per_image']} clocks an image ({answer['bottleneck']}): "
        f"{answer['fps']:.0f} images a second at {answer['clock_mhz']:g} MHz"
    )
    lines = [title, rows_text(heads, rows), rate]
    lines += [f"warning: {answer['warning']}"] if answer["warning"] else []
    if answer["buffers"]:
        lines.append(rows_text(*_buffer_cells(answer)))
    if answer["estimate"] is not None:
        lines.append(f"estimate for {answer['family']}: {cost_text(answer['estimate'])}")
    if answer["solver"] is not None:
        lines += solver_lines(answer["solver"])
    for name, values in answer["measured"].items():
        shown = ", ".join(
            f"{k} {_number(v)}" for k, v in values.items() if isinstance(v, int | float | str)
        )
        lines.append(f"{name}: {shown}")
        if values.get("estimate"):
            lines.append(f"{' ' * len(name)}  estimated {cost_text(values['estimate'])}")
    return "\n".join(lines)


def _core_cost(row: Mapping[str, Any]) -> tuple[Any, ...]:
    cost = row["estimate"]
    if cost is None:
        return "", "", ""
    return cost["lut"] + cost["lutram"], cost["ff"], cost["bram"]


def cost_text(cost: Mapping[str, Any]) -> str:
    """A cost in words."""
    return (
        f"{cost['lut'] + cost['lutram']:,} LUTs ({cost['lutram']:,} of them LUT RAM), "
        f"{cost['ff']:,} flip-flops, {cost['bram']:g} block RAMs"
    )


def solver_lines(solver: Mapping[str, Any]) -> list[str]:
    """What the solver says: what limits, and the neighbours on the frontier."""
    lines = []
    limits = {k: v for k, v in solver["limits"].items() if k != "where"}
    chosen = solver["chosen"]
    words = {"lut": "LUTs", "ff": "flip-flops", "bram": "block RAMs"}
    used = {"lut": chosen["luts"], "ff": chosen["ff"], "bram": chosen["bram"]}
    if limits:
        shares = ", ".join(
            f"{used[k] / v:.0%} of {v:,g} {words[k]}" for k, v in limits.items() if v
        )
        lines.append(
            f"uses {shares}"
            + (f" ({solver['limits']['where']})" if "board" in solver["goal"] else "")
        )
    lines.append(f"limit: {solver['limited_by']}")
    rows = [
        (
            name,
            f"{c['clocks_per_image']:,}",
            f"{c['fps']:,.0f}",
            f"{c['luts']:,}",
            f"{c['ff']:,}",
            f"{c['bram']:g}",
        )
        for name in ("faster", "chosen", "slower")
        if (c := solver[name]) is not None
    ]
    lines.append(rows_text(("frontier", "clocks", "fps", "~LUT", "~FF", "BRAM"), rows))
    return lines


def _buffer_cells(answer: Mapping[str, Any]) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    heads = ("buffer", "depth", "width", "bits", "kind", "least", "full rate", "waits for")
    return heads, [
        (
            f"{r['node']} to {r['reader']}",
            r["depth"],
            r["width"],
            r["bits"],
            r["kind"],
            r["min_no_deadlock"],
            r["min_full_rate"],
            ", ".join(r["waits_for"]) or r["reader"],
        )
        for r in answer["buffers"]
    ]


def page(build: Build, answer: Mapping[str, Any]) -> str:
    """report.html: the graph with its buffers, and the tables; one file, nothing loaded."""
    graph = draw(build.network, build.design)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{escape(answer['network'])}</title>"
        "<style>body{font:14px sans-serif;margin:2em}pre{overflow-x:auto}</style>"
        f"<h1>{escape(answer['network'])}</h1><pre>{escape(table(answer))}</pre>{graph}</html>\n"
    )


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def rows_text(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in plain text: the first column left, the others right."""
    text = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[k]) for row in text) for k in range(len(heads))]
    lines = []
    for row in text:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _identity(build: Build, verilog: str | None) -> dict[str, str | None]:
    network = build.network
    return {
        "verilog": verilog,  # a newer generator may write another one
        "structure_id": files.structure_id(network, build.design.to_json()),
        "weights_id": files.weights_id(network),
    }


def keep_measurement(build: Build, name: str, values: Mapping[str, Any]) -> None:
    """Leave ``values`` in ``measured/<name>.json`` for the report, with what they are of."""
    # What was measured, whatever another command has written since.
    verilog = build.made_hash("verilog", build.verilog.name)
    body = canonical_json({"of": _identity(build, verilog), "values": dict(values)})
    with build.held():
        build.write(f"measured/{name}.json", body)


def measurements(build: Build) -> dict[str, dict[str, Any]]:
    """What :func:`keep_measurement` left of this design with these weights, by name."""
    found = {}
    of = _identity(build, build.hash(build.verilog.name))
    for path in sorted((build.folder / "measured").glob("*.json")):
        body = _read(path)
        if body is not None and body.get("of") == of and isinstance(body.get("values"), dict):
            found[path.stem] = body["values"]
    return found


def _read(path: Path) -> dict[str, Any] | None:
    # A damaged measurement is no measurement; nothing is built from these files.
    try:
        body = parse_json(read_bytes(path, LIMIT), path)
    except FileError:
        return None
    return body if isinstance(body, dict) else None
