"""A file of waves that somebody asked for: checked first, made ready, with a save file."""

from collections.abc import Mapping, Sequence
from typing import Any

from sterna.gen.build.folder import Build
from sterna.golden.errors import UsageError
from sterna.golden.words import values
from sterna.golden.words.names import show
from sterna.golden.words.telling import tell
from sterna.sim.taps import Tap
from sterna.sim.verilate import check_trace
from sterna.sim.waves.layers import Signal, beside
from sterna.sim.waves.savefile import save_text, write_save

__all__ = ["ENGINES", "LIMIT", "Wave"]

ENGINES = ("batch", "cocotb")
LIMIT = 4 << 30
"""Bytes after which the batch engine writes no more."""


class Wave:
    """Waves of one simulation.

    Parameters
    ----------
    path : str or path
        Of the file, .vcd or .fst, in a folder that exists.
    engine : str
        Which simulates.

    Raises
    ------
    UsageError
        Another kind of file, no such folder, or an engine without waves.
    ToolMissing
        What .fst needs to be compiled is not there; names it.
    """

    def __init__(self, path: Any, engine: str):
        self.path = values.path("wave", path)
        self.kind = self.path.suffix.removeprefix(".").lower()
        if self.kind not in ("vcd", "fst"):
            raise UsageError(f"wave {show(str(path))} must end in .vcd or .fst")
        if engine not in ENGINES:
            raise UsageError(
                f"the {engine} engine writes no waves; use one of {', '.join(ENGINES)}, whose "
                "signals have names"
            )
        if not self.path.parent.is_dir():
            raise UsageError(f"wave {self.path}: there is no folder {self.path.parent}; make it")
        if self.path.is_dir():
            raise UsageError(f"wave {self.path}: is a folder; give the name of a file")
        check_trace(self.kind)
        self.few = 2  # images, unless somebody says: what they do fills megabytes
        self.save, self.kept = self.path.with_suffix(".gtkw"), False
        self._shown: Mapping[str, Sequence[Signal]] = {}

    def around(self, verilog: str, build: Build, taps: Sequence[Tap]) -> str:
        """The Verilog with layers beside the design, in module `sim.waves.layers.WAVES`."""
        cores = {core.target: core.name for core in build.design.cores if core.op == "conv"}
        text, self._shown = beside(verilog, build.name, build.network, taps, cores)
        return text

    def describe(self, scope: str) -> None:
        """Write the save file; ``scope``: path in the wave of the module with the layers."""
        self.kept = not write_save(self.save, save_text(self.path, scope, self._shown))
        if self.kept:
            tell(
                f"{self.save}: was edited by hand and is kept; for a new one, rename or remove it "
                "and run again"
            )

    @property
    def files(self) -> dict[str, Any]:
        """The wave, its save file, and whether that is one that somebody edited, which is kept."""
        return {"wave": str(self.path), "save_file": str(self.save), "save_file_kept": self.kept}
