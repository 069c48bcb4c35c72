"""A fixed split of images that came in one heap: by the hash of their content.

Of each class the images are put in the order of their SHA-256, which mixes them and knows neither
names nor times: the first fifth is for the test, the next tenth for validation, what is left for
training. The same image twice is in one part. An image more moves hardly any other.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from sterna.golden.errors import UsageError

__all__ = ["TEST", "VALIDATION", "cut", "digests", "order"]

TEST, VALIDATION = 5, 10  # one in so many


def digests(images: np.ndarray) -> list[bytes]:
    """sha256 of each image of [N, ...], of its shape and bytes."""
    head = f"{images.dtype} {images.shape[1:]}\n".encode()
    return [hashlib.sha256(head + np.ascontiguousarray(i).tobytes()).digest() for i in images]


def order(found: Sequence[bytes]) -> np.ndarray:
    """The positions of images in the order of their digests; equal ones stay as they were."""
    return np.array(sorted(range(len(found)), key=lambda k: found[k]), np.int64)


def cut(
    found: Sequence[bytes],
    labels: np.ndarray,
    shares: Sequence[int],
    classes: Sequence[str],
    files: Sequence[str],
) -> list[np.ndarray]:
    """Positions of one part for each of ``shares`` (one in so many of each class, at least one)
    and, last, of the rest; each in the order of digests. UsageError where a class is too small."""
    part_of = np.full(len(labels), len(shares), np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label).tolist()
        unique = sorted({found[k] for k in own})
        if len(unique) <= len(shares):
            few = f"only {len(unique)} different images" if len(unique) > 1 else "only one image"
            raise UsageError(
                f"class '{classes[label]}' has {few} (of {files[own[0]]}); a split takes "
                f"{len(shares) + 1} different ones at least: add some, or give parts of your own"
            )
        place, start = {}, 0
        for number, share in enumerate(shares):
            end = start + max(1, len(unique) // share)
            place |= dict.fromkeys(unique[start:end], number)
            start = end
        for k in own:
            part_of[k] = place.get(found[k], len(shares))
    mixed = order(found)
    return [mixed[part_of[mixed] == number] for number in range(len(shares) + 1)]
