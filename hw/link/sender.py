"""Decides which frame goes to the host next, and gives its content byte by byte."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device.link import BOARD_HEADER, RESULT_WORDS, VERSION, Identity, ToHost
from sterna.hw.link.framer import CONTENT

__all__ = ["Sender"]

HEADER = sum(size for _, size in BOARD_HEADER)
WORDS_AT = HEADER + 4
"""Place of the first word of an ANSWER or RESULT."""
assert HEADER == 8 and [n for n, _ in BOARD_HEADER] == [
    "kind",
    "session",
    "next",
    "done",
    "made",
    "state",
    "refused",
]


class Sender(wiring.Component):
    """Sends IDENTITY, ANSWER, RESULT or ACK, in this order of urgency, whatever is asked for.

    Every frame's header answers every request for an ACK that came before it. A byte of the header
    is read when its turn comes; ``freeze`` keeps ``done`` from passing ``next`` between the two.

    Members
    -------
    cancel : in, one clock: another session; forget the frame and all requests but that for IDENTITY
    wait : in, begin no frame
    ask_identity, ask_ack, ask_answer : in, one clock each
    session, next, done, made, state, refused : in, fields of the header
    answering : out, an answer is to be sent or being sent: it must stay
    answer_words : in, 5 bits, words of the answer
    moving, waiting, sent, first, data, fresh, last : in; still, answer, place, step : out; see
        Results
    room : in, see Framer
    o : out, stream of CONTENT; ``valid`` and ``payload`` are flip-flops
    begun : out, one clock: a frame
    """

    def __init__(self, identity: Identity):
        self.identity = identity
        self.words = identity.classes + 1
        super().__init__(
            {
                "cancel": In(1),
                "wait": In(1),
                "ask_identity": In(1),
                "ask_ack": In(1),
                "ask_answer": In(1),
                "session": In(16),
                "next": In(8),
                "done": In(8),
                "made": In(8),
                "state": In(8),
                "refused": In(8),
                "freeze": Out(1),
                "answering": Out(1),
                "answer_words": In(5),
                "moving": In(1),
                "waiting": In(1),
                "sent": In(8),
                "first": In(16),
                "data": In(32),
                "fresh": In(1),
                "last": In(1),
                "still": Out(1),
                "answer": Out(1),
                "place": Out(5),
                "step": Out(1),
                "room": In(1),
                "o": Out(stream.Signature(CONTENT)),
                "begun": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        identity = Signal()
        ack = Signal()
        answer = Signal()
        kind = Signal(4)
        place = Signal(8)
        idle = Signal()
        m.d.comb += [
            self.answer.eq(kind == ToHost.ANSWER),
            self.answering.eq(answer | self.answer & ~idle),
            self.place.eq(place[2:]),
            self.freeze.eq((place == 3) | (place == 4)),
            self.still.eq(idle),
        ]
        # What a memory gives goes into a register first: it comes late.
        picked = Signal(8)
        fresh = Signal()
        m.d.sync += [picked.eq(self.data.word_select(place[:2], 8)), fresh.eq(self.fresh)]
        with m.FSM():
            with m.State("IDLE"):
                asked = identity | answer | self.waiting | ack
                m.d.comb += [
                    idle.eq(1),
                    self.begun.eq(self.room & asked & ~self.moving & ~self.wait),
                ]
                m.d.sync += place.eq(0)
                with m.If(self.begun):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [
                    self.o.valid.eq(fresh),
                    self.o.payload.byte.eq(self._byte(kind, place, picked)),
                    self.o.payload.last.eq(self._last(kind, place)),
                ]
                with m.If(fresh):
                    m.next = "GIVE"
                with m.If(self.cancel):
                    m.next = "IDLE"
            with m.State("GIVE"):
                with m.If(self.o.ready):
                    m.d.comb += self.step.eq(
                        (kind == ToHost.RESULT) & (place >= WORDS_AT) & place[:2].all()
                    )
                    m.d.sync += [self.o.valid.eq(0), place.eq(place + 1)]
                    m.next = "NEXT"
                with m.If(self.cancel):
                    m.next = "IDLE"
            with m.State("NEXT"):  # the memory is read at the place just set
                m.next = "PICK"
                with m.If(self.o.payload.last | self.cancel):
                    m.next = "IDLE"
            with m.State("PICK"):
                m.next = "LOAD"
                with m.If(self.cancel):
                    m.next = "IDLE"
        with m.If(self.begun):
            m.d.sync += ack.eq(0)
            with m.If(identity):
                m.d.sync += [kind.eq(ToHost.IDENTITY), identity.eq(0)]
            with m.Elif(answer):
                m.d.sync += [kind.eq(ToHost.ANSWER), answer.eq(0)]
            with m.Elif(self.waiting):
                m.d.sync += kind.eq(ToHost.RESULT)
            with m.Else():
                m.d.sync += kind.eq(ToHost.ACK)
        with m.If(self.cancel):
            m.d.sync += [ack.eq(0), answer.eq(0), self.o.valid.eq(0)]
        for ask, pending in (
            (self.ask_identity, identity),
            (self.ask_ack, ack),
            (self.ask_answer, answer),
        ):
            with m.If(ask):
                m.d.sync += pending.eq(1)
        return m

    def _byte(self, kind: Signal, place: Signal, picked: Signal):
        """Byte ``place`` of a frame."""
        head = Array(
            [
                Cat(kind, C(VERSION, 4)),
                self.session[:8],
                self.session[8:],
                self.next,
                self.done,
                self.made,
                self.state,
                self.refused,
            ]
        )[place[:3]]
        first = self.first if self.words > RESULT_WORDS else C(0, 16)
        own = Array([self.sent, C(0, 8), first[:8], first[8:]])[place[:2]]
        about = Array([*self.identity.pack()])[place[:5] - HEADER]
        # An answer's are in the memory, with the words.
        head_of_result = (place[2:] == HEADER // 4) & ~self.answer
        body = Mux(head_of_result, own, picked)
        return Mux(place < HEADER, head, Mux(kind == ToHost.IDENTITY, about, body))

    def _last(self, kind: Signal, place: Signal):
        """Byte ``place`` is the frame's last before its CRC."""
        full = (
            self.last
            if self.words <= RESULT_WORDS
            else (self.last | (place[2:] == WORDS_AT // 4 - 1 + RESULT_WORDS))
        )
        ends = {
            ToHost.IDENTITY: place == HEADER + len(self.identity.pack()) - 1,
            ToHost.ACK: place == HEADER - 1,
            ToHost.ANSWER: place[:2].all() & (place[2:] == self.answer_words + WORDS_AT // 4 - 1),
            ToHost.RESULT: place[:2].all() & (place >= WORDS_AT) & full,
        }
        return (Cat(kind == k for k in ends) & Cat(*ends.values())).any()
