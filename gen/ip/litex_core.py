"""``NAME_litex.py``: an exported block as a module of LiteX."""

from sterna.gen.ip.amaranth_core import facts
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.ports import ALWAYS, Bus, Port
from sterna.golden.device.csr import ADDRESS_BITS

__all__ = ["litex_core"]


def litex_core(block: Exported) -> str:
    """The text of the module, which needs the exported folder around it, LiteX and migen."""
    return _TEXT.format(**facts(block, _value), address_bits=ADDRESS_BITS, size=1 << ADDRESS_BITS)


def _value(port: Port, bus: Bus) -> str:
    if port.name in ALWAYS:
        return {"clock": "ClockSignal(domain)", "reset": "~ResetSignal(domain)"}[bus.kind]
    logical = port.logical.lower()
    if bus.kind == "axilite":
        channel = logical[: 1 if logical[0] in "wbr" else 2]
        low = f"[:{port.bits}]" if logical.endswith("addr") else ""  # LiteX's have 32 bits
        return f"bus.{channel}.{logical.removeprefix(channel)}{low}"
    return f"{'sink' if bus.mode == 'slave' else 'source'}.{logical.removeprefix('t')}"


_TEXT = '''\
"""The spiking network {block.name} as a module of LiteX; made by {block.made}.

    self.submodules.net = net = {name}(platform)
    net.add_to(self, "net", origin=0x9000_0000)
    # net.sink: images in, net.source: results out, a packet each; connect them to LiteDRAM's DMA,
    # Etherbone, a UART ...

It needs the files beside it, and of Python LiteX and migen alone.
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, stream
from migen import ClockSignal, Instance, ResetSignal

__all__ = ["{name}", "REGISTERS", "sources"]

STRUCTURE_ID = 0x{structure}
WEIGHTS_ID = 0x{weights}
IMAGE_BEATS = {block.image_beats}
"""Beats of an image, the last with ``last``; padding behind its content is ignored."""
RESULT_WORDS = {block.result_words}
"""Of a result: class (bits 0 to 15) and flags, then int32 logits."""
SIZE = 0x{size:X}
"""Bytes of the region of the registers."""
{registers}
"""Byte addresses; {header} and the datasheet have their fields."""
FOLDER = Path(__file__).resolve().parent
_SOURCES = ({sources})
_MEMORIES = {macro}  # macro of the folder of the memories' files; None: they are in the Verilog


def sources(build=None):
    """The paths of the block's Verilog. Where it reads memories from files, a copy that says first
    where these are is written into the folder ``build``, by default the one of that name where the
    program runs; never into the folder of this file, which may be somebody else's."""
    found = [FOLDER / name for name in _SOURCES]
    if _MEMORIES is not None:
        copy = Path(build or "build").resolve() / f"{{found[0].stem}}.here.v"
        if copy.is_relative_to(FOLDER):
            raise ValueError(f"{{copy}}: is inside the exported folder; give another as build")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_located(found[0].read_text(encoding="utf-8")), encoding="utf-8")
        found[0] = copy
    return found


{located}


class {name}(LiteXModule):
    """Images in, results out, a packet each.

    bus: AXI4-Lite slave, 32 bits of data and of address, whose low {address_bits} bits count.
    sink: images, {block.axis_width} bits a beat, last ends each.
    source: results, 32 bits; the first word has class and flags.
    build: as of `sources`, which ``platform`` is given.
    """

    def __init__(self, platform=None, domain="sys", build=None):
        self.bus = bus = axi.AXILiteInterface(data_width=32, address_width=32)
        self.sink = sink = stream.Endpoint([("data", {block.axis_width})])
        self.source = source = stream.Endpoint([("data", 32)])
        ports = {{
{ports}
        }}
        self.specials += Instance("{block.wrapper}", **ports)
        if platform is not None:
            for path in sources(build):
                platform.add_source(str(path))

    def add_to(self, soc, name, origin=None):
        """Put the registers on the bus of ``soc`` as the region ``name``, and their offsets among
        its constants: NAME_ID_OFFSET, NAME_STATUS_OFFSET ..."""
        region = SoCRegion(origin=origin, size=SIZE, mode="rw", cached=False)
        soc.bus.add_slave(name, self.bus, region)
        for register, address in REGISTERS.items():
            soc.add_constant(f"{{name}}_{{register}}_OFFSET".upper(), address)
'''
