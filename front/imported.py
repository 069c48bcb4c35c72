"""A network that came in: the float network, what became of every part, and its own framework."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sterna.front.calibrate import calibrate
from sterna.front.check import Check, Recorded, check
from sterna.front.report import Report
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden.errors import UsageError
from sterna.golden.words.shown import Shown

__all__ = ["Imported"]


@dataclass(frozen=True, repr=False)
class Imported(Shown):
    """A foreign network as a ``FloatNetwork``.

    Parameters
    ----------
    network : FloatNetwork
        Weights as they came; ``calibrate`` or training make real ones ternary.
    report : Report
        A verdict for every module.
    cells : dict
        Node by module path of each neuron layer.
    latents : FloatNetwork, optional
        Of a calibrated one: real weights in the place of trits, what training starts from.
    replay : callable, optional
        Runs the foreign model on images [B,C,H,W] (or [T,B,C,H,W]) as `sterna.run` takes them.
    """

    network: FloatNetwork
    report: Report
    cells: dict[str, str] = field(default_factory=dict)
    latents: FloatNetwork | None = None
    replay: Callable[[np.ndarray, Any], Recorded] | None = None

    def line(self) -> str:
        """It in short."""
        return f"{self.network.line()}; {self.report.line()}"

    def __str__(self) -> str:
        return f"{self.network}\n\n{self.report}"

    def check(self, data: Any, *, images: int = 64) -> Check:
        """Compare every neuron, what is read, and the classes with the model's own forward pass.

        Parameters
        ----------
        data : images, (images, labels) or an ImageSet
        images : int
            How many of them.

        Raises
        ------
        UsageError
            The network came from a file, which cannot be run.
        """
        if self.replay is None:
            raise UsageError(
                "check: a network from a file has no forward pass of its own to compare with; "
                "import the model with from_torch"
            )
        approximated = [v.node for v in self.report.approximated]
        return check(self.network, self.cells, self.replay, data, images, approximated)

    def calibrate(self, data: Any, *, kind: str = "ternary", images: int = 256) -> "Imported":
        """Ternary (or binary) weights whose layers keep the mean and deviation of the real ones.

        Without labels and without training; see ``sterna.front.calibrate``.
        """
        found = calibrate(self.network, self.report, data, kind, images)
        return replace(self, network=found.network, report=found.report, latents=found.latents)
