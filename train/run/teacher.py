"""The teacher of a run: an earlier run, or a milestone of one (``train.run.milestone``). It sees
the augmented images of its pupil, in its evaluation form.
"""

from pathlib import Path

import torch
from torch import Tensor

from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden.errors import UsageError
from sterna.train.recipe.teacher_rule import TeacherRule
from sterna.train.run.milestone import read_trained

__all__ = ["Teacher"]


class Teacher:
    """The teacher of a run, frozen. ``digest``: of its parameters, so that a run that goes on can
    tell whether it is still the same."""

    def __init__(
        self, rule: TeacherRule, path: Path, network: FloatNetwork, device: torch.device
    ) -> None:
        self.rule = rule
        found = read_trained(path)
        self.module = found.module.to(device).eval()
        self.digest = found.digest
        for p in self.module.parameters():
            p.requires_grad_(False)
        own = self.module.network
        for what, here, there in (
            ("images", network.input.shape, own.input.shape),
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
        return self.module(images).float() * (self.module.network.steps / self.module.steps)
