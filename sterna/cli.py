"""The command ``sterna``: reads arguments, calls one function, prints its result.

Nothing of weight is imported before a command is chosen, so ``sterna --help`` is quick.
"""

import argparse
import contextlib
import errno
import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Sequence

from sterna.arguments import file_name, megahertz, minutes, rate, seed, tolerance
from sterna.golden.errors import SternaError, UsageError

__all__ = ["main", "parser"]

MODULES = (
    "sterna.bitstream_commands", "sterna.board_commands", "sterna.boardsim_command",
    "sterna.search_command",
)  # fmt: skip
"""Modules with further commands: ``add_parsers`` and a function for each."""

_INTERRUPTED = 130  # what shells give for Ctrl-C


def parser() -> argparse.ArgumentParser:
    """The argument parser of every command."""
    top = argparse.ArgumentParser(
        prog="sterna",
        description="Ternary and binary spiking ConvNets to FPGA designs that compute the same.",
        epilog="A command given an example folder builds what it needs into build/<name>.",
    )
    top.add_argument("--version", action="store_true", help="print the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    module = "sterna.commands"  # holds the functions of the commands added next

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(module=module)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        return sub

    def staged(name: str, text: str) -> argparse.ArgumentParser:
        sub = command(name, text)
        sub.add_argument("folder", metavar="BUILD", help="build folder, or a folder with a network")
        sub.add_argument("-o", "--output", help="build folder (default build/<name>)")
        _folding(sub)
        return sub

    sub = command("train", "train a network by a recipe")
    sub.add_argument("recipe", metavar="RECIPE", help="recipe file, or a folder that holds one")
    sub.add_argument("-o", "--output", required=True, metavar="RUN", help="run folder")
    sub.add_argument("--max-minutes", type=minutes, help="stop after so long; run again to go on")
    sub.add_argument("--seed", type=seed, help="instead of the recipe's seed")
    sub.add_argument("--data", help="instead of the recipe's data set")
    sub.add_argument(
        "--untrained", action="store_true",
        help="keep the random weights and only measure the batch norms on some images",
    )

    sub = command("quantize", "turn a trained float network into an integer network")
    sub.add_argument("source", metavar="RUN|FLOAT.json", help="run folder or float network")
    sub.add_argument("-o", "--output", required=True, metavar="BUILD", help="build folder")
    sub.add_argument("--data", help="data set for calibration (default: the run's)")
    sub.add_argument("--images", type=_count, default=256, metavar="N", help="calibration images")
    sub.add_argument(
        "--leak-tolerance", type=tolerance, default=0.0, metavar="D",
        help="move leaks by up to this much to a factor 1 - 2**-k1 [- 2**-k2] (default: refuse)",
    )
    sub.add_argument(
        "--like", metavar="NETWORK",
        help="with the fraction bits of that network (a folder), so that the result can be loaded "
        "into a design made of it",
    )

    sub = staged("fold", "choose the parallelism of every core: design.json and its estimates")
    sub.add_argument(
        "--luts", type=_luts, metavar="N",
        help="the fastest design of at most N LUTs of the family, LUT RAM included",
    )
    sub.add_argument(
        "--board", metavar="B",
        help="the fastest design that fits this board; with --fps the smallest that reaches it",
    )
    sub = staged("pack", "write memory images and weights.sterna")
    sub.add_argument(
        "--onto", metavar="DESIGN",
        help="only write a weights.sterna, for the design of another build of the same structure "
        "(retrained weights); -o is the file then",
    )
    staged("verilog", "write the Verilog, its file list, a bench with vectors, the register map")
    staged("build", "all of fold, pack and verilog")

    sub = staged("sim", "run the Verilog on real images; compare every spike with golden")
    _images(sub)
    sub.add_argument(
        "--engine", choices=("batch", "cocotb", "netlist"), default="batch",
        help="compiled batch model, cocotb bench, or the synthesised netlist",
    )
    sub = staged("eval", "run the golden model on real images: accuracy")
    _images(sub)
    sub = staged("compare", "find the first difference between golden and the Verilog")
    _images(sub)

    sub = staged("synth", "synthesise out of context and count resources")
    sub.add_argument("--target", choices=("ecp5", "xilinx7", "ice40"),
                     help="default: the family of the design, ecp5 if it has none")  # fmt: skip
    staged("lint", "check the Verilog with every warning of Verilator on")
    staged("report", "everything known about a build: report.json, report.html, a table")

    for module in MODULES:
        importlib.import_module(module).add_parsers(command, staged)

    module = "sterna.commands"
    sub = command("demo", "the shipped digits network on held-out real images, bit-exact")
    sub.add_argument("-o", "--output", help="build folder (default build/digits)")
    sub = command("doctor", "look for everything Sterna needs")
    sub.add_argument("--first", action="store_true", help="only what can be seen before installing")
    return top


def _folding(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("folding (default: the example's folding.json, else the solver)")
    group.add_argument("--family", choices=("generic", "ecp5", "xilinx7", "ice40"))
    group.add_argument("--clock", type=megahertz, metavar="MHZ", help="clock the estimates assume")
    group.add_argument("--fps", type=rate, help="images a second to reach at that clock")
    group.add_argument(
        "--folding", type=file_name, metavar="FILE",
        help="pe, simd, tp, memory, engine, ram_style, banks and reads of each core, or some of "
        "them; a design.json will do",
    )
    group.add_argument(
        "--memory", choices=("rom", "ram"),
        help="weights of all cores built in, or rewritable at run time",
    )
    group.add_argument(
        "--patchable", action=argparse.BooleanOptionalAction, default=None,
        help="size built-in weights for retrained ones too, which sterna patch puts in",
    )


def _images(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--images", type=_count, metavar="N", help="first N test images")
    sub.add_argument("--data", help="data set (default: the example's)")


def _luts(text: str) -> int:
    try:
        value = int(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of LUTs") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a number of LUTs above 0")
    return value


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of images") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a number of images above 0")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 failed; 2 wrong usage; 3 a tool is missing; 130 interrupted.
    """
    top = parser()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show ends no command
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")
    try:
        options = top.parse_args(argv)
    except SystemExit as leave:  # argparse: 0 after --help, 2 after a wrong argument
        code = leave.code if isinstance(leave.code, int) else UsageError.exit_code
        if code and "--json" in (sys.argv[1:] if argv is None else argv):
            print(json.dumps({"error": "wrong usage; see stderr", "exit_code": code}), flush=True)
        return code
    if options.version:
        from importlib.metadata import version

        print(version("sterna"))
        return 0
    if options.command is None:
        top.print_help(sys.stderr)
        return UsageError.exit_code
    return _guarded(options)


def _guarded(options: argparse.Namespace) -> int:
    try:
        # Libraries that print must not spoil the one JSON object.
        with contextlib.redirect_stdout(sys.stderr):
            commands = importlib.import_module(options.module)
            result, text, code = getattr(commands, options.command.replace("-", "_"))(options)
        if result or text:
            print(json.dumps(result, sort_keys=False) if options.json else text, flush=True)
        return code
    except SternaError as error:
        return _failed(options, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _failed(options, "interrupted; run the same command again to go on", _INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout has gone, for example `| head`
        sys.stderr.close()
        return 1
    except OSError as error:
        return _failed(options, _sentence(error), 1)
    except MemoryError:
        return _failed(options, _less_memory(options), 1)
    except Exception as error:  # a mistake of ours: say so, and keep the place for a report
        if _is_out_of_memory(error):
            return _failed(options, _less_memory(options), 1)
        if os.environ.get("STERNA_DEBUG"):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        return _failed(
            options,
            f"internal error, {type(error).__name__} ({error}) at {place.name}, line {place.lineno}"
            f" of {os.path.basename(place.filename)}; please report it with the trace that"
            " STERNA_DEBUG=1 gives",
            1,
        )


def _is_out_of_memory(error: Exception) -> bool:
    """Whether torch, which has errors of its own, says that memory is at its end."""
    named = type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def _less_memory(options: argparse.Namespace) -> str:
    way = "take fewer images at once with --images"
    if not hasattr(options, "images"):
        way = "make the recipe's batch, layers or steps smaller"
        way = way if hasattr(options, "recipe") else "run it where there is more"
    return f"out of memory; {way}"


def _sentence(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        where = f" while writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}; free some space and run the same command again"
    if error.filename and isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename}: is a file where a folder is needed; choose another folder"
    if error.filename:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}"
    return f"{error.strerror or error}".lower()


def _failed(options: argparse.Namespace, sentence: str, code: int) -> int:
    if options.json:
        print(json.dumps({"error": sentence, "exit_code": code}), flush=True)
    print(f"sterna {options.command}: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
