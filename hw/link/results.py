"""Results that wait for the host: a ring that keeps each until the host has said that it has it."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sterna.golden.device.link import MAX_READ
from sterna.golden.errors import DesignError
from sterna.hw.stream.axis import AxisSignature

__all__ = ["ANSWER_AT", "MAX_SLOTS", "Results", "check_slots", "ring_depth"]

ANSWER_AT = 3
"""Word j of an answer is word ANSWER_AT + j of its part of the memory, as it is in the frame: after
8 bytes of header and 4 that are kept before it."""
ANSWER_PART = 32
assert ANSWER_AT + MAX_READ <= ANSWER_PART
MAX_SLOTS = 64
"""The numbers of results are taken modulo 256: twice as many as slots must be told apart."""


def check_slots(slots: int, classes: int) -> None:
    """Raises DesignError where a ring of ``slots`` results of ``classes`` cannot be."""
    if not 1 <= classes <= 1 << 16:
        raise DesignError(f"{classes} classes; a result names 1 to 65536")
    if (
        isinstance(slots, bool)
        or not isinstance(slots, int)
        or slots & (slots - 1)
        or not (2 <= slots <= MAX_SLOTS)
    ):
        raise DesignError(
            f"a link that keeps {slots!r} results; use a power of two from 2 to {MAX_SLOTS}"
        )


def ring_depth(slots: int, classes: int) -> int:
    """Words of 32 bits of the memory: a power of two for each result, then the answer."""
    return max(slots << classes.bit_length(), ANSWER_PART) + ANSWER_PART


class Results(wiring.Component):
    """A memory of ``slots`` results and one answer to a READ, and where in it is what.

    Results come over ``axis`` as the network's packets. ``tail`` results are known to have arrived,
    ``sent`` are sent, ``made`` are complete, all modulo 256, tail <= sent <= made <= tail + slots;
    a packet waits while the ring is full. Pointers move only while ``still``.

    Members
    -------
    axis : in, packets of ``classes + 1`` words
    drop : in, packets that begin now are taken and forgotten
    flush : in, so is everything; the ring is empty and all numbers are 0
    write, index, word : in, word ``index`` (5 bits) of the memory's answer; ``axis`` waits
    got, take_got : in, 8 bits and one clock: the host has so many; ignored if it cannot be
    resend : in, one clock: all from ``tail`` on are to be sent once more
    still : in, no frame is being made
    moving : out, no frame may be begun
    waiting : out, there is a result to send; made, sent : out, 8 bits
    answer : in, ``data`` is the answer's word ``place`` (5 bits), else the next to send of results
    data : out, 32 bits; fresh : out, it is what ``answer`` and the rest chose a clock ago
    step : in, one clock, this word of the result is done; first : out, 16 bits, its number
    last : out, it is the result's last
    """

    def __init__(self, slots: int, classes: int):
        check_slots(slots, classes)
        self.slots, self.words = slots, classes + 1
        self.depth = ring_depth(slots, classes)
        super().__init__(
            {
                "axis": In(AxisSignature(32)),
                "drop": In(1),
                "flush": In(1),
                "write": In(1),
                "index": In(5),
                "word": In(32),
                "got": In(8),
                "take_got": In(1),
                "resend": In(1),
                "still": In(1),
                "moving": Out(1),
                "waiting": Out(1),
                "made": Out(8),
                "sent": Out(8),
                "answer": In(1),
                "place": In(5),
                "data": Out(32),
                "fresh": Out(1),
                "step": In(1),
                "first": Out(16),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        word = Signal(range(self.words))
        mid = Signal()
        dropping = Signal()
        tail = Signal(8)
        used = Signal(range(self.slots + 1))
        take = Signal()
        finished = Signal()
        freed = Signal()
        drops = self.flush | Mux(mid, dropping, self.drop)
        m.d.comb += [
            self.axis.tready.eq(drops | (used != self.slots) & ~self.write),
            take.eq(self.axis.tvalid & self.axis.tready & ~drops),
            finished.eq(take & self.axis.tlast),
            write.en.eq(take | self.write),
            write.addr.eq(self._address(self.write, self.index, self.made, word)),
            write.data.eq(Mux(self.write, self.word, self.axis.tdata)),
        ]
        with m.If(self.axis.tvalid & self.axis.tready):
            m.d.sync += [mid.eq(~self.axis.tlast), dropping.eq(drops)]
        with m.If(take):
            m.d.sync += word.eq(Mux(self.axis.tlast, 0, word + 1))
        m.d.sync += [used.eq(used + finished - freed), self.made.eq(self.made + finished)]
        first = self._sender(m, tail, used, freed)
        m.d.comb += [
            # Never beside a write: no logic for what that returns.
            read.en.eq(~write.en),
            read.addr.eq(self._address(self.answer, self.place, self.sent, first)),
            self.data.eq(read.data),
        ]
        m.d.sync += self.fresh.eq(read.en)
        with m.If(self.flush):
            m.d.sync += [word.eq(0), mid.eq(0), used.eq(0), self.made.eq(0)]
        return m

    def _address(self, answer: Value, place: Signal, number: Signal, word: Signal):
        slot = number[: (self.slots - 1).bit_length()]
        # Slots take a power of two words each, so that an address is no sum.
        return Mux(answer, self.depth - ANSWER_PART | place, Cat(word, slot))

    def _sender(self, m: Module, tail: Signal, used: Signal, freed: Signal) -> Signal:
        """Moves tail and sent; returns the word of the result to send next."""
        first = Signal(range(self.words))
        ahead = Signal(8)
        go_back = Signal()  # the next to send is the one at tail
        arrived = Signal.like(used)  # results past tail that the host has
        m.d.comb += [
            ahead.eq(self.got - tail),
            self.moving.eq(go_back | (arrived != 0)),
            self.waiting.eq(self.sent != self.made),
            self.first.eq(first),
            self.last.eq(first == self.words - 1),
        ]
        with m.If(self.resend):
            m.d.sync += go_back.eq(1)
        with m.If(self.take_got):
            with m.If(ahead <= used):
                m.d.sync += arrived.eq(ahead)
        with m.Elif(self.still & (arrived != 0)):
            m.d.comb += freed.eq(1)
            m.d.sync += [arrived.eq(arrived - 1), tail.eq(tail + 1)]
            # What has arrived need not be sent, and may be overwritten soon.
            with m.If(self.sent == tail):
                m.d.sync += go_back.eq(1)
        with m.Elif(self.still & go_back & ~self.resend):
            m.d.sync += [go_back.eq(0), self.sent.eq(tail), first.eq(0)]
        with m.If(self.step):
            m.d.sync += first.eq(Mux(self.last, 0, first + 1))
            m.d.sync += self.sent.eq(self.sent + self.last)
        with m.If(self.flush):
            m.d.sync += [tail.eq(0), arrived.eq(0), go_back.eq(0), self.sent.eq(0), first.eq(0)]
        return first
