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
from sterna.gen.tools.block_ram_registers import use_output_registers
from sterna.gen.tools.programs import Stop, ToolFailed, run_tool, side_by_side
from sterna.gen.tools.yosys import PLACER_ECP5
from sterna.golden.disk import read_bytes, read_text, write_atomic

__all__ = [
    "LARGEST",
    "Placed",
    "SUFFIX",
    "pack",
    "place",
    "place_seeds",
    "read_netlist",
    "synthesise",
    "unpack",
    "utilisation",
]

SUFFIX = {"ecp5": ".bit", "ice40": ".bin"}
"""Of a bitstream."""
LARGEST = 1 << 31
"""Bytes of a file that a program of the flow writes."""
_TEXT = {"ecp5": "config", "ice40": "asc"}
_RULES = {"ecp5": ("--lpf", "pins.lpf"), "ice40": ("--pcf", "pins.pcf")}
# Eight flip-flops of an iCE40 tile share an enable: small groups with one of their own leave cells
# empty (digits on an UP5K: 282 groups, and no legal placement at 93%; so 135 and 92%).
_SYNTH = {"ecp5": "synth_ecp5", "ice40": "synth_ice40 -device {kind} -dffe_min_ce_use 5"}
# Names that yosys and nextpnr give the net of the oscillator; that of the PLL has others.
_OSCILLATOR = re.compile(r"^(\$glbnet\$)?(clk|clk\$\w+|clk_uart|(\w+\.)*uart_clk)$")
NAMES = {
    "ecp5": {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "bram": "DP16KD"},
    "ice40": {"lut": "ICESTORM_LC", "bram": "ICESTORM_RAM"},
}
"""What the resources are called by nextpnr (a logic cell of iCE40 is a LUT and a flip-flop)."""


@dataclass(frozen=True)
class Placed:
    """text: of the configuration. fmax_mhz: of clocks ``sync`` and ``uart`` (both the same where
    there is no PLL). used: resource -> (used, available)."""

    text: str
    fmax_mhz: dict[str, float]
    used: dict[str, tuple[int, int]]


def synthesise(
    folder: Path, board: Board, sources: Sequence[str], output_registers: bool = True
) -> dict[str, Any]:
    """Verilog to ``netlist.json``; returns it. ``output_registers``: flip-flops may move into block
    RAMs (`gen.tools.block_ram_registers`)."""
    kind = "u" if board.device == "up5k" else "hx"
    command = _SYNTH[board.family].format(kind=kind)
    script = [f"read_verilog {' '.join(sources)}", f"{command} -top {TOP} -json netlist.json"]
    write_atomic(folder / "synth.ys", ("\n".join(script) + "\n").encode())
    run_tool("yosys", ["-Q", "-s", "synth.ys"], folder, log="synth.log")
    if board.family == "ecp5" and output_registers:
        use_output_registers(folder / "netlist.json", TOP)
    return read_netlist(folder)


def read_netlist(folder: Path) -> dict[str, Any]:
    """The netlist that `synthesise` left. yosys wrote it: it is as deep and long as it likes."""
    return json.loads(read_bytes(folder / "netlist.json", LARGEST, "run the command again"))


def _arguments(board: Board) -> list[str]:
    out = [f"--{board.device}", "--package", board.package, *_RULES[board.family]]
    if board.family == "ecp5":
        out += ["--speed", board.speed, *PLACER_ECP5]
    return [*out, "--json", "netlist.json", "--timing-allow-fail"]


def utilisation(folder: Path, board: Board) -> dict[str, tuple[int, int]]:
    """Resource -> (used, available) after packing, without placement: also of what is too big."""
    arguments = [*_arguments(board), "--pack-only"]
    done = run_tool(f"nextpnr-{board.family}", arguments, folder, log="used.log")
    found = {}
    for name, cell in NAMES[board.family].items():
        match = re.search(rf"{cell}:\s*(\d+)/\s*(\d+)", done.text)
        if match is None:
            raise ToolFailed(
                f"nextpnr-{board.family} does not say how many {cell} are used; see "
                f"{folder / 'used.log'}"
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
        for name in ("netlist.json", _RULES[board.family][1]):
            shutil.copyfile(folder / name, one / name)
    made = side_by_side(
        [
            lambda stop, n=n, one=one: place(one, board, n, target_mhz, stop)
            for n, one in enumerate(folders, 1)
        ]
    )
    best = max(range(seeds), key=lambda n: (made[n].fmax_mhz["sync"], -n))
    for name in (f"placed.{_TEXT[board.family]}", "placed.json", "place.log"):
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
    text = f"placed.{_TEXT[board.family]}"
    out = "--textcfg" if board.family == "ecp5" else "--asc"
    # The net of the PLL may have another name than the constraints give: this holds for all.
    arguments = [
        *_arguments(board),
        "--freq",
        f"{target_mhz:.6f}",
        "--seed",
        str(seed),
        out,
        text,
        "--report",
        "placed.json",
    ]
    run_tool(f"nextpnr-{board.family}", arguments, folder, log="place.log", stop=stop)
    report = json.loads(read_bytes(folder / "placed.json", LARGEST, "run the command again"))
    fmax = {name: float(entry["achieved"]) for name, entry in report["fmax"].items()}
    uart = [mhz for name, mhz in fmax.items() if _OSCILLATOR.search(name)]
    sync = [mhz for name, mhz in fmax.items() if not _OSCILLATOR.search(name)]
    clocks = {"sync": min(sync or uart), "uart": min(uart or sync)}
    used = {
        name: (report["utilization"][cell]["used"], report["utilization"][cell]["available"])
        for name, cell in NAMES[board.family].items()
    }
    return Placed(read_text(folder / text, LARGEST), clocks, used)


def pack(folder: Path, board: Board, text: str, name: str) -> bytes:
    """The bitstream of a configuration's text; also left in ``folder`` as ``name`` + suffix."""
    source, bits = f"{name}.{_TEXT[board.family]}", f"{name}{SUFFIX[board.family]}"
    write_atomic(folder / source, text.encode())
    if board.family == "ecp5":
        run_tool(
            "ecppack", ["--compress", "--input", source, "--bit", bits], folder, log="pack.log"
        )
    else:
        run_tool("icepack", [source, bits], folder, log="pack.log")
    return read_bytes(folder / bits, LARGEST)


def unpack(folder: Path, board: Board, bitstream: bytes) -> str:
    """The configuration's text in a bitstream."""
    bits, out = f"unpacked{SUFFIX[board.family]}", f"unpacked.{_TEXT[board.family]}"
    write_atomic(folder / bits, bitstream)
    if board.family == "ecp5":
        run_tool("ecpunpack", ["--input", bits, "--textcfg", out], folder, log="unpack.log")
    else:
        run_tool("iceunpack", [bits, out], folder, log="unpack.log")
    return read_text(folder / out, LARGEST)
