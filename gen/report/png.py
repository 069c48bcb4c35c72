"""Small pictures of numbers as PNG in a data URI: one colour, the larger the number the less it
lets through. Standard library only."""

import struct
import zlib
from base64 import b64encode

import numpy as np

__all__ = ["LEVELS", "data_uri"]

LEVELS = 16
"""Shades, of which 0 is the background."""


def data_uri(values: np.ndarray, colour: tuple[int, int, int] | None = None) -> str:
    """``values``: uint8 [H,W] of 0 .. 15, shades of ``colour``; without one of 0 .. 255, greys;
    [H,W,3]: colours."""
    height, width = values.shape[:2]
    if colour is None:
        kind, extra, depth = (2 if values.ndim == 3 else 0), b"", 8
        rows = values.astype(np.uint8).reshape(height, -1)
    else:
        kind, depth = 3, 4
        alpha = bytes(round(255 * n / (LEVELS - 1)) for n in range(LEVELS))
        extra = _chunk(b"PLTE", bytes(colour) * LEVELS) + _chunk(b"tRNS", alpha)
        even = np.zeros((height, width + width % 2), np.uint8)
        even[:, :width] = values
        rows = even[:, ::2] << 4 | even[:, 1::2]
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = _chunk(b"IHDR", head) + extra + _chunk(b"IDAT", zlib.compress(lines, 9))
    png = b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _chunk(name: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)
