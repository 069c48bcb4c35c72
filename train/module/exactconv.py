"""A convolution whose sums are exact and whose gradients are quick."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["ExactConv", "whole"]


def whole(sums: Tensor) -> Tensor:
    """Sums of whole numbers, which a GPU's convolution (Winograd's) may leave with a fraction;
    gradients straight through."""
    return sums + (sums.round() - sums).detach() if sums.is_cuda else sums


class ExactConv(torch.autograd.Function):
    """Convolution without bias in float32, so that whole sums below 2**24 stay whole; both
    gradients in bfloat16, which a matrix unit makes several times faster and training bears."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: Any, padding: Any, groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding, groups
        return whole(F.conv2d(x, weight, None, stride, padding, 1, groups))

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        stride, padding, groups = ctx.how
        half = [
            t.to(torch.bfloat16, memory_format=torch.channels_last)
            for t in (grad, *ctx.saved_tensors)
        ]
        wanted = [*ctx.needs_input_grad[:2], False]
        gx, gw, _ = torch.ops.aten.convolution_backward(
            *half, None, stride, padding, (1, 1), False, (0, 0), groups, wanted
        )
        order = torch.contiguous_format
        parts = [g if g is None else g.to(torch.float32, memory_format=order) for g in (gx, gw)]
        return (*parts, None, None, None)
