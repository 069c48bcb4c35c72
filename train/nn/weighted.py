"""Convolutions and full connections with ternary or binary weights, as torch modules."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sterna.golden.errors import UsageError
from sterna.train.module.weights import discretize, straight_through

__all__ = ["BinaryConv2d", "BinaryLinear", "TernaryConv2d", "TernaryLinear", "WeightedModule"]


class WeightedModule(nn.Module):
    """What all of these have: latent weights ``weight``, which torch trains, and what the layer
    computes with, trits times a scale for each output channel.

    Attributes
    ----------
    norm : BatchNorm1d, BatchNorm2d or None
        Behind the sum; ``fold_`` puts it into ``gain`` and ``bias``.
    gain : Parameter [O] or None
        Of a folded layer.
    """

    kind = "ternary"
    weight: nn.Parameter
    bias: nn.Parameter | None
    norm: nn.Module | None
    gain: nn.Parameter | None
    one_scale: bool

    def _prepare(self, norm: nn.Module | None, one_scale: bool) -> None:
        if norm is not None and one_scale:
            raise UsageError(
                f"{type(self).__name__}: a norm gives every class its own scale, one_scale has one "
                "for all; use one of them"
            )
        self.norm, self.one_scale = norm, one_scale
        self.register_parameter("gain", None)

    def effective(self) -> Tensor:
        """What the layer computes with: -a, 0, +a of each channel, like ``weight``. In training the
        gradient goes straight through to the latents."""
        q, scale = discretize(self.weight, self.kind, self.one_scale)
        made = straight_through(self.weight, q, scale, False) if self.training else scale * q
        if self.gain is None:
            return made
        return made * self.gain.view(-1, *[1] * (made.ndim - 1))

    def fold(self, gain: Tensor, offset: Tensor) -> None:
        """Multiply by ``gain`` [O] and add ``offset`` [O] from now on."""
        with torch.no_grad():
            bias = offset if self.bias is None else self.bias * gain + offset
            gain = gain if self.gain is None else self.gain * gain
        self.gain, self.bias = nn.Parameter(gain.clone()), nn.Parameter(bias.clone())


class TernaryConv2d(WeightedModule, nn.Conv2d):
    """A convolution whose weights are -a, 0, +a for each output channel, of sequences or images.

    Ternary weight networks' rule (arXiv 1605.04711) makes trits of the latent weights, with a
    straight-through estimator; what is counted in `weight` is latent.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding : int or (int, int)
    groups : int
    bias : bool
    norm : bool
        With a batch norm behind the sum, over steps and images.
    one_scale : bool
        One scale ``a`` for the layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = False,
        norm: bool = False,
        one_scale: bool = False,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias
        )
        self._prepare(nn.BatchNorm2d(out_channels) if norm else None, one_scale)

    def forward(self, input: Tensor) -> Tensor:
        """[T,B,O,H,W] of [T,B,C,H,W], or [B,O,H,W] of [B,C,H,W]."""
        if input.ndim not in (4, 5):
            raise UsageError(
                f"{type(self).__name__}: input of shape {tuple(input.shape)}; give [T,B,C,H,W] or "
                "[B,C,H,W]"
            )
        flat = input.flatten(0, 1) if input.ndim == 5 else input
        padding = cast(Any, self.padding)
        out = F.conv2d(flat, self.effective(), self.bias, self.stride, padding, 1, self.groups)
        out = out if self.norm is None else self.norm(out)
        return out.unflatten(0, input.shape[:2]) if input.ndim == 5 else out


class BinaryConv2d(TernaryConv2d):
    """A convolution whose weights are -a, +a for each output channel; as `TernaryConv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding : int or (int, int)
    groups : int
    bias : bool
    norm : bool
        With a batch norm behind the sum, over steps and images.
    one_scale : bool
        One scale ``a`` for the layer.
    """

    kind = "binary"


class TernaryLinear(WeightedModule, nn.Linear):
    """A full connection whose weights are -a, 0, +a for each output; as `TernaryConv2d`.

    Parameters
    ----------
    in_features, out_features : int
        Maps are flattened: C*H*W.
    bias : bool
    norm : bool
        With a batch norm behind the sum, over steps and images.
    one_scale : bool
        One scale ``a`` for the layer, which the last one in front of a `Readout` of membranes needs
        (they are compared).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        norm: bool = False,
        one_scale: bool = False,
    ) -> None:
        super().__init__(in_features, out_features, bias)
        self._prepare(nn.BatchNorm1d(out_features) if norm else None, one_scale)

    def forward(self, input: Tensor) -> Tensor:
        """[T,B,O] of [T,B,C,H,W] or [T,B,N]; [B,O] of [B,C,H,W] or [B,N]."""
        if input.ndim not in (2, 3, 4, 5):
            raise UsageError(
                f"{type(self).__name__}: input of shape {tuple(input.shape)}; give [T,B,C,H,W], "
                "[T,B,N], [B,C,H,W] or [B,N]"
            )
        steps = input.ndim in (3, 5)
        flat = input.flatten(1 + steps) if input.ndim > 3 else input
        out = F.linear(flat, self.effective(), self.bias)
        if self.norm is None:
            return out
        if not steps:
            return cast(Tensor, self.norm(out))
        return self.norm(out.flatten(0, 1)).unflatten(0, input.shape[:2])


class BinaryLinear(TernaryLinear):
    """A full connection whose weights are -a, +a for each output; as `TernaryLinear`.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    norm : bool
    one_scale : bool
    """

    kind = "binary"
