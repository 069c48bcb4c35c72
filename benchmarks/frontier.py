"""The frontier of a network: estimated LUTs against images a second at 100 MHz.

    python benchmarks/frontier.py [NAME ...] [--family ecp5] [--points 12] [--write]

For rates from slow to the fastest folding the solver (`sterna.gen.fold.solve`) chooses the smallest
design, once with weights that can be rewritten (ram), once with fixed ones (rom, and in the logic
where that is smaller). What networks.py measured by yosys is drawn beside it.
Results: ``benchmarks/results/frontier.json``; ``--write`` draws docs/frontier.svg from them.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from common import ROOT, table, write_results

from sterna.gen.fold.solve import solve
from sterna.golden.errors import DesignError
from sterna.golden.files import network_files as files
from sterna.golden.network import Network

MEASURED = ROOT / "benchmarks" / "results.json"
PLOT = ROOT / "docs" / "frontier.svg"
NAMES = ("digits", "mnist")
CLOCK = 100e6
COLOURS = {"digits": "tab:orange", "mnist": "tab:blue"}


def rates(network: Network, family: str, memory: str, points: int) -> list[float]:
    """Images a second, evenly spaced by ratio: up to the fastest folding, from a 200th of it."""
    high = solve(network, family=family, luts=10_000_000, memory=memory).design.interval
    top = CLOCK / high
    return [top / 200 ** (1 - n / (points - 1)) for n in range(points)]


def sweep(name: str, family: str, memory: str, points: int) -> list[dict[str, Any]]:
    """The designs of one curve, slowest first, each once."""
    network, out = files.load(ROOT / "examples" / name), []
    for rate in rates(network, family, memory, points):
        try:
            found = solve(network, family=family, fps=math.floor(rate * 10) / 10, memory=memory)
        except DesignError as error:  # the chosen clocks are reached, its gearboxes' are not
            print(f"{name} at {rate:.0f}: {error}", file=sys.stderr)
            continue
        cost, cores = found.chosen.estimate.total, found.design.cores
        row = {
            "network": name,
            "family": family,
            "memory": memory,
            "clocks": found.design.interval,
            "fps": CLOCK / found.design.interval,
            "luts": round(cost.luts),
            "bram": cost.bram,
            "in_logic": [c.name for c in cores if c.constants],
        }
        if not out or out[-1]["clocks"] != row["clocks"]:
            out.append(row)
    return out


def draw(rows: list[dict[str, Any]], measured: dict[str, Any], path: Path) -> None:
    """Curves of ``rows``, points of networks.py; an SVG without a date, so that it can be kept."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "sterna"
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    family = rows[0]["family"]
    for name in dict.fromkeys(r["network"] for r in rows):
        colour = COLOURS.get(name)
        for memory, style in (("ram", "-"), ("rom", "--")):
            mine = [r for r in rows if (r["network"], r["memory"]) == (name, memory)]
            label = f"{name}, {'rewritable' if memory == 'ram' else 'fixed'} weights (estimate)"
            axes.plot(
                [r["fps"] for r in mine],
                [r["luts"] for r in mine],
                style,
                color=colour,
                marker=".",
                label=label,
            )
        known = [r for r in measured.values() if (r["example"], r["target"]) == (name, family)]
        if known:
            axes.plot(
                [r["images"] for r in known],
                [r["luts"] for r in known],
                "x",
                ms=9,
                mew=2,
                color=colour,
                label=f"{name}, yosys",
            )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="images a second at 100 MHz",
        ylabel=f"LUTs ({family}, LUT RAM included)",
    )
    axes.grid(which="both", alpha=0.3)
    axes.legend(fontsize=8)
    FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {', '.join(NAMES)}")
    parser.add_argument("--family", choices=("ecp5", "xilinx7"), default="ecp5")
    parser.add_argument("--points", type=int, default=12, help="rates a curve")
    parser.add_argument("--write", action="store_true", help="draw docs/frontier.svg")
    options = parser.parse_args()
    if options.points < 2:
        print(f"--points {options.points} makes no curve; give 2 or more", file=sys.stderr)
        return 2
    names = options.names or NAMES
    if missing := [n for n in names if not (ROOT / "examples" / n / "network.json").is_file()]:
        print(f"examples/{missing[0]} has no network; use another", file=sys.stderr)
        return 2
    rows = []
    for name in names:
        for memory in ("ram", "rom"):
            rows += sweep(name, options.family, memory, options.points)
            print(f"{name} {memory}: {len(rows)} designs so far", file=sys.stderr, flush=True)
    write_results("frontier", {"rows": rows})
    heads = ["network", "memory", "clocks", "fps", "luts", "bram"]
    print(table([heads, *([f"{r[h]:,.0f}" if h == "fps" else r[h] for h in heads] for r in rows)]))
    if options.write:
        measured = json.loads(MEASURED.read_bytes()) if MEASURED.is_file() else {}
        draw(rows, measured, PLOT)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
