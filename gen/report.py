"""Everything known about a build, as one dictionary and as printed tables.

Measurements that other commands left in the build folder (``measured/*.json``) are included only if
they were made on this very Verilog and these very weights.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sterna.gen.design import CoreDesign, Design
from sterna.gen.drawing import draw, waits_for
from sterna.gen.stages import Build
from sterna.golden import files
from sterna.golden.disk import canonical_json, write_atomic
from sterna.golden.network import Conv2d, Linear, Network

__all__ = [
    "buffer_rows", "core_rows", "keep_measurement", "measurements", "page", "report", "rows_text",
    "table",
]  # fmt: skip


def report(build: Build) -> dict[str, Any]:
    """The report of a folded build.

    Keys: ``network``, ``structure_id``, ``weights_id``, ``steps``, ``family``, ``clock_mhz``,
    ``lanes``, ``weights``, ``weight_bits``, ``clocks_per_image`` (the law's bound),
    ``bottleneck``, ``modelled_clocks_per_image`` and ``latency_clocks`` (the token model's),
    ``warning`` (the network is slower than the law, or None), ``fps`` (at ``clock_mhz``),
    ``layers`` (one row a core), ``buffers`` (one a branch that waits), ``measured``.
    """
    network, design = build.network, build.design
    layers = core_rows(network, design)
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
        "measured": measurements(build),
    }


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
        rows.append({
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
        })  # fmt: skip
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
        "memory": core.memory if weighted else "",
        "engine": core.engine if weighted else "",
        "clocks": core.interval,
        "busy": core.interval / design.interval,
    }


def table(answer: Mapping[str, Any]) -> str:
    """The report for people."""
    heads = ("core", "output", "weights", "pe", "simd", "tp", "lanes", "memory", "engine", "clocks",
             "busy")  # fmt: skip
    rows = [
        (
            r["name"], r["output"], f"{r['weights']} {r['kind']}" if r["weights"] else "",
            r["pe"], r["simd"], r["tp"], r["lanes"] or "", r["memory"], r["engine"],
            r["clocks"], f"{r['busy']:.0%}",
        )
        for r in answer["layers"]
    ]  # fmt: skip
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
    for name, values in answer["measured"].items():
        shown = ", ".join(
            f"{k} {_number(v)}" for k, v in values.items() if isinstance(v, int | float | str)
        )
        lines.append(f"{name}: {shown}")
    return "\n".join(lines)


def _buffer_cells(answer: Mapping[str, Any]) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    heads = ("buffer", "depth", "width", "bits", "kind", "least", "full rate", "waits for")
    return heads, [
        (
            f"{r['node']} to {r['reader']}", r["depth"], r["width"], r["bits"], r["kind"],
            r["min_no_deadlock"], r["min_full_rate"], ", ".join(r["waits_for"]) or r["reader"],
        )
        for r in answer["buffers"]
    ]  # fmt: skip


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


def _identity(build: Build) -> dict[str, str | None]:
    network = build.network
    return {
        "verilog": build.hash(build.verilog.name),  # a newer generator may write another one
        "structure_id": files.structure_id(network, build.design.to_json()),
        "weights_id": files.weights_id(network),
    }


def keep_measurement(build: Build, name: str, values: Mapping[str, Any]) -> None:
    """Leave ``values`` in ``measured/<name>.json`` for the report, with what they are of."""
    body = canonical_json({"of": _identity(build), "values": dict(values)})
    write_atomic(build.folder / "measured" / f"{name}.json", body.encode())


def measurements(build: Build) -> dict[str, dict[str, Any]]:
    """What :func:`keep_measurement` left of this design with these weights, by name."""
    found = {}
    of = _identity(build)
    for path in sorted((build.folder / "measured").glob("*.json")):
        body = _read(path)
        if body is not None and body.get("of") == of and isinstance(body.get("values"), dict):
            found[path.stem] = body["values"]
    return found


def _read(path: Path) -> dict[str, Any] | None:
    # A damaged measurement is no measurement; nothing is built from these files.
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None
