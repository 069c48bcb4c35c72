"""Ternary and binary weights behind a straight-through estimator, and real ones to compare with.

Latent weights w are real; forward uses trits q in {-1,0,+1} (or {-1,+1}) times a scale a.
Ternary weight networks (TWN, arXiv 1605.04711): q = sign(w) where |w| > 0.7*mean|w|, and
a = mean|w| over those. Binary: q = sign(w) with sign(0) = +1, a = mean|w|. Real: q = w, a = 1;
what no hardware is built of, but papers report.

A learned threshold has a trained factor f in place of TWN's 0.7, one for each layer. No weight's
loss is differentiable in it: a trit jumps by one where |w| = f*mean|w|. As with spikes, the jump's
derivative is spread over a window (here a box of half-width WINDOW*mean|w|, area 1; our choice),

    d q / d f = -sign(w) / (2*WINDOW)  where | |w| / mean|w| - f | < WINDOW, else 0

which moves f by the losses of those weights that it is about to switch on or off. Means and scale
count as constants; f is kept in FACTORS.
"""

import torch
from torch import Tensor

__all__ = ["FACTORS", "TWN_FACTOR", "discretize", "straight_through", "switching", "unit_sized"]

TWN_FACTOR = 0.7
FACTORS = (0.1, 1.5)  # of uniform weights 5% are zero, 75%
WINDOW = 0.5


def discretize(
    weight: Tensor, kind: str, one_scale: bool, factor: Tensor | float = TWN_FACTOR
) -> tuple[Tensor, Tensor]:
    """(q, a): q like ``weight``, values in {-1,0,1} or {-1,1}; a > 0 of shape (O,1,..) or (1,..).
    Of kind 'real', q is ``weight`` and a is 1.

    ``one_scale`` takes threshold and scale over the whole tensor (the readout's layer), else
    over each output channel. ``factor``: of the mean size, a ternary threshold. No gradient.
    """
    with torch.no_grad():
        dims = tuple(range(0 if one_scale else 1, weight.ndim))
        if kind == "real":
            return weight.clone(), torch.ones_like(weight.sum(dims, keepdim=True))
        size = weight.abs()
        if kind == "binary":
            q = torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)
            return q, size.mean(dims, keepdim=True)
        kept = (size > factor * size.mean(dims, keepdim=True)).to(weight.dtype)
        scale = (size * kept).sum(dims, keepdim=True) / kept.sum(dims, keepdim=True).clamp(min=1)
        return weight.sign() * kept, scale


def straight_through(weight: Tensor, q: Tensor, scale: Tensor, unit: bool) -> Tensor:
    """q (``unit``) or scale*q in the forward pass; the gradient of w/scale or w in the backward."""
    if unit:
        real = weight / scale.clamp(min=1e-12)
        return real + (q - real).detach()
    return weight + (scale * q - weight).detach()


def unit_sized(weight: Tensor) -> Tensor:
    """Real weights over the scale that ternary ones of the same channel would have, so that they
    meet other inputs of a neuron as those would: as multiples of a fixed unit, of size about 1."""
    size = weight.abs()
    kept = discretize(weight, "ternary", False)[0].abs()
    dims = tuple(range(1, weight.ndim))
    count = kept.sum(dims, keepdim=True).clamp(min=1)
    return weight / ((size * kept).sum(dims, keepdim=True) / count).clamp(min=1e-12)


def switching(weight: Tensor, factor: Tensor, one_scale: bool) -> Tensor:
    """Zeros like ``weight``, whose gradient to ``factor`` (a scalar) is that of ternary trits."""
    with torch.no_grad():
        dims = tuple(range(0 if one_scale else 1, weight.ndim))
        size = weight.abs()
        near = (size / size.mean(dims, keepdim=True).clamp(min=1e-12) - factor).abs() < WINDOW
        slope = -weight.sign() * near / (2 * WINDOW)
    moved = slope * factor
    return moved - moved.detach()
