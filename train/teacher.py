"""Distillation: a network learns the logits of a trained one, the teacher, beside the labels.

    loss = weight * tau**2 * KL(softmax(teacher/tau) || softmax(logits/tau)) + (1 - weight) * CE

The teacher is a finished run, or a milestone of one (``train.milestone``), and sees the same
augmented images in its evaluation form. With logits of every time step the loss is the mean over
steps (temporal efficient training, arXiv 2202.11946): ``logits`` [T*B, classes], and the teacher
says the same at each.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sterna.gen.floatnet import FloatInput, FloatNetwork
from sterna.golden.errors import UsageError
from sterna.train.milestone import Trained, read_trained
from sterna.train.module import SpikingModule

__all__ = ["Teacher", "TeacherRule", "read_teacher"]


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
            F.log_softmax(logits / self.tau, 1), F.log_softmax(wise / self.tau, 1),
            reduction="batchmean", log_target=True,
        )  # fmt: skip
        hard = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return self.weight * self.tau**2 * soft + (1 - self.weight) * hard


class Teacher:
    """The teacher of a run, frozen. ``digest``: of its parameters, so that a run that goes on can
    tell whether it is still the same."""

    def __init__(self, rule: TeacherRule, path: Path, network: FloatNetwork,
                 device: torch.device) -> None:  # fmt: skip
        self.rule = rule
        found: Trained = read_trained(path)
        self.module: SpikingModule = found.module.to(device).eval()
        self.digest = found.digest
        for p in self.module.parameters():
            p.requires_grad_(False)
        own = self.module.network
        for what, here, there in (
            ("images", _image(network.input), _image(own.input)),
            ("outputs", network.shape[network.readout.name][0], own.shape[own.readout.name][0]),
        ):
            if here != there:
                raise UsageError(
                    f"[teacher] run: {path} has {what} {there}, this network {here}; give a "
                    "teacher of the same data set"
                )

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """What it says of uint8 images [B,C,H,W]: [B, classes]."""
        return self.module(images).float()


def _image(node: FloatInput) -> tuple[int, int, int]:
    return node.shape


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
