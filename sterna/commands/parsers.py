"""The arguments of every command. Nothing of weight is imported, so ``sterna --help`` is quick."""

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import sterna.commands.help as helps
import sterna.images as images
import sterna.streams as streams
from sterna.commands.arguments import (
    count,
    file_name,
    megahertz,
    microseconds,
    minutes,
    out_file,
    out_folder,
    rate,
    seed,
    there,
    tolerance,
    whole,
)
from sterna.gen.device.family import FAMILIES, TARGETS
from sterna.golden.words.names import meant

__all__ = ["MODULES", "Parser", "parser"]

MODULES = (
    "sterna.boards.bitstream",
    "sterna.boards.board",
    "sterna.boards.selftest",
    "sterna.boards.boardsim",
    "sterna.commands.search",
    "sterna.sweep.command",
    "sterna.commands.reported",
    "sterna.commands.exported",
    "sterna.commands.imports",
    "sterna.commands.new",
    "sterna.boards.power",
    "sterna.commands.shipped",
)
"""Modules with further commands: ``add_parsers`` and a function for each."""
LUTS = whole("LUTs", 1, 10**9, marks="_,")


class Parser(argparse.ArgumentParser):
    """Remembers in ``mistake`` what was wrong, for the answer of --json; knows what was meant."""

    mistake = ""
    commands: Mapping[str, argparse.ArgumentParser] = {}

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message, re.S):
            known = re.findall(r"[\w-]+", found[2])
            if self.commands:
                message = f"there is no command '{found[1]}'"
                known = [*self.commands]
            message += meant(found[1], known)
            message += "; sterna --help lists all" if self.commands else ""
        Parser.mistake = message
        super().error(message)

    def read(self, words: Sequence[str] | None) -> argparse.Namespace:
        """``parse_args``, which says what a wrong option may have been; ``help sim`` is ``sim
        --help``."""
        words = list(sys.argv[1:] if words is None else words)
        if words[:1] == ["help"]:
            words = [*words[1:], "--help"]
        options, wrong = self.parse_known_args(words)
        if wrong:
            command = self.commands.get(options.command or "", self)
            known = set(re.findall(r"--[\w-]+", command.format_help()))
            self.error(f"unrecognized arguments: {' '.join(wrong)}{meant(wrong[0], known)}")
        return options

    def format_help(self) -> str:
        if not self.commands:
            return super().format_help()
        texts = {name: sub.description or "" for name, sub in self.commands.items()}
        about = f"{self.description}\n\n{helps.grouped(texts)}\n\n{self.epilog}"
        return f"{self.format_usage()}\n{about}\n"

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own lets nobody know where a stream does not take it.
        if message and file is sys.stdout:
            streams.out(message.rstrip("\n"))
        elif message:
            streams.say(message.rstrip("\n"))


def parser() -> Parser:
    """The argument parser of every command."""
    top = Parser(
        prog="sterna",
        usage="sterna [-v|-q] COMMAND ...   sterna COMMAND --help   sterna --version",
        description="Ternary and binary spiking ConvNets to FPGA designs that compute the same.",
        epilog="A command given an example folder builds what it needs into build/<name>.",
    )
    top.add_argument("--version", action="store_true", help="print the version")
    helps.add_level(top, top=True)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", prog="sterna")
    top.commands = commands.choices
    module = "sterna.commands.training"  # holds the functions of the commands added next

    def command(name: str, text: str) -> argparse.ArgumentParser:
        example = helps.example_of(name)
        sub = commands.add_parser(
            name,
            description=text,
            epilog=example and f"example: {example}",
            add_help=False,
            formatter_class=helps.Formatter,
        )
        sub.set_defaults(module=module)
        return sub

    def staged(name: str, text: str) -> argparse.ArgumentParser:
        sub = command(name, text)
        sub.add_argument(
            "folder", type=there, metavar="BUILD", help="build folder, or a folder with a network"
        )
        sub.add_argument(
            "-o",
            "--output",
            type=out_folder if name != "pack" else file_name,  # a file with --onto
            metavar="FOLDER",
            help="build folder (default build/<name>)",
        )
        _folding(sub)
        return sub

    _training(command)
    _quantizing(command)
    module = "sterna.commands.networks"
    _design(staged)
    _running(staged)
    for module in MODULES:
        importlib.import_module(module).add_parsers(command, staged)

    module = "sterna.commands.networks"
    sub = command("demo", "the shipped digits network on held-out real images, bit-exact")
    sub.add_argument(
        "-o",
        "--output",
        type=out_folder,
        metavar="FOLDER",
        help="build folder (default build/digits)",
    )
    sub = command("doctor", "look for everything Sterna needs")
    sub.add_argument("--first", action="store_true", help="only what can be seen before installing")
    for sub in commands.choices.values():
        helps.add_common(sub)
        sub.usage = helps.usage(sub)
        _check_names(sub)
    return top


_Command = Callable[[str, str], argparse.ArgumentParser]
"""Makes the parser of a command, of its name and its help."""


def _training(command: _Command) -> None:
    sub = command("train", "train a network by a recipe")
    sub.add_argument(
        "recipe",
        nargs="?",
        type=there,
        metavar="RECIPE",
        help="recipe file, or a folder that holds one",
    )
    sub.add_argument(
        "--from",
        dest="source",
        metavar="IMPORT",
        help="instead of a recipe: tune what `sterna import` took in",
    )
    sub.add_argument(
        "--epochs",
        type=whole("epochs", 1, 1_000_000),
        metavar="N",
        help="epochs of --from (default 3, more for small data sets); one more through the "
        "integers follows",
    )
    _force(sub)
    sub.add_argument(
        "-o", "--output", type=out_folder, required=True, metavar="RUN", help="run folder"
    )
    sub.add_argument(
        "--max-minutes", type=minutes, metavar="M", help="stop after so long; run again to go on"
    )
    sub.add_argument("--seed", type=seed, help="instead of the recipe's seed")
    sub.add_argument("--data", help="instead of the recipe's data set")
    images.add_size(sub)
    sub.add_argument(
        "--curves",
        type=out_file("table of curves"),
        metavar="FILE.csv",
        help="write loss and accuracy of every epoch",
    )
    sub.add_argument(
        "--resume", metavar="FILE", help="go on from a milestone of this recipe, in a new RUN"
    )
    sub.add_argument(
        "--untrained",
        action="store_true",
        help="keep the random weights and only measure the batch norms on some images",
    )


def _quantizing(command: _Command) -> None:
    sub = command("quantize", "turn a trained float network into an integer network")
    sub.add_argument("source", metavar="RUN|FLOAT.json", help="run folder or float network")
    sub.add_argument(
        "-o", "--output", type=out_folder, required=True, metavar="BUILD", help="build folder"
    )
    sub.add_argument("--data", help="data set for calibration (default: the run's)")
    images.add_size(sub)
    sub.add_argument("--images", type=count, default=256, metavar="N", help="calibration images")
    sub.add_argument(
        "--leak-tolerance",
        type=tolerance,
        default=0.0,
        metavar="D",
        help="move leaks by up to this much to a factor 1 - 2**-k1 [- 2**-k2], which costs least "
        "(default: the nearest num/4096)",
    )
    _force(sub)
    sub.add_argument(
        "--like",
        metavar="NETWORK",
        help="with the fraction bits of that network (a folder), so that the result can be loaded "
        "into a design made of it",
    )


def _design(staged: _Command) -> None:
    _size(staged("fold", "choose the parallelism of every core: design.json and its estimates"))
    sub = staged("pack", "write memory images and weights.sterna")
    sub.add_argument(
        "--onto",
        metavar="DESIGN",
        help="only write a weights.sterna, for the design of another build of the same structure "
        "(retrained weights); -o is the file then",
    )
    verilog = "write the Verilog, its file list, a bench with vectors, the register map"
    build = staged("build", "all of fold, pack and verilog")
    _size(build)
    for sub in (staged("verilog", verilog), build):
        sub.add_argument(
            "--memories",
            choices=("inline", "files"),
            help="contents of memories in the Verilog (default), or read by $readmemh from mem/",
        )


def _size(sub: argparse.ArgumentParser) -> None:
    """What the solver may fill."""
    sub.add_argument(
        "--luts",
        type=LUTS,
        metavar="N",
        help="the fastest design of at most N LUTs of the family, LUT RAM included",
    )
    sub.add_argument(
        "--latency",
        type=microseconds,
        metavar="US",
        help="the smallest design in which one image alone takes at most so many microseconds",
    )
    sub.add_argument(
        "--board",
        metavar="B",
        help="the fastest design that fits this board; with --fps the smallest that reaches it",
    )


def _running(staged: _Command) -> None:
    sub = staged("sim", "run the Verilog on real images; compare every spike with golden")
    images.add_options(sub)
    sub.add_argument(
        "--engine",
        choices=("batch", "cocotb", "netlist"),
        default="batch",
        help="compiled batch model, cocotb bench, or the synthesised netlist",
    )
    sub.add_argument(
        "--wave",
        type=out_file("waveform"),
        metavar="OUT.vcd|OUT.fst",
        help="write what every signal does on a few images (default 2), and OUT.gtkw to look at it",
    )
    sub = staged("eval", "run the golden model on real images: accuracy")
    images.add_options(sub)
    sub = staged("compare", "find the first difference between golden and the Verilog")
    images.add_options(sub)

    sub = staged("synth", "synthesise out of context and count resources")
    sub.add_argument(
        "--target",
        choices=tuple(TARGETS),
        help="default: the family of the design, ecp5 if it has none",
    )
    staged(
        "lint", "check the Verilog by Verilator, all warnings on but those that lint.vlt explains"
    )


def _force(sub: argparse.ArgumentParser) -> None:
    text = "take an import whose check failed, though it does not compute what its model does"
    sub.add_argument("--force", action="store_true", help=text)


def _check_names(sub: argparse.ArgumentParser) -> None:
    """What has no type and no choices is a name, and an empty one is none."""
    for action in sub._actions:
        if action.type is None and action.choices is None and action.nargs in (None, "?"):
            action.type = file_name


def _folding(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("folding (default: the example's folding.json, else the solver)")
    group.add_argument(
        "--family", choices=tuple(FAMILIES), help="of FPGAs that it is for, and estimates are of"
    )
    group.add_argument("--clock", type=megahertz, metavar="MHZ", help="clock the estimates assume")
    group.add_argument("--fps", type=rate, help="images a second to reach at that clock")
    group.add_argument(
        "--folding",
        type=file_name,
        metavar="FILE",
        help="pe, simd, tp, memory, engine, ram_style, banks, reads and nest of each core, or some "
        "of them; a design.json will do",
    )
    group.add_argument(
        "--memory",
        choices=("rom", "ram"),
        help="weights of all cores built in, or rewritable at run time",
    )
    group.add_argument(
        "--patchable",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="size built-in weights for retrained ones too, which sterna patch puts in",
    )
