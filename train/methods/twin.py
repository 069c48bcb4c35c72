"""Twin network augmentation, TNA (arXiv 2409.15849): two networks of one architecture and different
first weights are trained together, and only the base one is kept.

    loss = CE(base, y) + CE(twin, y) + alpha * MSE(logits of base, logits of twin)
"""

from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sterna.golden.errors import UsageError

__all__ = ["MODES", "Twin", "read_twin"]

MODES = ("twin", "distill")


@dataclass(frozen=True)
class Twin:
    """A recipe's [twin]. alpha: weight of the difference of logits (mean over images and classes;
    0.05 is 0.005 of the sum over 10 classes). mode: 'twin', gradients of the difference flow into
    both; 'distill', only into the base: the twin is then a teacher that learns beside it.
    seed_step: added to the run's seed for the twin's first weights."""

    alpha: float = 0.05
    mode: str = "twin"
    seed_step: int = 1000

    def loss(self, base: Tensor, twin: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """The loss of logits [B, classes] of both, except the base's own cross entropy."""
        other = twin.detach() if self.mode == "distill" else twin
        own = F.cross_entropy(twin, labels, label_smoothing=smoothing)
        return own + self.alpha * F.mse_loss(base, other)


def read_twin(where: str, table: Any) -> Twin | None:
    """The [twin] of a recipe, None where it has none."""
    if table is None:
        return None
    known = {f.name: f.type for f in fields(Twin)}
    if not isinstance(table, dict) or set(table) - set(known):
        raise UsageError(f"{where}: [twin] takes {', '.join(sorted(known))}; correct it")
    alpha, step = table.get("alpha", 0.05), table.get("seed_step", 1000)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < 1e6:
        raise UsageError(f"{where}: [twin] alpha {alpha!r} is not a number from 0; correct it")
    if table.get("mode", "twin") not in MODES:
        raise UsageError(f"{where}: [twin] mode {table['mode']!r} is not {' or '.join(MODES)}")
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        raise UsageError(f"{where}: [twin] seed_step {step!r} is not a whole number above 0")
    return Twin(**table)
