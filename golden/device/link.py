"""The messages between a host and a board: the one description that both sides are made from.

`hw/` builds the board's side from these numbers and `host/` the computer's; `docs/link.md` explains
them for a host in another language. Standard library only.

A frame on the wire is ``COBS(content) 0x00``; content is a header, a body and the CRC-32 (zlib's,
little-endian) of both. Numbers are little-endian. A content has at most 254 bytes, so COBS always
adds exactly one.

The host numbers the frames that must be executed once and in order (``SEQUENCED``) by ``seq``,
modulo 256. The board accepts only the one it expects next, queues it, and tells in the header of
everything it sends which it expects (``next``) and which it will execute next (``done``). Results
are numbered too, modulo 256; the board keeps them until the host's ``got`` says they have arrived.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from sterna.golden.errors import SternaError

__all__ = [
    "VERSION",
    "MAX_BODY",
    "MAX_READ",
    "RESULT_WORDS",
    "FRAME_COST",
    "OVERHEAD",
    "BOARD_OVERHEAD",
    "SEQUENCED",
    "HOST_HEADER",
    "BOARD_HEADER",
    "IDENTITY",
    "Hello",
    "ToBoard",
    "ToHost",
    "State",
    "HostFrame",
    "BoardFrame",
    "Identity",
    "LinkError",
    "Refused",
    "cobs_encode",
    "cobs_decode",
    "wire",
    "unwire",
]

VERSION = 1
MAX_CONTENT = 254
MAX_BODY = 240
"""Bytes of a host frame's body."""
MAX_READ = 16
"""Words that one READ asks for."""
RESULT_WORDS = 56
"""Words of a result that one RESULT frame carries."""
FRAME_COST = 6
"""A queued frame takes its body and so many bytes of the board's buffer."""
CRC_BYTES = 4

HOST_HEADER = (("kind", 1), ("session", 2), ("seq", 1), ("got", 1))
"""Fields of a host frame's header and their bytes. kind: version * 16 + ToBoard. session: chosen
by the host for each connection, not 0. seq: number of a sequenced frame, else 0. got: results
received, modulo 256."""
BOARD_HEADER = (
    ("kind", 1),
    ("session", 2),
    ("next", 1),
    ("done", 1),
    ("made", 1),
    ("state", 1),
    ("refused", 1),
)
"""Fields of a board frame's header and their bytes. kind: version * 16 + ToHost. session: the
board's, 0 before the first HELLO. next: the seq accepted next. done: the seq executed next. made:
results made in this session, modulo 256. state: bits of State. refused: frames that were damaged or
found no room, modulo 256."""
IDENTITY = (
    ("magic", 4),
    ("structure_id", 8),
    ("image_bytes", 4),
    ("classes", 2),
    ("buffer", 2),
    ("slots", 2),
)
"""Fields of the body of IDENTITY and their bytes, see Identity."""
MAGIC = int.from_bytes(b"STRN", "little")


class LinkError(SternaError):
    """The link failed or the board refused; names the cause and the next step."""


class Refused(LinkError):
    """A register access was answered by SLVERR."""


class ToBoard(IntEnum):
    """Kinds of host frames. HELLO, POLL and RESEND have ``seq`` 0 and are executed at once."""

    HELLO = 1  # opens `session`; body: a byte of Hello bits; answered by IDENTITY
    IMAGE = 2  # body: the next bytes of the stream of images
    WRITE = 3  # body: u16 address, u32 words: register writes
    READ = 4  # body: u16 address, u8 count: register reads, answered by ANSWER
    MODE = 5  # body: a byte, bit 0: results are dropped (mute); forgets a fault
    POLL = 6  # no body; answered by ACK, or by the header of another frame sent after it
    RESEND = 7  # no body; as POLL, and the last ANSWER and all results from `got` on once more


SEQUENCED = frozenset({ToBoard.IMAGE, ToBoard.WRITE, ToBoard.READ, ToBoard.MODE})


class Hello(IntEnum):
    """Bits of HELLO's body."""

    RESET = 1  # also reset the network (its memories and weights_id stay)


class ToHost(IntEnum):
    """Kinds of board frames."""

    IDENTITY = 1  # body: see IDENTITY
    ACK = 2  # no body
    ANSWER = 3  # body: u8 seq of the READ, u8 status (0; 1: SLVERR), u16 zero, u32 words
    RESULT = 4  # body: u8 result number, u8 zero, u16 first word, u32 words


class State(IntEnum):
    """Bits of a board header's ``state``."""

    FAULT = 1  # a WRITE was answered by SLVERR; further WRITEs are skipped until MODE or HELLO
    MUTED = 2  # results are dropped
    PARTIAL = 4  # an image has begun and is not complete


def _layout(fields: tuple[tuple[str, int], ...]) -> struct.Struct:
    return struct.Struct("<" + "".join({1: "B", 2: "H", 4: "I", 8: "Q"}[n] for _, n in fields))


_HOST, _BOARD, _IDENTITY = map(_layout, (HOST_HEADER, BOARD_HEADER, IDENTITY))
OVERHEAD = _HOST.size + CRC_BYTES + 2
"""Bytes that a host frame takes on the wire besides its body."""
BOARD_OVERHEAD = _BOARD.size + CRC_BYTES + 2
"""As `OVERHEAD`, of a board's frame."""


@dataclass(frozen=True)
class HostFrame:
    """A frame from the host; fields as HOST_HEADER gives them."""

    kind: ToBoard
    session: int
    seq: int = 0
    got: int = 0
    body: bytes = b""

    def pack(self) -> bytes:
        """The bytes on the wire."""
        if len(self.body) > MAX_BODY:
            raise ValueError(f"a body of {len(self.body)} bytes, at most {MAX_BODY}")
        return wire(
            _HOST.pack(VERSION << 4 | self.kind, self.session, self.seq & 255, self.got & 255)
            + self.body
        )

    @classmethod
    def parse(cls, content: bytes) -> "HostFrame | None":
        """Of what ``unwire`` returned; None where it is no host frame of this version."""
        if len(content) < _HOST.size:
            return None
        kind, session, seq, got = _HOST.unpack_from(content)
        if kind >> 4 != VERSION or kind & 15 not in set(ToBoard):
            return None
        return cls(ToBoard(kind & 15), session, seq, got, content[_HOST.size :])


@dataclass(frozen=True)
class BoardFrame:
    """A frame from the board; fields as BOARD_HEADER gives them."""

    kind: ToHost
    session: int
    next: int = 0
    done: int = 0
    made: int = 0
    state: int = 0
    refused: int = 0
    body: bytes = b""
    version: int = VERSION

    def pack(self) -> bytes:
        """The bytes on the wire."""
        head = _BOARD.pack(
            self.version << 4 | self.kind,
            self.session,
            self.next,
            self.done,
            self.made,
            self.state,
            self.refused,
        )
        return wire(head + self.body)

    @classmethod
    def parse(cls, content: bytes) -> "BoardFrame | None":
        """Of what ``unwire`` returned; None where it is no board frame. ``version`` is not checked:
        every version has this header, so a host can name the one it meets."""
        if len(content) < _BOARD.size:
            return None
        kind, *rest = _BOARD.unpack_from(content)
        if kind & 15 not in set(ToHost):
            return None
        return cls(ToHost(kind & 15), *rest, body=content[_BOARD.size :], version=kind >> 4)

    @cached_property
    def words(self) -> tuple[int, ...]:
        """The u32 words of an ANSWER or RESULT."""
        count = (len(self.body) - 4) // 4
        return struct.unpack_from(f"<{count}I", self.body, 4) if count > 0 else ()


@dataclass(frozen=True)
class Identity:
    """What a board says of itself. structure_id: first 8 bytes of the hash, as the registers have
    it. image_bytes: of an image in the stream (packed and padded to whole beats). classes: logits.
    buffer: bytes that queued frames may take, FRAME_COST included. slots: results that are kept,
    so images that may be under way at once."""

    structure_id: int
    image_bytes: int
    classes: int
    buffer: int
    slots: int

    def pack(self) -> bytes:
        """The body of IDENTITY."""
        return _IDENTITY.pack(
            MAGIC,
            self.structure_id,
            self.image_bytes,
            self.classes & 0xFFFF,
            self.buffer,
            self.slots,
        )

    @classmethod
    def parse(cls, body: bytes) -> "Identity | None":
        """None where ``body`` is not the body of an IDENTITY."""
        if len(body) != _IDENTITY.size:
            return None
        magic, *rest = _IDENTITY.unpack(body)
        return cls(*rest) if magic == MAGIC else None


def cobs_encode(data: bytes) -> bytes:
    """Consistent overhead byte stuffing (Cheshire and Baker 1999): no zero byte in the result."""
    out = bytearray()
    for part in data.split(b"\0"):
        while len(part) >= 254:
            out += b"\xff" + part[:254]
            part = part[254:]
        out += bytes([len(part) + 1]) + part
    return bytes(out)


def cobs_decode(data: bytes) -> bytes | None:
    """The reverse; None where ``data`` is no result of ``cobs_encode``."""
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        block = data[at + 1 : at + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            return None
        out += block
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out) if data else None


def wire(content: bytes) -> bytes:
    """The frame on the wire of a header and body."""
    return cobs_encode(content + zlib.crc32(content).to_bytes(CRC_BYTES, "little")) + b"\0"


def unwire(frame: bytes) -> bytes | None:
    """Header and body of what stood between two zero bytes; None where it is damaged."""
    content = cobs_decode(frame)
    if content is None or not CRC_BYTES < len(content) <= MAX_CONTENT:
        return None
    content, crc = content[:-CRC_BYTES], content[-CRC_BYTES:]
    return content if zlib.crc32(content).to_bytes(CRC_BYTES, "little") == crc else None
