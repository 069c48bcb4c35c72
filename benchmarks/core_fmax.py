"""Fmax of one whole SpikingConv core alone on an ECP5-25F, speed grade 6 (nextpnr, three seeds).

    python benchmarks/core_fmax.py [--kind ternary|binary] [--pe 8] [--simd 36] [--tp 1] [--json F]

The core is everything between two streams: line buffer, weight memory with random weights, dot
product, accumulators, neuron scan, output FIFO; ports wrapped by shift registers. The layer is a
3x3 convolution of 36 -> 32 channels on a 16x16 map, T = 4, leaky neurons with soft reset.
"""

import argparse
import json

import numpy as np
from common import emit, table, work_dir, write_results

from sterna.gen.design.specs import conv_spec
from sterna.gen.fold.fold import fold
from sterna.gen.tools.fmax import fmax_ecp5
from sterna.gen.tools.yosys import synth
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import Decay, NeuronRule
from sterna.hw.core.spiking_conv import SpikingConv

LIMIT_MHZ = 130.0


def network(kind: str, leak: bool = True, channels: int = 36, outputs: int = 32) -> Network:
    """One hidden layer of the kind measured, and a small readout that is not."""
    rng = np.random.default_rng(1)
    values = np.array([-1, 0, 1] if kind == "ternary" else [-1, 1], np.int8)
    rule = NeuronRule(
        threshold=rng.integers(200, 900, outputs),
        bias=rng.integers(-50, 50, outputs),
        leak=Decay(2) if leak else None,
        fraction_bits=6,
    )
    return Network(
        steps=4,
        nodes=[
            Input("image", shape=(channels, 16, 16), coding="frames"),
            Conv2d(
                "conv",
                "image",
                rng.choice(values, (outputs, channels, 3, 3)),
                (1, 1),
                (1, 1, 1, 1),
                kind=kind,
            ),
            Neuron("spikes", ["conv"], rule),
            Linear("fc", "spikes", rng.choice(values, (10, outputs * 256)), kind=kind),
            Readout(
                "out",
                ["fc"],
                NeuronRule(np.ones(10, np.int32), reset="none"),
                "membrane",
                scale=1.0,
            ),
        ],
    )


def measure(
    kind: str, pe: int, simd: int, tp: int, leak: bool, device: str, seeds: list[int]
) -> dict:
    net = network(kind, leak)
    design = fold(net, {"conv": {"pe": pe, "simd": simd, "tp": tp, "memory": "rom"}}, family="ecp5")
    core = next(core for core in design.cores if core.name == "conv")
    spec = conv_spec(net, core, "ecp5", rows=True)
    name = f"core_{kind}_{pe}x{simd}x{tp}_{'lif' if leak else 'if'}"
    folder = work_dir("core_fmax", name)
    verilog = emit(SpikingConv(spec), "core", folder)
    used = synth([verilog], "core", "ecp5", folder)
    speed = fmax_ecp5([verilog], "core", folder, device=device, seeds=seeds)
    return {
        "core": name,
        "lanes": spec.lanes,
        **{key: used[key] for key in ("logic", "ff", "bram", "lutram", "dsp")},
        "mhz": speed["mhz"],
        "mhz_by_seed": speed["all"],
        "critical": speed["critical"],
        "device": speed["device"],
        "tool": used["tool"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["ternary", "binary", "both"], default="both")
    parser.add_argument("--pe", type=int, default=8)
    parser.add_argument("--simd", type=int, default=36)
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--no-leak", action="store_true", help="integrate and fire, not leaky")
    parser.add_argument("--device", default="25k", choices=["12k", "25k", "45k", "85k"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of nextpnr")
    parser.add_argument("--json", help="results file (default: benchmarks/results/core_fmax.json)")
    args = parser.parse_args()
    kinds = ["ternary", "binary"] if args.kind == "both" else [args.kind]
    results = [
        measure(kind, args.pe, args.simd, args.tp, not args.no_leak, args.device, args.seeds)
        for kind in kinds
    ]
    rows = [
        [
            "core",
            "lanes",
            "logic",
            "FF",
            "BRAM",
            "LUTRAM",
            "Fmax MHz",
            "by seed",
            f">= {LIMIT_MHZ:g}",
        ]
    ]
    for r in results:
        rows.append(
            [
                r["core"],
                r["lanes"],
                r["logic"],
                r["ff"],
                r["bram"],
                r["lutram"],
                r["mhz"],
                r["mhz_by_seed"],
                r["mhz"] >= LIMIT_MHZ,
            ]
        )
    print(table(rows))
    for r in results:
        print(f"\n{r['core']}: the longest path ({json.dumps(r['critical'].get('ns'))} ns)")
        print("  " + "\n  ".join(r["critical"].get("cells", [])))
    write_results("core_fmax", {"limit_mhz": LIMIT_MHZ, "cores": results}, args.json)
    return 0 if all(r["mhz"] >= LIMIT_MHZ for r in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
