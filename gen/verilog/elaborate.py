"""From a folded network to the Amaranth top, and to Verilog text."""

import os

from amaranth.lib import wiring

from sterna.gen.design.design import Design
from sterna.gen.design.fixed_widths import check_widths
from sterna.gen.design.instances import core_instances
from sterna.gen.tools.orphans import guard_amaranth
from sterna.gen.verilog.memory_images import check_ranges, memory_images, rom_crc
from sterna.gen.verilog.placeholders import IDENT_ROWS, Placeholders, block_rows, with_placeholders
from sterna.golden.fabric import fabric_of
from sterna.golden.files import structure_id, weights_id
from sterna.golden.network import Linear, Network
from sterna.hw.stream.axis import result_clocks
from sterna.hw.top.network_top import NetworkTop, TopSpec

__all__ = ["elaborate", "top_spec", "verilog_text"]


def elaborate(
    network: Network,
    design: Design,
    *,
    taps: bool = False,
    contents: bool | Placeholders = True,
) -> NetworkTop:
    """The top-level component of a design.

    taps: export every spike stream and let the depths of buffers be lowered (simulation only).
    contents: power-up contents of the memories are the packed weights; without, they are empty
    (``ram`` designs only make sense so); with placeholders, fixed memories hold these and
    reloadable ones nothing.
    """
    check_ranges(network, design)
    check_widths(network, design)
    return NetworkTop(top_spec(network, design, taps=taps, contents=contents))


def top_spec(
    network: Network,
    design: Design,
    *,
    taps: bool = False,
    contents: bool | Placeholders = True,
    named: bool = True,
    board: str | None = None,
) -> TopSpec:
    """What the top is made of; the token model reads the same. ``named``: with the structure id,
    which estimates do without. ``board``: family of the board that an estimate is for; placeholders
    are of a board, too."""
    readers = [b.reader for b in design.branches if b.source == network.input.name]
    linear = all(isinstance(network[r], Linear) for r in readers)
    _, height, width = (0, 1, 1) if linear else network.input.shape
    cores = core_instances(network, design, rows=bool(contents))
    fixed = any(c.op == "conv" and c.memory == "rom" for c in design.cores)
    crc, ident = 0, None
    classes = network.shape[network.readout.name][0]
    if isinstance(contents, Placeholders):
        board = contents.family
        cores = with_placeholders(network, cores, contents)
        ident = tuple(contents.rows("ident", IDENT_ROWS, 32)) if fixed else None
    elif board and fixed:
        ident = (0,) * block_rows(IDENT_ROWS, board)
    elif contents and fixed:
        crc = rom_crc(memory_images(network, design))
    return TopSpec(
        image=network.input.name,
        edge=design.input.edge,
        height=height,
        width=width,
        axis_width=design.axis_width,
        classes=classes,
        cores=cores,
        structure_id=int(structure_id(network, design.to_json())[:16], 16) if named else 0,
        weights_id=int(weights_id(network)[:16], 16) if contents is True else 0,
        rom_crc=crc,
        ident=ident,
        compact=board is not None and fabric_of(board).compact,  # elsewhere cells are not short
        taps=taps,
        in_flight=design.in_flight,
        brisk=result_clocks(classes, compact=True) > design.interval,
    )


def verilog_text(top: wiring.Component, name: str) -> str:
    """Verilog-2005 of a top; the same design gives the same bytes on every machine."""
    # A system Yosys would change the text with its version.
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    from amaranth.back import verilog

    guard_amaranth()
    # Source positions would name this machine's folders.
    return verilog.convert(top, name=name, emit_src=False, strip_internal_attrs=True)
