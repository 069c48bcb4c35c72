"""What others measured of a device, and the bounds of a design's power that follow.

A device is here only where somebody published currents of its rails; tables of energy an operation
(0.9 pJ an addition, 4.6 pJ a multiplication: a processor of 45 nm) are no FPGA's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CURRENTS", "Currents"]

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Currents:
    """Of one device. static_mw: configured, its clock halted. mw_per_mhz: what any design takes
    that is clocked. cell_pj: a logic cell and clock, least and most. pll_mw: of a PLL that runs,
    what it makes the core take included. source: whose figures; left_out: what they do not have."""

    static_mw: float
    mw_per_mhz: float
    cell_pj: Bounds
    pll_mw: Bounds
    source: str
    left_out: str

    def power(self, clock_mhz: float, cells: Bounds, pll: Bounds, rate: float) -> dict[str, Any]:
        """Bounds of the power of a design.

        Args:
            clock_mhz: of all of it.
            cells: logic cells, least and most.
            pll: PLLs, least and most.
            rate: images a second.

        Returns:
            ``low_mw`` and ``high_mw``, ``low_mj`` and ``high_mj`` (an image), ``terms`` (mW, least
            and most of each), ``cells``, ``source``, ``left_out``.
        """
        terms: Mapping[str, Bounds] = {
            "static": (self.static_mw, self.static_mw),
            "clock": (self.mw_per_mhz * clock_mhz, self.mw_per_mhz * clock_mhz),
            # pJ times MHz are uW.
            "logic": (
                cells[0] * self.cell_pj[0] * clock_mhz / 1e3,
                cells[1] * self.cell_pj[1] * clock_mhz / 1e3,
            ),
            "pll": (pll[0] * self.pll_mw[0], pll[1] * self.pll_mw[1]),
        }
        low, high = (sum(bounds[k] for bounds in terms.values()) for k in (0, 1))
        return {
            "low_mw": low,
            "high_mw": high,
            "low_mj": low / rate,
            "high_mj": high / rate,
            "terms": {name: list(bounds) for name, bounds in terms.items()},
            "cells": list(cells),
            "source": self.source,
            "left_out": self.left_out,
        }


CURRENTS = {
    "up5k": Currents(
        # Core 85.6 uA, blank. 613.5 uA with 32 cells at 12 MHz, 641.3 with 228: the cells of
        # counters. 645 uA with 28 cells at 12 MHz, 996 with 208: of a multiplier of 8 x 8 bits.
        # With the PLL at 16, 32 and 48 MHz 0.94, 0.82 and 0.58 mW more. All at 1.219 V.
        static_mw=0.10,
        mw_per_mhz=0.054,
        cell_pj=(0.014, 0.20),
        pll_mw=(0.58, 0.94),
        source="currents of an iCE40 UP5K by a Joulescope, github.com/tinyvision-ai-inc/"
        "ice40_power; from counters (low) to a multiplier (high)",
        left_out="block RAM (not measured), I/O, the oscillator, regulators, whatever else the "
        "board has",
    ),
}
"""By the device's name in nextpnr."""
