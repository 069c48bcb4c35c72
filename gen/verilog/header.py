"""What stands above the Verilog of a design: what it is, its ports, how to read it."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from sterna.gen.design.design import Design
from sterna.golden.coding import image_bytes
from sterna.golden.files.network_files import structure_id, weights_id
from sterna.golden.network import Network
from sterna.golden.words.names import Scope, module_name
from sterna.hw.top.network_top import FIXED

__all__ = ["header", "installed", "macro", "made_by"]


def header(network: Network, design: Design, *, taps: bool = False, files: bool = False) -> str:
    """Comment lines that end with an empty line; the same design gives the same bytes.

    taps: the design has the ports of a simulation. files: its memories are read from files.
    """
    name = module_name(network.name)
    classes = network.shape[network.readout.name][0]
    beats = -(-8 * image_bytes(network.input, network.steps) // design.axis_width)
    text = _TEXT.format(
        name=name,
        made=made_by(),
        structure=structure_id(network, design.to_json()),
        weights=weights_id(network),
        interval=design.modelled_interval or design.interval,
        mhz=f"{design.clock_mhz:g}",
        family=design.family,
        width=design.axis_width,
        beats=beats,
        words=classes + 1,
        classes=classes,
        memories=_FILES.format(name=name, macro=macro(name)) if files else _INLINE,
        taps=_TAPS if taps else "",
        network=network.summary(),
        cores="\n".join(_cores(design, name)),
    )
    return "".join(f"// {line}".rstrip() + "\n" for line in text.splitlines()) + "\n"


def macro(name: str) -> str:
    """What says where the memory files of module ``name`` are."""
    return f"{name.upper()}_MEM"


def made_by() -> str:
    """Sterna and Amaranth, with their versions where they are installed."""
    return ", ".join(
        f"{name} {installed(name.lower())}".rstrip() for name in ("Sterna", "Amaranth")
    )


def installed(package: str) -> str:
    """The version of a package, '' of sources that are not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cores(design: Design, name: str) -> Iterator[str]:
    """A line for each core, with its module."""
    scope = Scope(FIXED)
    modules = {c.target: scope.name(c.name) for c in design.cores if c.main}
    for core in design.cores:
        place = f"{core.name} ({core.op}) in {name}.{modules[core.target]}"
        if core.op == "conv":
            place += f": {core.pe} outputs x {core.simd} inputs x {core.tp} planes"
            place += f", engine {core.engine}, weights {core.memory}"
        yield f"  {place}: {core.interval} clocks"


_INLINE = "are in this file, at each memory's `initial`."
_FILES = """\
are read from files by $readmemh, but for reloadable ones, which a host writes:
mem/CORE_weights.mem and mem/CORE_params.mem of the working folder of the tool, or of the folder
{macro}, where that is defined (a string that ends in a slash). They are those of the weights_id
above, from which registers and widths follow, too."""
_TAPS = "\n  tap_*      for simulation: what the stream of a layer does; limit_*: depths of buffers"
_TEXT = """\
{name}: a spiking neural network, written as Verilog-2005 by {made}.
Do not edit it: `sterna verilog` writes it again, the same bytes for the same network and folding.

structure_id {structure}
weights_id   {weights}

{interval} clocks an image, images back to back; folded for {family} at {mhz} MHz.

Ports of {name}, in this order, all of them synchronous to the rising edge of clk:
  clk, rst   clock; reset, active high, synchronous
  s_axis_*   AXI4-Stream, images in: {beats} beats of {width} bits, the last with tlast
  m_axis_*   AXI4-Stream, results out: {words} words of 32 bits, the last with tlast: class in the
             low half and flags in the high one, then {classes} logits (signed)
  s_axil_*   AXI4-Lite, registers: 32 bits of data, 16 of byte address; csr.json, {name}_csr.h{taps}

Contents of memories {memories}

How to read it. A module is called by its way down from the top: {name}.conv1.front is front in
conv1 in {name}. Its ports are clk and rst, then its streams and signals as the sources have them
in hw/: x__payload, x__valid, x__ready are the stream x. In the module around it, conv1__x__payload
is x__payload of conv1. A number at the end (turn__2) tells signals of one name apart; _7_ and the
like are values that the sources give no name; _start_ has simulators compute each block once at
the start.

The network:
{network}

Its cores, and what they do in a clock and need for an image:
{cores}
"""
