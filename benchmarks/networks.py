"""Every network of the examples as a whole design: clocks, cells, work for its size; the peers.

    python benchmarks/networks.py [NAME ...] [--list] [--write] [--force]
                                  [--fmax [--seeds 1,2,3] [--router router1]]

A point is a network under examples/, a target and how it is folded. It is folded, packed, written
as Verilog and synthesised out of context: buffers, memories, neurons, control and AXI are in it.
``--fmax`` also routes ECP5 points in a shift-register wrapper, once a seed, and takes the median
(``--router router2``: for designs that nextpnr's usual router does not end with).
A point whose Verilog is that of its last result is not run again (``--force``: after a new yosys).
Results go to ``benchmarks/results.json``; ``--write`` makes docs/performance.md's tables from them.

SOP: one synaptic accumulate; dense-equivalent, so every weight counts at every output pixel and
every time step, zeros and silent inputs too. LUTs are counted as ``sterna.gen.tools.yosys`` says,
with LUT RAM.
"""

import argparse
import json
import math
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import ROOT, work_dir

RESULTS = ROOT / "benchmarks" / "results.json"
DOCS = ROOT / "docs" / "performance.md"
START, END = "<!-- table: benchmarks/networks.py -->", "<!-- end of table -->"
CLOCK_MHZ = 100.0
ECP5_LUTS = {"25k": 24_288, "45k": 43_848, "85k": 83_640}


@dataclass(frozen=True)
class Point:
    """One row: the example, the family, how it is folded (``gen.build.stages.Options``; {}: as the
    example says), and what it stands for."""

    example: str
    target: str
    options: dict[str, Any] = field(default_factory=dict)
    what: str = ""


RAM = {"memory": "ram"}  # run-time weights
POINTS = {
    "digits": Point("digits", "ecp5"),
    "digits_ram": Point("digits", "ecp5", RAM),
    "mnist": Point("mnist", "ecp5"),
    "mnist_ram": Point("mnist", "ecp5", RAM, "lanes of a ternary design"),
    "mnist_25k": Point(
        "mnist",
        "ecp5",
        RAM | {"board": "ulx3s-85f", "fps": 27_000},
        "25,000 images/s on an ECP5-85F, the solver's",
    ),
    "mnist_17k": Point(
        "mnist", "ecp5", {"fps": 12_755}, "12,755 images/s on an ECP5-25F, the solver's"
    ),
    "mnist_80k": Point(
        "mnist",
        "ecp5",
        {"board": "ulx3s-85f", "fps": 100_000, "memory": "rom"},
        "80,000 images/s on an ECP5-85F, the solver's",
    ),
    "mnist_x7": Point("mnist", "xilinx7", RAM | {"fps": 27_000}, "lanes of a ternary design"),
    "mnist_binary": Point(
        "mnist_binary", "ecp5", RAM | {"fps": 27_000}, "lanes of a binary design"
    ),
    "mnist_binary_x7": Point(
        "mnist_binary", "xilinx7", RAM | {"fps": 27_000}, "lanes of a binary design"
    ),
    "peer_mlp": Point("peer_mlp", "xilinx7", {"luts": 6100}, "beside snn-fpga and Spiker+"),
    "peer_mlp_ram": Point(
        "peer_mlp", "xilinx7", RAM | {"luts": 6100}, "beside snn-fpga and Spiker+"
    ),
    "peer_conv8": Point("peer_conv8", "xilinx7", {"fps": 36_900}, "beside the INT8 conv SNN"),
    "peer_conv8_ram": Point(
        "peer_conv8", "xilinx7", RAM | {"fps": 36_900}, "beside the INT8 conv SNN"
    ),
    "nmnist": Point("nmnist", "ecp5"),
    "ttfs": Point("ttfs", "ecp5"),
    "fashion": Point("fashion", "ecp5"),
    "skip4_mix": Point("skip4_mix", "ecp5"),
    "resnet20_small": Point(
        "resnet20",
        "ecp5",
        RAM | {"board": "ulx3s-85f", "fps": 1_300},
        "1,200 images/s on an ECP5-85F, the solver's",
    ),
    "resnet20": Point(
        "resnet20",
        "ecp5",
        RAM | {"board": "ulx3s-85f", "fps": 2_700},
        "ResNet20 on an ECP5-85F, the solver's",
    ),
}


@dataclass(frozen=True)
class Peer:
    """A public design, as published or as measured by whoever compared it. ``gsop``: GSOP/s per
    thousand LUTs at 100 MHz."""

    name: str
    what: str
    cost: str
    speed: str
    gsop: str
    source: str


PEERS = (
    Peer(
        "snn-fpga (Artix-7)",
        "784-128-10, T = 100, INT8",
        "6,358 LUT, 40.5 BRAM",
        "0.52 ms",
        "3.1",
        "published",
    ),
    Peer(
        "Spiker+ (XC7Z020)",
        "784-128-10, T = 100",
        "7,612 LC, 18 BRAM",
        "0.78 ms",
        "1.4 to 1.7",
        "published, clocks measured",
    ),
    Peer(
        "INT8 conv SNN in SystemVerilog",
        "28x28 - 8C3 - sum 2x2 - FC10, T = 16",
        "30,749 LUT + 704 RAM64M",
        "12,623 clocks an image",
        "0.23",
        "measured",
    ),
    Peer(
        "QUANTISENC",
        "256-256-10, 5 bit",
        "about 110,000 LUT",
        "263 clocks a step",
        "0.24",
        "measured",
    ),
    Peer(
        "FINN (ZC706), not spiking",
        "binary CNV",
        "about 7 LUT a lane",
        "21,906 images/s",
        "about 14",
        "published",
    ),
    Peer(
        "unrolled ternary CNN (VU9P), not spiking",
        "constant weights",
        "-",
        "122,000 images/s",
        ">= 16",
        "published",
    ),
)
CONV8_PEER = (30_749 + 4 * 704, 12_623)
"""LUTs (a RAM64M takes four) and clocks an image of the peer that peer_conv8 stands beside."""


def synapses(network: Any) -> int:
    """Dense-equivalent synaptic accumulates of an image: weights x output pixels x steps."""
    from sterna.golden.network import Conv2d, Linear

    total = 0
    for node in network.nodes:
        if isinstance(node, Conv2d | Linear):
            _, height, width = network.shape[node.name]
            total += int(node.weight.size) * height * width * network.steps
    return total


def least_blocks(network: Any, design: Any) -> float:
    """Block RAMs without which the memories that are in some cannot do: each for its bits, or for
    those read in a clock."""
    from sterna.gen.design.top_spec import top_spec
    from sterna.gen.device.family import family_of
    from sterna.gen.device.memories import mapped
    from sterna.gen.model.features import top_parts

    family, chip = design.family, family_of(design.family)
    shapes = [
        s
        for part in top_parts(top_spec(network, design), family)
        for s in part.memories
        if mapped(s, family).bram
    ]
    return sum(max(s.bits / chip.block_bits, s.width / chip.block_port) for s in shapes)


def measure(name: str, point: Point, known: dict[str, Any] | None) -> tuple[dict[str, Any], Path]:
    """Everything the tables say of a point but Fmax, ``known`` where it still holds; its Verilog,
    which has the name of the top."""
    from sterna.gen.build.stages import Options, ensure
    from sterna.gen.device.family import TARGETS
    from sterna.gen.model.cost import estimate
    from sterna.gen.tools.yosys import synth
    from sterna.golden.files.disk import sha256

    folder = work_dir("networks", name)
    shutil.rmtree(folder)  # a build folder keeps the goal it was folded for
    folder = work_dir("networks", name)
    build = ensure(
        ROOT / "examples" / point.example,
        "verilog",
        Options(**{"family": point.target, "clock_mhz": CLOCK_MHZ} | point.options),
        folder,
    )
    text, chains = build.verilog.read_bytes(), TARGETS[point.target].chains
    digest = sha256(text if chains is None else text + chains(text.decode()).encode())
    design, network = build.design, build.network
    guess = estimate(network, design).total
    row: dict[str, Any] = {
        "example": point.example,
        "target": point.target,
        "what": point.what,
        "verilog": digest,
        "steps": network.steps,
        "synapses": synapses(network),
        "clocks": design.interval,
        "latency": design.latency,
        "lanes": sum(c.lanes for c in design.cores),
        "folding": design.folding,
        "weights": kept(design),
        "bram_bits": guess.bram_bits,
        "luts_estimate": round(guess.luts),
        "bram_least": least_blocks(network, design),
    }
    if known is not None and known.get("verilog") == digest:
        row = known | row
    else:
        print(f"{name}: yosys for {point.target} ...", file=sys.stderr, flush=True)
        used = synth([build.verilog], build.name, point.target, folder / "synth")
        row |= {k: used[k] for k in ("logic", "carry", "ff", "bram", "lutram", "tool")}
        if "lut_packed_estimate" in used:
            row["lut_packed_estimate"] = used["lut_packed_estimate"]
    return row | derived(row), build.verilog


def device_of(point: Point, luts: int) -> str:
    """The point's board's device, else the smallest ECP5 that ``luts`` fit."""
    from sterna.gen.device.boards import board

    if "board" in point.options:
        return board(point.options["board"]).device
    return next(d for d, cells in ECP5_LUTS.items() if luts < 0.95 * cells or d == "85k")


def route(
    name: str, row: dict[str, Any], verilog: Path, seeds: tuple[int, ...], router: str
) -> dict[str, Any]:
    """What the tables say of Fmax, for so many seeds; empty where it is known, or no ECP5."""
    from sterna.gen.tools.fmax import fmax_ecp5

    if row["target"] != "ecp5" or len(row.get("mhz_by_seed", ())) >= len(seeds):
        return {}
    print(f"{name}: nextpnr, {len(seeds)} seeds ...", file=sys.stderr, flush=True)
    device = device_of(POINTS[name], row["luts"])
    found = fmax_ecp5(
        [verilog],
        verilog.stem,
        work_dir("networks", name) / "fmax",
        device=device,
        target_mhz=CLOCK_MHZ,
        seeds=seeds,
        router=router,
    )
    return {
        "mhz": found["mhz"],
        "mhz_by_seed": found["all"],
        "device": found["device"],
        "critical": found["critical"],
        "router": router,
    }


def kept(design: Any) -> str:
    """Where the weights are: in memories (ram: rewritable, rom: fixed), in the logic."""
    cores = [c for c in design.cores if c.op == "conv"]
    return ", ".join(sorted({"logic" if c.constants else c.memory for c in cores}))


def derived(row: dict[str, Any]) -> dict[str, Any]:
    """What follows from clocks and cells at 100 MHz."""
    from sterna.gen.device.family import family_of

    luts = row["logic"] + row["lutram"]
    images = CLOCK_MHZ * 1e6 / row["clocks"]
    out = {} if "bram_least" not in row else {"bram_fill": row["bram"] / max(1, row["bram_least"])}
    return out | {
        "luts": luts,
        "lut_per_lane": luts / row["lanes"],
        "images": images,
        "images_per_klut": images / luts * 1000,
        "gsop_per_klut": row["synapses"] * images / 1e9 / (luts / 1000),
        "bram_ratio": family_of(row["target"]).block_bits * row["bram"] / max(1, row["bram_bits"]),
    }


def routed(r: dict[str, Any]) -> str:
    """Median, that of every seed, how much of the device's LUTs is used."""
    seeds = ", ".join(f"{m:.1f}" for m in r["mhz_by_seed"])
    device = next(d for d in ECP5_LUTS if d in r["device"])
    other = "" if r.get("router", "router1") == "router1" else f", {r['router']}"
    return f"{r['mhz']:.1f} ({seeds}; {r['luts'] / ECP5_LUTS[device]:.0%} of {device}{other})"


def main_table(results: dict[str, Any]) -> list[str]:
    out = [
        "| point | target | T | weights | clocks/image | lanes | LUT | estimate | "
        "of these LUT RAM | FF | block RAM (bits there / needed; blocks there / least) | "
        "LUT a lane | images/s | images/s per kLUT | GSOP/s per kLUT | "
        "Fmax, MHz (of each seed; LUTs used) |",
        "|---" * 16 + "|",
    ]
    for name in POINTS:
        if (r := results.get(name)) is None or "weights" not in r:  # of an older table
            continue
        least = f"; {r['bram_fill']:.2f}" if "bram_fill" in r else ""
        guess = f"{r['luts_estimate'] / r['luts'] - 1:+.1%}" if "luts_estimate" in r else "-"
        packed = f" ({r['lut_packed_estimate']:,} packed)" if "lut_packed_estimate" in r else ""
        mhz = routed(r) if "mhz" in r else "-"
        cells = [
            f"`{name}`",
            r["target"],
            r["steps"],
            r["weights"],
            f"{r['clocks']:,}",
            f"{r['lanes']:,}",
            f"{r['luts']:,}{packed}",
            guess,
            f"{r['lutram']:,}",
            f"{r['ff']:,}",
            f"{r['bram']:g} ({r['bram_ratio']:.2f}{least})",
            f"{r['lut_per_lane']:.2f}",
            f"{r['images']:,.0f}",
            f"{r['images_per_klut']:,.0f}",
            f"{r['gsop_per_klut']:.1f}",
            mhz,
        ]
        out.append("| " + " | ".join(map(str, cells)) + " |")
    return out


def peer_table(results: dict[str, Any]) -> list[str]:
    out = [
        "| design | what | cost | speed | GSOP/s per kLUT at 100 MHz | figures |",
        "|---" * 6 + "|",
    ]
    for p in PEERS:
        cells = [p.name, p.what, p.cost, p.speed, p.gsop, p.source]
        out.append("| " + " | ".join(cells) + " |")
    for name in ("peer_mlp", "peer_mlp_ram", "peer_conv8", "peer_conv8_ram", "mnist_x7"):
        if (r := results.get(name)) is None or "weights" not in r:
            continue
        cost = f"{r['luts']:,} LUT, {r['bram']:g} BRAM"
        speed = f"{1000 / r['images']:.3f} ms, {r['clocks']:,} clocks an image"
        cells = [
            f"**Sterna `{name}`**",
            f"T = {r['steps']}, weights {r['weights']}",
            cost,
            speed,
            f"{r['gsop_per_klut']:.1f}",
            "measured (yosys)",
        ]
        out.append("| " + " | ".join(cells) + " |")
    return out


def conv8_lines(results: dict[str, Any]) -> list[str]:
    """LUT x clocks beside the measured convolutional peer."""
    theirs, out = math.prod(CONV8_PEER), []
    for name in ("peer_conv8", "peer_conv8_ram"):
        if (r := results.get(name)) is not None:
            ours = r["luts"] * r["clocks"]
            out += [
                f"`{name}`: LUT x clocks an image is {ours / 1e6:.1f} million, the peer's "
                f"{theirs / 1e6:.0f} million: {theirs / ours:.1f} times less."
            ]
    return out


def write_docs(results: dict[str, Any]) -> None:
    before, rest = DOCS.read_text().split(START)
    after = rest.split(END)[1]
    parts = (main_table(results), peer_table(results), conv8_lines(results))
    body = "\n".join([START, "\n\n".join("\n".join(p) for p in parts if p), END])
    DOCS.write_text(before + body + after)


def keep(results: dict[str, Any]) -> None:
    """Called after every step: an interrupted run keeps what it measured."""
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def main() -> int:
    from sterna.gen.tools.fmax import ROUTERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="points (default: all)")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true", help="tables into docs/performance.md")
    parser.add_argument("--fmax", action="store_true", help="route ECP5 points, too")
    parser.add_argument("--seeds", default="1,2,3", help="of --fmax (default 1,2,3)")
    parser.add_argument(
        "--router", default="router1", choices=ROUTERS, help="of --fmax (default router1)"
    )
    parser.add_argument("--force", action="store_true", help="also what has not changed")
    options = parser.parse_args()
    if options.list:
        print(
            "\n".join(f"{n}: examples/{p.example}, {p.target} {p.what}" for n, p in POINTS.items())
        )
        return 0
    if unknown := [n for n in options.names if n not in POINTS]:
        print(f"no point {unknown[0]!r}; use {', '.join(POINTS)}", file=sys.stderr)
        return 2
    if not all(seed.isdecimal() for seed in options.seeds.split(",")):
        print(
            f"--seeds {options.seeds!r} are not whole numbers with commas between; correct them",
            file=sys.stderr,
        )
        return 2
    seeds = tuple(map(int, options.seeds.split(","))) if options.fmax else ()
    results: dict[str, Any] = {}
    if RESULTS.is_file():
        results = json.loads(Path(RESULTS).read_bytes())
    for name in options.names or POINTS:
        known = None if options.force else results.get(name)
        results[name], verilog = measure(name, POINTS[name], known)
        keep(results)
        results[name] |= route(name, results[name], verilog, seeds, options.router)
        keep(results)
    print("\n".join(main_table(results)))
    if options.write:
        write_docs(results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
