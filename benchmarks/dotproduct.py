"""LUTs a lane and Fmax of the bare core, beside the first measurements (docs/design.md).

    python benchmarks/dotproduct.py [--shapes 8x36x1,...] [--targets ecp5,xilinx7] [--no-fmax]
                                    [--flat] [--dot-only] [--json FILE]

Bare core = dot product (engine `compress`, all its pipeline registers) + accumulators: no line
buffer, no weight memory, no neuron scan, no control. LUTs are counted as in
`sterna.gen.tools.yosys`: every CCU2C of ECP5 is two LUT4; a 7-series LUT is one, whatever its
inputs.

ECP5 is synthesised with `-nowidelut`: alone, the lanes hold the longest path and yosys spends LUTs
(PFUMX) to shorten it; inside a core they have slack and it does not (see `core_fmax.py`).
Above 1000 lanes the count is scaled from PE = 1 and PE = 2, c(PE) = c1 + (PE - 1)*(c2 - c1): PEs
share nothing but the popcount of binary weights, and a flat circuit of 18,432 lanes neither fits
the 4 GiB of yosys in WebAssembly nor ends in minutes. `scaled` says so; `--flat` never scales.
"""

import argparse
import itertools
import sys
from typing import Any

from common import BareCore, emit, table, work_dir, write_results

from sterna.gen.tools.fmax import fmax_ecp5
from sterna.gen.tools.yosys import synth
from sterna.hw.dot.compress import DotProduct

SHAPES = "8x36x1,16x72x2,32x144x4"
FLAT_LANES = 1000
#: docs/design.md#first-measurements, 288 lanes, LUTs a lane, of (target, kind):
#: (combinational, pipelined + accumulators)
FIRST = {
    ("xilinx7", "ternary"): (3.05, None),
    ("xilinx7", "binary"): (2.06, None),
    ("ecp5", "ternary"): (7.4, 9.1),
    ("ecp5", "binary"): (4.9, 4.7),
}
FIRST_MHZ = 139
COUNTED = ("logic", "ff", "carry")


def _component(pe: int, simd: int, tp: int, kind: str, target: str, dot_only: bool) -> Any:
    if dot_only:
        return DotProduct(pe, simd, tp, 1, kind, family=target)
    return BareCore(pe, simd, tp, kind, target)


def _count(pe: int, simd: int, tp: int, kind: str, target: str, dot_only: bool) -> dict[str, Any]:
    folder = work_dir("dotproduct", target, kind, f"{pe}x{simd}x{tp}", *["dot"] * dot_only)
    component = _component(pe, simd, tp, kind, target, dot_only)
    latency = (component if dot_only else component.dot).latency
    verilog = emit(component, "lanes", folder)
    options = ["-nowidelut"] if target == "ecp5" else []
    return synth([verilog], "lanes", target, folder, options=options) | {"latency": latency}


def measure(
    pe: int, simd: int, tp: int, kind: str, target: str, *, dot_only: bool, fmax: bool, flat: bool
) -> dict[str, Any]:
    """One row of the table."""
    lanes = pe * simd * tp
    scaled = lanes > FLAT_LANES and not flat
    keys = [*COUNTED, *["lut_packed_estimate"] * (target == "xilinx7")]
    if scaled:
        one, two = (_count(n, simd, tp, kind, target, dot_only) for n in (1, 2))
        used = {key: one[key] + (pe - 1) * (two[key] - one[key]) for key in keys}
        used["latency"] = one["latency"]
    else:
        used = _count(pe, simd, tp, kind, target, dot_only)
    row: dict[str, Any] = {
        "shape": f"{pe}x{simd}x{tp}",
        "kind": kind,
        "target": target,
        "lanes": lanes,
        "scaled": scaled,
        "latency": used["latency"],
        **{key: used[key] for key in keys},
        **{f"{key}_per_lane": round(used[key] / lanes, 3) for key in keys},
        "first_combinational": FIRST[target, kind][0],
        "first_pipelined": FIRST[target, kind][1],
    }
    if fmax and target == "ecp5" and lanes <= 300:
        folder = work_dir("dotproduct", target, kind, row["shape"], "fmax")
        verilog = emit(_component(pe, simd, tp, kind, target, dot_only), "lanes", folder)
        speed = fmax_ecp5([verilog], "lanes", folder, options=["-nowidelut"])
        row |= {"mhz": speed["mhz"], "mhz_by_seed": speed["all"], "critical": speed["critical"]}
        row |= {"wrapped_luts": speed["luts"], "wrapped_placed_luts": speed["placed_luts"]}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", default=SHAPES, help="PExSIMDxTP, separated by commas")
    parser.add_argument("--targets", default="ecp5,xilinx7")
    parser.add_argument("--kinds", default="ternary,binary")
    parser.add_argument("--no-fmax", action="store_true")
    parser.add_argument("--flat", action="store_true", help="count large shapes whole, too")
    parser.add_argument("--dot-only", action="store_true", help="without accumulators")
    parser.add_argument("--json", help="results file (default: benchmarks/results/dotproduct.json)")
    args = parser.parse_args()
    what = "dot product alone" if args.dot_only else "dot product + accumulators"
    rows: list[dict[str, Any]] = []
    every = itertools.product(
        args.shapes.split(","), args.targets.split(","), args.kinds.split(",")
    )
    for shape, target, kind in every:
        pe, simd, tp = map(int, shape.split("x"))
        rows.append(
            measure(
                pe,
                simd,
                tp,
                kind,
                target,
                dot_only=args.dot_only,
                fmax=not args.no_fmax,
                flat=args.flat,
            )
        )
        print(
            f"[{len(rows)}] {target} {kind} {shape}: {rows[-1]['logic_per_lane']} of logic a lane",
            file=sys.stderr,
            flush=True,
        )
        # Written row by row: an interrupted run keeps what it measured.
        write_results("dotproduct", {"what": what, "first_mhz": FIRST_MHZ, "rows": rows}, args.json)
    heading = [
        "target",
        "kind",
        "shape",
        "logic/lane",
        "packed*",
        "FF/lane",
        "latency",
        "MHz",
        "first comb.",
        "first pipelined+acc",
        "",
    ]
    lines: list[list[Any]] = [heading]
    for r in rows:
        lines.append(
            [
                r["target"],
                r["kind"],
                r["shape"],
                r["logic_per_lane"],
                r.get("lut_packed_estimate_per_lane"),
                r["ff_per_lane"],
                r["latency"],
                r.get("mhz"),
                r["first_combinational"],
                r["first_pipelined"],
                "scaled" if r["scaled"] else "",
            ]
        )
    print(f"\nLUTs a lane of the bare core ({what}, registers included).")
    print("first: the first measurements, 288 lanes (docs/design.md); pipelined: 139 MHz, ECP5.")
    print(table(lines))
    print("* yosys' estimate with two small LUTs in one LUT6 site; LUT/lane counts each as one.")
    print("scaled: from PE = 1 and PE = 2, see the head of this file.")


if __name__ == "__main__":
    main()
