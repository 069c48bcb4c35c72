"""Images under way: how many bytes may be sent, and their results, strictly in order."""

__all__ = ["ImageStream", "Taken", "MOST_SLOTS"]

from collections import deque
from enum import Enum

from sterna.golden.device.link import MAX_BODY, RESULT_WORDS, BoardFrame, Identity
from sterna.host.requests import ImageRequest

MOST_SLOTS = 128
"""Less than 256 - 100: an old result's number is known from a new one's."""


class Taken(Enum):
    """What a RESULT frame was."""

    NEW = 1
    PART = 5  # new words, but fewer than a board sends at once: no sign of progress
    OLD = 2  # its words are known already
    GAP = 3  # words before it are missing
    WRONG = 4  # no host asked for it


class ImageStream:
    """The stream of images of a session and the results that came back.

    Attributes:
        sent: bytes of images that were put on the line, each counted once.
        got: results received whole. told: what the board was last told of ``got``.
        computing: requests with images under way.
    """

    def __init__(self, identity: Identity):
        self.size, self.slots = identity.image_bytes, identity.slots
        self.words = 1 + identity.classes
        self.frames = -(-self.words // RESULT_WORDS)  # of a result
        self.sent = self.got = self.told = 0
        self.computing: deque[ImageRequest] = deque()
        self._partial: list[int] = []  # first words of result ``got``

    @property
    def out(self) -> int:
        """Images that were sent whole and have no result yet."""
        return self.sent // self.size - self.got

    def credit(self, request: ImageRequest) -> int:
        """Bytes to send in one frame now: a full body, the last bytes, or whatever is allowed while
        no image is under way. At most ``slots`` images go before their results."""
        allowed = min((self.got + self.slots) * self.size - self.sent, request.left)
        if allowed < MAX_BODY and allowed < request.left and self.out:
            return 0  # a fuller frame can go as soon as a result has come
        return min(allowed, MAX_BODY)

    def cut(self, request: ImageRequest, size: int) -> bytes:
        """The body of the next frame."""
        self.sent += size
        if not self.computing or self.computing[-1] is not request:
            self.computing.append(request)
        return request.cut(size)

    def take(self, frame: BoardFrame) -> Taken:
        """Take a RESULT."""
        if len(frame.body) < 8 or len(frame.body) % 4:
            return Taken.OLD
        ahead = (frame.body[0] - self.got) & 255
        first, words = int.from_bytes(frame.body[2:4], "little"), frame.words
        if ahead >= MOST_SLOTS or not ahead and first < len(self._partial):
            return Taken.OLD
        if ahead or first > len(self._partial):
            return Taken.GAP
        self._partial += words
        if len(self._partial) < self.words:
            return Taken.NEW if len(words) == RESULT_WORDS else Taken.PART
        if len(self._partial) > self.words or self.out < 1:
            return Taken.WRONG
        self.got += 1
        request = self.computing[0]
        request.results.append(tuple(self._partial))
        self._partial = []
        if len(request.results) == request.images:
            self.computing.popleft()
            request.finish(request.results)
        return Taken.NEW
