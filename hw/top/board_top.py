"""The top of a board without its pins: network, link and UART, for any board with two clocks."""

from math import ceil, log2

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError
from sterna.hw.control.axil import AxiLite
from sterna.hw.link.link import Link, LinkSpec
from sterna.hw.link.results import MAX_SLOTS, ring_depth
from sterna.hw.link.uart import UartReceiver, UartTransmitter
from sterna.hw.stream.axis import AxisSignature
from sterna.hw.top.network_top import NetworkTop, TopSpec

__all__ = ["BoardTop", "link_spec"]


def link_spec(
    top: TopSpec,
    family: str,
    divisor: int,
    buffer: int | None = None,
    slots: int | None = None,
) -> LinkSpec:
    """The link that suits a network on a family of devices.

    family: one of those that boards have. divisor: clocks of the oscillator a bit of the UART.
    buffer: bytes for frames that wait, by default as many as suit the family. slots:
    results kept, by default as many as one block memory holds, 2 to 64.
    """
    fabric = FABRICS.get(family)
    if fabric is None or fabric.link_buffer is None:
        known = ", ".join(f.name for f in FABRICS.values() if f.link_buffer is not None)
        raise DesignError(f"no link for family {family!r}; use one of {known}")
    lanes = top.axis_width // 8
    bits = top.height * top.width * top.edge.channels * top.edge.planes
    if slots is None:
        slots = MAX_SLOTS
        while slots > 2 and ring_depth(slots, top.classes) > fabric.block_rows:
            slots //= 2
    return LinkSpec(
        structure_id=top.structure_id,
        image_bytes=-(-bits // (8 * lanes)) * lanes,
        classes=top.classes,
        axis_width=top.axis_width,
        buffer=fabric.link_buffer if buffer is None else buffer,
        slots=slots,
        divisor=divisor,
    )


class BoardTop(wiring.Component):
    """A network that a host reaches over a UART.

    Ports: ``rx``, ``tx``: the UART's pins, 8N1. ``led``: before the first session a short blink
    about every second; in a session lit, and flickering while frames pass. Clocks and resets
    (``clk rst uart_clk uart_rst`` in Verilog): ``uart`` is the board's oscillator, by which the
    divisor is counted; ``sync`` runs everything else, at 1/4 to 16 times its frequency.

    Raises DesignError where ``link`` is for other images or results than ``top``.
    """

    rx: Signal
    tx: Signal
    led: Signal

    def __init__(self, top: TopSpec, link: LinkSpec):
        self.network, self.link = NetworkTop(top), Link(link)
        image_bytes = self.network.image.words * top.axis_width // 8
        for name, own, other in (
            ("image_bytes", image_bytes, link.image_bytes),
            ("axis_width", top.axis_width, link.axis_width),
            ("classes", top.classes, link.classes),
            ("structure_id", top.structure_id, link.structure_id),
        ):
            if own != other:
                raise DesignError(
                    f"the link is for {name} {other} and the network has {own}; use link_spec(top)"
                )
        self.spec = link
        rx, tx = In(1, init=1), Out(1, init=1)  # pyright: ignore[reportCallIssue]
        super().__init__({"rx": rx, "tx": tx, "led": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = self.link
        m.submodules.network = ResetInserter(link.reset_network)(self.network)
        m.submodules.receiver = receiver = UartReceiver(self.spec.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.spec.divisor)
        wiring.connect(m, receiver.o, link.rx)
        wiring.connect(m, link.tx, transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        for prefix, port, signature in (
            ("s_axis", link.s_axis, AxisSignature(self.spec.axis_width)),
            ("m_axis", link.m_axis, AxisSignature(32).flip()),
            ("s_axil", link.s_axil, AxiLite()),
        ):
            for name, member in signature.members.items():
                pin, own = getattr(self.network, f"{prefix}_{name}"), getattr(port, name)
                m.d.comb += pin.eq(own) if member.flow == Out else own.eq(pin)
        self._light(m, link)
        return m

    def _light(self, m: Module, link: Link) -> None:
        """The LED. At 1 Mbaud and a network as fast as the oscillator, the counter takes 1 s."""
        count = Signal(ceil(log2(self.spec.divisor * 1_000_000)))
        busy = Signal()
        m.d.sync += count.eq(count + 1)
        with m.If(link.activity):
            m.d.sync += busy.eq(1)
        with m.Elif(count[:-4] == 0):
            m.d.sync += busy.eq(0)
        with m.If(link.active):
            m.d.sync += self.led.eq(~(busy & count[-4]))
        with m.Else():
            m.d.sync += self.led.eq(count[-4:] == 0)
