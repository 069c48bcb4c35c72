"""Ternary and binary weights behind a straight-through estimator, and real ones to compare with.

Latent weights w are real; forward uses trits q in {-1,0,+1} (or {-1,+1}) times a scale a.
Ternary weight networks (TWN, arXiv 1605.04711): q = sign(w) where |w| > 0.7*mean|w|, and
a = mean|w| over those. Binary: q = sign(w) with sign(0) = +1, a = mean|w|. Real: q = w, a = 1;
what no hardware is built of, but papers report.
"""

import torch
from torch import Tensor

__all__ = ["discretize", "straight_through", "TWN_FACTOR"]

TWN_FACTOR = 0.7


def discretize(weight: Tensor, kind: str, one_scale: bool) -> tuple[Tensor, Tensor]:
    """(q, a): q like ``weight``, values in {-1,0,1} or {-1,1}; a > 0 of shape (O,1,..) or (1,..).
    Of kind 'real', q is ``weight`` and a is 1.

    ``one_scale`` takes threshold and scale over the whole tensor (the readout's layer), else
    over each output channel. No gradient.
    """
    with torch.no_grad():
        dims = tuple(range(0 if one_scale else 1, weight.ndim))
        if kind == "real":
            return weight.clone(), torch.ones_like(weight.sum(dims, keepdim=True))
        size = weight.abs()
        if kind == "binary":
            q = torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)
            return q, size.mean(dims, keepdim=True)
        kept = (size > TWN_FACTOR * size.mean(dims, keepdim=True)).to(weight.dtype)
        scale = (size * kept).sum(dims, keepdim=True) / kept.sum(dims, keepdim=True).clamp(min=1)
        return weight.sign() * kept, scale


def straight_through(weight: Tensor, q: Tensor, scale: Tensor, unit: bool) -> Tensor:
    """q (``unit``) or scale*q in the forward pass; the gradient of w/scale or w in the backward."""
    if unit:
        real = weight / scale.clamp(min=1e-12)
        return real + (q - real).detach()
    return weight + (scale * q - weight).detach()
