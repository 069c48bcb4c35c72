"""A design that the solver weighed, and what it is held against."""

from dataclasses import dataclass
from typing import Any

from sterna.gen.design.design import Design
from sterna.gen.design.folding import Foldings
from sterna.gen.model.cost import Cost, Estimate

__all__ = ["Choice", "Limits"]


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
