"""The host's side of the link, without a port and without a clock.

Whoever has a port and a clock gives the engine what arrived (``receive``), puts on the line what it
has to say (``transmit``), and comes back at ``next_timer``. So the same code runs against a serial
port, a simulated board and a bad cable in virtual time. The messages are those of
golden/device/link.py.

Nothing is taken twice, lost or mixed up: sequenced frames go again from the first that the board
has not accepted; results are taken strictly in order and asked for again where one is missing; an
answer counts only in a frame that also says that its READ was executed; frames of other sessions,
versions and damaged ones are dropped. Progress only goes one way: each frame is executed once, each
word of a result taken once. What fails, fails with a LinkError within ``timeout`` of the last
progress; ``on_work`` tells a caller that bounds the whole of a call what was done.
"""

__all__ = ["Engine"]

import random
from collections import deque
from collections.abc import Callable, Sequence

from sterna.golden.device.link import (
    FRAME_COST,
    MAX_BODY,
    VERSION,
    BoardFrame,
    Hello,
    HostFrame,
    Identity,
    LinkError,
    Refused,
    State,
    ToBoard,
    ToHost,
)
from sterna.host import causes
from sterna.host.images import MOST_SLOTS, ImageStream, Taken
from sterna.host.patience import Patience, check_timeout
from sterna.host.reader import FrameReader, LinkStats
from sterna.host.requests import READ_WORDS, ImageRequest, Request, write_bodies
from sterna.host.window import SentFrame, Window

NEW_SESSIONS = 8
"""Session numbers that a board may have had already: chance gives one in 65,535."""
DUPLICATES = 2
"""Acknowledgements that say the same again, from which a lost frame is inferred."""


class Engine:
    """One connection to a board. Times are seconds of any clock that does not go back.

    Requests (``open``, ``read``, ``write``, ``mode``, ``images``) return a ``Request`` at once and
    are executed in the order they were made; ``open`` comes first and is made once. After an error
    of the link every request fails with it: connect with a new engine.

    Args:
        timeout: seconds without any progress after which the link fails; a third of it where
            nothing at all is heard.
        least_wait: shortest time in which an answer is given up, in seconds.
        seed: of the session's number; None: any.
        on_work: called with frames and images as they are done.

    Attributes:
        identity: what the board says of itself, None before ``open`` is done.
        error: why the link failed, or None. state: the board's, bits of ``State``.
        stats: counts.
    """

    def __init__(
        self,
        timeout: float = 10.0,
        least_wait: float = 0.01,
        seed: int | None = None,
        on_work: Callable[[int, int], None] = lambda frames, images: None,
    ):
        timeout = check_timeout(timeout)
        self._on_work = on_work
        self._sessions = 0  # that the board had already
        self.stats = LinkStats()
        self.identity: Identity | None = None
        self.error: LinkError | None = None
        self.state = 0
        self._random = random.Random(seed)
        self._reader = FrameReader(self.stats)
        self._known_bytes = 0  # received up to the last frame of the session
        self._opening: Request | None = None
        self._hello = 0
        self._window = Window(0)
        self._queue: deque[Request] = deque()
        self._read: tuple[SentFrame, int] | None = None  # the READ that waits, and its words
        self._images: ImageStream | None = None
        self._muted = False
        self._patience = Patience(timeout, least_wait)
        self._want: ToBoard | None = None  # POLL or RESEND, before anything else
        self._resend_after = 0.0
        self._polled = False  # for want of news; what comes next tells all there is
        self._polls = self._duplicates = 0
        self._last_ack = -1
        self._gone_back = -1  # accepted when duplicates last made frames go again
        self._greet_now = False  # a new number need not wait for the old one's answer
        self._new_session()

    # --- requests -----------------------------------------------------------------------------

    def open(self, reset: bool = False) -> Request:
        """Begin the session; the value is the board's ``Identity``. ``reset``: also reset the
        network (its weights stay)."""
        if self._opening is not None or self.identity is not None:
            raise ValueError("a session is opened once; make a new engine")
        self._opening = Request(ToBoard.HELLO, "opening the link")
        self._hello = Hello.RESET if reset else 0
        return self._opening

    def read(self, address: int, count: int = 1) -> Request:
        """Read ``count`` (1 .. 16) registers from byte ``address`` on; the value is a tuple of
        words. Bit 0 of the address set: the same register each time."""
        if not 1 <= count <= READ_WORDS:
            raise ValueError(f"a read of {count} words, 1 .. {READ_WORDS}")
        body = address.to_bytes(2, "little") + bytes([count])
        return self._add(Request(ToBoard.READ, f"reading register 0x{address & ~1:02x}", [body]))

    def write(self, address: int, words: Sequence[int], same: bool = False) -> Request:
        """Write registers from byte ``address`` on, or with ``same`` all words to that one.
        After a refused write (SLVERR) further ones are skipped, and fail too, until ``mode``."""
        bodies = write_bodies(address, words, same)
        if not bodies:
            raise ValueError("a write of no words")
        return self._add(Request(ToBoard.WRITE, f"writing register 0x{address:02x}", bodies))

    def mode(self, mute: bool = False) -> Request:
        """Drop results from here on, or not; forgets a refused write."""
        self._muted = mute
        return self._add(Request(ToBoard.MODE, "setting the link's mode", [bytes([mute])]))

    def images(self, data: bytes) -> ImageRequest:
        """Compute images: ``data`` is one after the other, ``identity.image_bytes`` each. The value
        is a list with the words of each result: class and flags, then the logits."""
        if self.identity is None or self._muted:
            raise ValueError("images need an open session that is not muted")
        if not data or len(data) % self.identity.image_bytes:
            raise ValueError(f"{len(data)} bytes are no images of {self.identity.image_bytes}")
        request = ImageRequest(data, self.identity.image_bytes)
        self._add(request)
        return request

    def beginning(self, data: bytes) -> Request:
        """Send the first ``data`` of an image and no more of it: from then on this session takes no
        images, and only a new one, which forgets it, is of use."""
        if self.identity is None or not 0 < len(data) < self.identity.image_bytes:
            raise ValueError(f"{len(data)} bytes are no beginning of an image")
        bodies = [data[at : at + MAX_BODY] for at in range(0, len(data), MAX_BODY)]
        return self._add(Request(ToBoard.IMAGE, "sending an image cut short", bodies))

    def _add(self, request: Request) -> Request:
        if self.identity is None:
            raise ValueError("requests need an open session")
        if self.error is not None:
            request.finish(error=self.error)
        else:
            self._queue.append(request)
        return request

    # --- to the board -------------------------------------------------------------------------

    def transmit(self, now: float) -> bytes:
        """Bytes to put on the line now, in this order; empty where there is nothing to say. What
        the board has room for is given out at once."""
        out = bytearray()
        self._patience.looked(now)
        if self._patience.waiting:
            self._check_time(now)
        if self._opening is not None:
            out += self._greet(now)
        elif self.error is None and self._images is not None:
            if self._want is not None:
                # A zero first: whatever the board holds of a damaged frame ends there.
                out += b"\0" + self._poll(self._want, now)
            self._want = None
            while (frame := self._window.take(now) or self._cut(now)) is not None:
                out += self._pack(frame)
            if not out and 2 * (self._images.got - self._images.told) >= self._images.slots:
                out += self._poll(ToBoard.POLL, now)
        if self._waiting:
            self._patience.begin(now)
        # A frame is acknowledged when it comes, and its execution only told by the next message.
        accepted = bool(self._window.frames) and not self._window.missing
        self._patience.soon = accepted and not self._read and not self._images_out
        if out:
            self._patience.sent(now)
            self.stats.bytes_sent += len(out)
        return bytes(out)

    @property
    def next_timer(self) -> float | None:
        """When to call ``transmit`` though nothing was received; None: nothing is awaited."""
        return self._patience.next

    @property
    def _waiting(self) -> bool:
        """Something is awaited from the board."""
        return bool(self._opening or self._window.frames or self._read or self._images_out)

    @property
    def _noise(self) -> int:
        """Bytes behind the last frame of the session."""
        return self.stats.bytes_received - self._known_bytes

    @property
    def _images_out(self) -> int:
        return self._images.out if self._images else 0

    def _check_time(self, now: float) -> None:
        """Fail, or ask the board how things are, where it was quiet for too long."""
        patience = self._patience
        if not self._waiting:
            patience.end()
        elif patience.silent(now):
            opening = self._opening is not None
            self.fail(causes.silent(self.stats, opening, self.busy, patience.silence, self._noise))
        elif patience.stalled(now):
            self.fail(causes.stalled(self._window, self._images_out, self.busy, patience.timeout))
        elif now >= patience.deadline and self._opening is None:
            self.stats.timeouts += 1
            patience.tried()
            self._want = ToBoard.RESEND if self._read or self._images_out else ToBoard.POLL
            self._polled = True

    def _greet(self, now: float) -> bytes:
        if self._patience.waiting and not self._greet_now:
            if now < self._patience.deadline:
                return b""
            self.stats.timeouts += 1
            self._patience.tried()
        self._greet_now = False
        self.stats.frames_sent += 1
        return b"\0" + HostFrame(ToBoard.HELLO, self.session, body=bytes([self._hello])).pack()

    def _poll(self, kind: ToBoard, now: float) -> bytes:
        self._polls += 1
        self.stats.polls += 1
        if kind is ToBoard.RESEND:
            self._resend_after = now + self._patience.wait
        return HostFrame(kind, self.session, 0, self._tell()).pack()

    def _tell(self) -> int:
        """The ``got`` of a frame."""
        assert self._images is not None
        self._images.told = self._images.got
        return self._images.got & 255

    def _pack(self, frame: SentFrame) -> bytes:
        if frame.again:
            self.stats.frames_resent += 1
        else:
            self.stats.frames_sent += 1
            self.stats.payload_sent += len(frame.body)
        head = frame.kind, self.session, frame.number & 255, self._tell()
        return HostFrame(*head, frame.body).pack()

    def _cut(self, now: float) -> SentFrame | None:
        """The next new frame, if the board surely has room for it and its order allows it."""
        if not self._queue:
            return None
        request, window, images = self._queue[0], self._window, self._images
        if isinstance(request, ImageRequest):
            assert images is not None
            size = images.credit(request)
            if not size or not window.has_room(size):
                return None
            body = images.cut(request, size)
        else:
            # The board keeps one answer; and MODE forgets a fault that was not seen yet.
            if request.kind is ToBoard.READ and self._read is not None:
                return None
            if request.kind is ToBoard.MODE and window.frames:
                return None
            if not window.has_room(len(request.bodies[0])):
                return None
            body = request.bodies.popleft()
        frame = window.add(request.kind, body, request if request.all_cut else None)
        if request.all_cut:
            self._queue.popleft()
        if request.kind is ToBoard.READ:
            self._read = frame, body[2]
        taken = window.take(now)
        assert taken is frame
        return frame

    # --- from the board -----------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that arrived, in any pieces."""
        for frame in self._reader.feed(data):
            if self.error is not None:
                return
            if frame.version != VERSION:
                if self._opening is not None:
                    self.fail(causes.other_version(frame.version))
                continue
            if frame.session != self.session:
                self.stats.foreign += 1
                continue
            self._patience.heard(now)
            self._known_bytes = self.stats.bytes_received
            if self._opening is not None:
                if frame.kind is ToHost.IDENTITY:
                    self._opened(frame)
                continue
            self._frame(frame, now)

    def _opened(self, frame: BoardFrame) -> None:
        if frame.next or frame.done or frame.made or frame.state:
            # The board had this number already: nothing was begun anew. The counts are modulo 256;
            # where they happen to be 0, no state means no half image either.
            self._sessions += 1
            if self._sessions > NEW_SESSIONS:
                self.fail(causes.NOT_NEW)
            self._new_session()
            self._greet_now = True
            return
        identity = Identity.parse(frame.body)
        room = MAX_BODY + FRAME_COST
        if identity is None or not (
            identity.buffer >= room and 1 <= identity.slots <= MOST_SLOTS and identity.image_bytes
        ):
            self.fail(causes.NO_IDENTITY)
            return
        self.identity, self._window = identity, Window(identity.buffer)
        self._images = ImageStream(identity)
        self._patience.end()
        request, self._opening = self._opening, None
        assert request is not None
        request.finish(identity)

    def _frame(self, frame: BoardFrame, now: float) -> None:
        window = self._window
        before = window.accepted, window.done
        executed = window.update(frame.next, frame.done, now)
        if executed is None:
            self.stats.stale += 1
            return
        self.state = frame.state
        if window.round_trip is not None:
            self._patience.sample(window.round_trip)
            window.round_trip = None
        if (window.accepted, window.done) != before:
            self._advanced(now)
        if executed:
            self._on_work(len(executed), 0)
        for sent in executed:
            self._executed(sent)
        if frame.kind is ToHost.ACK and not self._polled:
            self._acknowledged(before[0])
        elif frame.kind is ToHost.ANSWER:
            self._answered(frame, now)
        elif frame.kind is ToHost.RESULT:
            self._result(frame, now)
        if self._polled:
            # Nothing new: the answer to a poll, of whatever kind, as every header tells the counts.
            # All that was sent before has arrived or never will.
            self._polled = False
            window.rewind()

    def _advanced(self, now: float) -> None:
        self._patience.progress(now)
        self._polled, self._duplicates = False, 0

    def _executed(self, sent: SentFrame) -> None:
        """The board has done with a frame. Its ``state`` is that after it, and a fault stays."""
        request = sent.request
        if request is None or sent.kind is ToBoard.READ or isinstance(request, ImageRequest):
            return
        if sent.kind is ToBoard.WRITE and self.state & State.FAULT:
            request.finish(error=Refused(causes.refused(request.what)))
        request.finish()

    def _acknowledged(self, before: int) -> None:
        """From acknowledgements that do not advance: a frame did not arrive."""
        window = self._window
        if window.accepted == before == self._last_ack and window.missing:
            if self._polls:
                self._polls -= 1
            elif self._gone_back != before:
                self._duplicates += 1
                if self._duplicates >= DUPLICATES:
                    self._gone_back = before
                    window.rewind()
        self._last_ack = window.accepted

    def _answered(self, frame: BoardFrame, now: float) -> None:
        if self._read is None or len(frame.body) < 4:
            return
        sent, count = self._read
        seq, status = frame.body[0], frame.body[1]
        if seq != sent.number & 255 or sent.number >= self._window.done:
            return  # the last answer once more; it may have the same number
        if not status and len(frame.words) != count:
            return
        self._read = None
        self._advanced(now)
        request = sent.request
        assert request is not None
        if status:
            request.finish(error=Refused(causes.refused(request.what)))
        request.finish(frame.words)

    def _result(self, frame: BoardFrame, now: float) -> None:
        assert self._images is not None
        got = self._images.got
        taken = self._images.take(frame)
        if self._images.got > got:
            self._on_work(self._images.frames, 1)
        if taken is Taken.GAP and now >= self._resend_after:
            self._want = ToBoard.RESEND
        elif taken in (Taken.NEW, Taken.PART):
            self._resend_after = 0.0
            if taken is Taken.NEW:
                self._advanced(now)
        elif taken is Taken.WRONG:
            self.fail(causes.UNASKED)

    # --- the end ------------------------------------------------------------------------------

    def _new_session(self) -> None:
        self.session = self._random.randrange(1, 1 << 16)

    def fail(self, sentence: str) -> None:
        """End the link: every request fails with this sentence."""
        self.error = LinkError(sentence)
        sent = [f.request for f in self._window.frames]
        read = [self._read[0].request] if self._read else []
        computing = self._images.computing if self._images else ()
        for request in (self._opening, *sent, *read, *computing, *self._queue):
            if request is not None:
                request.finish(error=self.error)
        self._opening = self._read = None
        self._patience.end()

    @property
    def busy(self) -> str:
        """What is awaited, in words."""
        if self._read is not None and self._read[0].request is not None:
            return self._read[0].request.what
        if self._images and self._images.computing:
            return self._images.computing[0].what
        for frame in self._window.frames:
            if frame.request is not None:
                return frame.request.what
        return self._queue[0].what if self._queue else "waiting"
