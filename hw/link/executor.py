"""Executes queued frames: images to the network, register reads and writes, and the clean-up that
a new session begins with.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden import csr
from sterna.golden.errors import DesignError
from sterna.golden.link import CRC_BYTES, MAX_READ, State, ToBoard
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

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.image = image = _ImageBeats(self.image_bytes, self.axis_width)
        wiring.connect(m, image.axis, wiring.flipped(self.axis))
        bus, byte = self.axil, self.i.payload
        left, place = Signal(8), Signal(2)  # bytes of the body; of a word or an address
        kind, fault, error, count = Signal(4), Signal(), Signal(), Signal(8)
        address = Signal(csr.ADDRESS_BITS)
        wants, got = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(wants & ~self.flush),
            got.eq(self.i.valid & self.i.ready),
            image.byte.eq(byte),
            self.state.eq(
                Mux(fault, State.FAULT, 0)
                | Mux(self.muted, State.MUTED, 0)
                | Mux(image.partial, State.PARTIAL, 0)
            ),
            bus.awaddr.eq(address),
            bus.araddr.eq(address),
            bus.wstrb.eq(0xF),
            self.word.eq(bus.rdata),
        ]
        for channel in ("aw", "w", "ar"):
            with m.If(getattr(bus, channel + "ready")):
                m.d.sync += getattr(bus, channel + "valid").eq(0)
        m.d.sync += self.ask_answer.eq(0)

        def body(ready=1):
            """A state that takes the body's bytes ends with it, or with the session."""
            m.d.comb += wants.eq((left != BODY_END) & ready)
            with m.If(self.flush):
                m.next = "CLEAN"
            with m.Elif(left == BODY_END):
                m.next = "DONE"

        def next_address():
            # Bit 0 of an address marks a register that all words are for.
            with m.If(~address[0]):
                m.d.sync += address[2:].eq(address[2:] + 1)

        with m.If(got):
            m.d.sync += [place.eq(place + 1), left.eq(left - 1)]
        with m.FSM():
            with m.State("LENGTH"):
                m.d.comb += wants.eq(1)
                with m.If(self.flush):
                    m.next = "CLEAN"
                with m.Elif(got):
                    m.d.sync += left.eq(byte)
                    m.next = "KIND"
            with m.State("KIND"):
                m.d.comb += wants.eq(1)
                m.d.sync += [place.eq(0), kind.eq(byte)]
                with m.If(self.flush):
                    m.next = "CLEAN"
                with m.Elif(got):
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):  # a clock later: the queue's memory is slow
                m.next = "ADDRESS"
                with m.If(kind == ToBoard.IMAGE):
                    m.next = "IMAGE"
                with m.If(kind == ToBoard.MODE):
                    m.next = "MODE"
            with m.State("IMAGE"):
                m.d.comb += image.put.eq(got)
                body(image.room)
            with m.State("MODE"):
                body()
                with m.If(got):
                    m.d.sync += [self.muted.eq(byte[0]), fault.eq(0)]
                    m.next = "DONE"
            with m.State("ADDRESS"):
                body()
                with m.If(got):
                    m.d.sync += address.eq(Cat(address[8:], byte))
                    with m.If(place[0]):
                        m.d.sync += place.eq(0)
                        m.next = "COUNT"
                        with m.If(kind == ToBoard.WRITE):
                            m.next = "WORD"
            with m.State("WORD"):
                body()
                with m.If(got):
                    m.d.sync += bus.wdata.eq(Cat(bus.wdata[8:], byte))
                    with m.If(place.all() & ~fault):
                        m.d.sync += [bus.awvalid.eq(1), bus.wvalid.eq(1)]
                        m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += bus.bready.eq(1)
                with m.If(bus.bvalid):
                    m.d.sync += fault.eq(fault | bus.bresp[1])
                    next_address()
                    m.next = "WORD"
            with m.State("COUNT"):
                body()
                with m.If(got):
                    m.d.sync += [count.eq(byte), self.answered.eq(0)]
                    m.next = "SETTLE"
            with m.State("SETTLE"):  # the answer before this one may still be on its way
                m.d.sync += [self.index.eq(ANSWER_AT), self.answer_words.eq(0)]
                m.d.sync += error.eq(count > MAX_READ)  # then none is read
                with m.If(self.flush):
                    m.next = "CLEAN"
                with m.Elif(~self.answering):
                    m.next = "READ"
            with m.State("READ"):
                with m.If((self.answer_words == count) | ((self.answer_words == 0) & error)):
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
                    error.eq(error | bus.rresp[1]),
                ]
                next_address()
                m.next = "READ"
            with m.State("ANSWER"):
                m.d.comb += [self.write.eq(1), self.word.eq(Cat(self.done, error))]
                m.d.sync += [self.answered.eq(1), self.ask_answer.eq(1)]
                m.next = "DONE"
            with m.State("DONE"):  # the CRC, and what the body has too many, is dropped
                m.d.comb += wants.eq(left != 1)
                with m.If(self.flush):
                    m.next = "CLEAN"
                with m.Elif((left == 1) & ~self.freeze):
                    m.d.sync += self.done.eq(self.done + 1)
                    m.next = "LENGTH"
            with m.State("CLEAN"):
                m.d.comb += image.clean.eq(1)
                m.d.sync += [fault.eq(0), Cat(self.muted, self.answered).eq(0), self.done.eq(0)]
                m.d.sync += [address.eq(csr.ADDRESS["repeat"]), bus.wdata.eq(0)]
                with m.If(image.cleaned):
                    m.d.sync += [bus.awvalid.eq(1), bus.wvalid.eq(1)]
                    m.next = "STOP"
            with m.State("STOP"):
                m.d.comb += bus.bready.eq(1)
                with m.If(bus.bvalid):
                    m.next = "POLL"
            with m.State("POLL"):
                m.d.sync += [bus.arvalid.eq(1), address.eq(csr.ADDRESS["status"])]
                m.next = "POLLING"
            with m.State("POLLING"):
                m.d.comb += bus.rready.eq(1)
                with m.If(bus.rvalid):
                    m.next = "POLL"
                    with m.If(bus.rdata[0]):
                        m.d.comb += self.flushed.eq(1)
                        m.next = "LENGTH"
        return m


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

    def elaborate(self, platform) -> Module:
        m = Module()
        axis = self.axis
        beat, lane = counter_of(self.beats), counter_of(self.lanes)  # beats taken, bytes put
        begun, last = Signal(), Signal()
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
