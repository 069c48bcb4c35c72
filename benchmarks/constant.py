"""LUTs a lane of constant weights: the bare dot product, and a whole core around it.

    python benchmarks/constant.py [--shapes 16x144,...] [--zeros 0.33,0.5] [--kinds ternary,binary]
                                  [--targets ecp5,xilinx7] [--bare] [--fmax] [--json FILE]

A shape is PE x SIMD: all outputs and the full window, one plane a clock. Lanes are dense ones, PE x
SIMD: a lane whose weight is zero counts as the lane it saves. Weights are random, ternary ones zero
with the probability given, else either sign; the same seed every time. ``plan`` is what the model
of `sterna.hw.dot.compressor_tree` says. Bare: the dot product with its registers. Whole: a 3x3
convolution of SIMD/9 channels on a 16x16 map with T = 4 leaky neurons, everything between its two
streams.
"""

import argparse
import itertools
import sys
from typing import Any

import numpy as np
from common import lanes_row, table, work_dir, write_results

from sterna.gen.design.specs import conv_spec
from sterna.gen.fold.fold import fold
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import Decay, NeuronRule
from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.dot.constant import ConstantDot

SHAPES = "16x144"
FIRST = {"ecp5": 1.5, "xilinx7": 1.1}  # docs/design.md#first-measurements: dense, bare


def weights(pe: int, simd: int, kind: str, zeros: float) -> np.ndarray:
    """int8 (pe, simd)."""
    rng = np.random.default_rng(1)
    w = rng.choice([-1, 1], (pe, simd))
    if kind == "ternary":
        w[rng.random((pe, simd)) < zeros] = 0
    return w.astype(np.int8)


def bare(pe: int, simd: int, kind: str, zeros: float, target: str) -> ConstantDot:
    w = weights(pe, simd, kind, zeros)
    bits = np.stack([w == 1, w == -1], -1) if kind == "ternary" else (w == 1)[..., None]
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    width = simd.bit_length() + 1
    row = int.from_bytes(packed, "little")
    return ConstantDot(pe, simd, 1, 1, kind, family=target, row=row, width=width)


def whole(
    pe: int, simd: int, kind: str, zeros: float, target: str, folding: dict[str, Any] | None = None
) -> SpikingConv:
    """A core of simd/9 -> pe channels; ``folding`` of it, by default constant weights."""
    channels = simd // 9
    w = weights(pe, simd, kind, zeros).reshape(pe, channels, 3, 3)
    rng = np.random.default_rng(2)
    rule = NeuronRule(rng.integers(200, 900, pe), leak=Decay(2), fraction_bits=6)
    net = Network(
        steps=4,
        nodes=[
            Input("image", shape=(channels, 16, 16), coding="frames"),
            Conv2d("conv", "image", w, (1, 1), (1, 1, 1, 1), kind=kind),
            Neuron("spikes", ("conv",), rule),
            Linear("fc", "spikes", weights(10, pe * 256, kind, zeros), kind=kind),
            Readout("out", ("fc",), NeuronRule(np.ones(10, np.int32), reset="none"), scale=1.0),
        ],
    )
    design = fold(net, {"conv": {"tp": 1} | (folding or {"engine": "constant"})}, family=target)
    return SpikingConv(conv_spec(net, design.core("conv"), target, rows=True))


def measure(
    pe: int, simd: int, kind: str, zeros: float, target: str, is_whole: bool, fmax: bool
) -> dict[str, Any]:
    """One row of the table."""
    make = whole if is_whole else bare
    what = "whole" if is_whole else "bare"
    folder = work_dir("constant", what, target, kind, f"{pe}x{simd}", f"{zeros:g}")
    component = make(pe, simd, kind, zeros, target)
    dot = component.fronts[0].dot if isinstance(component, SpikingConv) else component
    assert isinstance(dot, ConstantDot)
    row = lanes_row(component, pe * simd, target, folder, not is_whole, fmax)
    return row | {
        "what": what,
        "shape": f"{pe}x{simd}",
        "kind": kind,
        "zeros": zeros if kind == "ternary" else 0.0,
        "latency": dot.latency,
        "plan_per_lane": round(dot.plan.cost / row["lanes"], 3),
        "logic_per_lane": round(row["logic"] / row["lanes"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", default=SHAPES, help="PExSIMD, separated by commas")
    parser.add_argument("--zeros", default="0.33,0.5", help="parts of ternary weights")
    parser.add_argument("--targets", default="ecp5,xilinx7")
    parser.add_argument("--kinds", default="ternary,binary")
    parser.add_argument("--bare", action="store_true", help="not the core around it")
    parser.add_argument("--fmax", action="store_true", help="place and route on an ECP5")
    parser.add_argument("--json", help="results file (default: benchmarks/results/constant.json)")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    every = itertools.product(
        *(text.split(",") for text in (args.shapes, args.targets, args.kinds, args.zeros))
    )
    for shape, target, kind, zeros in every:
        if kind == "binary" and zeros != args.zeros.split(",")[0]:
            continue
        pe, simd = map(int, shape.split("x"))
        for is_whole in (False,) if args.bare else (False, True):
            rows.append(measure(pe, simd, kind, float(zeros), target, is_whole, args.fmax))
            last = f"{rows[-1]['what']} {target} {kind} {shape}: {rows[-1]['logic_per_lane']}"
            print(f"[{len(rows)}] {last} LUTs of logic a lane", file=sys.stderr, flush=True)
            write_results("constant", {"first_bare": FIRST, "rows": rows}, args.json)
    heads = (
        "what",
        "target",
        "kind",
        "zeros",
        "shape",
        "plan",
        "logic/lane",
        "packed*",
        "FF/lane",
        "logic",
        "FF",
        "BRAM",
        "latency",
        "MHz",
        "first, bare",
    )
    lines: list[list[Any]] = [list(heads)]
    for r in rows:
        lines.append(
            [
                r["what"],
                r["target"],
                r["kind"],
                r["zeros"],
                r["shape"],
                r["plan_per_lane"],
                r["logic_per_lane"],
                r.get("packed_per_lane"),
                r["ff_per_lane"],
                r["logic"],
                r["ff"],
                r["bram"],
                r["latency"],
                r.get("mhz"),
                FIRST.get(r["target"]),
            ]
        )
    print("\nLUTs of logic, without LUT RAM, a dense lane of constant weights.")
    print(table(lines))
    print("* yosys' estimate with two small LUTs in one LUT6 site; logic/lane counts each as one.")


if __name__ == "__main__":
    main()
