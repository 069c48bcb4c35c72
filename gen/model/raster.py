"""What one image does in a network, small enough to be kept: how many channels spike, by step and
pixel; neurons themselves where a layer has no map."""

import math
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np

from sterna.golden.network import Network
from sterna.golden.result import Result

__all__ = ["raster", "unpacked"]

MOST = 1 << 26
"""Bytes of the values of a layer."""
LARGEST = 64
"""Pixels of a side of what is kept: larger maps are added up in squares."""


def raster(network: Network, pixels: Any, result: Result) -> dict[str, Any]:
    """Of one image.

    Parameters
    ----------
    network : Network
    pixels : integers [1,C,H,W], or [T,1,C,H,W] for 'frames'
    result : Result
        Of it, with the spikes of all layers.

    Returns
    -------
    dict
        ``input`` (values of [C,H,W], frames added up), ``layers`` (``node``, ``spikes`` of each
        step, and values of [T,H,W]; ``of`` is 'channels', or 'neurons' for [T,1,C] without a map),
        ``logits``, ``class``. Values are packed, `unpacked` gives them back; ``most`` is the
        largest that there can be, of pixels that there is.
    """
    given = np.asarray(pixels)
    picture = (given.sum(0, dtype=np.int64) if network.input.coding == "frames" else given)[0]
    layers = []
    for name, spikes in result.spikes.items():
        found = spikes[:, 0].astype(np.int64)  # [T,C,H,W]
        channels, height, width = found.shape[1:]
        flat = height == width == 1
        side = -(-max(height, width) // LARGEST)
        maps = found[:, :, 0, 0][:, None] if flat else _squares(found.sum(1), side)
        most = network.maximum[name] * (1 if flat else channels * side * side)
        of = "neurons" if flat else "channels"
        each = found.sum((1, 2, 3)).tolist()
        layers.append({"node": name, "of": of, "spikes": each, "most": most, **_packed(maps)})
    side = -(-max(picture.shape[1:]) // LARGEST)
    shown = _squares(picture, side) // (side * side)
    logits = result.logits[0].tolist()
    return {
        "input": {"most": int(max(1, shown.max())), **_packed(shown)},
        "layers": layers,
        "logits": logits,
        "class": int(result.classes[0]),
    }


def _squares(maps: np.ndarray, side: int) -> np.ndarray:
    """Sums of squares of so many pixels a side; what is left over at the edges counts, too."""
    height, width = (-(-n // side) for n in maps.shape[1:])
    padded = np.zeros((len(maps), height * side, width * side), np.int64)
    padded[:, : maps.shape[1], : maps.shape[2]] = maps
    return padded.reshape(len(maps), height, side, width, side).sum((2, 4))


def _packed(values: np.ndarray) -> dict[str, Any]:
    data = zlib.compress(values.astype("<u4").tobytes(), 9)
    return {"shape": list(values.shape), "values": b64encode(data).decode()}


def unpacked(entry: Mapping[str, Any]) -> np.ndarray:
    """int64, in the entry's shape. ValueError where it does not hold that."""
    size = 4 * math.prod(entry["shape"])
    if not 0 < size <= MOST:
        raise ValueError(f"{size} bytes")
    try:
        data = zlib.decompressobj().decompress(b64decode(entry["values"]), size)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return np.frombuffer(data, "<u4").astype(np.int64).reshape(entry["shape"])
