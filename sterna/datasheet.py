"""The datasheet of an exported block: what is known of its build, and a simulation of its ports."""

from sterna.gen.build.report import report
from sterna.gen.build.stages import Build
from sterna.gen.ip.datasheet import datasheet
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.wrapper import wrapper
from sterna.gen.timing.diagrams import diagrams
from sterna.gen.tools.cache import Cache
from sterna.gen.tools.progress import waiting
from sterna.golden.errors import ToolMissing
from sterna.sim.waves.scenes import sampled

__all__ = ["datasheet_files"]


def datasheet_files(
    build: Build, block: Exported, command: str, *, store: Cache | None = None
) -> dict[str, str]:
    """The page and its diagrams, by their names in the exported folder.

    Where there is no simulator the page says so, and which ``command`` makes the diagrams.

    Raises:
        SimulationError: the simulated block does not do what the golden model does.
        ToolFailed: Verilator or the compiler.
    """
    why, drawn = "", []
    try:
        with waiting(f"{block.wrapper}: its Verilog is compiled by Verilator, once"):
            samples = sampled(block, block.verilog + wrapper(block), store=store)
        drawn = diagrams(samples)
    except ToolMissing as missing:
        why = str(missing)
    return datasheet(block, report(build), drawn, why, command)
