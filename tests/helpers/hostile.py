"""Boards that mean no good, on a line with a time of its own: they cost no real seconds."""

import random
from collections.abc import Callable

from fakeboard import AT, FakeBoard, FakeNetwork

from sterna.golden.device.link import BoardFrame, ToHost, wire

Mutate = Callable[["Line", bytes], bytes]


class Line:
    """A transport in virtual time. ``mutate`` turns what the board says into what arrives."""

    def __init__(self, board: FakeBoard, mutate: Mutate | None = None, seed: int = 0):
        self.board, self.mutate = board, mutate or (lambda line, data: data)
        self.random = random.Random(seed)
        self.now = 0.0
        self.kept = bytearray()
        self.said = -1.0  # for those who wait between two bytes

    def read(self, wait: float) -> bytes:
        self.now += max(wait, 0.0005)
        self.board.run(self.now)
        out = b""
        while frame := self.board.transmit():
            out += frame
            self.board.run(self.now)
        return self.mutate(self, out)

    def write(self, data: bytes) -> None:
        self.now += len(data) * 1e-5
        self.board.receive(data)

    def close(self) -> None:
        pass

    def monotonic(self) -> float:
        return self.now


def board(**options) -> FakeBoard:
    """One with weights, three images of memory and 12-byte images."""
    given = {"classes": 4, "weights": 5, "regions": (400,), "rom": b""} | options
    return FakeBoard(FakeNetwork(**given), image_bytes=12)


def never_new() -> Line:
    """Every session is under way already."""
    made = board()
    frame = made._frame
    made._frame = lambda kind, body: _replaced(frame(kind, body), next=1)
    return Line(made)


def _replaced(data: bytes, **fields: int) -> bytes:
    from sterna.golden.device.link import unwire

    content = unwire(data[:-1])
    frame = content and BoardFrame.parse(content)
    assert frame
    return BoardFrame(**{**vars(frame), **fields}).pack()


def reads(change: Callable[[str, int], int | None], **options) -> Line:
    """Registers read otherwise: ``change`` of the name and how many were read so far."""
    made = board(**options)
    made.network.last_image = bytes(12)  # one that can be repeated
    read, count = made.network.read, [0]

    def other(address: int) -> int | None:
        count[0] += 1
        name = next((n for n, at in AT.items() if at == address), "")
        found = change(name, count[0])
        return read(address) if found is None else found

    made.network.read = other
    return Line(made)


def moving_counters() -> Line:
    """Repetitions that are counted for ever, up and down."""
    return reads(lambda name, k: {"repeat": k % 7 + 1, "images": k % 5, "status": 0}.get(name))


def slow_counters() -> Line:
    """Repetitions that go on by one each time somebody looks, and never end."""
    return reads(lambda name, k: {"repeat": 5, "images": 4, "status": 0}.get(name))


def moving_crc() -> Line:
    """A CRC pass that is always busy, and counts up and down."""
    return reads(lambda name, k: {"status": 0x101, "crc_words": k % 300}.get(name))


def stuck_crc() -> Line:
    return reads(lambda name, k: {"status": 0x101, "crc_words": 7}.get(name))


def never_idle() -> Line:
    return reads(lambda name, k: {"status": 0}.get(name))


def many_cores() -> Line:
    return reads(lambda name, k: {"config": 0xFFFF}.get(name))


def floods(what: Callable[[random.Random], bytes]) -> Line:
    """Sends that all the time, and nothing else."""
    return Line(board(), lambda line, data: what(line.random))


def garbage() -> Line:
    return floods(lambda r: r.randbytes(200))


def endless_frame() -> Line:
    return floods(lambda r: b"\x01" * 200)


def zeros() -> Line:
    return floods(lambda r: bytes(200))


def trickle(seconds: float) -> Line:
    """What a good board says, a byte in so many seconds."""

    def slowly(line: Line, data: bytes) -> bytes:
        line.kept += data
        if line.now < line.said + seconds:
            return b""
        line.said = line.now
        out = bytes(line.kept[:1])
        del line.kept[:1]
        return out

    return Line(board(), slowly)


def late(seconds: float) -> Line:
    """What a good board says, a frame in so many seconds, and the latest only."""

    def slowly(line: Line, data: bytes) -> bytes:
        frames = data.split(b"\0")
        if len(frames) > 1:
            line.kept[:] = frames[-2] + b"\0"
        if line.now < line.said + seconds:
            return b""
        line.said = line.now
        out = bytes(line.kept)
        line.kept.clear()
        return out

    return Line(board(), slowly)


def single_words() -> Line:
    """Results of 65,536 classes, a word in a frame, four a second."""
    made = board(classes=65536)
    made.identity = made.identity.__class__(**{**vars(made.identity), "classes": 0})
    state = {"at": 0.0, "word": 0}

    def words(line: Line, data: bytes) -> bytes:
        if not made.network.words["images"] or line.now < state["at"]:
            return data
        state.update(at=line.now + 0.25, word=state["word"] + 1)
        body = bytes([0, 0]) + (state["word"] - 1).to_bytes(2, "little") + bytes(4)
        return data + made._frame(ToHost.RESULT, body)

    made.sent = 1 << 30  # nothing of its own
    made._open = _keep_silent(made, made._open)
    return Line(made, words)


def _keep_silent(made: FakeBoard, open_: Callable[[int], None]) -> Callable[[int], None]:
    def opened(session: int) -> None:
        open_(session)
        made.sent = 1 << 30

    return opened


def absurd(seed: int) -> Line:
    """Frames of the right session whose every field is chance, between good ones."""
    made = board()

    def between(line: Line, data: bytes) -> bytes:
        if line.random.random() < 0.5:
            return data
        r = line.random
        kind = r.choice(list(ToHost))
        fields = [r.randrange(256) for _ in range(5)]
        if r.random() < 0.5:  # near the truth
            fields[0] = (made.next + r.randrange(3)) % 256
            fields[1] = (made.done + r.randrange(2)) % 256
        body = r.randbytes(r.choice((0, 4, 8, 22, 60)))
        return data + BoardFrame(kind, made.session, *fields, body=body).pack()

    return Line(made, between, seed)


def broken(seed: int) -> Line:
    """Good frames with flips, cuts, repetitions and frames of nonsense that have a right CRC."""

    def spoil(line: Line, data: bytes) -> bytes:
        r, what = line.random, line.random.random()
        if what < 0.3 and data:
            at = r.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << r.randrange(8)]) + data[at + 1 :]
        if what < 0.5:
            return data[: r.randrange(len(data) + 1)]
        if what < 0.6:
            return data + wire(r.randbytes(r.randrange(1, 200)))
        return data + data if what < 0.7 else data

    return Line(board(), spoil, seed)


MAD: dict[str, Callable[[], Line]] = {
    "never new": never_new,
    "moving counters": moving_counters,
    "slow counters": slow_counters,
    "moving crc": moving_crc,
    "stuck crc": stuck_crc,
    "never idle": never_idle,
    "many cores": many_cores,
    "garbage": garbage,
    "endless frame": endless_frame,
    "zeros": zeros,
    "trickle": lambda: trickle(0.05),
    "slow trickle": lambda: trickle(0.9),
    "late": lambda: late(0.6),
    "later": lambda: late(0.95),
    "single words": single_words,
}
