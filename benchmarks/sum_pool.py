"""What a pool of weighted sums costs: a core with one beside the same core without.

    python benchmarks/sum_pool.py [--target ecp5] [--json F]
    python benchmarks/sum_pool.py --bits [ecp5 ice40 xilinx7]

The core is that of ``core_fmax`` (a 3x3 convolution of 36 -> 32 channels on 16 x 16, T = 4, leaky
neurons), of equal pe, simd and tp, its memories included. Fails where a pool of 2 x 2 takes more
than 1.35 times the LUTs. ``--bits``: LUTs and flip-flops of the maximum alone for each bit of its
sums, which the cost model's coefficients `largest` are.
"""

import argparse

from common import emit, table, work_dir, write_results
from core_fmax import network

from sterna.gen.design.specs import conv_spec
from sterna.gen.device.family import TARGETS
from sterna.gen.fold.fold import fold
from sterna.gen.tools.yosys import synth
from sterna.golden.network import Conv2d, Linear, Network, Neuron, Pool
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.pool import LargestSums, PoolWalk
from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.stream.edge import Edge

MOST = 1.35
CORES = [("ternary", 8, 36, 1), ("ternary", 8, 36, 4), ("binary", 8, 36, 1), ("ternary", 2, 36, 2)]
POOLS = {
    "none": None,
    "max 2x2": Pool("pool", "conv", "max"),
    "max 3x3, stride 2": Pool("pool", "conv", "max", (3, 3), (2, 2)),
    "sum 2x2": Pool("pool", "conv", "sum"),
}


def pooled(kind: str, pool: Pool | None) -> Network:
    """The network of ``core_fmax``, with a pool between convolution and neurons."""
    plain = network(kind)
    if pool is None:
        return plain
    conv, fc, spikes = plain["conv"], plain["fc"], plain.neuron("spikes")
    assert isinstance(conv, Conv2d) and isinstance(fc, Linear)
    side = (16 - pool.kernel[0]) // pool.stride[0] + 1
    fc = Linear("fc", "spikes", fc.weight[:, : 32 * side * side], kind=kind)
    nodes = [plain.input, conv, pool, Neuron("spikes", "pool", spikes.rule), fc, plain.readout]
    return Network(plain.steps, nodes)


def size(kind: str, pe: int, simd: int, tp: int, name: str, target: str) -> dict:
    net = pooled(kind, POOLS[name])
    design = fold(net, {"conv": {"pe": pe, "simd": simd, "tp": tp}}, family=target)
    spec = conv_spec(net, design.core("conv"), target, rows=True)
    core = f"{kind}_{pe}x{simd}x{tp}_{name.replace(' ', '_').replace(',', '')}"
    folder = work_dir("sum_pool", core, target)
    used = synth([emit(SpikingConv(spec), "core", folder)], "core", target, folder)
    luts = used["luts"]
    return {"core": f"{kind} {pe} x {simd} x {tp}", "pool": name, "luts": luts} | {
        "ff": used["ff"],
        "bram": used["bram"],
        "clocks": max(design.core("conv").law.values()),
    }


def bits(targets: list[str]) -> None:
    rows: list = [["target", "turns", "LUTs a bit", "flip-flops a bit and turn"]]
    for target in targets:
        for turns in (1, 4):
            window = Geometry(
                Edge(1, 1, 1, 1), 8, 8, (1, 1), (1, 1), pool=(2, 2), pool_stride=(2, 2)
            )
            part = LargestSums(fields=16, width=10, pool=PoolWalk(window, 1), turns=turns)
            folder = work_dir("sum_pool", "bits", target)
            used = synth([emit(part, "part", folder)], "part", target, folder)
            rows.append([target, turns, used["logic"] / 160, used["ff"] / 160 / turns])
    print(table(rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="ecp5", choices=list(TARGETS))
    parser.add_argument("--bits", nargs="*", help="of the maximum alone, for these families")
    parser.add_argument("--json", help="results file (default: benchmarks/results/sum_pool.json)")
    args = parser.parse_args()
    if args.bits is not None:
        bits(args.bits or list(TARGETS))
        return 0
    results = [size(*core, name, args.target) for core in CORES for name in POOLS]
    plain = {r["core"]: r["luts"] for r in results if r["pool"] == "none"}
    rows: list = [["core", "pool", "LUT", "times", "FF", "block RAM", "clocks an image"]]
    for r in results:
        r["times"] = r["luts"] / plain[r["core"]]
        counts = r["luts"], f"{r['times']:.2f}", r["ff"], r["bram"], r["clocks"]
        rows.append([r["core"], r["pool"], *counts])
    print(table(rows))
    write_results("sum_pool", {"target": args.target, "cores": results}, args.json)
    return int(any(r["times"] > MOST for r in results if "2x2" in r["pool"]))


if __name__ == "__main__":
    raise SystemExit(main())
