"""Recordings beside images: arrays [T,B,C,H,W] whose second axis counts, and [B,C,H,W].

The number of axes tells them apart, so that whoever cuts out a batch need not know the network.
"""

from typing import Any

from sterna.gen.quantize.float_network import FloatInput
from sterna.golden.errors import UsageError

__all__ = ["pick", "check_fits"]


def pick(images: Any, index: Any) -> Any:
    """The images (numpy or torch) that ``index`` says: a slice, or an array of numbers."""
    return images[:, index] if images.ndim == 5 else images[index]


def check_fits(
    where: str, node: FloatInput, steps: int, images: Any, way: str | None = None
) -> None:
    """UsageError where images of a data set do not fit the input of the network.

    ``images``: uint8 [B,C,H,W], or [T,B,C,H,W] where the input's coding is 'frames'. ``way``: what
    to do, where the network is not a recipe's that could still be changed.
    """
    shape = tuple(images.shape)
    recorded = images.ndim == 5
    if recorded != (node.coding == "frames"):
        have, need = ("recordings", "frames") if recorded else ("images", "direct")
        raise UsageError(
            f"{where}: the data set has {have}, the coding is {node.coding}; "
            + (way or f'write coding = "{need}"')
        )
    if recorded and shape[0] != steps:
        raise UsageError(
            f"{where}: recordings of {shape[0]} frames for {steps} time steps; "
            + (way or f'write data = "nmnist_{steps}" or steps = {shape[0]}')
        )
    if shape[-3:] != tuple(node.shape):
        raise UsageError(
            f"{where}: the data set's images are {list(shape[-3:])}, the network's input is "
            f"{list(node.shape)}; {way or f'write shape = {list(shape[-3:])}'}"
        )
    top = (1 << node.bits) - 1
    if top < 255 and images.size and int(images.max()) > top:
        bits = int(images.max()).bit_length()
        raise UsageError(
            f"{where}: the data set's values reach {int(images.max())}, the input's are up to "
            f"{top}; {way or f'write bits = {bits}'}"
        )
