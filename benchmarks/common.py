"""What the benchmarks share: Verilog of one component, the bare core, tables, result files."""

import json
from pathlib import Path
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.gen.tools.fmax import fmax_ecp5
from sterna.gen.tools.yosys import synth
from sterna.gen.verilog.elaborate import verilog_text
from sterna.hw.core.accumulate import Accumulator
from sterna.hw.dot.compress import DotProduct

__all__ = ["ROOT", "BareCore", "emit", "lanes_row", "work_dir", "write_results", "table"]

ROOT = Path(__file__).resolve().parent.parent


class BareCore(wiring.Component):
    """The lanes of a core and nothing else: dot product and accumulators, no buffers, no scan.

    ``steps`` binary planes a visit are accumulated in turns of ``tp`` (``turns`` plane groups)
    over ``folds`` window words. Ports: ``act`` and ``weight`` of the dot product, ``valid``,
    ``first``, ``coming``, ``ending`` of the accumulator; out ``ready_z`` and ``z``.
    """

    def __init__(self, pe: int, simd: int, tp: int, kind: str, family: str, folds: int = 8) -> None:
        self.dot = dot = DotProduct(pe, simd, tp, 1, kind, family=family)
        width = (simd * folds).bit_length() + 1
        self.accumulate = Accumulator(
            pe=pe,
            sums=dot.sums,
            in_width=dot.sum_shape.width,
            turns=1,
            width=width,
            constant=-dot.offset * folds,
            pops=dot.pops,
            pop_width=dot.sum_shape.width if dot.pops else 0,
            whole=True,
        )
        self.lanes = pe * simd * tp
        super().__init__(
            {
                "act": In(dot.act_lanes * tp),
                "weight": In(pe * simd * dot.weight_bits),
                "valid": In(1),
                "first": In(1),
                "coming": In(1),
                "ending": In(1),
                "ready_z": Out(1),
                "z": Out(pe * dot.sums * width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dot = dot = self.dot
        m.submodules.accumulate = acc = self.accumulate
        m.d.comb += [
            dot.act.eq(self.act),
            dot.weight.eq(self.weight),
            acc.sum.eq(dot.sum),
            acc.valid.eq(self.valid),
            acc.first.eq(self.first),
            acc.coming.eq(self.coming),
            acc.ending.eq(self.ending),
            self.ready_z.eq(acc.ready_z),
            self.z.eq(acc.z),
        ]
        if dot.pops:
            m.d.comb += acc.pop.eq(dot.pop)
        return m


def work_dir(*parts: str) -> Path:
    """A build folder inside the repository (YoWASP tools do not see /tmp)."""
    folder = ROOT / "build" / "benchmarks" / "_".join(parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def emit(component: "wiring.Component[Any]", name: str, folder: Path) -> Path:
    """Writes ``<folder>/<name>.v``."""
    path = folder / f"{name}.v"
    path.write_text(verilog_text(component, name))
    return path


def lanes_row(
    component: "wiring.Component[Any]",
    lanes: int,
    target: str,
    folder: Path,
    alone: bool,
    fmax: bool,
) -> dict[str, Any]:
    """Cells by yosys of a component of so many lanes, and per lane; ``logic`` is LUTs without
    LUT RAM. ``alone``: nothing but the lanes; ``fmax``: routed on an ECP5, too."""
    verilog = emit(component, "lanes", folder)
    # Alone, the lanes hold the longest path, and yosys would spend LUTs to shorten it.
    options = ["-nowidelut"] if target == "ecp5" and alone else []
    used = synth([verilog], "lanes", target, folder, options=options)
    row: dict[str, Any] = {
        "target": target,
        "lanes": lanes,
        **{key: used[key] for key in ("logic", "ff", "carry", "bram", "lutram")},
        "ff_per_lane": round(used["ff"] / lanes, 3),
    }
    if target == "xilinx7":
        row["packed_per_lane"] = round(used["lut_packed_estimate"] / lanes, 3)
    if fmax and target == "ecp5":
        speed = fmax_ecp5([verilog], "lanes", folder, options=options)
        row |= {"mhz": speed["mhz"], "mhz_by_seed": speed["all"], "critical": speed["critical"]}
    return row


def write_results(name: str, results: dict[str, Any], path: str | None = None) -> None:
    """``benchmarks/results/<name>.json``, sorted and stable."""
    target = Path(path) if path else ROOT / "benchmarks" / "results" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def table(rows: list[list[Any]]) -> str:
    """Left-aligned text columns; the first row is the heading."""
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
