"""Whole steps of 2**-F for a layer's constants, as ``gen.quantize.neuron_rules`` chooses them, on
tensors that pass gradients straight through.
"""

import numpy as np
import torch
from torch import Tensor

from sterna.gen.quantize.float_network import FloatNeuron, FloatReadout
from sterna.gen.quantize.ties import (
    bias_in_start,
    bias_in_threshold,
    levels_of,
    snap,
    tie_width,
)

__all__ = ["constants", "least_threshold", "nearest_step"]


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


def constants(
    node: FloatNeuron | FloatReadout,
    per: Tensor,
    offset: Tensor,
    fraction: float,
    steps: int,
    trained: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """(levels by the rule's names, bias) of a layer in whole steps, float64 (O,), a bias of each
    step (T,O). ``per``: steps of one real unit; ``offset``: real, added at each step; ``steps`` are
    run, of the network's ``trained`` ones."""
    table = torch.as_tensor(node.bias, device=per.device) if np.ndim(node.bias) else None
    added = offset + (float(node.bias or 0.0) if table is None else table)
    levels = {name: float(value) * per for name, value in levels_of(node).items()}
    bias, start, exact = added * per, levels["v_init"], levels["threshold"]
    threshold = least_threshold(exact, exact, fraction, node.strict)
    if bias_in_start(node):
        start, bias = start + bias * steps, torch.zeros_like(bias)
    elif bias_in_threshold(node, trained):
        # all that is added moves the threshold, unrounded; here what is left of that does
        left = start * node.leak
        size = torch.maximum(exact.abs(), torch.maximum(bias.abs(), left.abs()))
        moved = least_threshold(exact - bias - left, size, fraction, node.strict)
        bias, start = threshold - moved, torch.zeros_like(start)
    levels["v_init"] = start
    levels = {name: nearest_step(a, fraction) for name, a in levels.items()}
    return levels | {"threshold": threshold}, nearest_step(bias, fraction)
