"""Where each file of an exported block is, said once: scripts and descriptions name no others."""

from sterna.gen.ip.exported import Exported

__all__ = [
    "BENCH",
    "COMPONENT",
    "MANIFEST",
    "README",
    "SOFTWARE",
    "bench",
    "bench_data",
    "constraints",
    "driver",
    "image",
    "memories",
    "rtl",
    "software",
    "waivers",
    "xgui",
]

COMPONENT, MANIFEST, README = "component.xml", "ip.json", "README.txt"
BENCH, SOFTWARE, MEMORIES = "tb/", "sw/", "mem/"


def rtl(x: Exported) -> tuple[str, ...]:
    """Verilog to synthesise, what is instantiated first."""
    return f"{x.module}.v", f"{x.wrapper}.v"


def memories(x: Exported) -> tuple[str, ...]:
    """Images of the memories, which ``rtl`` reads where ``read_from_files``."""
    return tuple(f"{MEMORIES}{name}" for name in x.memories)


def image(x: Exported) -> str:
    """weights.sterna under the block's name."""
    return f"{x.module}.sterna"


def bench(x: Exported) -> str:
    """The bench in Verilog."""
    return f"{BENCH}{x.wrapper}_tb.v"


def driver(x: Exported) -> str:
    """What clocks it in Verilator."""
    return f"{BENCH}{x.module}_main.cpp"


def bench_data(x: Exported) -> tuple[str, ...]:
    """What the bench reads: images, results."""
    return f"{BENCH}{x.module}_in.hex", f"{BENCH}{x.module}_out.hex"


def constraints(x: Exported) -> tuple[str, ...]:
    """For Vivado, out of context; for other tools."""
    return f"{x.module}.xdc", f"{x.module}.sdc"


def waivers(x: Exported) -> str:
    """What Verilator's lint leaves out, and why."""
    return f"{x.module}.vlt"


def software(x: Exported) -> tuple[str, ...]:
    """The C driver: registers, header, source."""
    return tuple(f"{SOFTWARE}{x.module}{end}" for end in ("_csr.h", ".h", ".c"))


def xgui(x: Exported) -> str:
    """Vivado's dialogue, of which there is nothing to ask."""
    return f"xgui/{x.module}_v{x.version.replace('.', '_')}.tcl"
