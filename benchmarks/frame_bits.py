"""What frames of several bits cost: a core that reads counts beside the same core of spikes.

    python benchmarks/frame_bits.py [--target ecp5] [--json F]

The core is that of ``core_fmax`` (a 3x3 convolution of 36 -> 32 channels on 16 x 16, T = 4, leaky
neurons), ternary, of equal pe and simd, its memories included: with one plane at a time, where an
image takes b times the clocks, and with b planes at a time, where it takes as many. Fails where
b bits cost more than b times the LUTs, or where clocks are others.
"""

import argparse

from common import emit, table, work_dir, write_results
from core_fmax import network

from sterna.gen.design.specs import conv_spec
from sterna.gen.device.family import TARGETS
from sterna.gen.fold.fold import fold
from sterna.gen.tools.yosys import synth
from sterna.golden.network import Input, Network
from sterna.hw.core.spiking_conv import SpikingConv

PE, SIMD = 8, 36
CASES = [(1, 1), (2, 1), (4, 1), (8, 1), (2, 2), (4, 4)]  # bits, planes at a time


def counting(bits: int) -> Network:
    """The network of ``core_fmax``, of frames of ``bits``."""
    plain = network("ternary")
    entry = Input("image", plain.input.shape, "frames", bits)
    return Network(plain.steps, [entry, *(n for n in plain.nodes if n is not plain.input)])


def size(bits: int, tp: int, target: str) -> dict:
    net = counting(bits)
    design = fold(net, {"conv": {"pe": PE, "simd": SIMD, "tp": tp}}, family=target)
    spec = conv_spec(net, design.core("conv"), target, rows=True)
    folder = work_dir("frame_bits", f"{bits}_{tp}", target)
    used = synth([emit(SpikingConv(spec), "core", folder)], "core", target, folder)
    return {
        "bits": bits,
        "tp": tp,
        "luts": used["luts"],
        "ff": used["ff"],
        "bram": used["bram"],
        "clocks": max(design.core("conv").law.values()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="ecp5", choices=list(TARGETS))
    parser.add_argument("--json", help="results file (default: benchmarks/results/frame_bits.json)")
    args = parser.parse_args()
    results = [size(*case, args.target) for case in CASES]
    one = results[0]
    rows: list = [["bits", "TP", "LUT", "times", "FF", "block RAM", "clocks an image"]]
    for r in results:
        r["times"] = r["luts"] / one["luts"]
        counts = r["luts"], f"{r['times']:.2f}", r["ff"], r["bram"], r["clocks"]
        rows.append([r["bits"], r["tp"], *counts])
    print(table(rows))
    write_results("frame_bits", {"target": args.target, "cores": results}, args.json)
    right = all(r["clocks"] * r["tp"] == one["clocks"] * r["bits"] for r in results)
    return int(not right or any(r["times"] > r["bits"] for r in results))


if __name__ == "__main__":
    raise SystemExit(main())
