"""Where the LUTs of a core, or of a small network, are: yosys' cells by sub-module.

    python benchmarks/core_size.py [--kind ternary|binary] [--pe 8] [--simd 36] [--tp 1]
    python benchmarks/core_size.py --example digits [--depth 3]

The core is that of ``core_fmax``. The netlist is flattened, so that yosys optimises as it does for
a board; a cell belongs to the sub-module that its name runs through, a LUT to the one whose signal
it drives. Shared logic is counted where its name is.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from common import ROOT, emit, table, work_dir, write_results
from core_fmax import network

from sterna.gen.build.stages import ensure
from sterna.gen.design.specs import conv_spec
from sterna.gen.fold.fold import fold
from sterna.gen.tools.yosys import count, synth
from sterna.hw.core.spiking_conv import SpikingConv

COLUMNS = ("logic", "ff", "lutram", "bram", "carry")


def by_module(netlist: Path, depth: int, target: str) -> dict[str, dict]:
    """Resources by the first ``depth`` names of the hierarchy, largest first."""
    modules = json.loads(netlist.read_text())["modules"].values()
    top = next(m for m in modules if int(str(m.get("attributes", {}).get("top", "0")), 2) == 1)
    cells: dict[str, Counter[str]] = {}
    for name, cell in top["cells"].items():
        if cell["type"] != "$scopeinfo":
            path = name.split(".")[:-1]
            cells.setdefault(".".join(path[:depth]) or "(top)", Counter())[cell["type"]] += 1
    out = {name: count(kinds, target) for name, kinds in cells.items()}
    return dict(sorted(out.items(), key=lambda item: -item[1]["logic"]))


def core(args: argparse.Namespace) -> tuple[str, Path, str]:
    """Verilog of the core of ``core_fmax``: name, file, module."""
    net = network(args.kind)
    folding = {"pe": args.pe, "simd": args.simd, "tp": args.tp, "memory": args.memory}
    design = fold(net, {"conv": folding}, family="ecp5")
    found = next(c for c in design.cores if c.name == "conv")
    name = f"{args.kind}_{args.pe}x{args.simd}x{args.tp}_{args.memory}"
    spec = conv_spec(net, found, "ecp5", rows=True)
    return name, emit(SpikingConv(spec), "core", work_dir("core_size", name)), "core"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["ternary", "binary"], default="ternary")
    parser.add_argument("--pe", type=int, default=8)
    parser.add_argument("--simd", type=int, default=36)
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--memory", choices=["rom", "ram"], default="rom")
    parser.add_argument("--example", help="a whole network of examples/ instead")
    parser.add_argument("--depth", type=int, help="names of the hierarchy told apart")
    parser.add_argument("--target", choices=["ecp5", "xilinx7"], default="ecp5")
    parser.add_argument("--json", help="results file (default: benchmarks/results/core_size.json)")
    args = parser.parse_args()
    if args.example:
        name = args.example
        folder = work_dir("core_size", name, "build")
        build = ensure(ROOT / "examples" / name, "verilog", output=folder)
        path, top = build.verilog, build.name
    else:
        name, path, top = core(args)
    folder = work_dir("core_size", name)
    used = synth([path], top, args.target, folder, json_netlist=True)
    netlist = folder / f"{top}_{args.target}.json"
    parts = by_module(netlist, args.depth or (3 if args.example else 2), args.target)
    rows = [["part", *COLUMNS], *([part, *(n[c] for c in COLUMNS)] for part, n in parts.items())]
    print(table([*rows, ["all", *(used[c] for c in COLUMNS)]]))
    whole = {c: used[c] for c in COLUMNS}
    results = {"what": name, "target": args.target, "parts": parts, "all": whole}
    write_results("core_size", results, args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
