"""One image through the layers as pictures, and the confusion matrix of many classes as one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sterna.gen.model.raster import unpacked
from sterna.gen.report.png import LEVELS, data_uri

__all__ = ["confusion_picture", "confused_pairs", "pictures"]

BLUE = (0, 114, 178)
SIDE = 64
"""Pixels on the screen of a map's larger side, at most."""


def pictures(raster: Mapping[str, Any]) -> dict[str, Any]:
    """``input``: the image; ``layers``: name and ``maps``, one picture a step, or ``rows``,
    one picture with a row a step where a layer has no map. Each with its size on the screen."""
    return {
        "input": _input(raster["input"]),
        "layers": [_layer(n, entry) for n, entry in enumerate(raster["layers"])],
        "logits": _logits(raster["logits"]),
    }


def _input(entry: Mapping[str, Any]) -> dict[str, Any]:
    values = unpacked(entry)
    scaled = (values * 255 // max(1, entry["most"])).astype(np.uint8)
    picture = scaled.transpose(1, 2, 0) if len(scaled) == 3 else scaled.max(0)
    height, width = picture.shape[:2]
    return {"uri": data_uri(picture), **_size(height, width, 2 * SIDE)}


def _layer(number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    values = unpacked(entry)  # [T,H,W] or [T,1,C]
    shades = _shades(values, int(values.max()))
    known = {"number": number, "node": entry["node"], "largest": int(values.max())}
    if entry["of"] == "neurons":
        rows = shades[:, 0]
        width = max(160, min(720, 4 * rows.shape[1]))
        return known | {
            "rows": {"uri": data_uri(rows, BLUE), "width": width, "height": 10 * len(rows)},
            "maps": [],
        }
    side = SIDE if len(shades) <= 8 else SIDE // 2
    height, width = shades.shape[1:]
    size = _size(height, width, side)
    maps = [{"uri": data_uri(step, BLUE), **size} for step in shades]
    return known | {"rows": None, "maps": maps}


def _shades(values: np.ndarray, most: int) -> np.ndarray:
    """Of 0 .. 15: what is not 0 shows."""
    shade = -(-values * (LEVELS - 1) // max(1, most))
    return shade.astype(np.uint8)


def _size(height: int, width: int, side: int) -> dict[str, int]:
    scale = side / max(height, width)
    return {"width": max(2, round(width * scale)), "height": max(2, round(height * scale))}


def _logits(logits: Sequence[int]) -> list[dict[str, Any]]:
    """Bars from 0: where each starts and how long it is, in shares of the whole."""
    low, high = min(0, *logits, 0), max(0, *logits, 1)
    span = high - low
    return [
        {"start": (min(0, v) - low) / span, "share": abs(v) / span, "best": v == max(logits)}
        for v in logits
    ]


def confusion_picture(matrix: Sequence[Sequence[int]]) -> str:
    """Each row in shares of its images."""
    values = np.asarray(matrix, np.int64)
    there = np.maximum(1, values.sum(1, keepdims=True))
    return data_uri(-(-values * (LEVELS - 1) // there).astype(np.uint8), BLUE)


def confused_pairs(matrix: Sequence[Sequence[int]], most: int = 12) -> list[tuple[int, int]]:
    """The (label, class) that are taken for each other most often."""
    values = np.array(matrix, np.int64)
    square = min(values.shape)
    values[np.arange(square), np.arange(square)] = 0
    order = np.argsort(-values, axis=None, kind="stable")[:most]
    found = [divmod(int(k), values.shape[1]) for k in order]
    return [(a, b) for a, b in found if values[a, b]]
