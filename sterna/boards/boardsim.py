"""The commands that simulate a board; each as those of networks.py."""

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sterna.streams as streams
from sterna.commands.arguments import SEED, count, out_folder, whole
from sterna.golden.errors import UsageError
from sterna.golden.words.telling import tell

if TYPE_CHECKING:
    from sterna.gen.build.stages import Build

__all__ = ["add_parsers", "board_demo", "board_sim"]

Answer = tuple[dict[str, Any], str, int]
DEMO_IMAGES = 200
DEMO_BOARD = "ulx3s-85f"
DIVISOR = 4


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser],
    staged: Callable[[str, str], argparse.ArgumentParser],
) -> None:
    """Add the parsers of these commands; ``staged`` makes one of a command that runs stages."""
    sub = staged("board-sim", "simulate a board, UART pins included, behind a serial port")
    sub.add_argument("--board", help="choose the folding as for this board: ulx3s-85f ...")
    sub.add_argument(
        "--divisor",
        type=whole("clocks a bit", 4, 65535),
        default=DIVISOR,
        metavar="N",
        help=f"clocks of the oscillator a bit; more is slower (default {DIVISOR})",
    )
    sub.add_argument(
        "--seed",
        type=whole("the seed", *SEED),
        default=1,
        help="of the random contents that memories start with",
    )

    sub = command("board-demo", "weights, images, other weights, images: on a simulated board")
    sub.add_argument(
        "-o",
        "--output",
        type=out_folder,
        metavar="FOLDER",
        help="build folder (default build/board-demo)",
    )
    sub.add_argument("--images", type=count, default=DEMO_IMAGES, metavar="N", help="test images")


def board_sim(options: argparse.Namespace) -> Answer:
    """Serve a simulated board until Ctrl-C or SIGTERM; prints its port first."""
    from sterna.gen.tools.progress import Progress
    from sterna.sim.boardbuild import grace_of, simulated_board
    from sterna.sim.boardpty import PtyBoard

    progress = Progress(1)
    built = _built(options, progress)
    tell("the model of a board is compiled once, which can take minutes")
    with progress.step("Verilator: the board top, UART pins included"):
        board = simulated_board(built, options.divisor, seed=options.seed)
    # Not an exception: one in the middle of Thread.join makes Python 3.11 take a running thread for
    # ended, and leave while it runs.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    facts = {"board": options.board} if options.board else {}
    with PtyBoard(board, grace_of(built), facts) as port:
        answer = {"port": port.path, "build": str(built.folder), "divisor": options.divisor}
        # Programs that start this one read the port while it runs.
        with contextlib.redirect_stdout(sys.__stdout__):
            streams.out(json.dumps(answer) if options.json else port.path)
        tell("Ctrl-C ends it; try: sterna identify --port " + port.path)
        while not (stop.wait(0.2) or port.wait(0)):
            pass
    if stop.is_set():
        raise SystemExit(0)
    raise port.error or AssertionError("the board ended without a reason")


def _built(options: argparse.Namespace, progress: Any) -> "Build":
    from sterna.commands.networks import options_of
    from sterna.gen.build.stages import ensure

    variants: tuple[str, ...] = ()
    if options.board:
        from sterna.gen.device.boards import board

        where = board(options.board)
        variants = (where.name, where.family)
    return ensure(options.folder, "pack", options_of(options), options.output, progress, variants)


def board_demo(options: argparse.Namespace) -> Answer:
    """MNIST on the simulated ULX3S with two sets of weights; fails on any logit."""
    from sterna.board_demo import demonstrate
    from sterna.gen.build.stages import Options, ensure
    from sterna.gen.tools.progress import Progress
    from sterna.shipped import example_folder
    from sterna.train.data import datasets

    shipped, retrained = map(example_folder, ("mnist", "mnist_retrained"))
    if options.images < 1:
        raise UsageError(f"--images {options.images}: give at least 1")
    images = datasets.load("mnist").test[0]
    if options.images > len(images):
        raise UsageError(f"MNIST has {len(images)} test images, {options.images} were asked")
    tell("the first run compiles yosys and the model of the board: minutes")
    progress = Progress(5)
    built = ensure(
        shipped,
        "verilog",
        Options(family="ecp5", memory="ram"),
        options.output or Path("build") / "board-demo",
        progress,
        (DEMO_BOARD, "ecp5"),
    )
    lines: list[str] = []
    answer = demonstrate(built, retrained, images[: options.images], lines.append, progress)
    answer["wrote"] = [str(built.folder)]
    return answer, "\n".join(lines), 1 if answer["mismatches"] else 0
