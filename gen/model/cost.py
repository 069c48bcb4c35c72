"""What a design costs before any synthesis: LUTs, flip-flops, block RAM and LUT RAM.

Block RAM and LUT RAM follow from the shapes of the memories (`gen.device.memories`) and from what
waits in registers (`gen.device.shift_registers`); LUTs and flip-flops are features
(`gen.model.features`) times coefficients that ``benchmarks/cost_sweep.py`` fits to yosys. They are
what `gen.tools.yosys` counts, before place and route.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from sterna.gen.design.design import Design
from sterna.gen.design.top_spec import top_spec
from sterna.gen.device.family import family_of
from sterna.gen.device.memories import mapped
from sterna.gen.model.features import core_parts, top_parts, with_memories
from sterna.gen.model.parts import Part
from sterna.golden.errors import DesignError, FileError
from sterna.golden.network import Network
from sterna.hw.top.network_top import CoreInstance, TopSpec

__all__ = [
    "COEFFICIENTS",
    "Cost",
    "Estimate",
    "estimate",
    "estimate_core",
    "estimate_top",
    "fitted",
]

COEFFICIENTS = Path(__file__).with_name("cost_coefficients.json")


@dataclass(frozen=True)
class Cost:
    """logic: LUTs without LUT RAM; lutram: LUTs of it; luts: both; bram: as `gen.tools.yosys`
    counts; bram_bits: bits that the memories in block RAM hold."""

    logic: float = 0
    ff: float = 0
    bram: float = 0
    lutram: float = 0
    bram_bits: float = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def luts(self) -> float:
        return self.logic + self.lutram

    def as_dict(self) -> dict[str, Any]:
        """Rounded, for people and --json."""
        return {
            "luts": round(self.luts),
            "logic": round(self.logic),
            "lutram": round(self.lutram),
            "ff": round(self.ff),
            "bram": int(self.bram) if self.bram == int(self.bram) else self.bram,
            "bram_bits": round(self.bram_bits),
        }


@dataclass(frozen=True)
class Estimate:
    """cores: by core, and the ends ('axis_input', 'axis_output', 'control'); family: whose."""

    family: str
    cores: dict[str, Cost]

    @property
    def total(self) -> Cost:
        return sum(self.cores.values(), Cost())

    def largest(self, resource: str) -> str:
        """The core that takes most of a resource."""
        return max(self.cores, key=lambda name: getattr(self.cores[name], resource))


def estimate(
    network: Network, design: Design, family: str | None = None, *, on_board: bool = False
) -> Estimate:
    """Costs of a design, on its own family unless another is given (`Family.coefficients`).
    ``on_board``: of the top that a board of the family has, without its link."""
    family = family or design.family
    top = top_spec(network, design, board=family if on_board else None)
    return estimate_top(top, family)


def estimate_top(top: TopSpec, family: str) -> Estimate:
    """Costs of a top."""
    out: dict[str, Cost] = {}
    for part in top_parts(top, family):
        out[part.core] = out.get(part.core, Cost()) + _cost(part, family)
    return Estimate(family, out)


def estimate_core(core: CoreInstance, family: str) -> Cost:
    """Cost of one core with what stands before it."""
    return sum((_cost(p, family) for p in with_memories(core_parts(core, family), family)), Cost())


def _cost(part: Part, family: str) -> Cost:
    table = coefficients(family)
    number = {
        resource: sum(
            table[resource].get(part.kind, {}).get(name, 0.0) * value
            for name, value in part.counts.items()
        )
        for resource in ("logic", "ff")
    }
    bram, lutram, bits = 0.0, part.counts.get("shifts", 0.0), 0.0
    for shape in part.memories:
        found = mapped(shape, family)
        bram, lutram = bram + found.bram, lutram + found.lutram
        bits += shape.bits if found.bram else 0
    return Cost(number["logic"], number["ff"], bram, lutram, bits)


@cache
def coefficients(family: str) -> dict[str, dict[str, dict[str, float]]]:
    """Resource -> kind of part -> feature -> LUTs or flip-flops."""
    try:
        body = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))["families"]
    except (OSError, ValueError, KeyError) as e:
        raise FileError(f"{COEFFICIENTS}: {e}; run python benchmarks/cost_sweep.py") from None
    known = family_of(family).coefficients
    if known not in body:
        raise DesignError(
            f"there are no coefficients of the cost model for {family}; run "
            f"python benchmarks/cost_sweep.py --families {family}"
        )
    return body[known]


def fitted(families: Iterable[str]) -> list[str]:
    """Those of ``families`` that the model knows."""
    body = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))["families"]
    return [f for f in families if family_of(f).coefficients in body]
