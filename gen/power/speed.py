"""At which clock a design runs, and how big it is: as place and route left it, else as asked and as
counted or estimated before."""

from dataclasses import dataclass
from typing import Any

from sterna.gen.board.place_record import placed_record
from sterna.gen.build.folder import BOARD, Build
from sterna.gen.build.measurements import measurements, placed_is_of
from sterna.gen.build.report import estimated
from sterna.gen.device.boards import Chip
from sterna.gen.device.family import RESOURCES

__all__ = ["Speed", "speed"]

PLACED, ASSUMED = "placed clock", "assumed clock, asked of the folding"


@dataclass(frozen=True)
class Speed:
    """clock_mhz, and ``clock_from`` where it is known. resources: luts, ff, bram ... by
    ``resources_from``, labelled ``resources_label``; None where nobody knows. cells: logic cells of
    a LUT and a flip-flop, least and most. pll: PLLs, least and most. placed: whether a board's
    place and route says so, link included."""

    clock_mhz: float
    clock_from: str
    resources: dict[str, Any] | None
    resources_from: str
    resources_label: str
    cells: tuple[float, float] | None
    pll: tuple[float, float]
    placed: bool


def speed(build: Build, target: str, where: Chip | None) -> Speed:
    """Of a folded build, synthesised for ``target`` or placed for a board."""
    if where is not None and (record := _placed(build, where)) is not None:
        used = {kind: have for kind, (have, _) in record["used"].items()}
        pll = float(record["pll"] is not None)
        by = f"place and route for {where.name}, the link included"
        cells = (used["luts"],) * 2
        # What it reached is what the PLL is set to.
        return Speed(record["clock_mhz"], PLACED, used, by, "counted", cells, (pll, pll), True)
    found, by, label = _resources(build, target)
    cells = None
    if found is not None:
        luts, ff = found["luts"], found["ff"]
        cells = float(max(luts, ff)), float(luts + ff)
    clock = build.design.clock_mhz
    return Speed(clock, ASSUMED, found, by, label, cells, (0.0, 1.0), False)


def _resources(build: Build, target: str) -> tuple[dict[str, Any] | None, str, str]:
    found, by, label = measurements(build).get(f"synth_{target}"), "yosys", "counted"
    if found is None:
        found, by, label = estimated(build, target), "the cost model", "estimated"
    kept = None if found is None else {k: found[k] for k in RESOURCES if k in found}
    return kept, by, label


def _placed(build: Build, where: Chip) -> dict[str, Any] | None:
    """The record of this design's last place and route for this board."""
    record = placed_record(build.folder / BOARD)
    if record is None or record["options"]["board"] != where.name:
        return None
    return record if placed_is_of(record, build) and "luts" in record["used"] else None
