"""``NAME_amaranth.py``: an exported block as a component of Amaranth."""

from collections.abc import Callable
from typing import Any

from sterna.gen.ip import layout
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.ports import ALWAYS, Bus, Port

__all__ = ["amaranth_core", "class_name", "facts"]


def class_name(block: Exported) -> str:
    """Of the block in Python: no word of Python's ends in Core."""
    return "".join(part.capitalize() for part in block.module.split("_")) + "Core"


def amaranth_core(block: Exported) -> str:
    """The text of the module, which needs the exported folder around it, and Amaranth."""
    lite = next(bus for bus in block.buses if bus.kind == "axilite")
    return _TEXT.format(**facts(block, _value), axilite="\n".join(_member(p) for p in lite.ports))


def facts(block: Exported, value: Callable[[Port, Bus], str]) -> dict[str, Any]:
    """What a module of Python is filled with, of Amaranth or another; ``value``: what a port of a
    bus is connected to in it."""
    wires = [(port, value(port, bus)) for bus in block.buses for port in bus.ports]
    return {
        "block": block,
        "name": class_name(block),
        "structure": block.structure.upper(),
        "weights": block.weights.upper(),
        "registers": _registers(block),
        "header": layout.software(block)[0],
        "sources": ", ".join(f'"{s}"' for s in layout.rtl(block)),
        "ports": "\n".join(f'            "{p.way[0]}_{p.name}": {wire},' for p, wire in wires),
        "macro": f'"{block.memory_macro}"' if block.read_from_files else "None",
        "located": _LOCATED.format(mem=layout.MEMORIES).rstrip(),
    }


def _registers(block: Exported) -> str:
    """The dictionary of registers' addresses, in Python."""
    rows = "".join(f'    "{r.name}": 0x{r.address:03X},\n' for r in block.registers)
    return f"REGISTERS = {{\n{rows}}}"


_LOCATED = '''\
def _located(text):
    """Verilog that reads memories, behind a line that says where their files are."""
    where = f"{{FOLDER.as_posix()}}/{mem}"
    if not where.isprintable():
        raise ValueError(f"{{where!r}}: simulators open no file of such a name; move the folder")
    string = "".join(f"\\\\{{ord(c):03o}}" if c in "\\"\\\\`" else c for c in where)
    return f'`define {{_MEMORIES}} "{{string}}"\\n{{text}}'
'''
"""Of either module; quotes, backslashes and backquotes are octal in a string of Verilog."""


def _member(port: Port) -> str:
    """Of the signature, as the master sees it."""
    way = {"in": "Out", "out": "In"}[port.way]
    return f'                "{port.logical.lower()}": {way}({port.bits}),'


def _value(port: Port, bus: Bus) -> str:
    if port.name in ALWAYS:
        return {"clock": "clk", "reset": "~rst"}[bus.kind]
    logical = port.logical.lower()
    if bus.kind == "axilite":
        return f"self.{bus.name}.{logical}"
    found = {"tvalid": "valid", "tready": "ready", "tdata": "payload.data", "tlast": "payload.last"}
    return f"self.{bus.name}.{found[logical]}"


_TEXT = '''\
"""The spiking network {block.name} as a component of Amaranth; made by {block.made}.

    m.submodules.net = net = {name}()
    # net.s_axis: images in, net.m_axis: results out (streams of `Beat`s),
    # net.s_axil: registers (`AxiLite`), REGISTERS has their addresses

It needs the files beside it, and of Python Amaranth alone. A platform is given the Verilog; where
a design is converted without one (``amaranth.back.verilog``), `sources` has it.
"""

from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AxiLite", "Beat", "{name}", "REGISTERS", "sources"]

STRUCTURE_ID = 0x{structure}
WEIGHTS_ID = 0x{weights}
IMAGE_BEATS = {block.image_beats}
"""Beats of an image, the last with ``last``; padding behind its content is ignored."""
RESULT_WORDS = {block.result_words}
"""Of a result: class (bits 0 to 15) and flags, then int32 logits."""
{registers}
"""Byte addresses; {header} and the datasheet have their fields."""
FOLDER = Path(__file__).resolve().parent
_SOURCES = ({sources})
_MEMORIES = {macro}  # macro of the folder of the memories' files; None: they are in the Verilog


def sources():
    """The Verilog of the block: text by name of file."""
    found = {{name: (FOLDER / name).read_text(encoding="utf-8") for name in _SOURCES}}
    if _MEMORIES is not None:
        found[_SOURCES[0]] = _located(found[_SOURCES[0]])
    return found


{located}


def Beat(width):
    """Of an AXI4-Stream: its data, and whether it is the last of a packet."""
    return data.StructLayout({{"data": width, "last": 1}})


class AxiLite(wiring.Signature):
    """AXI4-Lite, as a master sees it."""

    def __init__(self):
        super().__init__(
            {{
{axilite}
            }}
        )


class {name}(wiring.Component):
    """Images in, results out, a packet each, in the clock domain ``domain``.

    s_axis : In(stream of Beat({block.axis_width})), images
    m_axis : Out(stream of Beat(32)), results
    s_axil : In(AxiLite), registers
    """

    def __init__(self, domain="sync"):
        self._domain = domain
        super().__init__(
            {{
                "s_axis": In(stream.Signature(Beat({block.axis_width}))),
                "m_axis": Out(stream.Signature(Beat(32))),
                "s_axil": In(AxiLite()),
            }}
        )

    def elaborate(self, platform):
        m = Module()
        clk = ClockSignal(self._domain)
        rst = ResetSignal(self._domain, allow_reset_less=True)
        ports = {{
{ports}
        }}
        m.submodules.core = Instance("{block.wrapper}", **ports)
        if platform is not None:
            for name, text in sources().items():
                platform.add_file(name, text)
        return m
'''
