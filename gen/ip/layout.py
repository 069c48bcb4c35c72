"""Where each file of an exported block is, said once: scripts and descriptions name no others."""

from sterna.gen.ip.exported import Exported

__all__ = [
    "BENCH",
    "COMPONENT",
    "MANIFEST",
    "README",
    "SOFTWARE",
    "amaranth",
    "bench",
    "bench_data",
    "constraints",
    "datasheet",
    "driver",
    "image",
    "litex",
    "memories",
    "rtl",
    "software",
    "timing",
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


def amaranth(x: Exported) -> str:
    """The block as a component of Amaranth. Named so that two blocks' can be imported at once."""
    return f"{x.module}_amaranth.py"


def litex(x: Exported) -> str:
    """The block as a module of LiteX."""
    return f"{x.module}_litex.py"


def datasheet(x: Exported) -> str:
    return f"{x.module}_datasheet.html"


def timing(x: Exported, key: str) -> tuple[str, str]:
    """A diagram of the datasheet: as WaveJSON, as a picture."""
    return f"timing/{x.module}_{key}.json", f"timing/{x.module}_{key}.svg"
