"""From a folded network to the Amaranth top, and to Verilog text."""

import gc
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from amaranth.lib import wiring

from sterna.gen.design.design import Design
from sterna.gen.design.fixed_widths import check_widths
from sterna.gen.design.top_spec import IDENT_ROWS, has_fixed, top_spec
from sterna.gen.tools.orphans import guard_amaranth
from sterna.gen.verilog.ansi import ansi
from sterna.gen.verilog.memory_images import check_ranges, memory_images, rom_crc
from sterna.gen.verilog.naming import parts as make_parts
from sterna.gen.verilog.naming import rtlil_text
from sterna.gen.verilog.once import Parts, copied
from sterna.gen.verilog.placeholders import Placeholders, with_placeholders
from sterna.golden.files.network_files import structure_id, weights_id
from sterna.golden.network import Network
from sterna.hw.top.network_top import NetworkTop, TopSpec

__all__ = ["elaborate", "filled_spec", "verilog_text"]


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
    return NetworkTop(filled_spec(network, design, taps=taps, contents=contents))


def filled_spec(
    network: Network,
    design: Design,
    *,
    taps: bool = False,
    contents: bool | Placeholders = True,
) -> TopSpec:
    """What the top is made of, with ids and the contents of its memories; see `elaborate`."""
    what = contents if isinstance(contents, Placeholders) else None
    spec = top_spec(network, design, rows=bool(contents), board=what and what.family)
    structure = int(structure_id(network, design.to_json())[:16], 16)
    spec = replace(spec, structure_id=structure, taps=taps)
    if what is not None:
        cores = with_placeholders(network, spec.cores, what)
        ident = None if spec.ident is None else tuple(what.rows("ident", IDENT_ROWS, 32))
        return replace(spec, cores=cores, ident=ident)
    if not contents:
        return spec
    crc = rom_crc(memory_images(network, design)) if has_fixed(design) else 0
    return replace(spec, weights_id=int(weights_id(network)[:16], 16), rom_crc=crc)


def verilog_text(
    top: "wiring.Component[Any]", name: str, header: str = "", parts: Parts | None = None
) -> str:
    """Verilog-2005 of a top; the same design gives the same bytes on every machine.

    parts: of a design that was made before and has parts in common with this one."""
    # Only here: what reads specifications needs no backend. A system Yosys would change the text
    # with its version.
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    from amaranth.back import verilog

    guard_amaranth()
    parts = make_parts() if parts is None else parts
    with _few_collections():
        text = rtlil_text(top, name, parts)
    script = [
        f"read_rtlil <<rtlil\n{text}{parts.text()}\nrtlil",
        "proc -nomux -norom",
        "memory_collect",
        *(f"attrmap {kind} {_ATTRIBUTES}" for kind in ("", "-modattr")),
        "write_verilog",
    ]
    yosys = verilog.find_yosys(lambda found: found >= (0, 40))  # pyright: ignore
    made = ansi(yosys.run(["-q", "-"], "\n".join(script), ignore_warnings=True))
    return header + copied(made, parts.alike())


@contextmanager
def _few_collections() -> Generator[None]:
    """Millions of objects that all stay: looking through them for garbage finds none."""
    before = gc.get_threshold()
    if before[0]:  # else the caller has switched it off
        gc.set_threshold(max(before[0], 200_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


_ATTRIBUTES = " ".join(
    f"-remove {a}" for a in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
)
"""What Amaranth writes for itself."""
