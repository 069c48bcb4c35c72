"""An exported block and its datasheet: what is known of its build, a simulation of its ports."""

import shlex

from sterna.gen.build.report import report
from sterna.gen.build.stages import Build
from sterna.gen.ip.datasheet import datasheet
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.folder import export
from sterna.gen.ip.wrapper import wrapper
from sterna.gen.timing.diagrams import diagrams
from sterna.gen.tools.cache import Cache
from sterna.gen.tools.progress import tell, waiting
from sterna.golden.errors import ToolMissing
from sterna.golden.files.disk import StrPath
from sterna.sim.waves.scenes import sampled

__all__ = ["datasheet_files", "export_block"]

COMMAND = "sterna export BUILD --ip DIR"
"""What makes the datasheet anew; no file of a block names a place of this machine."""


def export_block(build: Build, folder: StrPath, timing: bool = True) -> dict[str, bytes]:
    """Write the block of a build that has its Verilog, as `gen.ip.folder.export`, with its
    datasheet; ``timing`` and further errors as `datasheet_files`."""
    return export(build, folder, lambda block: datasheet_files(build, block, timing))


def datasheet_files(
    build: Build, block: Exported, timing: bool = True, *, store: Cache | None = None
) -> dict[str, str]:
    """The page and its diagrams, by their names in the exported folder.

    Args:
        timing: whether there are diagrams, which a simulation makes. Where there is no simulator
            there are none, the page says why, and so is who asked.
        store: where compiled models are kept.

    Raises:
        SimulationError: the simulated block does not do what the golden model does.
        ToolFailed: Verilator or the compiler.
    """
    why, drawn = "it was not asked for", []
    if timing:
        try:
            with waiting(f"{block.wrapper}: its Verilog is compiled by Verilator, once"):
                samples = sampled(block, block.verilog + wrapper(block), store=store)
            drawn = diagrams(samples)
        except ToolMissing as missing:
            why = str(missing)
            tell(f"the datasheet has no timing diagrams: {why}")
    answer = report(build)
    here = shlex.quote(str(build.folder))
    commands = {k: line.replace(here, "BUILD") for k, line in answer["commands"].items()}
    return datasheet(block, answer | {"commands": commands}, drawn, why, COMMAND)
