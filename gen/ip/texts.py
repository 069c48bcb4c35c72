"""The smaller files of a block: constraints, lint waivers, README.txt, ip.json, which lists all."""

import re
import textwrap
from importlib.resources import files

from sterna.gen.ip import layout
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.wrapper import bench_macro
from sterna.golden.files.disk import canonical_json, sha256

__all__ = ["FORMAT", "constraint_files", "manifest", "readme", "waiver_file"]

FORMAT, VERSION = "sterna-ip", 1


def constraint_files(x: Exported) -> dict[str, str]:
    """The clock for Vivado and for tools that read SDC.

    Nothing else: every port is synchronous to it, and delays outside the block are not ours to say.
    """
    xdc, sdc = layout.constraints(x)
    told = {
        xdc: "Out of context only: inside a design the clock is declared where it comes from.",
        sdc: "Where the block is the top: elsewhere the clock is declared where it comes from.",
    }
    head = f"# {x.wrapper}: {x.clock_mhz:g} MHz, that folding and estimates assume.\n"
    line = f"create_clock -name aclk -period {1e3 / x.clock_mhz:.3f} [get_ports aclk]\n"
    return {name: f"{head}# {text}\n{line}" for name, text in told.items()}


def waiver_file(x: Exported) -> dict[str, str]:
    """Those of `sterna lint`, for the network's file alone: nobody else's is silenced."""
    text = files("sterna.gen.build").joinpath("waivers.vlt").read_text(encoding="utf-8")
    network = layout.rtl(x)[0]

    def scoped(match: re.Match[str]) -> str:
        rule, rest = match[1], match[2].replace(' -file "*"', "")
        return "\n".join(
            f'lint_off -rule {rule} -file "{where}{network}"{rest}' for where in ("", "*/")
        )

    return {layout.waivers(x): re.sub(r"^lint_off -rule (\w+)(.*)$", scoped, text, flags=re.M)}


def readme(x: Exported, sheet: bool) -> str:
    """README.txt: what is in the folder, ``sheet`` whether a datasheet, and how each tool takes
    it."""
    mem = layout.MEMORIES
    where = f"are in the Verilog; {mem} has them once more, for tools that want files."
    if x.read_from_files:
        where = f"are read from {mem} of the folder in which a tool runs, or from {x.memory_macro}."
    about = (
        f"{x.summary}. Made by {x.made}.",
        f"Top module {x.wrapper}: aclk, aresetn (active low), s_axis (images, {x.axis_width} "
        f"bits), m_axis (results, 32 bits), s_axil (AXI4-Lite, registers). An image is a packet of "
        f"{x.packet_bytes} bytes in {x.image_beats} beats, zero-padded, the last beat with TLAST; "
        f"a result is {x.result_words} words: class (low half) and flags, then {x.classes} logits. "
        f"{x.interval:g} clocks from image to image; folded for {x.design.family} at "
        f"{x.clock_mhz:g} MHz. Registers: {layout.software(x)[0]}, {layout.COMPONENT}. Contents of "
        f"memories {where}",
    )
    return _README.format(
        x=x,
        vlnv=":".join(x.vlnv),
        line="=" * len(x.wrapper),
        about="\n\n".join(textwrap.fill(text, 88) for text in about),
        rtl=" and ".join(layout.rtl(x)),
        image=layout.image(x),
        sheet=_SHEET.format(layout.datasheet(x)) if sheet else "",
        litex=layout.litex(x),
        amaranth=layout.amaranth(x),
        tb=bench_macro(x),
        held=_HELD.format(x=x) if x.design.region_count else "",
        vivado_memories=_VIVADO.format(x=x) if x.read_from_files else "",
    )


def manifest(x: Exported, made: dict[str, bytes]) -> str:
    """ip.json: what the block is, and the hash of each of its other files ``made``."""
    return canonical_json(
        {
            "format": FORMAT,
            "version": VERSION,
            "made_by": x.made,
            "network": x.name,
            "vlnv": ":".join(x.vlnv),
            "top": x.wrapper,
            "module": x.module,
            "structure_id": x.structure,
            "weights_id": x.weights,
            "family": x.design.family,
            "clock_mhz": x.clock_mhz,
            "clocks_per_image": x.interval,
            "axis_width": x.axis_width,
            "image_bytes": x.image_bytes,
            "packet_bytes": x.packet_bytes,
            "result_words": x.result_words,
            "classes": x.classes,
            "regions": x.design.region_count,
            "memories": "files" if x.read_from_files else "inline",
            "ports": {
                p.name: {"way": p.way, "bits": p.bits, "bus": p.bus, "is": p.text} for p in x.ports
            },
            "files": {name: sha256(data) for name, data in sorted(made.items())},
        }
    )


_VIVADO = """
               Both scripts add {x.module}'s memory files and define {x.memory_macro};
               in a project of your own do so, too: XSim and synthesis may not find mem/"""
_HELD = """
               ({x.module}_load that fails while it writes leaves the block held: load again, or
               {x.module}_release)"""
_SHEET = "Datasheet      {}: ports, packets, registers, timing diagrams, figures\n"
_README = """\
{x.wrapper}
{line}

{about}

structure_id {x.structure}
weights_id   {x.weights}

Any simulator  {rtl} ({x.module}.f); with the bench:
               iverilog -g2005 -o bench -f {x.module}_tb.f && vvp bench
               It reads tb/ of the folder in which it runs, or that of the macro {tb}.
FuseSoC        fusesoc --cores-root . run --target sim {vlnv}
               other targets: lint, sim_icarus, synth (Vivado), synth_yosys
Vivado         this folder is an IP repository (set_property ip_repo_paths); or
               vivado -mode batch -source {x.module}_block_design.tcl
               makes a system of a Zynq-7000, an AXI DMA and the block beside this folder, and
               vivado -mode batch -source {x.module}_package_ip.tcl
               has Vivado write a component.xml of its own, in {x.module}_packaged beside it:
               give a project one of the two{vivado_memories}
Verilator      {x.module}.vlt before the Verilog: what its lint leaves out, and why
Timing         {x.module}.xdc (out of context), {x.module}.sdc: the clock, to which all ports belong
{sheet}LiteX          {litex}: a module, which needs this folder around it
Amaranth       {amaranth}: a component, likewise
C              sw/: the registers, and a driver for a processor without an operating system{held}
Weights        {image}: for designs whose memories a host writes; mem/: the same by memory

ip.json lists every file with its hash. Nobody of Sterna has tried it in Vivado: there was none.
"""
