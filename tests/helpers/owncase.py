"""Data of one's own, made small: folders of pictures, arrays, recordings."""

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["draw", "picture_folder", "save_picture"]

CLASSES = ("circle", "cross", "square")


def draw(label: int, k: int, side: int = 12) -> np.ndarray:
    """uint8 [side, side]: a ring, a cross or a box; no two of them are the same."""
    rng = np.random.default_rng((label, k))
    y, x = np.mgrid[:side, :side] - (side - 1) / 2 + rng.integers(-1, 2, (2, 1, 1))
    radius = side / 3
    near = [
        np.abs(np.hypot(y, x) - radius),
        np.minimum(np.abs(x - y), np.abs(x + y)) + 9 * (np.maximum(abs(x), abs(y)) > radius),
        np.abs(np.maximum(np.abs(y), np.abs(x)) - radius),
    ][label]
    shade = rng.integers(0, 40, (side, side))
    return np.where(near < 0.9, 200 + shade, shade).astype(np.uint8)


def save_picture(path: Path, pixels: np.ndarray) -> Path:
    """A file of uint8 [H,W] or [H,W,3] in the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def picture_folder(root: Path, each: int = 20, side: int = 12, end: str = "png") -> Path:
    """A sub-folder a class with ``each`` pictures."""
    for label, name in enumerate(CLASSES):
        for k in range(each):
            save_picture(root / name / f"{k:02d}.{end}", draw(label, k, side))
    return root
