"""From a build to the bitstream of a board, its clock set to what place and route reached.

The design is synthesised, placed and routed once for all weights of its structure, with random
contents in its fixed memories; the PLL is then set to the highest frequency not above the one that
was reached, and the packed weights are written over the random contents (`gen.board.patch`). All
files are in the build folder's ``board/``; the bitstream is ``<name>.bit`` (ECP5) or
``<name>.bin``.
"""

import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sterna.gen.board.block_ram import Contents, find_columns, unclaimed
from sterna.gen.board.patch import fill_bitstream
from sterna.gen.board.pins import constraints, wrapper
from sterna.gen.board.place import (
    Placed,
    place_seeds,
    read_netlist,
    synthesise,
    utilisation,
)
from sterna.gen.board.place_record import keep_placed, placed_record
from sterna.gen.board.pll_bits import set_pll
from sterna.gen.board.too_big import too_big
from sterna.gen.build.folder import BOARD, PLACED
from sterna.gen.build.generator import generator_id
from sterna.gen.build.stages import Build, Options, stale
from sterna.gen.design.top_spec import IDENT_ROWS
from sterna.gen.device.boards import Board, board
from sterna.gen.device.family import RESOURCES, family_of
from sterna.gen.device.pll import PllSetting, highest, setting
from sterna.gen.tools.programs import ToolFailed, provenance
from sterna.gen.tools.progress import Progress, stretch
from sterna.gen.tools.slots import at_once
from sterna.gen.verilog.elaborate import filled_spec, verilog_text
from sterna.gen.verilog.memory_images import ident_image, memory_images
from sterna.gen.verilog.placeholders import Placeholders
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.files.disk import (
    canonical_json,
    sha256,
    write_atomic,
)
from sterna.golden.files.network_files import structure_id, weights_id
from sterna.hw.top.board_top import BoardTop, link_spec

__all__ = ["BoardOptions", "bitstream", "board_verilog", "divisor", "placeable", "steps"]

_YOSYS = 0.95  # share of yosys in the time until it is known what is used
BAUD_ERROR = 0.02  # a UART samples the last of ten bits within a quarter of its length


@dataclass(frozen=True)
class BoardOptions:
    """board: its name. uart: pins of rx and tx instead of the board's own. clock_mhz: what place
    and route aims at, None for the design's. seeds: how many placements are tried; the fastest is
    kept. output_registers: flip-flops may move into block RAMs (ECP5,
    `gen.tools.block_ram_registers`)."""

    board: str
    baud: int = 1_000_000
    uart: tuple[str, ...] = ()
    clock_mhz: float | None = None
    seeds: int = 1
    output_registers: bool = True


def divisor(where: Board, baud: int) -> int:
    """Clocks of the oscillator a bit. UsageError where no whole number comes near."""
    count = round(where.clock_hz / baud) if baud > 0 else 0
    if count < 4 or abs(where.clock_hz / count - baud) > BAUD_ERROR * baud:
        raise UsageError(
            f"{baud} baud cannot be made of {where.name}'s {where.clock_mhz:g} MHz; choose one of "
            f"{', '.join(str(b) for b in _bauds(where))}"
        )
    return count


def _bauds(where: Board) -> list[int]:
    usual = (3_000_000, 2_000_000, 1_000_000, 921_600, 460_800, 230_400, 115_200)
    return [
        baud
        for baud in usual
        if (n := round(where.clock_hz / baud)) >= 4
        and abs(where.clock_hz / n - baud) <= BAUD_ERROR * baud
    ]


def board_verilog(build: Build, where: Board, baud: int, contents: bool | Placeholders) -> str:
    """Verilog of the board top (``<name>_board``: network, link and UART) of a build."""
    where.check_takes(build.design.family)
    spec = filled_spec(build.network, build.design, contents=contents)
    top = BoardTop(spec, link_spec(spec, where.family, divisor(where, baud)))
    return verilog_text(top, f"{build.name}_board")


def bitstream(
    build: Build, options: BoardOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Make ``<name>.bit`` or ``.bin`` in the build folder; returns the facts about it.

    DesignError where the design does not fit, naming the largest layer, or is slower than the
    slowest clock the board can have.
    """
    progress = progress or Progress(quiet=True)
    where = board(options.board, options.uart)
    if family_of(where.family).nextpnr is None:
        raise UsageError(f"{where.name} needs Vivado; sterna writes a project folder for it")
    folder = build.folder / BOARD
    with build.held(BOARD):
        record = placed_record(folder)
        if record is None or record["inputs"] != _inputs(build, options, where, record["logic"]):
            if record is None and (folder / PLACED).exists():
                progress.note(f"{folder}: was not placed by this installation; made again")
            progress.expect(3)
            build.workshop(BOARD)
            (folder / PLACED).unlink(missing_ok=True)
            record = _Flow(build, options, where, folder, progress).run()
            record["inputs"] = _inputs(build, options, where, record["logic"])
            keep_placed(folder, record)
        images = memory_images(build.network, build.design)
        with progress.step("weights into the bitstream"):
            return fill_bitstream(build, where, record, images, ident_image(build.network, images))


def placeable(build: Build, options: BoardOptions) -> tuple[Path, float]:
    """Synthesise a build for a board as `bitstream` begins: (the folder with the netlist and the
    pins, for `gen.board.place.place`; the MHz to aim at). DesignError where it does not fit; no
    other folding is looked for then."""
    where, folder = board(options.board, options.uart), build.folder / BOARD
    if family_of(where.family).nextpnr is None:
        raise UsageError(f"{where.name} is placed by Vivado; choose a board with an open flow")
    build.workshop(BOARD)
    flow = _Flow(build, options, where, folder, Progress(quiet=True), advises=False)
    return folder, flow.synthesised()[1]


def steps(build: Build, options: BoardOptions, where: Board, asked: Options | None) -> int:
    """How many `bitstream` takes once the build's stages have run."""
    record = placed_record(build.folder / BOARD)
    if record is None or "fold" in stale(build, "pack", asked):
        return 3
    return 1 if record["inputs"] == _inputs(build, options, where, record["logic"]) else 3


def _inputs(build: Build, options: BoardOptions, where: Board, logic: Collection[str]) -> str:
    """Hash of all that place and route depends on. The weights are not among it, but for the fixed
    memories that had to be built of ``logic``."""
    versions = _tools(where)
    images = memory_images(build.network, build.design)
    rows = {i.name: sha256(repr(i.rows).encode()) for i in images if i.name in logic}
    body = [
        asdict(options),
        asdict(where),
        versions,
        generator_id(),
        rows,
        structure_id(build.network, build.design.to_json()),
    ]
    return sha256(canonical_json(body).encode())


def _tools(where: Board) -> dict[str, dict[str, str]]:
    how = family_of(where.family).nextpnr
    return provenance("yosys", *([how.program] if how else []))


@dataclass
class _Flow:
    """One run of synthesis, place and route. advises: looks for a smaller folding where it does not
    fit."""

    build: Build
    options: BoardOptions
    where: Board
    folder: Path
    progress: Progress
    advises: bool = True

    def run(self) -> dict[str, Any]:
        """The record, without ``inputs``."""
        where = self.where
        pll, target, logic = self.synthesised()
        placed = self._place(target)
        new = highest(where.family, where.clock_hz, placed.fmax_mhz["sync"] * 1e6)
        if new is None and where.clock_mhz <= placed.fmax_mhz["sync"]:
            # The PLL is too fast for it and the oscillator is not.
            self.progress.expect(3)
            pll, target = None, where.clock_mhz
            logic = self._synthesise(pll, target)
            placed = self._place(target)
        elif new is None:
            raise DesignError(
                f"{self.build.name}: reaches {placed.fmax_mhz['sync']:.1f} MHz, which is below the "
                f"slowest clock of {where.name}; fold it smaller, for fewer images a second: "
                f"sterna fold {self.build.folder} --board {where.name} --fps N"
            )
        self._check_clocks(placed)
        text, mhz = placed.text, where.clock_mhz
        if pll is not None and new is not None:
            text, mhz = set_pll(text, where, pll, new, self.folder), new.mhz
            self._write_pins(new, target)  # as built, for whoever reads or simulates it
        write_atomic(self.folder / "placeholder.txt", text.encode())
        memories = self._placeholders(logic)
        contents = Contents(text, where.family)
        columns = find_columns(contents, memories)
        if lost := unclaimed(contents, columns):
            raise DesignError(
                f"{self.build.name}: block RAM {lost[0]} holds a memory in a layout that is not "
                "known, so weights cannot be put there; fold it with --memory ram, and report this"
            )
        return {
            "files": {"placeholder.txt": sha256(text.encode())},
            "options": asdict(self.options),
            "structure_id": structure_id(self.build.network, self.build.design.to_json()),
            "weights_id": weights_id(self.build.network),
            "logic": sorted(logic),
            "columns": [list(asdict(c).values()) for c in columns],
            "clock_mhz": mhz,
            "pll": None if pll is None or new is None else new.parameters,
            "fmax_mhz": placed.fmax_mhz,
            "used": {k: list(v) for k, v in placed.used.items()},
            "tools": _tools(where),
        }

    def synthesised(self) -> tuple[PllSetting | None, float, set[str]]:
        """The netlist for the clock that the design is for: its PLL, its MHz, the memories in
        logic."""
        target = self.options.clock_mhz or self.build.design.clock_mhz
        pll = setting(self.where.family, self.where.clock_hz, target * 1e6)
        return pll, target, self._synthesise(pll, target)

    def _write_pins(self, pll: PllSetting | None, target: float) -> None:
        where, inner = self.where, f"{self.build.name}_board"
        write_atomic(self.folder / "pins.v", wrapper(where, inner, pll).encode())
        suffix, rules = constraints(where, target, pll is not None)
        write_atomic(self.folder / f"pins{suffix}", rules.encode())

    def _synthesise(self, pll: PllSetting | None, target: float) -> set[str]:
        """Verilog and netlist; returns the memories that had to be built of logic because the block
        RAMs were used up."""
        self._write_pins(pll, target)
        logic: set[str] = set()
        while True:
            with self.progress.step("synthesis"):
                what = self._what(logic)
                text = board_verilog(self.build, self.where, self.options.baud, what)
                write_atomic(self.folder / "board.v", text.encode())
                with stretch(0.0, _YOSYS):
                    netlist = self._netlist(self.folder)
                with stretch(_YOSYS, 1.0):
                    used = utilisation(self.folder, self.where)
            over = used["bram"][0] - used["bram"][1]
            candidates = self._least_bits(logic)
            if over > 0 and candidates:
                logic.add(candidates[0])
                self.progress.total += 1
                continue
            lacking = {k: v for k, v in used.items() if v[0] > v[1]}
            if lacking and not self.advises:
                said = ", ".join(f"{a} of {b} {RESOURCES[k]}" for k, (a, b) in lacking.items())
                raise DesignError(f"{self.build.name}: takes {said} of {self.where.name}")
            if lacking:
                raise too_big(self.build, self.where, netlist, used, self._try)
            return logic

    def _netlist(self, folder: Path) -> dict[str, Any]:
        moves = self.options.output_registers
        return synthesise(folder, self.where, ["board.v", "pins.v"], moves)

    def _what(self, logic: set[str]) -> Placeholders:
        seed = structure_id(self.build.network, self.build.design.to_json())
        return Placeholders(seed, self.where.family, frozenset(logic))

    def _least_bits(self, logic: set[str]) -> list[str]:
        """Fixed memories that could leave the block RAMs, the smallest first."""
        images = memory_images(self.build.network, self.build.design)
        free = [i for i in images if i.region is None and i.name not in logic]
        return [i.name for i in sorted(free, key=lambda i: i.depth * i.width)]

    def _placeholders(self, logic: set[str]) -> dict[str, tuple[int, Sequence[int]]]:
        what = self._what(logic)
        images = memory_images(self.build.network, self.build.design)
        fixed = [i for i in images if i.region is None]
        out: dict[str, tuple[int, Sequence[int]]] = {
            i.name: (i.width, what.rows(i.name, i.depth, i.width))
            for i in fixed
            if i.name not in logic
        }
        if fixed:
            out["ident"] = (32, what.rows("ident", IDENT_ROWS, 32))
        return out

    def _place(self, target: float) -> Placed:
        seeds = self.options.seeds
        several = f"seeds 1 to {seeds}, {min(at_once(), seeds)} at once"
        with self.progress.step(f"place and route, {several if seeds > 1 else 'seed 1'}"):
            try:
                return place_seeds(self.folder, self.where, seeds, target)
            except ToolFailed as error:
                if not re.search("legal placement|failed to place|no BELs", str(error)):
                    raise
                netlist = read_netlist(self.folder)
                used = utilisation(self.folder, self.where)
                raise too_big(self.build, self.where, netlist, used, self._try) from None

    def _check_clocks(self, placed: Placed) -> None:
        if placed.fmax_mhz["uart"] < self.where.clock_mhz:
            raise DesignError(
                f"{self.build.name}: the UART reaches {placed.fmax_mhz['uart']:.1f} MHz and the "
                f"oscillator of {self.where.name} has {self.where.clock_mhz:g} MHz; try --seeds 4"
            )

    def _try(self, smaller: Build) -> dict[str, tuple[int, int]]:
        """What another folding would use."""
        trial = self.build.workshop(f"{BOARD}/smaller")
        flow = _Flow(smaller, self.options, self.where, trial, self.progress)
        flow._write_pins(setting(self.where.family, self.where.clock_hz, 20e6), 20.0)
        with self.progress.step("a smaller folding"):
            text = board_verilog(smaller, self.where, self.options.baud, flow._what(set()))
            write_atomic(trial / "board.v", text.encode())
            self._netlist(trial)
            used = utilisation(trial, self.where)
        shutil.rmtree(trial)
        return used
