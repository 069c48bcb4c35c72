"""Weighted sums of spike streams: a convolution or full connection in the order and the precision
that a machine is quick in.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from sterna.gen.quantize.float_network import Weighted
from sterna.train.module.exactconv import ExactConv, whole

__all__ = ["weighted_sum"]


def weighted_sum(
    node: Weighted,
    s: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    integer: bool,
    half: bool,
    last: bool = False,
) -> Tensor:
    """Sums [T,B,O,H,W] of the stream ``s`` [T,B,C,H,W]. ``integer``: of whole numbers, which they
    stay; ``half``: their gradients in bfloat16; ``last``: channels may stay last, for networks
    without membranes (a fifth less time for an epoch of ResNet20)."""
    t, b = s.shape[:2]
    if node.flattens:
        with torch.autocast(s.device.type, enabled=False):  # small, and logits need the bits
            return F.linear(s.flatten(2), weight, bias).view(t, b, -1, 1, 1)
    weight = node.kernels(weight)
    top, bottom, left, right = node.padding
    flat = s.flatten(0, 1)
    if torch.is_autocast_enabled(flat.device.type):  # matrix units want channels last
        flat = flat.to(torch.bfloat16, memory_format=torch.channels_last)
        weight = weight.to(torch.bfloat16, memory_format=torch.channels_last)
    pad: tuple[int, int] = (top, left)
    if (top, left) != (bottom, right):
        flat, pad = F.pad(flat, (left, right, top, bottom)), (0, 0)
    if half and integer and bias is None and node.dilation == (1, 1):
        out = cast("Tensor", ExactConv.apply(flat, weight, node.stride, pad, node.groups))
    else:
        out = F.conv2d(flat, weight, bias, node.stride, pad, node.dilation, node.groups)
        out = whole(out) if integer else out
    if last and out.dtype == torch.float32:
        return out.unflatten(0, (t, b))
    # membranes are float32; batch norms are many times slower on mixed orders
    out = out.to(torch.float32, memory_format=torch.contiguous_format)
    return out.unflatten(0, (t, b))
