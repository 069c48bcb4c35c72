"""LUTs a lane of tables of sums in LUT RAM: the bare dot product, and a whole core around it.

    python benchmarks/tables.py [--shapes 16x144,...] [--rows 1] [--kinds ternary,binary]
                                [--targets ecp5,xilinx7] [--bare] [--compress] [--fmax]
                                [--json FILE]

A shape is PE x SIMD lanes, one plane a clock, of ``rows`` rows of weights each. LUT/lane is of
logic and LUT RAM together (6 LUT4 a TRELLIS_DPR16X4, 4 LUT6 a RAM32M); of RAM, the second alone.
Bare: the dot product with its registers and corrections, without what writes it. Whole: the core of
``constant`` with weights that are loaded through the chain (``ram``), the expander and the memory
of weights included; SIMD is the full window. ``--compress``: the same core with that engine, too.
"""

import argparse
import itertools
import sys
from typing import Any

from common import lanes_row, table, work_dir, write_results
from constant import whole

from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.dot.tables import TablesDot

SHAPES = "16x144"
FIRST = {"ecp5": 4.1, "xilinx7": 2.56}  # docs/design.md#first-measurements: ternary, bare


def bare(pe: int, simd: int, rows: int, kind: str, target: str) -> TablesDot:
    width = simd.bit_length() + 1
    return TablesDot(pe, simd, 1, 1, kind, family=target, rows=rows, width=width)


def core(pe: int, simd: int, rows: int, kind: str, target: str, engine: str) -> SpikingConv:
    """``rows`` groups of ``pe`` outputs."""
    folding = {"engine": engine, "memory": "ram", "pe": pe, "simd": simd}
    return whole(pe * rows, simd, kind, 0.33, target, folding)


def measure(
    what: str, pe: int, simd: int, rows: int, kind: str, target: str, fmax: bool
) -> dict[str, Any]:
    """One row of the table."""
    folder = work_dir("tables", what, target, kind, f"{pe}x{simd}x{rows}")
    engine = "tables" if what != "compress" else what
    made = (
        bare(pe, simd, rows, kind, target)
        if what == "bare"
        else core(pe, simd, rows, kind, target, engine)
    )
    dot = made.fronts[0].dot if isinstance(made, SpikingConv) else made
    row = lanes_row(made, pe * simd, target, folder, what == "bare", fmax)
    return row | {
        "what": what,
        "shape": f"{pe}x{simd}",
        "rows": rows,
        "kind": kind,
        "latency": dot.latency,
        "lut_per_lane": round((row["logic"] + row["lutram"]) / row["lanes"], 3),
        "lutram_per_lane": round(row["lutram"] / row["lanes"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", default=SHAPES, help="PExSIMD, separated by commas")
    parser.add_argument("--rows", default="1", help="of weights, separated by commas")
    parser.add_argument("--targets", default="ecp5,xilinx7")
    parser.add_argument("--kinds", default="ternary,binary")
    parser.add_argument("--bare", action="store_true", help="not the cores around it")
    parser.add_argument("--compress", action="store_true", help="that engine in the core, too")
    parser.add_argument("--fmax", action="store_true", help="place and route on an ECP5")
    parser.add_argument("--json", help="results file (default: benchmarks/results/tables.json)")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    every = itertools.product(
        *(text.split(",") for text in (args.shapes, args.rows, args.targets, args.kinds)),
        ["bare"] + ["whole"] * (not args.bare) + ["compress"] * args.compress,
    )
    for shape, rows, target, kind, what in every:
        pe, simd = map(int, shape.split("x"))
        results.append(measure(what, pe, simd, int(rows), kind, target, args.fmax))
        last = f"{what} {target} {kind} {shape} x {rows}: {results[-1]['lut_per_lane']}"
        print(f"[{len(results)}] {last} LUT a lane", file=sys.stderr, flush=True)
        write_results("tables", {"first_bare": FIRST, "rows": results}, args.json)
    heads = (
        "what",
        "target",
        "kind",
        "shape",
        "rows",
        "LUT/lane",
        "of RAM",
        "FF/lane",
        "logic",
        "LUT RAM",
        "FF",
        "BRAM",
        "latency",
        "MHz",
        "first, bare",
    )
    lines: list[list[Any]] = [list(heads)]
    for r in results:
        lines.append(
            [
                r["what"],
                r["target"],
                r["kind"],
                r["shape"],
                r["rows"],
                r["lut_per_lane"],
                r["lutram_per_lane"],
                r["ff_per_lane"],
                r["logic"],
                r["lutram"],
                r["ff"],
                r["bram"],
                r["latency"],
                r.get("mhz"),
                FIRST.get(r["target"]),
            ]
        )
    print("\nLUTs a lane of tables of sums, LUT RAM included.")
    print(table(lines))


if __name__ == "__main__":
    main()
