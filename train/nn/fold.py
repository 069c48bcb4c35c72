"""Batch norms into the layers in front of them."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from sterna.golden.errors import UsageError
from sterna.golden.words.names import show
from sterna.train.nn.neurons import OverTime
from sterna.train.nn.weighted import WeightedModule

__all__ = ["fold_"]

Module = TypeVar("Module", bound=nn.Module)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_(module: Module) -> Module:
    """Fold every batch norm behind a ternary or binary layer into it, in place.

    Afterwards the layer has a ``gain`` and a ``bias`` for each output channel, which go on being
    trained, and statistics of batches play no part any more: for the last epochs, as in the
    network that is built. Norms are found inside layers (``norm=True``) and right behind them in
    a ``torch.nn.Sequential``.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    torch.nn.Module
        The same.

    Raises
    ------
    UsageError
        It is no module, or a norm has no running statistics.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"fold_: {show(module)} is no torch.nn.Module")
    for path, part in list(module.named_modules()):
        if isinstance(part, WeightedModule) and part.norm is not None:
            part.fold(*_affine(path, part.norm))
            part.norm = None
        if isinstance(part, nn.Sequential):
            _fold_row(path, part)
    return module


def _fold_row(path: str, row: nn.Sequential) -> None:
    for k in range(len(row) - 1):
        first, second = row[k], row[k + 1]
        inner = second.inner[0] if isinstance(second, OverTime) and len(second.inner) else second
        alone = not isinstance(second, OverTime) or len(second.inner) == 1
        if isinstance(first, WeightedModule) and isinstance(inner, NORMS) and alone:
            if first.norm is not None:  # the layer's own comes first
                first.fold(*_affine(path, first.norm))
                first.norm = None
            first.fold(*_affine(f"{path}.{k + 1}".lstrip("."), inner))
            row[k + 1] = nn.Identity()


def _affine(path: str, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """(gain, offset) [C] of a batch norm's running statistics."""
    assert isinstance(norm, NORMS)
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise UsageError(
            f"fold_: '{path}': its batch norm has no running mean; train it with "
            "track_running_stats"
        )
    with torch.no_grad():
        size = (var.double() + norm.eps).rsqrt()
        gain = size if norm.weight is None else size * norm.weight.double()
        offset = -mean.double() * gain
        offset = offset if norm.bias is None else offset + norm.bias.double()
        return gain.to(mean.dtype), offset.to(mean.dtype)
