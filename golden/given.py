"""Images as a caller gives them: an array, (images, labels), or a set with parts."""

from typing import Any

__all__ = ["images_of"]


def images_of(data: Any, part: str = "test") -> tuple[Any, Any]:
    """(images, labels or None) of what a caller gave: images alone, a pair (images, labels), or an
    object that has both (of a set with parts: of its ``part``, 'train', 'validation' or 'test').
    Nothing is checked here: whoever reads images checks them."""
    owner: Any
    for owner in (data, getattr(data, part, None)):
        if hasattr(owner, "images"):
            return owner.images, getattr(owner, "labels", None)
        if isinstance(owner, tuple) and len(owner) == 2:
            return owner
    return data, None
