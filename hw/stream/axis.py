"""The AXI4-Stream ends of a network: packets of images in, packets of results out."""

from math import gcd
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from sterna.golden.device.csr import FLAG_EARLY, FLAG_LATE, FLAG_UNLOADED
from sterna.golden.errors import DesignError
from sterna.hw.memory.shape import Memories, MemoryShape, inside
from sterna.hw.stream.bit_gearbox import BitGearbox
from sterna.hw.stream.buffers import Buffer, Fifo, Slot, counter_of, step_counter
from sterna.hw.stream.edge import MAX_WIDTH, Edge
from sterna.hw.stream.gear_path import clocks_per_pixel, gear_memories, path, storage_bits
from sterna.hw.stream.gearbox import Gearbox

__all__ = [
    "AxisSignature",
    "ImageInput",
    "ResultOutput",
    "FLAG_EARLY",
    "FLAG_LATE",
    "FLAG_UNLOADED",
    "COMPACT_IN_FLIGHT",
    "IN_FLIGHT",
    "image_clocks",
    "result_clocks",
]

FLAG_BITS = (FLAG_EARLY | FLAG_LATE | FLAG_UNLOADED).bit_length()
IN_FLIGHT = 16
"""Images that may be between the input and the start of their result packet, where the design does
not say more."""
COMPACT_IN_FLIGHT = 4
"""The same of compact tops."""


class AxisSignature(wiring.Signature):
    """AXI4-Stream of ``width`` data bits with TLAST, as seen by the sender."""

    def __init__(self, width: int):
        self.width = width
        super().__init__({"tdata": Out(width), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)})


class ImageInput(wiring.Component):
    """Takes packets of one image each and streams the image's beats to the network.

    A packet is the canonical image: for y, x, channel, plane one bit each, little-endian, the last
    word zero-padded (pad bits are ignored). ``words`` words make an image, TLAST is on the last.
    A packet that ends early is filled up with zeros, one that goes on too long is dropped up to its
    TLAST; either way the network gets a whole image and the next packet is a new one.
    So every ``begin`` is followed by exactly one entry of ``flags``, and one result of the network.

    Ports:
        axis: AXI4-Stream slave of ``axis_width`` bits.
        o: the network's input, ``edge.signature``.
        flags: stream of 3 bits, one entry an image, in order, when its last word is in:
            :data:`FLAG_EARLY`, :data:`FLAG_LATE`, :data:`FLAG_UNLOADED`. At most
            ``in_flight`` wait; then no image begins.
        unloaded: in, what :data:`FLAG_UNLOADED` becomes.
        hold: in, begin no image; holds from the next clock on.
        begin: out, for one clock, the one after the first word of an image was taken.
        early, late: out, for one clock, the one after the word that showed the wrong length.
        repeat, repeat_ack: only with ``repeat=True``: while ``repeat`` is 1, images are not taken
            from ``axis`` but the last one is sent again, from a memory of one image, with the same
            flags of its length; each begins with ``begin`` and ``repeat_ack`` (for one clock
            together). ``repeat`` may follow ``repeat_ack`` one clock later; without ``stored`` it
            has no effect.
        stored: out, only with ``repeat=True``: a whole image has come in since the reset.

    ``waits``: ``hold`` counts from the first clock after a reset on, not from the second.

    No combinational path. Attributes: ``words`` of a packet; ``canonical``, the edge at the widest
    point, where beats are still contiguous bits of the packet; ``clocks_per_image`` at full rate.

    Raises:
        DesignError: a size below 1, or an AXI width that is no multiple of 8 up to 512.
    """

    axis: wiring.PureInterface
    o: stream.Interface
    flags: stream.Interface
    hold: Signal
    begin: Signal
    early: Signal
    late: Signal
    repeat: Signal
    repeat_ack: Signal
    stored: Signal

    def __init__(
        self,
        edge: Edge,
        height: int,
        width: int,
        axis_width: int,
        *,
        repeat: bool = False,
        waits: bool = False,
        in_flight: int = IN_FLIGHT,
    ):
        if height < 1 or width < 1:
            raise DesignError(f"an image of {height} x {width} pixels; both must be at least 1")
        if axis_width % 8 or not 8 <= axis_width <= MAX_WIDTH:
            raise DesignError(
                f"an AXI4-Stream of {axis_width} bits; use a multiple of 8 up to {MAX_WIDTH}"
            )
        self.edge = edge
        self.axis_width = axis_width
        self.pixels = height * width
        self.bits = self.pixels * edge.channels * edge.planes
        self.words = -(-self.bits // axis_width)
        self.repeats, self.waits, self.in_flight = repeat, waits, in_flight
        self.memories = self.memories_of(edge, self.pixels, axis_width, repeat, in_flight)
        self.canonical = canonical_edge(edge, self.pixels, axis_width)
        self.clocks_per_image = image_clocks(edge, self.pixels, axis_width)
        members = {
            "axis": In(AxisSignature(axis_width)),
            "o": Out(edge.signature),
            "flags": Out(stream.Signature(FLAG_BITS)),
            "unloaded": In(1),
            "hold": In(1),
            "begin": Out(1),
            "early": Out(1),
            "late": Out(1),
        }
        if repeat:
            members |= {"repeat": In(1), "repeat_ack": Out(1), "stored": Out(1)}
        super().__init__(members)

    @staticmethod
    def memories_of(
        edge: Edge, pixels: int, axis_width: int, repeat: bool, in_flight: int
    ) -> Memories:
        out = inside("flags", Fifo.memories_of(FLAG_BITS, in_flight))
        if repeat:
            words = -(-pixels * edge.channels * edge.planes // axis_width)
            out["image"] = MemoryShape(axis_width, words, "window")
        canonical = canonical_edge(edge, pixels, axis_width)
        return out | inside("gearbox", gear_memories(canonical, edge))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.gear = gear = BitGearbox(self.axis_width, self.canonical.width, self.bits)
        m.submodules.flags = flags = Fifo(FLAG_BITS, self.in_flight)
        connect(m, flags.o, flipped(self.flags))
        self._to_edge(m, gear.o)

        word = counter_of(self.words)
        first = Signal()
        end = Signal()
        held = Signal(init=self.waits)
        filling = Signal()
        dropping = Signal()
        may = Signal()
        taken = Signal()
        last = Signal()
        if self.repeats:
            # What is written comes past the memory: a word that is replayed is there already.
            fresh = Mux(filling, 0, self.axis.tdata)
            replaying, replayed = self._replay(m, word, taken, end, fresh)
        else:
            replaying, replayed = Value.cast(0), Value.cast(0)
        own = Signal()  # words come from the packet
        wrong = Signal(2)  # early, late
        m.d.comb += [
            first.eq(word == 0),
            end.eq(word == self.words - 1),
            # Room for this image's flags is checked here, so it is there at the image's end.
            may.eq(~dropping & (~first | (~held & flags.i.ready))),
            own.eq(may & ~filling & ~replaying),
            self.axis.tready.eq(dropping | (own & gear.i.ready)),
            gear.i.valid.eq(may & (self.axis.tvalid | filling | replaying)),
            gear.i.payload.eq(Mux(filling, 0, Mux(replaying, replayed, self.axis.tdata))),
            taken.eq(gear.i.valid & gear.i.ready),
            last.eq(own & self.axis.tlast),
            flags.i.valid.eq(taken & end),
            wrong.eq(Cat(filling, own & ~self.axis.tlast)),
            flags.i.payload.eq(Cat(wrong, self.unloaded)),
        ]
        if self.repeats:
            kept = Signal(2)  # of the image in the memory
            with m.If(replaying):
                m.d.comb += wrong.eq(kept)
            with m.Elif(taken & end):
                m.d.sync += kept.eq(wrong)
        m.d.sync += [
            held.eq(self.hold),
            self.begin.eq(taken & first),
            self.early.eq(taken & last & ~end),
            self.late.eq(taken & own & end & ~last),
        ]
        with m.If(taken):
            step_counter(m, word, self.words)
            m.d.sync += [
                filling.eq((filling | last) & ~end),
                dropping.eq(own & end & ~last),
            ]
        with m.If(dropping & self.axis.tvalid & self.axis.tlast):
            m.d.sync += dropping.eq(0)
        return m

    def _to_edge(self, m: Module, source: stream.Interface) -> None:
        """Canonical bits are channel-major, planes inside; those of a beat are plane-major."""
        wide = self.canonical
        beat = wide.signature.create()
        m.d.comb += [
            beat.payload.eq(
                Cat(
                    source.payload[lane * wide.pb + plane]
                    for plane in range(wide.pb)
                    for lane in range(wide.lanes)
                )
            ),
            beat.valid.eq(source.valid),
            source.ready.eq(beat.ready),
        ]
        if wide == self.edge:
            connect(m, beat, flipped(self.o))
            return
        m.submodules.gearbox = gearbox = Gearbox(wide, self.edge)
        connect(m, beat, gearbox.i)
        connect(m, gearbox.o, flipped(self.o))

    def _replay(self, m: Module, word: Signal, taken: Signal, end: Signal, payload: Value):
        """The memory of the last image; returns (replaying, the word to send)."""
        m.submodules.image = memory = self.memories["image"].make()
        write, read = memory.write_port(), memory.read_port()
        replaying = Signal()
        recent = Signal()
        begins = Signal()
        following = Signal.like(word)
        m.d.comb += [
            begins.eq(taken & (word == 0)),
            write.en.eq(taken & ~replaying),
            write.addr.eq(word),
            write.data.eq(payload),
            following.eq(Mux(end, 0, word + 1)),
            read.en.eq(1),
            read.addr.eq(Mux(taken, following, word)),
        ]
        m.d.sync += [
            self.repeat_ack.eq(begins & replaying),
            # `repeat` answers repeat_ack two clocks after the begin, and a one-word image can be
            # read one clock after its own.
            recent.eq(begins),
            self.stored.eq(self.stored | (taken & end)),
        ]
        with m.If(Mux(taken, end, word == 0)):
            m.d.sync += replaying.eq(self.repeat & ~self.hold & self.stored & ~begins & ~recent)
        return replaying, read.data


class ResultOutput(wiring.Component):
    """Collects an image's logits, finds the class, and sends both as a packet.

    A packet is 32-bit words: class in bits 0..15 and flags in bits 16..31, then the ``classes``
    logits (int32), TLAST on the last. The class is the lowest index of the greatest logit.

    Ports:
        i: stream of 32 bits, logits in the order of classes, ``classes`` an image.
        flags: stream of 3 bits, one entry an image, see :class:`ImageInput`.
        axis: AXI4-Stream master of 32 bits.
        done: out, for one clock, the one after a packet's last word was taken.

    Logits of the next image are taken while a packet leaves. A packet takes ``classes + 1`` clocks
    at full rate (``compact``: twice as many, with half the registers), and leaves 3 clocks after
    its last logit. No combinational path. ``bits``: signed bits that hold every logit; only so many
    are kept.

    Raises:
        DesignError: ``classes`` is not 1 to 65536, or ``bits`` not 1 to 32.
    """

    i: stream.Interface
    flags: stream.Interface
    axis: wiring.PureInterface
    done: Signal

    def __init__(self, classes: int, compact: bool = False, bits: int = 32):
        if not 1 <= classes <= 1 << 16:
            raise DesignError(f"{classes} classes; a result names 1 to 65536")
        if not 1 <= bits <= 32:
            raise DesignError(f"logits of {bits} bits; a result has 1 to 32")
        self.classes, self.compact, self.bits = classes, compact, bits
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(32))),
                "flags": In(stream.Signature(FLAG_BITS)),
                "axis": Out(AxisSignature(32)),
                "done": Out(1),
            }
        )

    @staticmethod
    def memories_of(classes: int, bits: int) -> Memories:
        return {"memory": MemoryShape(bits, 2 * classes, "window")}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.classes
        index_bits = max(1, ceil_log2(n))
        m.submodules.memory = memory = self.memories_of(n, self.bits)["memory"].make()
        write, read = memory.write_port(), memory.read_port()
        m.submodules.buffer = buffer = Slot(33) if self.compact else Buffer(33)
        # Two halves: logits come into one while the other is sent.
        full = Signal(2)
        winner = [Signal(index_bits, name=f"winner_{k}") for k in range(2)]
        filled = Signal(2)
        emptied = Signal(2)
        m.d.sync += full.eq((full | filled) & ~emptied)

        bank = Signal()
        index = counter_of(n)
        end = Signal()
        put = Signal()
        better = Signal()
        logit = self.i.payload[: self.bits].as_signed()
        best = Signal(signed(self.bits))
        best_index = Signal(index_bits)
        best_so_far = Signal(index_bits)
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(bank, 1)),
            put.eq(self.i.valid & self.i.ready),
            write.en.eq(put),
            write.data.eq(logit),
            end.eq(index == n - 1),
            better.eq((index == 0) | (logit > best)),
            best_so_far.eq(Mux(better, index, best_index)),
            filled.eq(Cat(put & end & ~bank, put & end & bank)),
        ]
        with m.If(put):
            step_counter(m, index, n)
            step_counter(m, write.addr, 2 * n)
            m.d.sync += [bank.eq(bank ^ end), best_index.eq(best_so_far)]
            with m.If(better):
                m.d.sync += best.eq(logit)
            for k in range(2):
                with m.If(filled[k]):
                    m.d.sync += winner[k].eq(best_so_far)
        self._send(m, full, emptied, winner, read, buffer)
        return m

    def _send(
        self, m: Module, full: Signal, emptied: Signal, winner: list[Signal], read: Any, buffer: Any
    ) -> None:
        n = self.classes
        bank = Signal()
        sending = Signal()
        index = counter_of(n)
        end = Signal()
        go = Signal()
        header = Signal(32)
        logit = Signal(signed(32))
        at = counter_of(2 * n)
        # The memory is read a clock ahead, so that it can be block RAM.
        step = sending & buffer.i.ready
        m.d.comb += [
            logit.eq(read.data.as_signed()),
            read.en.eq(1),
            read.addr.eq(Mux(step, Mux(at == 2 * n - 1, 0, at + 1), at)),
            end.eq(index == n - 1),
            header[:16].eq(Mux(bank, winner[1], winner[0])),
            header[16:].eq(self.flags.payload),
            self.flags.ready.eq(~sending & full.bit_select(bank, 1) & buffer.i.ready),
            go.eq(self.flags.valid & self.flags.ready),
            buffer.i.valid.eq(go | sending),
            buffer.i.payload.eq(Mux(sending, Cat(logit, end), header)),
            self.axis.tdata.eq(buffer.o.payload[:32]),
            self.axis.tlast.eq(buffer.o.payload[32]),
            self.axis.tvalid.eq(buffer.o.valid),
            buffer.o.ready.eq(self.axis.tready),
        ]
        with m.If(go):
            m.d.sync += sending.eq(1)
        m.d.sync += at.eq(read.addr)
        with m.If(step):
            step_counter(m, index, n)
            with m.If(end):
                m.d.sync += [sending.eq(0), bank.eq(~bank)]
                m.d.comb += emptied.eq(Cat(~bank, bank))
        m.d.sync += self.done.eq(self.axis.tvalid & self.axis.tready & self.axis.tlast)


def image_clocks(edge: Edge, pixels: int, axis_width: int) -> int:
    """Clocks an image takes through an :class:`ImageInput` at full rate."""
    return _cost(canonical_edge(edge, pixels, axis_width), edge, pixels, axis_width)[0]


def result_clocks(classes: int, compact: bool = False) -> int:
    """Clocks a result packet takes through a :class:`ResultOutput`."""
    return (classes + 1) * (2 if compact else 1)


def canonical_edge(edge: Edge, pixels: int, axis_width: int) -> Edge:
    """The fastest, then smallest way from packets to ``edge``: beats at the widest point."""
    return min(_canonical(edge), key=lambda c: _cost(c, edge, pixels, axis_width))


def _cost(canonical: Edge, edge: Edge, pixels: int, axis_width: int) -> tuple[int, int]:
    """Clocks an image, then bits of registers and memory."""
    words = -(-pixels * edge.channels * edge.planes // axis_width)
    clocks = max(words, pixels * clocks_per_pixel(canonical, edge))
    narrow, wide = sorted((axis_width, canonical.width))
    bits = wide + 2 * narrow
    if wide % narrow:
        # A barrel shifter, about a bit of storage in area for each of its places.
        bits += (narrow + wide) * (canonical.width // gcd(narrow, wide))
    return clocks, bits + storage_bits(path(canonical, edge))


def _canonical(edge: Edge) -> list[Edge]:
    """Edges whose beats are contiguous bits of the packet: no pad lanes, no pad planes."""
    wide = [
        edge.resized(lanes=lanes, pb=edge.planes)
        for lanes in range(1, edge.channels + 1)
        if edge.channels % lanes == 0 and lanes * edge.planes <= MAX_WIDTH
    ]
    return wide + [
        edge.resized(lanes=1, pb=pb)
        for pb in range(1, min(edge.planes, MAX_WIDTH + 1))
        if edge.planes % pb == 0
    ]
