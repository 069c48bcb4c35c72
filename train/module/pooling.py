"""Pools of spike streams in training."""

from typing import cast

from torch import Tensor
from torch.nn import functional as F

from sterna.gen.quantize.float_network import FloatPool
from sterna.golden.errors import NetworkError
from sterna.train.module.fastscan import SumPool, library

__all__ = ["pool"]


def pool(node: FloatPool, s: Tensor, folded: bool) -> Tensor:
    """Pooled stream [T,B,C,H,W]; of 'avg' the mean, or where ``folded`` the sum that hardware makes
    of it (the divisor is in the amplitude)."""
    t, b = s.shape[:2]
    flat = s.flatten(0, 1)
    if node.mode in ("sum", "avg"):
        k = node.kernel[0]
        size = k * node.kernel[1]
        if flat.device.type == "cpu" and node.kernel == node.stride == (k, k) and library():
            out = cast("Tensor", SumPool.apply(flat, k))
        else:
            out = F.avg_pool2d(flat, node.kernel, node.stride) * size
        if node.mode == "avg" and not folded:
            out = out / size
    elif node.mode == "or":
        out = F.max_pool2d(flat, node.kernel, node.stride)
    else:
        raise NetworkError(
            f"node '{node.name}': pool '{node.mode}' is trained in networks of single spikes only; "
            "add [stidi], or choose sum, avg or or"
        )
    return out.unflatten(0, (t, b))
