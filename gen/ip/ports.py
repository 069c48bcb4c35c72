"""The ports and bus interfaces of an exported block, said once.

The Verilog wrapper, component.xml, the FuseSoC core, scripts and data sheets read this table; what
a port is in the network's own module follows from it, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sterna.golden.device.csr import ADDRESS_BITS

__all__ = ["ALWAYS", "Bus", "Port", "buses", "ports"]

ALWAYS = {"aclk": "clk", "aresetn": "rst"}
"""Ports that are no part of a bus of data, with what they drive in the network's module."""


@dataclass(frozen=True)
class Port:
    """A port of the wrapper: ``way`` is 'in' or 'out', ``bits`` its width, ``text`` what it is.

    bus: the interface that it is part of; logical: its name there, as IP-XACT's bus definitions
    write it (TDATA). The network's module has a port of the same name, but for those of `ALWAYS`.
    """

    name: str
    way: str
    bits: int
    bus: str
    logical: str
    text: str

    @property
    def range(self) -> str:
        """As Verilog writes it, '' of a single bit."""
        return f"[{self.bits - 1}:0]" if self.bits > 1 else ""


@dataclass(frozen=True)
class Bus:
    """An interface. ``kind``: 'axis', 'axilite', 'clock' or 'reset'; ``mode``: 'slave' or 'master';
    ``text``: what goes over it."""

    name: str
    kind: str
    mode: str
    text: str
    ports: tuple[Port, ...]


# of each bus: logical name, way as seen from the block, bits (None: of its data), what it is
_Row = tuple[str, str, int | None, str]
_AXIS: tuple[_Row, ...] = (
    ("TDATA", "in", None, "data"),
    ("TVALID", "in", 1, "there is a beat"),
    ("TREADY", "out", 1, "the beat is taken"),
    ("TLAST", "in", 1, "the last beat of a packet"),
)
_AXILITE: tuple[_Row, ...] = (
    ("AWADDR", "in", ADDRESS_BITS, "byte address to write"),
    ("AWVALID", "in", 1, "there is one"),
    ("AWREADY", "out", 1, "it is taken"),
    ("WDATA", "in", 32, "word to write"),
    ("WSTRB", "in", 4, "its bytes: all, or none"),
    ("WVALID", "in", 1, "there is one"),
    ("WREADY", "out", 1, "it is taken"),
    ("BRESP", "out", 2, "OKAY or SLVERR"),
    ("BVALID", "out", 1, "a write is answered"),
    ("BREADY", "in", 1, "the answer is taken"),
    ("ARADDR", "in", ADDRESS_BITS, "byte address to read"),
    ("ARVALID", "in", 1, "there is one"),
    ("ARREADY", "out", 1, "it is taken"),
    ("RDATA", "out", 32, "word read"),
    ("RRESP", "out", 2, "OKAY or SLVERR"),
    ("RVALID", "out", 1, "a read is answered"),
    ("RREADY", "in", 1, "the answer is taken"),
)
_OTHER = {"in": "out", "out": "in"}


def buses(axis_width: int) -> tuple[Bus, ...]:
    """The interfaces, in the order of their ports.

    Args:
        axis_width: bits of a beat of an image.
    """
    return (
        _bus("aclk", "clock", "slave", "clock of everything", (("CLK", "in", 1, "clock"),)),
        _bus(
            "aresetn",
            "reset",
            "slave",
            "reset, active low",
            (("RST", "in", 1, "reset, active low; may fall at any time"),),
        ),
        _bus("s_axis", "axis", "slave", "images in, a packet each", _AXIS, axis_width),
        _bus("m_axis", "axis", "master", "results out, a packet each", _AXIS, 32),
        _bus("s_axil", "axilite", "slave", "registers", _AXILITE),
    )


def ports(axis_width: int) -> Iterator[Port]:
    """All ports, in the order of the wrapper's head."""
    for bus in buses(axis_width):
        yield from bus.ports


def _bus(name: str, kind: str, mode: str, text: str, rows: tuple[_Row, ...], width: int = 0) -> Bus:
    made = []
    for logical, way, bits, what in rows:
        port = name if kind in ("clock", "reset") else f"{name}_{logical.lower()}"
        seen = _OTHER[way] if mode == "master" else way
        made.append(Port(port, seen, width if bits is None else bits, name, logical, what))
    return Bus(name, kind, mode, text, tuple(made))
