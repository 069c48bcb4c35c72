"""The report for people: tables in plain text."""

from collections.abc import Mapping, Sequence
from typing import Any

from sterna.gen.device.boards import BOARDS, chip_of
from sterna.gen.device.family import RESOURCES
from sterna.golden.words.shares import accuracy_text

__all__ = ["cost_text", "rows_text", "solver_lines", "table"]


def _engine(row: Mapping[str, Any]) -> str:
    banks = f", {row['banks']} banks" if row["banks"] > 1 else ""
    return row["engine"] + banks + (f", {row['pool']}" if row["pool"] else "")


def table(answer: Mapping[str, Any]) -> str:
    """The report for people."""
    title = (
        f"{answer['network']}: T = {answer['steps']}, {answer['weights']} weights, "
        f"{answer['lanes']} lanes, family {answer['family']}"
    )
    rate = (
        f"{answer['clocks_per_image']} clocks an image ({answer['bottleneck']}): "
        f"{answer['fps']:.0f} images a second at {answer['clock_mhz']:g} MHz (assumed clock)"
    )
    if (placed := answer["placed"]) is not None:
        fps = placed["clock_mhz"] * 1e6 / answer["clocks_per_image"]
        rate += f", {fps:.0f} at {placed['clock_mhz']:.4g} MHz (placed clock)"
    lines = [title, rows_text(*_layer_cells(answer)), rate]
    lines += [f"warning: {answer['warning']}"] if answer["warning"] else []
    if answer["buffers"]:
        lines.append(rows_text(*_buffer_cells(answer)))
    if answer["estimate"] is not None:
        lines.append(f"estimate for {answer['family']}: {cost_text(answer['estimate'])}")
    if answer["solver"] is not None:
        lines += solver_lines(answer["solver"])
    for name, values in answer["measured"].items():
        shown = ", ".join(
            f"{k} {_share(v, values) if k == 'accuracy' else _number(v)}"
            for k, v in values.items()
            if isinstance(v, int | float | str)
        )
        lines.append(f"{name}: {shown or f'in measured/{name}.json'}")
        if values.get("estimate"):
            lines.append(f"{' ' * len(name)}  estimated {cost_text(values['estimate'])}")
    return "\n".join(lines)


def _layer_cells(answer: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Heads and rows of the table of cores."""
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
    return heads, rows


def _core_cost(row: Mapping[str, Any]) -> tuple[Any, ...]:
    cost = row["estimate"]
    if cost is None:
        return "", "", ""
    return cost["luts"], cost["ff"], cost["bram"]


def cost_text(cost: Mapping[str, Any]) -> str:
    """A cost in words."""
    return (
        f"{cost['luts']:,} LUTs ({cost['lutram']:,} of them LUT RAM), "
        f"{cost['ff']:,} flip-flops, {cost['bram']:g} block RAMs"
    )


def solver_lines(solver: Mapping[str, Any]) -> list[str]:
    """What the solver says: what limits, and the neighbours on the frontier."""
    lines = []
    limits = {k: v for k, v in solver["limits"].items() if k != "where"}
    chosen = solver["chosen"]
    if limits:
        shares = ", ".join(
            f"{chosen[k] / v:.0%} of {v:,g} {RESOURCES[k]}" for k, v in limits.items() if v
        )
        name = solver["goal"].get("board")
        if name is None:
            lines.append(f"uses {shares}")
        else:
            lines.append(f"uses {shares} that a design may take of {name}")
            lines += _of_the_chip(chosen, name)
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


def _of_the_chip(used: Mapping[str, Any], board: str) -> list[str]:
    """What it is of the whole chip, which is what the report's shares are of."""
    if board not in BOARDS:
        return []
    sizes = chip_of(board).sizes.items()
    shares = ", ".join(f"{used[k] / v:.0%} of {v:,g} {RESOURCES[k]}" for k, v in sizes)
    return [f"of the whole chip: {shares}"]


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


def _share(value: Any, values: Mapping[str, Any]) -> str:
    """An accuracy, with its interval where it is known of how many images it is."""
    images = values.get("images")
    return _number(value) if not isinstance(images, int) else accuracy_text(value, images)


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
