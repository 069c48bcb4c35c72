"""What users give as data, in Python: images, images with labels, or a set of both."""

from typing import Any

import numpy as np

__all__ = ["samples"]


def samples(data: Any) -> tuple[Any, Any]:
    """(images as ``sterna.run`` takes them, labels or None) of an `ImageSet`, (images, labels), or
    images alone. Nothing is checked here: who computes with them does.

    An `ImageSet` has frames as [N,T,C,H,W]; they are turned to [T,N,C,H,W]. A tuple of two is a
    pair where the second is one number an image, or None.
    """
    if all(hasattr(data, name) for name in ("images", "labels", "split")):
        images = data.images
        return (np.swapaxes(images, 0, 1) if np.ndim(images) == 5 else images), data.labels
    if isinstance(data, tuple) and len(data) == 2 and _are_labels(data[1]):
        return data
    return data, None


def _are_labels(value: Any) -> bool:
    if value is None:
        return True
    try:
        return np.ndim(value) == 1
    except Exception:  # ragged lists, foreign objects
        return False
