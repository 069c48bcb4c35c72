"""What a step of training makes smaller: the loss of one batch."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sterna.train.methods.stidi import read_stidi
from sterna.train.methods.twin import read_twin
from sterna.train.recipe.recipe import Recipe, Stage
from sterna.train.run.teacher import Teacher

__all__ = ["Objective"]


class Objective:
    """The loss of a recipe: cross entropy, a teacher's word, single spikes', a twin's."""

    def __init__(self, recipe: Recipe, steps: int, teacher: Teacher | None) -> None:
        where = f"recipe '{recipe.name}'"
        self.smoothing, self.steps, self.teacher = recipe.smoothing, steps, teacher
        self.stidi, self.twin = read_stidi(where, recipe.stidi), read_twin(where, recipe.twin)

    @property
    def taught_by(self) -> str:
        """The digest of the teacher, "" without one."""
        return self.teacher.digest if self.teacher is not None else ""

    def __call__(
        self, stage: Stage, images: Tensor, labels: Tensor, logits: Tensor, other: Tensor | None
    ) -> Tensor:
        """Of uint8 ``images`` with (B,) ``labels``, the module's ``logits`` (with ``each_step`` the
        membranes after each step, [T,B,classes]) and the twin's."""
        times: Any = self.steps / stage.steps  # the same range at every T
        if stage.each_step:
            passed = torch.arange(1, len(logits) + 1, device=logits.device)
            times = (self.steps / passed).view(-1, 1, 1)
        logits = logits.float() * times
        if self.stidi is not None:
            loss = self.stidi.loss(logits, labels, self.smoothing)
        else:
            loss = self._plain(images, labels, logits)
        if other is not None and self.twin is not None:
            loss = loss + self.twin.loss(logits, other.float() * times, labels, self.smoothing)
        return loss

    def _plain(self, images: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
        """Of [B,classes], or the mean over steps of [T,B,classes]."""
        repeats = len(logits) if logits.ndim == 3 else 1
        flat, labels = logits.flatten(0, -2), labels.repeat(repeats)
        if self.teacher is None:
            return F.cross_entropy(flat, labels, label_smoothing=self.smoothing)
        wise = self.teacher.logits(images).repeat(repeats, 1)
        return self.teacher.rule.loss(flat, wise, labels, self.smoothing)
