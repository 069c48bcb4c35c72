"""yosys, nextpnr and the packers for a board: from Verilog to a bitstream and back to text.

The files of one folder, by name: ``*.v`` and ``pins.lpf|.pcf`` in, ``netlist.json`` between,
``placed.config|.asc`` (text of the configuration) and ``placed.json`` (nextpnr's report) out.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sterna.gen.board.pins import TOP
from sterna.gen.device.boards import Board
from sterna.gen.device.family import TARGETS, Nextpnr, family_of
from sterna.gen.tools.block_ram_registers import use_output_registers
from sterna.gen.tools.kept_runs import run_kept
from sterna.gen.tools.programs import Stop, ToolFailed, side_by_side
from sterna.gen.tools.yosys import LARGEST, reading
from sterna.golden.files.disk import read_bytes, read_text, write_atomic

__all__ = [
    "LARGEST",
    "Placed",
    "pack",
    "place",
    "place_seeds",
    "read_netlist",
    "suffix",
    "synthesise",
    "unpack",
    "utilisation",
]

# Names that yosys and nextpnr give the net of the oscillator; that of the PLL has others.
_OSCILLATOR = re.compile(r"^(\$glbnet\$)?(clk|clk\$\w+|clk_uart|(\w+\.)*uart_clk)$")


@dataclass(frozen=True)
class Placed:
    """text: of the configuration. fmax_mhz: of clocks ``sync`` and ``uart`` (both the same where
    there is no PLL). used: resource -> (used, available)."""

    text: str
    fmax_mhz: dict[str, float]
    used: dict[str, tuple[int, int]]


def suffix(board: Board) -> str:
    """Of a bitstream."""
    return _nextpnr(board).bits


def _nextpnr(board: Board) -> Nextpnr:
    how = family_of(board.family).nextpnr
    assert how is not None, f"{board.name} has a flow of its maker"
    return how


def _rules(board: Board) -> str:
    return f"pins{family_of(board.family).constraints}"


def synthesise(
    folder: Path,
    board: Board,
    sources: Sequence[str],
    output_registers: bool = True,
    free_ends: bool = True,
) -> dict[str, Any]:
    """Verilog to ``netlist.json``; returns it. ``output_registers``: flip-flops may move into block
    RAMs (`gen.tools.block_ram_registers`). ``free_ends``: it is for nextpnr, carry chains may have
    open ends (`Synthesis.free_ends`)."""
    command = TARGETS[board.family].board.format(kind=_nextpnr(board).kinds.get(board.device))
    script, reads = reading(folder, sources, board.family)
    script.append(f"{command} -top {TOP} -json netlist.json")
    write_atomic(folder / "synth.ys", ("\n".join(script) + "\n").encode())
    run_kept(
        "yosys",
        ["-Q", "-s", "synth.ys"],
        folder,
        reads=["synth.ys", *reads],
        makes=["netlist.json"],
        log="synth.log",
    )
    if family_of(board.family).registers and output_registers:
        use_output_registers(folder / "netlist.json", TOP)
    free = TARGETS[board.family].free_ends
    if free is not None and free_ends:
        free(folder / "netlist.json", TOP)
    return read_netlist(folder)


def read_netlist(folder: Path) -> dict[str, Any]:
    """The netlist that `synthesise` left. yosys wrote it: it is as deep and long as it likes."""
    return json.loads(read_bytes(folder / "netlist.json", LARGEST, "run the command again"))


def _arguments(board: Board) -> list[str]:
    rules, how = _rules(board), _nextpnr(board)
    out = [f"--{board.device}", "--package", board.package, f"--{rules.rpartition('.')[2]}", rules]
    if how.speed:
        out += ["--speed", board.speed]
    return [*out, *how.options, "--json", "netlist.json", "--timing-allow-fail"]


def utilisation(folder: Path, board: Board) -> dict[str, tuple[int, int]]:
    """Resource -> (used, available) after packing, without placement: also of what is too big."""
    arguments = [*_arguments(board), "--pack-only"]
    how = _nextpnr(board)
    done = run_kept(
        how.program, arguments, folder, reads=["netlist.json", _rules(board)], log="used.log"
    )
    found = {}
    for name, cell in how.cells.items():
        match = re.search(rf"{cell}:\s*(\d+)/\s*(\d+)", done.text)
        if match is None:
            raise ToolFailed(
                f"{how.program} does not say how many {cell} are used; see {folder / 'used.log'}"
            )
        found[name] = (int(match[1]), int(match[2]))
    return found


def place_seeds(folder: Path, board: Board, seeds: int, target_mhz: float = 20.0) -> Placed:
    """The fastest of placements with seeds 1 to ``seeds``, of equal ones the first; as many at once
    as there are slots, each in a folder of its own. ToolFailed as `place`."""
    if seeds == 1:
        return place(folder, board, 1, target_mhz)
    folders = [folder / f"seed_{n}" for n in range(1, seeds + 1)]
    for one in folders:
        one.mkdir(exist_ok=True)
        for name in ("netlist.json", _rules(board)):
            shutil.copyfile(folder / name, one / name)
    made = side_by_side(
        [
            lambda stop, n=n, one=one: place(one, board, n, target_mhz, stop)
            for n, one in enumerate(folders, 1)
        ]
    )
    best = max(range(seeds), key=lambda n: (made[n].fmax_mhz["sync"], -n))
    for name in (f"placed.{_nextpnr(board).text}", "placed.json", "place.log"):
        shutil.copyfile(folders[best] / name, folder / name)
    for one in folders:
        shutil.rmtree(one)
    return made[best]


def place(
    folder: Path, board: Board, seed: int, target_mhz: float = 20.0, stop: Stop | None = None
) -> Placed:
    """Place and route ``netlist.json``; the sync clock aims at ``target_mhz``.

    ToolFailed where there is no legal placement, though less is used than there is.
    """
    how = _nextpnr(board)
    text = f"placed.{how.text}"
    # The net of the PLL may have another name than the constraints give: this holds for all.
    arguments = [
        *_arguments(board),
        "--freq",
        f"{target_mhz:.6f}",
        "--seed",
        str(seed),
        how.text_option,
        text,
        "--report",
        "placed.json",
    ]
    run_kept(
        how.program,
        arguments,
        folder,
        reads=["netlist.json", _rules(board)],
        makes=[text, "placed.json"],
        log="place.log",
        stop=stop,
    )
    report = json.loads(read_bytes(folder / "placed.json", LARGEST, "run the command again"))
    fmax = {name: float(entry["achieved"]) for name, entry in report["fmax"].items()}
    uart = [mhz for name, mhz in fmax.items() if _OSCILLATOR.search(name)]
    sync = [mhz for name, mhz in fmax.items() if not _OSCILLATOR.search(name)]
    clocks = {"sync": min(sync or uart), "uart": min(uart or sync)}
    used = {
        name: (report["utilization"][cell]["used"], report["utilization"][cell]["available"])
        for name, cell in how.cells.items()
    }
    return Placed(read_text(folder / text, LARGEST), clocks, used)


def pack(folder: Path, board: Board, text: str, name: str) -> bytes:
    """The bitstream of a configuration's text; also left in ``folder`` as ``name`` + suffix."""
    how = _nextpnr(board)
    source, bits = f"{name}.{how.text}", f"{name}{how.bits}"
    write_atomic(folder / source, text.encode())
    _convert(how.pack, folder, source, bits, "pack.log", made=bits)
    return read_bytes(folder / bits, LARGEST)


def unpack(folder: Path, board: Board, bitstream: bytes) -> str:
    """The configuration's text in a bitstream."""
    how = _nextpnr(board)
    bits, out = f"unpacked{how.bits}", f"unpacked.{how.text}"
    write_atomic(folder / bits, bitstream)
    _convert(how.unpack, folder, out, bits, "unpack.log", made=out)
    return read_text(folder / out, LARGEST)


def _convert(
    command: Sequence[str], folder: Path, text: str, bits: str, log: str, *, made: str
) -> None:
    program, *arguments = ({"TEXT": text, "BITS": bits}.get(word, word) for word in command)
    read = bits if made == text else text
    run_kept(program, arguments, folder, reads=[read], makes=[made], log=log)
