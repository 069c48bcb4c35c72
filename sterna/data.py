"""``sterna.data``: data sets in Python, one's own and those that Sterna knows (docs/data.md)."""

from sterna.train.data.image_set import ImageSet

__all__ = ["ImageSet"]
