"""Whole steps of 2**-F for a layer's constants, as ``gen.rulefold`` chooses them, on tensors that
pass gradients straight through."""

import torch
from torch import Tensor

from sterna.gen.ties import snap, tie_width

__all__ = ["least_threshold", "nearest_step"]


def least_threshold(exact: Tensor, size: Tensor, fraction: float, strict: bool) -> Tensor:
    """The least whole number of steps at which neurons of threshold ``exact`` (float64, in steps)
    fire, ties judged by ``size``, the largest of what it was made of; gradient 1."""
    now, size = exact.detach(), size.detach() / fraction
    units = snap(now / fraction, size, torch) * fraction
    near = torch.round(units)
    units = torch.where((units - near).abs() <= tie_width(size, torch) * fraction, near, units)
    least = torch.floor(units) + 1 if strict else torch.ceil(units)
    return exact + (least - now)


def nearest_step(x: Tensor, fraction: float) -> Tensor:
    """x (float64, in steps) rounded half up, whole units being whole; gradient 1."""
    now = x.detach()
    return x + (torch.floor(snap(now / fraction, xp=torch) * fraction + 0.5) - now)
