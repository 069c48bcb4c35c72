"""The board's side of the link: between bytes of a serial line and the ports of a network.

``golden.link`` has the messages and docs/link.md explains them. Parts: Deframer (what comes),
Executor (does it), Results (what the network made), Sender and Framer (what goes).
"""

from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device.link import Identity
from sterna.golden.errors import DesignError
from sterna.hw.control.axil import AxiLite
from sterna.hw.link.deframer import Deframer, check_buffer
from sterna.hw.link.executor import Executor, check_image
from sterna.hw.link.framer import Framer
from sterna.hw.link.results import Results, check_slots
from sterna.hw.link.sender import Sender
from sterna.hw.link.uart import check_divisor
from sterna.hw.stream.axis import AxisSignature

__all__ = ["Link", "LinkSpec"]


@dataclass(frozen=True)
class LinkSpec:
    """What a link is built for.

    structure_id: as the registers have it. image_bytes: of an image, in whole beats of
    ``axis_width`` bits. classes: logits of a result. buffer: bytes of the queue of frames. slots:
    results kept until the host has them. divisor: clocks of the board's oscillator a bit.

    Raises DesignError where a number cannot be built.
    """

    structure_id: int
    image_bytes: int
    classes: int
    axis_width: int
    buffer: int
    slots: int
    divisor: int

    def __post_init__(self) -> None:
        if not 0 <= self.structure_id < 1 << 64:
            raise DesignError(
                f"structure_id {self.structure_id:#x} is no unsigned 64-bit number; hash again"
            )
        if not self.image_bytes < 1 << 32:
            raise DesignError(f"images of {self.image_bytes} bytes; the link counts in 32 bits")
        check_image(self.image_bytes, self.axis_width)
        check_buffer(self.buffer)
        check_slots(self.slots, self.classes)
        check_divisor(self.divisor)

    @cached_property
    def identity(self) -> Identity:
        """What the board says of itself."""
        # A byte of the queue's memory is always free: full would look as empty.
        return Identity(
            self.structure_id, self.image_bytes, self.classes, self.buffer - 1, self.slots
        )


class Link(wiring.Component):
    """Executes what a host sends and sends back what the network makes.

    Every output is a flip-flop or a function of flip-flops. Everything runs in ``sync``. A byte of
    the line takes at most 9 clocks on average in either direction.

    Members
    -------
    rx : in, stream of bytes from the line; tx : out, to it
    s_axis : out, images, to the network's port of this name; m_axis : in, its results
    s_axil : out, to its registers
    reset_network : out, one clock
    active : out, a session is open; activity : out, one clock for each frame in or out
    """

    def __init__(self, spec: LinkSpec):
        self.spec = spec
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "s_axis": Out(AxisSignature(spec.axis_width)),
                "m_axis": In(AxisSignature(32)),
                "s_axil": Out(AxiLite()),
                "reset_network": Out(1),
                "active": Out(1),
                "activity": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, flipped = self.spec, wiring.flipped
        deframer, framer = Deframer(spec.buffer), Framer()
        executor = Executor(spec.image_bytes, spec.axis_width)
        results, sender = Results(spec.slots, spec.classes), Sender(spec.identity)
        m.submodules.deframer, m.submodules.framer = deframer, framer
        m.submodules.executor = ResetInserter(deframer.restart)(executor)
        m.submodules.results, m.submodules.sender = results, sender
        for left, right in (
            (flipped(self.rx), deframer.i),
            (deframer.o, executor.i),
            (sender.o, framer.i),
            (framer.o, flipped(self.tx)),
            (executor.axis, flipped(self.s_axis)),
            (executor.axil, flipped(self.s_axil)),
            (flipped(self.m_axis), results.axis),
        ):
            wiring.connect(m, left, right)
        # Of each name, the one that drives and those that read.
        for name, driver, *readers in (
            ("flush", deframer, executor, results),
            ("flushed", executor, deframer),
            ("freeze", sender, executor),
            ("answering", sender, executor),
            *((n, executor, results) for n in ("write", "index", "word")),
            *((n, deframer, results) for n in ("got", "take_got")),
            *((n, sender, results) for n in ("still", "answer", "place", "step")),
            *(
                (n, results, sender)
                for n in ("moving", "waiting", "sent", "first", "data", "fresh", "last", "made")
            ),
            *(
                (n, deframer, sender)
                for n in ("session", "next", "refused", "ask_identity", "ask_ack")
            ),
            *((n, executor, sender) for n in ("done", "state", "answer_words")),
            ("room", framer, sender),
        ):
            m.d.comb += [getattr(r, name).eq(getattr(driver, name)) for r in readers]
        answered_again = deframer.ask_resend & executor.answered
        m.d.comb += [
            results.drop.eq(executor.muted),
            results.resend.eq(deframer.ask_resend),
            # An answer that is ready only now belongs to the session before.
            sender.ask_answer.eq((executor.ask_answer | answered_again) & ~deframer.flush),
            sender.wait.eq(deframer.flush),
            sender.cancel.eq(deframer.opened),
            framer.cancel.eq(deframer.opened),
            self.reset_network.eq(deframer.restart),
            self.active.eq(deframer.active),
            self.activity.eq(sender.begun | deframer.take_got),
        ]
        return m
