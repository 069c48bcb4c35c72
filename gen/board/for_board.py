"""A build made ready for a board: a bitstream by nextpnr, or a project for Vivado."""

import contextlib
from typing import Any

from sterna.gen.board.bitstream import BoardOptions, bitstream, divisor, steps
from sterna.gen.board.vivado import write_project
from sterna.gen.board.zynq import write_zynq
from sterna.gen.build.folder import Build
from sterna.gen.build.stages import Options, ensure
from sterna.gen.device.boards import BOARDS, Board, board
from sterna.gen.device.family import family_of
from sterna.gen.tools.programs import find
from sterna.gen.tools.progress import Progress, progress_of
from sterna.golden.errors import FileError, UsageError

__all__ = ["board_of", "for_board"]


def board_of(options: BoardOptions) -> Board:
    """The board, with all refused that can be before the first stage: UsageError for a board or a
    rate of the serial line that there is none of, ToolMissing."""
    if not options.board:
        raise UsageError(f"give the board with --board: one of {', '.join(BOARDS)}")
    where = board(options.board, options.uart)
    if not where.zynq:
        divisor(where, options.baud)
    elif options.baud != BoardOptions.baud:
        raise UsageError(f"{where.name}: it has no serial line; leave --baud out")
    placer = family_of(where.family).nextpnr
    for name in placer.programs if placer else ():
        find(name)
    return where


def for_board(
    build: Build,
    options: BoardOptions,
    asked: Options | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run what is missing of a build's stages and make what ``options`` say; returns the facts
    about it, with ``bitstream`` or, where Vivado makes that, ``project``. Without ``asked`` a
    design that is there stays, and one that is not is folded for the board's family.

    Errors as of `board_of`, of `ensure` and of `bitstream`.
    """
    progress = progress_of(progress)
    where = board_of(options)
    _check_family(build, where, asked)
    if asked is None and not (build.folder / "design.json").is_file():
        asked = Options(family=where.family)
    vivado = family_of(where.family).nextpnr is None
    progress.expect(1 if vivado else steps(build, options, where, asked))
    built = ensure(build, "verilog" if where.zynq else "pack", asked, progress=progress)
    if where.zynq:
        with progress.step("Vivado project"):
            facts = write_zynq(built, where)
    elif vivado:
        with progress.step("Vivado project"):
            facts = write_project(built, where, options.baud)
    else:
        facts = bitstream(built, options, progress)
    return {"build": str(built.folder), **facts}


def _check_family(build: Build, where: Board, asked: Options | None) -> None:
    """DesignError where the design is, or is to be, folded for a family that the board is not of;
    before minutes go into its Verilog."""
    family = asked.family if asked is not None else None
    if family is None and (build.folder / "design.json").is_file():
        with contextlib.suppress(FileError):  # of a damaged one the stages say what is wrong
            family = build.design.family
    if family is not None:
        where.check_takes(family)
