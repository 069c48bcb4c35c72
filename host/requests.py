"""What a host asks of a board: requests, and how each is cut into frames."""

__all__ = ["READ_WORDS", "ImageRequest", "Request", "write_bodies"]

import struct
from collections import deque
from collections.abc import Iterable, Sequence

from sterna.golden.device.link import MAX_BODY, MAX_READ, ToBoard

READ_WORDS = MAX_READ
"""Most words of one read request."""
WRITE_WORDS = (MAX_BODY - 2) // 4
"""Words that one WRITE frame carries."""


class Request:
    """Something asked of the board. ``done`` turns true once; then ``result()`` gives the value or
    raises the error. Made by an engine.

    Args:
        kind: of its frames.
        what: in words, for messages: "reading register 0x20".
        bodies: of its frames, in order.
    """

    def __init__(self, kind: ToBoard, what: str, bodies: Iterable[bytes] = ()):
        self.kind, self.what = kind, what
        self.bodies = deque(bodies)
        self.done = False
        self.error: Exception | None = None
        self.value: object = None

    def finish(self, value: object = None, error: Exception | None = None) -> None:
        """Set the outcome; the first one counts."""
        if not self.done:
            self.done, self.value, self.error = True, value, error

    def result(self) -> object:
        """The value, or raises the error. Only when ``done``."""
        if not self.done:
            raise RuntimeError(f"{self.what} is not done yet")
        if self.error is not None:
            raise self.error
        return self.value

    @property
    def all_cut(self) -> bool:
        """Every frame of it has been made."""
        return not self.bodies


class ImageRequest(Request):
    """Images to compute; ``value`` and, as they arrive, ``results``: the words of each result."""

    def __init__(self, data: bytes, image_bytes: int):
        images = len(data) // image_bytes
        super().__init__(ToBoard.IMAGE, f"computing {images} image{'s' * (images != 1)}")
        self.images = images
        self.results: list[tuple[int, ...]] = []
        self._data, self._at = memoryview(data), 0

    @property
    def left(self) -> int:
        """Bytes not yet cut."""
        return len(self._data) - self._at

    @property
    def all_cut(self) -> bool:
        return not self.left

    def cut(self, size: int) -> bytes:
        """The next ``size`` bytes of the images."""
        body = bytes(self._data[self._at : self._at + size])
        self._at += len(body)
        return body


def write_bodies(address: int, words: Sequence[int], same: bool) -> list[bytes]:
    """Bodies of the WRITE frames of ``words`` from ``address`` on, or all to it (``same``)."""
    parts = range(0, len(words), WRITE_WORDS)
    return [
        struct.pack(f"<H{len(part)}I", address + (0 if same else 4 * at) | same, *part)
        for at, part in ((at, words[at : at + WRITE_WORDS]) for at in parts)
    ]
