"""How near the clocks of a design are to those that design.json says: of its measurement on a
board, in a simulation, and of the model against the law. Standard library only."""

from collections.abc import Mapping
from typing import Any

__all__ = ["LAW", "clocks_of"]

LAW = 1.02
"""The interval of the law is met within this factor."""


def clocks_of(design: Mapping[str, Any]) -> tuple[float, float] | None:
    """Least and most clocks an image of back-to-back images, by the keys of design.json: the law
    and, where it was asked, the model of streams, each within `LAW`. None where it has no law."""
    said = [design.get("interval"), design.get("modelled_interval")]
    known = [v for v in said if isinstance(v, int | float) and not isinstance(v, bool) and v > 0]
    return (min(known) / LAW, max(known) * LAW) if known else None
