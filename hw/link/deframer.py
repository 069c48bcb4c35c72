"""From bytes of the line to accepted frames: COBS, CRC, session, order, and room."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sterna.golden.device.link import (
    CRC_BYTES,
    FRAME_COST,
    HOST_HEADER,
    MAX_BODY,
    SEQUENCED,
    VERSION,
    Hello,
    ToBoard,
)
from sterna.golden.errors import DesignError
from sterna.hw.link.crc import RESIDUE, SerialCrc

__all__ = ["MIN_BUFFER", "Deframer", "check_buffer"]

MIN_BUFFER = 256
"""Bytes, so that every frame finds room in an empty queue."""
# A frame in the queue: a byte for its length, its kind, its body, and the CRC, whose end is known
# only when it is there. Of the content's header the first three bytes have no place in it.
UNKEPT = 3
HELLO_SIZE = 1 + FRAME_COST
assert [n for n, _ in HOST_HEADER] == ["kind", "session", "seq", "got"]
assert FRAME_COST == 2 + CRC_BYTES and MAX_BODY + FRAME_COST < 256 - UNKEPT


def check_buffer(size: int) -> None:
    """Raises DesignError where ``size`` bytes cannot be the buffer of a Deframer."""
    if (
        isinstance(size, bool)
        or not isinstance(size, int)
        or size & (size - 1)
        or not (MIN_BUFFER <= size < 1 << 16)
    ):
        raise DesignError(
            f"a link buffer of {size!r} bytes; use a power of two from {MIN_BUFFER} to 32768"
        )


class Deframer(wiring.Component):
    """Takes bytes of the line and queues what is to be executed, once and in order.

    A frame is judged at the zero byte that ends it (see golden.link). One with a good CRC, of the
    open session and of the expected number is queued if there is room, byte by byte as it comes and
    given back where it turns out bad. The queue holds for each frame: the bytes it takes there, its
    kind, its body, its CRC. Bytes are offered at most every other clock. Everything a frame asks
    for is told for one clock, three clocks after its last byte was taken. Frames that take
    ``buffer - 1`` bytes at once always find room.

    A HELLO of a new session empties the queue, sets all numbers to zero and raises ``flush`` until
    ``flushed``; meanwhile nothing is queued.

    Takes a byte in 8 clocks, the time of the CRC, and 3 more for the end of a frame.

    Members
    -------
    i : in, stream of bytes as they come over the line
    o : out, stream of the queue's bytes; emptied by a new session even while ``valid``
    session : out, 16 bits, 0 before the first HELLO; active : out, after it
    opened : out, one clock: a new session; ``session`` and ``flush`` follow one clock later
    restart : out, with the first clock of ``flush``: the network shall be reset
    flush : out, the executor must end what it does; flushed : in, one clock
    next : out, 8 bits, the seq accepted next
    refused : out, 8 bits, frames that were damaged or found no room
    got : out, 8 bits, and take_got, one clock: the host has received so many results
    ask_identity, ask_ack, ask_resend : out, one clock each
    """

    def __init__(self, buffer: int):
        check_buffer(buffer)
        self.buffer = buffer
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "session": Out(16),
                "active": Out(1),
                "opened": Out(1),
                "restart": Out(1),
                "flush": Out(1),
                "flushed": In(1),
                "next": Out(8),
                "refused": Out(8),
                "got": Out(8),
                "take_got": Out(1),
                "ask_identity": Out(1),
                "ask_ack": Out(1),
                "ask_resend": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = SerialCrc()
        # The end of a frame takes three clocks: compare, judge, close.
        ending = Signal()
        judging = Signal()
        closing = Signal()
        m.d.sync += [ending.eq(0), judging.eq(ending), closing.eq(judging)]
        # `left` bytes until the next code byte; `place` is where in the queue's new frame the byte
        # belongs, and of a whole frame what it takes there: its body and FRAME_COST.
        left = Signal(8)
        place = Signal(8, init=256 - UNKEPT)
        begun = Signal()
        header = Signal(init=1)
        bad = Signal()
        byte = Signal(8)
        put = Signal()
        m.d.comb += [
            self.i.ready.eq(~(crc.busy | ending | judging | closing)),
            byte.eq(Mux(left == 0, 0, self.i.payload)),
            crc.data.eq(byte),
            crc.load.eq(put),
            crc.clear.eq(closing),
        ]
        with m.If(self.i.valid & self.i.ready):
            with m.If(self.i.payload == 0):
                m.d.sync += [ending.eq(begun), bad.eq(bad | (begun & (left != 0)))]
            with m.Else():
                # A code byte also stands for a zero, but not the first of a frame.
                m.d.comb += put.eq(begun)
                m.d.sync += [begun.eq(1), left.eq(Mux(left == 0, self.i.payload, left) - 1)]
        with m.If(put):
            m.d.sync += [place.eq(place + 1), bad.eq(bad | (place == MAX_BODY + FRAME_COST))]
            with m.If(place == 1):
                m.d.sync += header.eq(0)
        with m.If(closing):
            m.d.sync += [left.eq(0), begun.eq(0), header.eq(1), bad.eq(0), place.eq(place.init)]
        kind, known, session, expected, resets = self._fields(m, put, header, place, byte)
        accept = Signal()
        opens = Signal()
        lost = Signal()
        self._queue(m, put, byte, kind, header, place, judging, closing, accept, opens, lost)
        whole = ~bad & ~header & (place >= FRAME_COST) & (crc.crc == RESIDUE)
        self._judge(
            m,
            whole,
            judging,
            kind,
            known,
            session,
            expected,
            resets,
            place == HELLO_SIZE,
            accept,
            opens,
            lost,
        )
        return m

    def _fields(self, m: Module, put: Value, header: Value, place: Signal, byte: Signal):
        """Fields of the header of the frame that comes in; returns (kind without version, the
        version is ours, session, seq is the one expected, bit RESET of a HELLO)."""
        kind = Signal(4)
        known = Signal()
        session = Signal(16)
        expected = Signal()
        resets = Signal()
        with m.If(put & header):
            with m.Switch(place[:3]):
                with m.Case(5):
                    m.d.sync += [kind.eq(byte), known.eq(byte[4:] == VERSION)]
                with m.Case(6, 7):
                    m.d.sync += session.eq(Cat(session[8:], byte))
                with m.Case(0):
                    m.d.sync += expected.eq(byte == self.next)
                with m.Case(1):
                    m.d.sync += self.got.eq(byte)
        with m.If(put & (place == 2)):
            m.d.sync += resets.eq((byte & Hello.RESET) != 0)
        return kind, known, session, expected, resets

    def _judge(
        self,
        m: Module,
        whole: Value,
        judging: Value,
        kind: Value,
        known: Value,
        session: Value,
        expected: Value,
        resets: Value,
        hello: Value,
        accept: Value,
        opens: Value,
        lost: Value,
    ) -> None:
        """What a frame whose end has come is good for."""
        good = Signal()
        ours = Signal()
        m.d.sync += [
            good.eq(whole),
            ours.eq((session == self.session) & self.active),
            Cat(self.ask_identity, self.ask_ack, self.ask_resend, self.take_got).eq(0),
            Cat(self.opened, self.restart).eq(0),
        ]
        with m.If(self.flushed):
            m.d.sync += self.flush.eq(0)
        numbered = Signal()
        with m.Switch(kind):
            with m.Case(*SEQUENCED):
                m.d.comb += numbered.eq(1)
        with m.If(judging):
            with m.If(~good):
                m.d.sync += self.refused.eq(self.refused + 1)
            with m.Elif(kind == ToBoard.HELLO):
                # One of another version is answered too, so that the host can say what it met.
                m.d.sync += self.ask_identity.eq(~known | (hello & (session != 0)))
                m.d.comb += opens.eq(known & hello & ~ours & (session != 0))
            with m.Elif(known & ours):
                resends = kind == ToBoard.RESEND
                m.d.sync += self.ask_resend.eq(resends)
                with m.If(numbered | resends | (kind == ToBoard.POLL)):
                    m.d.sync += [self.take_got.eq(1), self.ask_ack.eq(1)]
                with m.If(numbered & expected & ~self.flush):
                    m.d.comb += accept.eq(~lost)
                    with m.If(lost):
                        m.d.sync += self.refused.eq(self.refused + 1)
        with m.If(accept):
            m.d.sync += self.next.eq(self.next + 1)
        with m.If(opens):
            m.d.sync += [
                self.session.eq(session),
                Cat(self.opened, self.flush, self.active).eq(7),
                self.restart.eq(resets),
                Cat(self.next, self.refused).eq(0),
            ]

    def _queue(
        self,
        m: Module,
        put: Value,
        byte: Value,
        kind: Value,
        header: Value,
        place: Value,
        judging: Value,
        closing: Value,
        accept: Value,
        opens: Value,
        lost: Value,
    ) -> None:
        """The memory of frames. A frame is written behind the queue's end, its length last."""
        m.submodules.memory = memory = Memory(shape=8, depth=self.buffer, init=[])
        write, read = memory.write_port(), memory.read_port()
        end = Signal(range(self.buffer))
        touches = Signal()
        accepted = Signal()
        m.d.comb += [
            # The kind is written in the place of `got`, the length in that of `seq`.
            write.en.eq(judging | put & ~lost & (~header | (place == 1))),
            write.addr.eq(end + Mux(judging, 0, place)),
            write.data.eq(Mux(judging, place, Mux(header, Cat(kind, byte[4:]), byte))),
            # Never beside a write: no logic for what that returns.
            read.en.eq(~write.en),
            self.o.payload.eq(read.data),
        ]
        # Bytes are far apart: there is time to compare before the next is written.
        m.d.sync += [
            touches.eq((write.addr == read.addr) & (~header | (place == 1)) & ~judging & ~closing),
            accepted.eq(accept),
        ]
        with m.If(closing):
            m.d.sync += lost.eq(0)
        with m.Elif(touches):
            m.d.sync += lost.eq(1)
        with m.If(accepted):
            m.d.sync += end.eq(write.addr)
        with m.If(~self.o.valid):
            m.d.sync += self.o.valid.eq((read.addr != end) & read.en)
        with m.Elif(self.o.ready):
            m.d.sync += [read.addr.eq(read.addr + 1), self.o.valid.eq(0)]
        with m.If(opens):
            m.d.sync += [end.eq(0), read.addr.eq(0), self.o.valid.eq(0)]
