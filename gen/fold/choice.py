"""A design that the solver weighed, and what it is held against."""

from dataclasses import dataclass
from typing import Any

from sterna.gen.design.design import Design
from sterna.gen.design.folding import Foldings
from sterna.gen.device.boards import chip_of
from sterna.gen.device.family import family_of
from sterna.gen.model.cost import Cost, Estimate

__all__ = ["Choice", "HEAD_ROOM", "Limits", "board_limits"]

HEAD_ROOM = 0.88
"""Share of a board's LUTs and flip-flops that a design may take by the estimate: estimates are a
few percent off, and fuller devices lose clock or are not routed. Block RAM is exact: all of it."""
LINK_LUTS = 1300  # the UART link of a board's top, its FIFOs included
ZYNQ_LUTS = 6000  # set aside for a DMA and its interconnect; not measured, there was no Vivado
ZYNQ_BRAM = 4  # the same: both FIFOs of the DMA


@dataclass(frozen=True)
class Limits:
    """What there is, None: no limit. luts: with LUT RAM; bram as `gen.tools.yosys` counts; where:
    in words."""

    luts: float | None = None
    ff: float | None = None
    bram: float | None = None
    where: str = ""

    def shares(self, cost: Cost) -> dict[str, float]:
        """Used share of every resource that is limited."""
        used = {k: getattr(cost, k) for k in ("luts", "ff", "bram")}
        return {
            k: used[k] / max(limit, 1e-9) for k in used if (limit := getattr(self, k)) is not None
        }

    def without(self, before: Cost, after: Cost) -> "Limits":
        """What is left of them where a design grows from ``before`` to ``after``."""
        less = lambda limit, more: None if limit is None else limit - max(0.0, more)  # noqa: E731
        return Limits(
            less(self.luts, after.luts - before.luts),
            less(self.ff, after.ff - before.ff),
            less(self.bram, after.bram - before.bram),
            self.where,
        )

    def fits(self, cost: Cost) -> bool:
        """Nothing is used up."""
        return all(share <= 1 for share in self.shares(cost).values())


def board_limits(name: str) -> tuple[str, Limits]:
    """(family, what a network may use) of a board: without the link or the DMA, with head
    room."""
    b = chip_of(name)
    family = family_of(b.family)
    luts, blocks = (ZYNQ_LUTS, ZYNQ_BRAM) if b.zynq else (LINK_LUTS, family.link_blocks)
    room = b.lut * HEAD_ROOM - luts
    return b.family, Limits(
        luts=round(room),
        ff=round(b.lut * family.ff_per_lut * HEAD_ROOM - luts),
        bram=b.bram - blocks,
        where=name,
    )


@dataclass(frozen=True)
class Choice:
    """A design that was weighed: clocks an image, estimate, foldings, the bound it was made for."""

    interval: int
    estimate: Estimate
    entries: Foldings
    design: Design
    bound: int

    def as_dict(self, clock_mhz: float) -> dict[str, Any]:
        """Clocks, images a second and costs, rounded."""
        fps = clock_mhz * 1e6 / self.interval
        return {
            "clocks_per_image": self.interval,
            "fps": round(fps, 1),
            **self.estimate.total.as_dict(),
        }
