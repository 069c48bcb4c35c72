"""A recipe's [teacher]: distillation, learning the logits of a trained network beside the labels.

loss = weight * tau**2 * KL(softmax(teacher/tau) || softmax(logits/tau)) + (1 - weight) * CE
"""

from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sterna.golden.errors import UsageError

__all__ = ["TeacherRule", "read_teacher"]


@dataclass(frozen=True)
class TeacherRule:
    """A recipe's [teacher]. run: the folder of a run beside the new one, or a milestone's file,
    also beside the recipe. tau: temperature. weight: of the teacher's word, the labels have the
    rest."""

    run: str = ""
    tau: float = 4.0
    weight: float = 0.9

    def loss(self, logits: Tensor, wise: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """The loss of ``logits`` [N, classes] against the teacher's ``wise`` and (N,) labels."""
        soft = F.kl_div(
            F.log_softmax(logits / self.tau, 1),
            F.log_softmax(wise / self.tau, 1),
            reduction="batchmean",
            log_target=True,
        )
        hard = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return self.weight * self.tau**2 * soft + (1 - self.weight) * hard


def read_teacher(where: str, table: Any) -> TeacherRule | None:
    """The [teacher] of a recipe, None where it has none."""
    if table is None:
        return None
    known = {f.name: f.type for f in fields(TeacherRule)}
    if not isinstance(table, dict) or set(table) - set(known):
        raise UsageError(f"{where}: [teacher] takes {', '.join(sorted(known))}; correct it")
    run = table.get("run")
    if not isinstance(run, str) or not run or "\0" in run:
        raise UsageError(
            f"{where}: [teacher] run {run!r} is not the folder of a run or a milestone's file; "
            "write one"
        )
    for key, least, most in (("tau", 0.01, 1e3), ("weight", 0.0, 1.0)):
        value = table.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int | float):
            right = False
        else:
            right = least <= value <= most
        if not right:
            raise UsageError(
                f"{where}: [teacher] {key} {value!r} is not a number from {least:g} to {most:g}; "
                "correct it"
            )
    return TeacherRule(**table)
