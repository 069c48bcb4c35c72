"""Images to spikes, and images to the bits of the input stream (docs/design.md#inputs).

Every coding is a function of (t, index) only, never of how a design is folded.
"""

import math
from typing import Any

import numpy as np

from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.network import Input
from sterna.golden.words.names import show
from sterna.golden.words.values import plain

__all__ = [
    "check_images",
    "encode",
    "image_axes",
    "image_bits",
    "image_bytes",
    "image_place",
    "site_hash",
    "bit_reverse8",
]


def check_images(node: Input, images: Any, steps: int) -> np.ndarray:
    """The images as uint8, or an error that says what is wrong with them.

    ``images`` is an integer array (numpy, or anything ``np.asarray`` takes): [B,C,H,W] of pixels
    0 .. 2**bits - 1, for frames [T,B,C,H,W] of such values.
    UsageError: not integers (NaN included), wrong shape, empty batch. NetworkError: values
    outside the range that the network declares.
    """
    try:
        a = np.asarray(plain(images))
    except Exception as error:  # ragged lists, sparse tensors, foreign objects
        text = " ".join(str(error).split())[:120]
        raise UsageError(f"images: {show(images)} is no array ({text}); give uint8") from None
    frames = node.coding == "frames"
    if a.dtype.kind == "f":
        nan = not np.all(np.isfinite(a))
        raise UsageError(
            f"images: {a.dtype}{' holding NaN or infinity' if nan else ''} is not an integer type; "
            "give the raw unsigned pixels as uint8, the first batch norm learns mean and deviation"
        )
    if a.dtype.kind not in "iub":
        raise UsageError(f"images: {a.dtype} is not an integer type; give the raw pixels as uint8")
    expected = ("T", "B", *node.shape) if frames else ("B", *node.shape)
    want = f"[{', '.join(map(str, expected))}]" + (f" with T = {steps}" if frames else "")
    if a.ndim != len(expected) or a.shape[-3:] != node.shape or (frames and len(a) != steps):
        turned = frames and a.ndim == 5 and a.shape[1] == steps and a.shape[2:] == node.shape
        way = "transpose: frames are [T,N,C,H,W] here, images.swapaxes(0, 1)"
        raise UsageError(
            f"images: shape {a.shape} is not {want}, which input '{node.name}' "
            f"({node.coding}) needs; {way if turned else 'reshape them'}"
        )
    if a.shape[1 if frames else 0] == 0:
        raise UsageError("images: the batch is empty; give at least one image")
    if a.min() < 0 or a.max() > node.top:
        bad = int(a.min()) if a.min() < 0 else int(a.max())
        more = f", or give the input bits = {bad.bit_length()}" if 0 < bad < 256 else ""
        raise NetworkError(
            f"node '{node.name}': image value {bad} is outside 0 .. {node.top}; rescale the "
            f"images{more}"
        )
    return a.astype(np.uint8, copy=False)


def bit_reverse8(t: int) -> int:
    """The 8 bits of ``t mod 256`` in reverse: thresholds that spread spikes evenly over time."""
    return int(f"{t & 255:08b}"[::-1], 2)


def site_hash(index: np.ndarray, seed: int) -> np.ndarray:
    """8-bit hash of an input site, so that equal pixels do not fire in step; uint8, same shape.

    All arithmetic modulo 2**32::

        h = index*0x9E3779B1 + seed*0x85EBCA6B
        h ^= h >> 16;  h *= 0x7FEB352D;  h ^= h >> 15;  h *= 0x846CA68B;  h ^= h >> 16
        hash = h & 255

    with index = (y*W + x)*C + c, the stream order. (The rounds are C. Wellons' lowbias32.)
    """
    mask = np.uint64(0xFFFFFFFF)
    start = np.uint64(seed * 0x85EBCA6B % 2**32)
    h = (index.astype(np.uint64) * np.uint64(0x9E3779B1) + start) & mask
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = ((h ^ (h >> np.uint64(shift))) * np.uint64(factor)) & mask
    return ((h ^ (h >> np.uint64(16))) & np.uint64(255)).astype(np.uint8)


def _stream_index(shape: tuple[int, int, int]) -> np.ndarray:
    c, h, w = shape
    return np.arange(c * h * w).reshape(h, w, c).transpose(2, 0, 1)


def encode(node: Input, images: Any, steps: int) -> np.ndarray:
    """What the input stream carries: uint8 [T,B,C,H,W], or the pixels [1,B,C,H,W] (direct).

    rate: spike at t where pixel > (bit_reverse8(t) XOR site_hash(index, seed)), so a pixel p
    fires p times in 256 steps. latency: one spike at t = ((255 - p)*T) >> 8, none where p = 0.
    Both read 8-bit pixels. Errors as ``check_images``.
    """
    a = check_images(node, images, steps)
    if node.coding == "direct":
        return a[None]
    if node.coding == "frames":
        return a
    out = np.empty((steps, *a.shape), np.uint8)
    if node.coding == "rate":
        site = site_hash(_stream_index(node.shape), node.seed)
        for t in range(steps):
            out[t] = a > (site ^ np.uint8(bit_reverse8(t)))
    else:
        time = np.where(a > 0, ((255 - a.astype(np.int64)) * steps) >> 8, -1)
        for t in range(steps):
            out[t] = time == t
    return out


def image_bytes(node: Input, steps: int) -> int:
    """Bytes of one image on the AXI stream: the length of a row of ``image_bits``."""
    return -(-math.prod(size for _, size in image_axes(node, steps)) // 8)


def image_axes(node: Input, steps: int) -> tuple[tuple[str, int], ...]:
    """Name and size of each axis of ``image_bits``, outermost first: y, x, c, t (but of direct
    pixels) and bit, the low one first."""
    channels, height, width = node.shape
    time = () if node.coding == "direct" else (("t", steps),)
    return (("y", height), ("x", width), ("c", channels), *time, ("bit", _bits(node)))


def image_place(node: Input, steps: int, bit: int) -> dict[str, int]:
    """What a bit of ``image_bits`` is: the index on each of ``image_axes``, by the axis' name."""
    names, sizes = zip(*image_axes(node, steps), strict=True)
    return dict(zip(names, map(int, np.unravel_index(bit, sizes)), strict=True))


def _bits(node: Input) -> int:
    """Of one value of the input stream."""
    maximum = node.made((), 1).maximum
    assert maximum is not None
    return maximum.bit_length()


def image_bits(node: Input, images: Any, steps: int) -> np.ndarray:
    """The canonical AXI-Stream image, uint8 (B, image_bytes).

    One bit for y, for x, for c, for step (but of direct pixels), for bit of the value (low bit
    first), joined little-endian (first bit = bit 0 of byte 0), zero-padded to a byte. For
    direct 8-bit pixels these are simply the bytes of the image in (y, x, c) order, for frames of 8
    bits in (y, x, c, t) order.
    """
    values = encode(node, images, steps)
    planes = (values[..., None] >> np.arange(_bits(node), dtype=np.uint8)) & np.uint8(1)
    at = {name: axis for axis, name in enumerate(("t", "image", "c", "y", "x", "bit"))}
    order = [at.pop("image"), *(at.pop(name) for name, _ in image_axes(node, steps))]
    planes = planes.transpose(*order, *at.values())  # what is left is the one t of direct pixels
    return np.packbits(planes.reshape(len(planes), -1), axis=1, bitorder="little")
