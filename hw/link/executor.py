"""Executes queued frames: images to the network, register reads and writes, and the clean-up that
a new session begins with.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device import csr
from sterna.golden.device.link import CRC_BYTES, MAX_READ, State, ToBoard
from sterna.golden.errors import DesignError
from sterna.hw.control.axil import AxiLite
from sterna.hw.link.results import ANSWER_AT
from sterna.hw.stream.axis import AxisSignature
from sterna.hw.stream.buffers import counter_of, step_counter
from sterna.hw.stream.edge import MAX_WIDTH

__all__ = ["Executor", "check_image"]

BODY_END = 1 + CRC_BYTES
"""Of the bytes that a frame takes in the queue, its length the first, those after its body."""


def check_image(image_bytes: int, axis_width: int) -> None:
    """Raises DesignError where images of so many bytes do not come in whole beats."""
    if axis_width % 8 or not 8 <= axis_width <= MAX_WIDTH:
        raise DesignError(
            f"an AXI4-Stream of {axis_width} bits; use a multiple of 8 up to {MAX_WIDTH}"
        )
    if image_bytes < 1 or image_bytes % (axis_width // 8):
        raise DesignError(
            f"an image of {image_bytes} bytes is no whole number of beats of {axis_width} bits; "
            "pad it to whole beats"
        )


class Executor(wiring.Component):
    """Takes frames from the queue, one after the other.

    IMAGE waits while the network takes no beat. A READ waits until the answer before it has been
    sent. A body that is too short or too long for its kind is executed as far as it goes; a READ of
    more than MAX_READ words is answered by an error and no word.

    While ``flush`` is 1 no frame is executed: an image that has begun is ended by a beat with
    TLAST, a beat of which nothing was taken yet is withdrawn; repetitions are stopped; then
    ``flushed`` tells that the network is idle. To be reset together with the network.

    Members
    -------
    i : in, stream of the queue's bytes, see Deframer; flush : in; flushed : out, one clock
    axis : out, images of ``image_bytes``, TLAST on the last beat
    axil : out, AXI4-Lite master
    freeze : in, ``done`` must not change
    done : out, 8 bits, the seq executed next
    state : out, bits of golden.link.State; muted : out, results are to be dropped
    write, index, word : out, one clock: word of the answer, see Results; before its first word
        is one of its seq and status, as an ANSWER's body begins
    answering : in, the answer is still being sent
    answered : out, there is an answer; ask_answer : out, one clock: now
    answer_words : out, 5 bits, how many it has
    """

    def __init__(self, image_bytes: int, axis_width: int):
        check_image(image_bytes, axis_width)
        self.image_bytes, self.axis_width = image_bytes, axis_width
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "flush": In(1),
                "flushed": Out(1),
                "axis": Out(AxisSignature(axis_width)),
                "axil": Out(AxiLite(csr.ADDRESS_BITS)),
                "freeze": In(1),
                "done": Out(8),
                "state": Out(8),
                "muted": Out(1),
                "write": Out(1),
                "index": Out(5),
                "word": Out(32),
                "answering": In(1),
                "answered": Out(1),
                "ask_answer": Out(1),
                "answer_words": Out(5),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.image = image = _ImageBeats(self.image_bytes, self.axis_width)
        wiring.connect(m, image.axis, wiring.flipped(self.axis))
        bus, s = self.axil, _Frame()
        m.d.comb += [
            self.i.ready.eq(s.wants & ~self.flush),
            s.got.eq(self.i.valid & self.i.ready),
            image.byte.eq(self.i.payload),
            self.state.eq(
                Mux(s.fault, State.FAULT, 0)
                | Mux(self.muted, State.MUTED, 0)
                | Mux(image.partial, State.PARTIAL, 0)
            ),
            bus.awaddr.eq(s.address),
            bus.araddr.eq(s.address),
            bus.wstrb.eq(0xF),
            self.word.eq(bus.rdata),
        ]
        for channel in ("aw", "w", "ar"):
            with m.If(getattr(bus, channel + "ready")):
                m.d.sync += getattr(bus, channel + "valid").eq(0)
        m.d.sync += self.ask_answer.eq(0)
        with m.If(s.got):
            m.d.sync += [s.place.eq(s.place + 1), s.left.eq(s.left - 1)]
        with m.FSM():
            self._heads(m, s)
            self._bodies(m, s, image)
            self._answers(m, s)
            self._ends(m, s)
            self._sessions(m, s, image)
        return m

    def _body(self, m: Module, s: "_Frame", ready: Value | int = 1) -> None:
        """A state that takes the body's bytes ends with it, or with the session."""
        m.d.comb += s.wants.eq((s.left != BODY_END) & ready)
        with m.If(self.flush):
            m.next = "CLEAN"
        with m.Elif(s.left == BODY_END):
            m.next = "DONE"

    def _heads(self, m: Module, s: "_Frame") -> None:
        """States that take the length and the kind of a frame."""
        byte = self.i.payload
        with m.State("LENGTH"):
            m.d.comb += s.wants.eq(1)
            with m.If(self.flush):
                m.next = "CLEAN"
            with m.Elif(s.got):
                m.d.sync += s.left.eq(byte)
                m.next = "KIND"
        with m.State("KIND"):
            m.d.comb += s.wants.eq(1)
            m.d.sync += [s.place.eq(0), s.kind.eq(byte)]
            with m.If(self.flush):
                m.next = "CLEAN"
            with m.Elif(s.got):
                m.next = "CHOOSE"
        with m.State("CHOOSE"):  # a clock later: the queue's memory is slow
            m.next = "ADDRESS"
            with m.If(s.kind == ToBoard.IMAGE):
                m.next = "IMAGE"
            with m.If(s.kind == ToBoard.MODE):
                m.next = "MODE"

    def _bodies(self, m: Module, s: "_Frame", image: "_ImageBeats") -> None:
        """States that take images, the mode, addresses and words, and write them."""
        bus, byte = self.axil, self.i.payload
        with m.State("IMAGE"):
            m.d.comb += image.put.eq(s.got)
            self._body(m, s, image.room)
        with m.State("MODE"):
            self._body(m, s)
            with m.If(s.got):
                m.d.sync += [self.muted.eq(byte[0]), s.fault.eq(0)]
                m.next = "DONE"
        with m.State("ADDRESS"):
            self._body(m, s)
            with m.If(s.got):
                m.d.sync += s.address.eq(Cat(s.address[8:], byte))
                with m.If(s.place[0]):
                    m.d.sync += s.place.eq(0)
                    m.next = "COUNT"
                    with m.If(s.kind == ToBoard.WRITE):
                        m.next = "WORD"
        with m.State("WORD"):
            self._body(m, s)
            with m.If(s.got):
                m.d.sync += bus.wdata.eq(Cat(bus.wdata[8:], byte))
                with m.If(s.place.all() & ~s.fault):
                    m.d.sync += [bus.awvalid.eq(1), bus.wvalid.eq(1)]
                    m.next = "WRITE"
        with m.State("WRITE"):
            m.d.comb += bus.bready.eq(1)
            with m.If(bus.bvalid):
                m.d.sync += s.fault.eq(s.fault | bus.bresp[1])
                _next_address(m, s)
                m.next = "WORD"

    def _answers(self, m: Module, s: "_Frame") -> None:
        """States that read registers into an answer."""
        bus, byte = self.axil, self.i.payload
        with m.State("COUNT"):
            self._body(m, s)
            with m.If(s.got):
                m.d.sync += [s.count.eq(byte), self.answered.eq(0)]
                m.next = "SETTLE"
        with m.State("SETTLE"):  # the answer before this one may still be on its way
            m.d.sync += [self.index.eq(ANSWER_AT), self.answer_words.eq(0)]
            m.d.sync += s.error.eq(s.count > MAX_READ)  # then none is read
            with m.If(self.flush):
                m.next = "CLEAN"
            with m.Elif(~self.answering):
                m.next = "READ"
        with m.State("READ"):
            with m.If((self.answer_words == s.count) | ((self.answer_words == 0) & s.error)):
                m.d.sync += self.index.eq(ANSWER_AT - 1)
                m.next = "ANSWER"
            with m.Else():
                m.d.sync += bus.arvalid.eq(1)
                m.next = "READING"
        with m.State("READING"):
            with m.If(bus.rvalid):
                m.next = "STORE"
        with m.State("STORE"):  # taken a clock late, so that `write` is no path from the bus
            m.d.comb += [self.write.eq(1), bus.rready.eq(1)]
            m.d.sync += [
                self.index.eq(self.index + 1),
                self.answer_words.eq(self.answer_words + 1),
                s.error.eq(s.error | bus.rresp[1]),
            ]
            _next_address(m, s)
            m.next = "READ"
        with m.State("ANSWER"):
            m.d.comb += [self.write.eq(1), self.word.eq(Cat(self.done, s.error))]
            m.d.sync += [self.answered.eq(1), self.ask_answer.eq(1)]
            m.next = "DONE"

    def _ends(self, m: Module, s: "_Frame") -> None:
        """The end of a frame: it is counted."""
        with m.State("DONE"):  # the CRC, and what the body has too many, is dropped
            m.d.comb += s.wants.eq(s.left != 1)
            with m.If(self.flush):
                m.next = "CLEAN"
            with m.Elif((s.left == 1) & ~self.freeze):
                m.d.sync += self.done.eq(self.done + 1)
                m.next = "LENGTH"

    def _sessions(self, m: Module, s: "_Frame", image: "_ImageBeats") -> None:
        """States of a new session: the network is stopped, and is idle before its first frame."""
        bus = self.axil
        with m.State("CLEAN"):
            m.d.comb += image.clean.eq(1)
            m.d.sync += [s.fault.eq(0), Cat(self.muted, self.answered).eq(0), self.done.eq(0)]
            m.d.sync += [s.address.eq(csr.ADDRESS["repeat"]), bus.wdata.eq(0)]
            with m.If(image.cleaned):
                m.d.sync += [bus.awvalid.eq(1), bus.wvalid.eq(1)]
                m.next = "STOP"
        with m.State("STOP"):
            m.d.comb += bus.bready.eq(1)
            with m.If(bus.bvalid):
                m.next = "POLL"
        with m.State("POLL"):
            m.d.sync += [bus.arvalid.eq(1), s.address.eq(csr.ADDRESS["status"])]
            m.next = "POLLING"
        with m.State("POLLING"):
            m.d.comb += bus.rready.eq(1)
            with m.If(bus.rvalid):
                m.next = "POLL"
                with m.If(bus.rdata[0]):
                    m.d.comb += self.flushed.eq(1)
                    m.next = "LENGTH"


class _Frame:
    """What is known of the frame at work. left: bytes of its body; place: the byte of a word or an
    address; wants: a byte is taken when there is one; got: it is."""

    def __init__(self):
        self.left = Signal(8, name="left")
        self.place = Signal(2, name="place")
        self.kind = Signal(4, name="kind")
        self.fault = Signal(name="fault")
        self.error = Signal(name="error")
        self.count = Signal(8, name="count")
        self.address = Signal(csr.ADDRESS_BITS, name="address")
        self.wants = Signal(name="wants")
        self.got = Signal(name="got")


def _next_address(m: Module, s: _Frame) -> None:
    # Bit 0 of an address marks a register that all words are for.
    with m.If(~s.address[0]):
        m.d.sync += s.address[2:].eq(s.address[2:] + 1)


class _ImageBeats(wiring.Component):
    """Joins bytes to beats of an image, one at a time.

    Members
    -------
    put, byte : in, the next byte, only with room; room : out
    partial : out, some but not all bytes of an image have been put
    clean : in, end the image that the network has begun, forget what it has not; cleaned : out
    axis : out
    """

    def __init__(self, image_bytes: int, axis_width: int):
        self.lanes = axis_width // 8
        self.beats = image_bytes // self.lanes
        super().__init__(
            {
                "put": In(1),
                "byte": In(8),
                "room": Out(1),
                "partial": Out(1),
                "clean": In(1),
                "cleaned": Out(1),
                "axis": Out(AxisSignature(axis_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axis = self.axis
        beat = counter_of(self.beats)  # beats taken
        lane = counter_of(self.lanes)  # bytes put
        begun = Signal()
        last = Signal()
        m.d.comb += [
            begun.eq(beat != 0),
            last.eq(beat == self.beats - 1),
            self.room.eq(~axis.tvalid),
            self.cleaned.eq(~axis.tvalid & ~begun),
        ]
        with m.If(self.put):
            m.d.sync += [axis.tdata.eq(Cat(axis.tdata, self.byte)[8:]), self.partial.eq(1)]
            step_counter(m, lane, self.lanes)
            with m.If(lane == self.lanes - 1):
                m.d.sync += [axis.tvalid.eq(1), axis.tlast.eq(last), self.partial.eq(~last)]
        with m.If(self.clean):
            m.d.sync += [lane.eq(0), self.partial.eq(0)]
            with m.If(~axis.tvalid & begun):
                m.d.sync += [axis.tvalid.eq(1), axis.tlast.eq(1)]
        with m.If(axis.tvalid & axis.tready):
            m.d.sync += axis.tvalid.eq(0)
            step_counter(m, beat, self.beats)
            with m.If(axis.tlast):
                m.d.sync += beat.eq(0)
        with m.Elif(self.clean & axis.tvalid & ~begun):
            # The network keeps nothing of a beat that it only saw.
            m.d.sync += axis.tvalid.eq(0)
        return m
