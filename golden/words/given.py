"""Images as a caller gives them: an array, (images, labels), or a set with parts."""

from typing import Any

import numpy as np

__all__ = ["images_of"]


def images_of(data: Any, part: str = "test") -> tuple[Any, Any]:
    """(images as ``sterna.run`` takes them, labels or None) of what a caller gave: images alone, a
    pair (images, labels), an `ImageSet`, whose frames [N,T,C,H,W] are turned to [T,N,C,H,W], or a
    set with parts (of its ``part``, 'train', 'validation' or 'test'). A tuple of two is a pair
    where the second is one number an image, or None. Nothing is checked here: whoever reads images
    checks them."""
    owner: Any
    for owner in (data, getattr(data, part, None)):
        if hasattr(owner, "images"):
            images = owner.images
            turned = hasattr(owner, "split") and np.ndim(images) == 5
            return np.swapaxes(images, 0, 1) if turned else images, getattr(owner, "labels", None)
        if isinstance(owner, tuple) and len(owner) == 2 and _are_labels(owner[1]):
            return owner
    return data, None


def _are_labels(value: Any) -> bool:
    if value is None:
        return True
    try:
        return np.ndim(value) == 1
    except Exception:  # ragged lists, foreign objects
        return False
