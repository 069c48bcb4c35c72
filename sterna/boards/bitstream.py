"""The commands that make, change, check and load bitstreams; each as those of commands.py."""

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.commands.arguments import baud, out_file, whole
from sterna.gen.device.family import RESOURCES
from sterna.golden.errors import FileError
from sterna.golden.files.instead import instead

if TYPE_CHECKING:
    from sterna.gen.build.stages import Build, Options
    from sterna.gen.tools.progress import Progress

__all__ = ["add_parsers", "bitstream", "opened_for", "patch", "program", "verify_bitstream"]

Answer = tuple[dict[str, Any], str, int]


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser],
    staged: Callable[[str, str], argparse.ArgumentParser],
) -> None:
    """Add the parsers of these commands; ``staged`` makes one of a command that runs stages."""
    sub = staged("bitstream", "make the bitstream of a board (7-series: a Vivado project)")
    sub.add_argument("--board", help="ulx3s-85f, icebreaker ...; an unknown one lists them all")
    sub.add_argument("--baud", type=baud, default=1_000_000, help="of the serial port")
    sub.add_argument("--uart", metavar="RX,TX", help="pins of the FPGA or of connectors (io_0:1)")
    sub.add_argument(
        "--seeds",
        type=whole("placements", 1, 100),
        default=1,
        metavar="N",
        help="place N times, side by side where STERNA_JOBS allows, and keep the fastest",
    )
    sub.add_argument(
        "--no-output-registers",
        action="store_true",
        help="ECP5: move no flip-flops into block RAMs",
    )

    sub = command("patch", "put other weights of the same structure into a bitstream")
    sub.add_argument("folder", metavar="BUILD", help="build folder with a bitstream")
    sub.add_argument("weights", metavar="NEW.sterna", help="made by sterna pack --onto")
    sub.add_argument(
        "-o", "--output", type=out_file, metavar="FILE", help="instead of the build's bitstream"
    )

    sub = command("verify-bitstream", "unpack a bitstream and compare its memories")
    sub.add_argument("folder", metavar="BUILD", help="build folder with a bitstream")
    sub.add_argument("--weights", metavar="FILE.sterna", help="instead of the build's weights")
    sub.add_argument("--bitstream", metavar="FILE", help="instead of the build's bitstream")

    sub = command("program", "load a bitstream into a board")
    sub.add_argument("folder", metavar="BUILD", help="build folder with a bitstream")
    sub.add_argument("--bitstream", metavar="FILE", help="instead of the build's bitstream")
    sub.add_argument(
        "--flash", action="store_true", help="into the flash: the board has it after power-up"
    )


def bitstream(options: argparse.Namespace) -> Answer:
    """The bitstream of a board, or the Vivado project for it."""
    from sterna.gen.board.bitstream import BoardOptions
    from sterna.gen.board.for_board import board_of, for_board
    from sterna.gen.tools.progress import Progress

    chosen = BoardOptions(
        options.board,
        options.baud,
        tuple(options.uart.split(",")) if options.uart else (),
        seeds=options.seeds,
        output_registers=not options.no_output_registers,
    )
    where = board_of(chosen)
    progress = Progress()
    build, asked = opened_for(options, where.name, where.family, progress)
    facts = for_board(build, chosen, asked, progress)
    facts["wrote"] = [str(facts.get("project") or facts["bitstream"])]
    return facts, _project(facts) if "project" in facts else _text(facts), 0


def opened_for(
    options: argparse.Namespace, board: str, family: str, progress: "Progress"
) -> "tuple[Build, Options]":
    """The build and what is asked of it; an example is folded for the board's family."""
    import dataclasses

    from sterna.commands.networks import options_of
    from sterna.gen.build.stages import open_build

    built = open_build(options.folder, options.output, (board, family), progress)
    asked = options_of(options)
    if asked.family is None and (built.example is not None or not _folded(built)):
        asked = dataclasses.replace(asked, family=family)
    return built, asked


def _folded(built: "Build") -> bool:
    return (built.folder / "design.json").is_file()


def _project(facts: dict[str, Any]) -> str:
    return (
        f"{facts['project']}: for {facts['part']} at {facts['clock_mhz']:.3f} MHz (assumed clock), "
        f"{facts['images_per_second']:.0f} images a second\n"
        f"cd {shlex.quote(str(facts['project']))} && vivado -mode batch -source build.tcl"
    )


def _text(facts: dict[str, Any]) -> str:
    used = ", ".join(
        f"{have} of {most} {RESOURCES[name]}" for name, (have, most) in facts["used"].items()
    )
    fmax = ", ".join(f"{name} {mhz:.1f} MHz" for name, mhz in facts["fmax_mhz"].items())
    lines = [
        f"{facts['bitstream']}: for {facts['board']} ({facts['part']})",
        f"used       {used}",
        f"reached    {fmax}",
        f"clock      {facts['clock_mhz']:.3f} MHz from {facts['oscillator_mhz']:g} MHz",
        f"rate       {facts['images_per_second']:.0f} images a second at this placed clock, "
        f"{facts['interval']} clocks each",
        f"serial     {facts['baud']} baud",
        f"made by    {_tools(facts)}",
        *_places(facts),
    ]
    return "\n".join(lines)


def _tools(facts: dict[str, Any]) -> str:
    found = facts.get("tools") or {}
    return ", ".join(f"{n} {t['version']} ({t['kind']})" for n, t in found.items()) or "unknown"


def _places(facts: dict[str, Any]) -> list[str]:
    out = []
    for key, text in (
        ("in_block_ram", "in block RAM, can be patched:"),
        ("in_logic", "built of logic, cannot be patched:"),
        ("loaded_by_host", "written by sterna load:"),
    ):
        if facts.get(key):
            out.append(f"memories {text} {', '.join(facts[key])}")
    if facts.get("constant"):
        out.append(f"weights in the logic, no memory: {', '.join(facts['constant'])}")
    return out


def patch(options: argparse.Namespace) -> Answer:
    """Other weights into a bitstream, without synthesis."""
    from sterna.gen.board.patch import patch

    output = Path(options.output) if options.output else None
    facts = patch(_existing(options), options.weights, output)
    text = f"{facts['bitstream']}: holds weights_id {facts['weights_id']}"
    return facts | {"wrote": [str(facts["bitstream"])]}, text, 0


def verify_bitstream(options: argparse.Namespace) -> Answer:
    """Compare the memories in a bitstream; fails where one differs."""
    from sterna.gen.board.patch import verify

    path = Path(options.bitstream) if options.bitstream else None
    answer = verify(_existing(options), options.weights, path)
    lines = [f"{name}: equal, in block RAM" for name in answer["equal"]]
    lines += [f"{name}: {n} rows differ" for name, n in answer["different"].items()]
    lines += [f"{name}: bits {bits} are never read" for name, bits in answer["unread"].items()]
    lines += [f"{name}: not in block RAM, but in logic" for name in answer["in_logic"]]
    lines += [f"{name}: its weights are logic, not a memory" for name in answer["constant"]]
    lines += [f"{name}: empty until sterna load" for name in answer["loaded_by_host"]]
    if answer["weights_id"]:
        lines.append(f"weights_id {answer['weights_id']}")
        if answer["weights_id"] != (expected := answer["expected_weights_id"]):
            lines.append(f"it holds other weights than {expected}: name theirs with --weights")
    return answer, "\n".join(lines), 1 if answer["different"] else 0


def program(options: argparse.Namespace) -> Answer:
    """Load a bitstream into a connected board."""
    from sterna.gen.board.patch import made_bitstream, opened
    from sterna.gen.board.place import suffix
    from sterna.gen.board.programmer import program

    built = _existing(options)
    _, where = opened(built)
    default = built.folder / f"{built.name}{suffix(where)}"
    path = Path(options.bitstream) if options.bitstream else default
    if not options.bitstream and path.is_file():
        made_bitstream(built, path)
    said = program(where, path, options.flash)
    answer = {"board": where.name, "bitstream": str(path), "output": said}
    return answer, f"{path}: loaded into {where.name}", 0


def _existing(options: argparse.Namespace) -> "Build":
    from sterna.gen.build.stages import Build

    folder = Path(options.folder)
    if (refusal := instead(folder, "network")) is not None:
        raise FileError(refusal)
    if not (folder / "network.json").is_file() or not _folded(Build(folder)):
        line = f"sterna bitstream {shlex.quote(str(folder))} --board BOARD"
        raise FileError(f"{folder}: is no build folder; next: {line}")
    return Build(folder)
