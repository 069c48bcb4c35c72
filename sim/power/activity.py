"""How often the nets of a design change while it computes images: run, written down, added up."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sterna.gen.build.folder import Build
from sterna.gen.device.family import TARGETS
from sterna.golden.coding import image_bits
from sterna.golden.device.weights_image import read_weights_image
from sterna.golden.result import Result
from sterna.sim.batch import BatchModel, BatchResult
from sterna.sim.netlist import netlist
from sterna.sim.power.cells import Place, driven, shortened, untraced
from sterna.sim.power.saif import Bit, bits
from sterna.sim.simulator import weight_writes
from sterna.sim.verilate import WRAPPER, batch_library

__all__ = ["FOLDER", "PATH", "Activity", "Part", "Recorded", "record"]

FOLDER = "power"
"""Of a build, where the files are."""
PATH = ("top", WRAPPER, "dut")
"""The design's instance in a SAIF."""
CLOCK = "clk"
_NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Recorded:
    """A run. saif: its file, from the first input word to the last output word of ``images``;
    verilog: the text that ran, ``models`` of its cells; interval: clocks from image to image, once
    the pipeline is full, None of few images."""

    saif: Path
    verilog: str
    models: tuple[tuple[str, str], ...]
    images: int
    clocks: int
    interval: float | None
    result: Result


@dataclass(frozen=True)
class Part:
    """Some bits of a design: what they are called together, how many, and their toggles."""

    name: str
    bits: int
    toggles: int


def record(build: Build, images: np.ndarray, of: str, target: str, clock_mhz: float) -> Recorded:
    """Run the Verilog of a build, or the netlist of it for ``target``, on images, back to back and
    never stalled, and leave ``power/<name>.saif`` or ``power/<name>_<target>.saif`` in the build;
    of the netlist also the netlist, whose longest names are other ones than yosys'.

    Weights that are loaded at run time are in their memories before the first image.

    Raises: SimulationError, ToolMissing, ToolFailed, FileError.
    """
    network, design = build.network, build.design
    rows = image_bits(network.input, images, network.steps)
    name = build.name if of == "rtl" else f"{build.name}_{target}"
    text, models = _sources(build, of, target)
    library = batch_library(text, build.name, (), models=models, optimize="none", wave="saif")
    words = 1 + network.shape[network.readout.name][0]
    # No seed: what is not written yet is 0, as it is after the configuration of most devices.
    model = BatchModel(library, (), design.axis_width // 8, words)
    if design.reloadable:
        image = read_weights_image(build.folder / "weights.sterna")
        for address, value in weight_writes(image, design.region_count):
            model.write(address, value)
    with build.held(FOLDER):
        folder = build.workshop(FOLDER)
        path, unfinished = folder / f"{name}.saif", folder / f"{name}.saif.part"
        try:
            model.open_wave(unfinished, _NO_LIMIT, "1ps", max(1, round(5e5 / clock_mhz)))
            done = model.run(rows, (), drain=0, watchdog=20_000 + 8 * design.interval)
            model.close_wave()
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        if of != "rtl":
            build.write(f"{FOLDER}/{name}.v", text)
    classes = (done.words[:, 0] & 0xFFFF).astype(np.int64)
    result = Result(done.words[:, 1:].view(np.int32), classes)
    return Recorded(path, text, models, len(rows), done.clocks_run, _interval(done), result)


def _sources(build: Build, of: str, target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    if of == "rtl":
        return build.made("verilog", build.verilog.name).decode(), ()
    found = netlist(build, target)
    return shortened(found.text), untraced(found.models)


def _interval(done: BatchResult) -> float | None:
    steady = done.interval[1:]  # third image on
    return float(steady.mean()) if steady.size else None


@dataclass(frozen=True)
class Activity:
    """The instances of a design: ``parts``, '' being what is in none; of a netlist ``cells``, the
    kinds of its cells (lut, ff ...) by what they drive, too. The clock's own toggles are no part.

    Of RTL every named bit of an instance and of all in it counts, a wire that goes through modules
    once in each; of a netlist every bit that a cell drives, once.
    """

    parts: tuple[Part, ...]
    cells: tuple[Part, ...] = ()

    @classmethod
    def of(cls, found: Recorded, target: str, first: Sequence[str]) -> "Activity":
        """From a run's file; ``first``: instances in the order wanted, before all others.
        FileError."""
        inside = (b for b in bits(found.saif) if b.scope[: len(PATH)] == PATH and b.name != CLOCK)
        by_part, by_kind = _Sums(), _Sums()
        if not found.models:
            for bit in inside:
                by_part.add(bit.scope[len(PATH)] if len(bit.scope) > len(PATH) else "", bit)
        else:
            kinds = _drivers(found, target)
            for bit in inside:
                kind = kinds.get((bit.name, bit.index)) if len(bit.scope) == len(PATH) else None
                if kind is not None:
                    head, dot, _ = bit.name.partition(".")
                    by_part.add(head if dot else "", bit)
                    by_kind.add(kind, bit)
        return cls(by_part.as_parts(first), by_kind.as_parts(TARGETS[target].counts))

    @property
    def whole(self) -> Part:
        """All parts together."""
        return Part("all", sum(p.bits for p in self.parts), sum(p.toggles for p in self.parts))


class _Sums:
    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._toggles: dict[str, int] = {}

    def add(self, name: str, bit: Bit) -> None:
        self._bits[name] = self._bits.get(name, 0) + 1
        self._toggles[name] = self._toggles.get(name, 0) + bit.toggles

    def as_parts(self, first: Iterable[str]) -> tuple[Part, ...]:
        wanted = [name for name in first if name in self._bits]
        rest = sorted(self._bits.keys() - set(wanted), key=lambda name: (name == "", name))
        return tuple(Part(n, self._bits[n], self._toggles[n]) for n in (*wanted, *rest))


def _drivers(found: Recorded, target: str) -> dict[Place, str]:
    """The kind of the cell that drives each bit of a netlist."""
    patterns = [(kind, p) for kind, cells in TARGETS[target].counts.items() for p in cells]
    kinds: dict[str, str] = {}
    of: dict[Place, str] = {}
    for cell, places in driven(found.verilog, found.models):
        if cell not in kinds:
            kinds[cell] = next((k for k, p in patterns if re.fullmatch(p, cell)), "other")
        of |= dict.fromkeys(places, kinds[cell])
    return of
