"""A board in Python: byte for byte what golden/device/link.py says the hardware does.

``FakeBoard`` is the link, ``FakeNetwork`` the registers, memories and results behind it. Time is
whatever the caller says it is: images take ``image_time`` and one is computed at a time.
"""

import struct
import zlib
from collections import deque

from sterna.golden.device import csr
from sterna.golden.device.link import (
    FRAME_COST,
    RESULT_WORDS,
    SEQUENCED,
    VERSION,
    BoardFrame,
    Hello,
    HostFrame,
    Identity,
    State,
    ToBoard,
    ToHost,
    unwire,
)

AT = csr.ADDRESS
NAME = {address: name for name, address in AT.items()}
READ_ONLY = {
    "id",
    "version",
    "structure_id_lo",
    "structure_id_hi",
    "config",
    "image_clocks",
    "images",
    "total_clocks",
    "dropped",
    "rom_crc",
    "crc_result",
}


def logits_of(image: bytes, classes: int, weights: int) -> list[int]:
    """What the fake network computes: anything that depends on every byte and on the weights."""
    return [zlib.crc32(image, weights + k & 0xFFFFFFFF) for k in range(classes)]


def result_of(image: bytes, classes: int, weights: int, flags: int = 0) -> list[int]:
    """Words of a result."""
    logits = logits_of(image, classes, weights)
    signed = [x - (x >> 31 << 32) for x in logits]
    return [signed.index(max(signed)) | flags << 16, *logits]


class FakeNetwork:
    """Registers and memories of a design. ``regions``: words of each reloadable memory."""

    def __init__(
        self,
        structure: int = 0x1122334455667788,
        classes: int = 10,
        cores: int = 2,
        regions: tuple[int, ...] = (),
        weights: int = 0,
        rom: bytes = b"",
        clocks: int = 100,
    ):
        self.classes, self.clocks = classes, clocks
        self.memories = [[0xDEADBEEF] * n for n in regions]
        low = 0xFFFFFFFF
        zeros = (
            "control",
            "repeat",
            "images",
            "image_clocks",
            "total_clocks",
            "dropped",
            "crc_result",
        )
        self.words = dict.fromkeys(zeros, 0) | {
            "id": csr.ID,
            "version": csr.VERSION,
            "config": cores | len(regions) << 16,
            "structure_id_lo": structure & low,
            "structure_id_hi": structure >> 32,
            "weights_id_lo": weights & low,
            "weights_id_hi": weights >> 32,
            "rom_crc": zlib.crc32(rom),
        }
        self.cores = cores
        self.at = 0  # chain_address
        self.flying = 0
        self.crc_state = 0
        self.last_image: bytes | None = None

    @property
    def weights(self) -> int:
        return self.words["weights_id_hi"] << 32 | self.words["weights_id_lo"]

    @property
    def held(self) -> bool:
        return bool(self.words["control"] & 2)

    def reset(self) -> None:
        self.words |= {"control": 0, "repeat": 0, "images": 0, "total_clocks": 0, "dropped": 0}
        self.flying = 0

    def read(self, address: int) -> int | None:
        """The word, or None for SLVERR."""
        if AT["stalls"] <= address < AT["stalls"] + 4 * self.cores:
            return 7 + address
        name = NAME.get(address & ~3)
        if name == "status":
            return (self.flying == 0) | self.held << 1 | self.crc_state
        if name in ("chain_address", "chain_data", "crc_words", "crc_result") and not self.memories:
            return None
        if name == "chain_address":
            return self.at
        if name == "chain_data":
            word = self._here()
            self.at += word is not None
            return word
        return {"crc_words": 0, **self.words}.get(name)

    def write(self, address: int, value: int) -> bool:
        """False for SLVERR."""
        name = NAME.get(address & ~3)
        if name is None or name in READ_ONLY or name == "stalls":
            return False
        if name == "repeat" and value and self.last_image is None:
            return False
        chain = name in ("chain_address", "chain_data", "crc_words")
        if not self.memories and (chain or name.startswith("weights_id")):
            return False
        if chain and name != "chain_address" and (self.flying or self._here() is None):
            return False
        if name == "chain_address":
            self.at = value
        elif name == "chain_data":
            self.memories[self.at >> 24][self.at & 0xFFFFF] = value
            self.at += 1
            self.words |= {"weights_id_lo": 0, "weights_id_hi": 0}
        elif name == "crc_words":
            words = self.memories[self.at >> 24][self.at & 0xFFFFF :][:value]
            self.words["crc_result"] = zlib.crc32(struct.pack(f"<{len(words)}I", *words))
            self.crc_state = 0x200 if len(words) == value else 0x400
        elif name == "control":
            self.words["control"] = value & 2
            if value & 1:
                self.words |= {"images": 0, "total_clocks": 0, "dropped": 0}
        elif name == "status":
            pass
        elif name == "repeat":
            # At once: the link sees no result of it when muted.
            self.words["images"] += value
            self.words["total_clocks"] += value * self.clocks
        else:
            self.words[name] = value
        return True

    def _here(self) -> int | None:
        region, word = self.at >> 24, self.at & 0xFFFFF
        if region >= len(self.memories) or word >= len(self.memories[region]):
            return None
        return self.memories[region][word]

    def compute(self, image: bytes, weights: int) -> list[int]:
        self.last_image = image
        self.words["images"] += 1
        self.words["total_clocks"] += self.clocks
        self.words["image_clocks"] = self.clocks
        return result_of(image, self.classes, weights, 0 if weights else csr.FLAG_UNLOADED)


class FakeBoard:
    """The board's side. ``receive`` bytes, ``run`` to a time, ``transmit`` one frame at a time."""

    def __init__(
        self,
        network: FakeNetwork | None = None,
        image_bytes: int = 64,
        buffer: int = 4096,
        slots: int = 16,
        image_time: float = 0.0,
        version: int = VERSION,
    ):
        self.network = network or FakeNetwork()
        structure = self.network.words["structure_id_hi"] << 32
        structure |= self.network.words["structure_id_lo"]
        self.identity = Identity(structure, image_bytes, self.network.classes, buffer, slots)
        self.image_time, self.version = image_time, version
        self.session = self.refused = 0
        self.part = bytearray()
        self.now = 0.0
        self.most_used = 0
        self.executed: list[tuple[ToBoard, bytes]] | None = None  # set to a list to record
        self._open(0)

    def _open(self, session: int) -> None:
        self.session = session
        self.queue: deque[HostFrame] = deque()
        self.used = self.next = self.done = self.made = self.state = 0
        self.image = bytearray()
        self.pipeline: deque[tuple[float, bytes, int]] = deque()  # ready at, image, weights
        self.ring: dict[int, list[int]] = {}  # results not known to have arrived, by number
        self.tail = self.sent = self.sent_words = 0  # result and word sent next
        self.answer: bytes | None = None
        self.pending: set[ToHost] = set()
        self.network.flying = 0
        self.network.words["repeat"] = 0

    # --- bytes in ---

    def receive(self, data: bytes) -> None:
        for byte in data.split(b"\0")[:-1]:
            whole, self.part = bytes(self.part) + byte, bytearray()
            if whole:
                content = unwire(whole) if len(whole) <= 255 else None
                if content is None:
                    self.refused += 1
                else:
                    self._content(content)
        self.part += data.rpartition(b"\0")[2]

    def _content(self, content: bytes) -> None:
        if self.version != VERSION or content[0] >> 4 != VERSION:
            if content[0] & 15 == ToBoard.HELLO:
                self.pending.add(ToHost.IDENTITY)
            return
        frame = HostFrame.parse(content)
        if frame is None:
            return
        if frame.kind is ToBoard.HELLO:
            if frame.session and frame.session != self.session:
                if frame.body[0] & Hello.RESET:
                    self.network.reset()
                self._open(frame.session)
            self.pending.add(ToHost.IDENTITY)
            return
        if not self.session or frame.session != self.session:
            return
        if (frame.got - self.tail) % 256 <= (self.made - self.tail) % 256:
            while self.tail % 256 != frame.got:
                self.ring.pop(self.tail)
                self.tail += 1
            if self.sent < self.tail:
                self.sent, self.sent_words = self.tail, 0
        self.pending.add(ToHost.ACK)
        if frame.kind is ToBoard.RESEND:
            self.sent, self.sent_words = self.tail, 0
            if self.answer is not None:
                self.pending.add(ToHost.ANSWER)
        if frame.kind not in SEQUENCED or frame.seq != self.next % 256:
            return
        if self.used + len(frame.body) + FRAME_COST > self.identity.buffer:
            self.refused += 1
            return
        self.queue.append(frame)
        self.next += 1
        self.used += len(frame.body) + FRAME_COST
        self.most_used = max(self.most_used, self.used)

    # --- execution ---

    def run(self, now: float) -> None:
        """Do what can be done until ``now``."""
        self.now = now
        while True:
            while self.pipeline and self.pipeline[0][0] <= now and self._ring_has_room():
                _, image, weights = self.pipeline.popleft()
                self.network.flying -= 1
                words = self.network.compute(image, weights)
                if not self.state & State.MUTED:
                    self.ring[self.made] = words
                    self.made += 1
            if not self.queue or not self._execute(self.queue[0]):
                return
            frame = self.queue.popleft()
            self.used -= len(frame.body) + FRAME_COST
            self.done += 1
            if self.executed is not None:
                self.executed.append((frame.kind, frame.body))

    def _ring_has_room(self) -> bool:
        return self.made - self.tail < self.identity.slots

    def _execute(self, frame: HostFrame) -> bool:
        """False where it has to wait."""
        body = frame.body
        if frame.kind is ToBoard.IMAGE:
            if self.network.held or len(self.pipeline) > 2:
                return False
            self.image += body
            size = self.identity.image_bytes
            while len(self.image) >= size:
                start = max(self.now, self.pipeline[-1][0] if self.pipeline else 0.0)
                image = bytes(self.image[:size])
                self.pipeline.append((start + self.image_time, image, self.network.weights))
                self.network.flying += 1
                del self.image[:size]
            self.state = self.state & ~State.PARTIAL | (State.PARTIAL if self.image else 0)
        elif frame.kind is ToBoard.MODE:
            self.state = self.state & ~(State.MUTED | State.FAULT)
            self.state |= State.MUTED if body[0] & 1 else 0
        else:
            (address,) = struct.unpack_from("<H", body)
            same, address = address & 1, address & ~1
            if frame.kind is ToBoard.READ:
                found = [self.network.read(address + (not same) * 4 * k) for k in range(body[2])]
                words = [0 if word is None else word for word in found]
                self.answer = struct.pack(f"<BBH{len(words)}I", frame.seq, None in found, 0, *words)
                self.pending.add(ToHost.ANSWER)
            elif not self.state & State.FAULT:
                for k, (word,) in enumerate(struct.iter_unpack("<I", body[2:])):
                    if not self.network.write(address + (not same) * 4 * k, word):
                        self.state |= State.FAULT
                        break
        return True

    # --- bytes out ---

    def transmit(self) -> bytes:
        """The next frame to send, or nothing."""
        for kind in (ToHost.IDENTITY, ToHost.ANSWER):
            if kind in self.pending:
                self.pending.discard(kind)
                body = self.identity.pack() if kind is ToHost.IDENTITY else self.answer
                return self._frame(kind, body or b"")
        if self.sent < self.made:
            words = self.ring[self.sent]
            part = words[self.sent_words : self.sent_words + RESULT_WORDS]
            body = struct.pack(f"<BBH{len(part)}I", self.sent % 256, 0, self.sent_words, *part)
            self.sent_words += len(part)
            if self.sent_words == len(words):
                self.sent, self.sent_words = self.sent + 1, 0
            return self._frame(ToHost.RESULT, body)
        if ToHost.ACK in self.pending:
            return self._frame(ToHost.ACK, b"")
        return b""

    def _frame(self, kind: ToHost, body: bytes) -> bytes:
        self.pending.discard(ToHost.ACK)  # every header says what an ACK says
        return BoardFrame(
            kind,
            self.session,
            self.next % 256,
            self.done % 256,
            self.made % 256,
            self.state,
            self.refused % 256,
            body,
            self.version,
        ).pack()

    def next_time(self) -> float | None:
        """When ``run`` has something to do without new bytes."""
        return self.pipeline[0][0] if self.pipeline and self._ring_has_room() else None
