"""Pools in training: of spike streams, and of the sums in front of a neuron."""

from typing import cast

from torch import Tensor
from torch.nn import functional as F

from sterna.gen.quantize.float_network import (
    FloatMerge,
    FloatNetwork,
    FloatNode,
    FloatPool,
    Weighted,
)
from sterna.golden.errors import NetworkError
from sterna.train.module.fastscan import SumPool, library

__all__ = ["check_stream", "pool", "pooled"]


def check_stream(network: FloatNetwork, node: FloatNode) -> None:
    """NetworkError where a merge's inputs do not meet, or training would move what a pool cannot
    have in front of it."""
    if isinstance(node, FloatMerge):
        node.shifts(network.amplitudes(node))
    if not isinstance(node, FloatPool) or node.mode == "max" or not any(node.padding):
        return
    source = network.by_name[node.input]
    if isinstance(source, Weighted) and (source.norm or source.bias is not None):
        raise NetworkError(
            f"node '{node.name}': adds padding, and sums of '{node.input}', whose bias or norm is "
            "trained, and which padding has not; use no padding or 'max'"
        )


def pool(node: FloatPool, s: Tensor, folded: bool) -> Tensor:
    """Pooled stream [T,B,C,H,W]; of 'avg' the mean, or where ``folded`` the sum that hardware makes
    of it (the divisor is in the amplitude). The gradient of a maximum goes to the place that has
    it."""
    t, b = s.shape[:2]
    flat = s.flatten(0, 1)
    if any(node.padding):
        flat = _padded(node, flat)
    if node.mode in ("sum", "avg"):
        k = node.kernel[0]
        size = k * node.kernel[1]
        if flat.device.type == "cpu" and node.kernel == node.stride == (k, k) and library():
            out = cast("Tensor", SumPool.apply(flat, k))
        else:
            out = F.avg_pool2d(flat, node.kernel, node.stride) * size
        if node.mode == "avg" and not folded:
            out = out / size
    elif node.mode in ("or", "max"):
        out = F.max_pool2d(flat, node.kernel, node.stride)
    else:
        raise NetworkError(
            f"node '{node.name}': pool '{node.mode}' is trained in networks of single spikes only; "
            "add [stidi], or choose sum, avg, max or or"
        )
    return out.unflatten(0, (t, b))


def _padded(node: FloatPool, x: Tensor) -> Tensor:
    """A map with its padding: 0 where values are added; for maxima, of sums as well, the edge,
    which the windows over it have anyway."""
    top, bottom, left, right = node.padding
    mode = "constant" if node.mode in ("sum", "avg") else "replicate"
    return F.pad(x, (left, right, top, bottom), mode)


def pooled(
    node: FloatPool | None, z: Tensor, folded: bool = False, sign: Tensor | None = None
) -> Tensor:
    """Sums [T,B,O,H,W] behind a pool of them (None: as they are). ``sign`` (O,) or (1,): by which
    a folded layer turns its weights; the maximum is of the turned sums."""
    if node is None:
        return z
    if sign is None:
        return pool(node, z, folded)
    turn = sign.to(z.dtype).view(-1, 1, 1)
    return pool(node, z * turn, folded) * turn
