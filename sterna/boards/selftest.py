"""The command that proves a board, and looks at reports of it; as those of networks.py."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sterna.images as images
import sterna.streams as streams
from sterna.boards.board import add_line
from sterna.commands.arguments import file_name, out_file
from sterna.commands.outfiles import check_replaced
from sterna.golden.errors import SternaError, UsageError
from sterna.golden.files.instead import instead
from sterna.golden.words.telling import tell

if TYPE_CHECKING:
    from sterna.host.selftest.facts import Facts
    from sterna.host.selftest.pictures import Pictures
    from sterna.host.selftest.report import Selftest, Unwritten

__all__ = ["add_parsers", "selftest"]

Answer = tuple[dict[str, Any], str, int]
DATA_IMAGES = 100
"""Images of the data set unless --images says otherwise."""


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parser of this command; it runs no stages of a build."""
    sub = command("selftest", "prove a board, stage by stage, and write a report of it")
    sub.add_argument(
        "folder", metavar="BUILD", nargs="?", help="build folder of the board's design"
    )
    sub.add_argument(
        "--board", type=_name, metavar="NAME", help="what the board is called: ulx3s-85f ..."
    )
    sub.add_argument(
        "-o",
        "--output",
        type=out_file("report of a selftest"),
        metavar="FILE",
        help="the report (default NAME_selftest.json, by the network's name)",
    )
    sub.add_argument(
        "--verify",
        type=file_name,
        metavar="FILE",
        help="instead: whether a report is as it was written, and with BUILD whether it is of that",
    )
    sub.set_defaults(again="to start over")
    images.add_options(sub, predictions=False)
    add_line(sub, required=False)


def _name(text: str) -> str:
    if not re.match(r"[\w .:+/()-]{1,100}\Z", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a board; use letters and digits")
    return text


def selftest(options: argparse.Namespace) -> Answer:
    """Prove a board; or look at a report."""
    if options.port is not None and options.verify is not None:
        raise UsageError("give --port to test a board or --verify to look at a report, not both")
    if options.port is None and options.verify is None:
        raise UsageError("give --port to test a board, or --verify FILE to look at a report")
    build = _build(options.folder) if options.folder else None
    if build is None and (options.data or options.file):
        raise UsageError("images need BUILD, which says what they must give")
    return _verified(options, build) if options.verify else _tested(options, build)


def _build(folder: str) -> "Facts":
    from sterna.host.selftest.facts import facts_of

    if (refusal := instead(folder, "network")) is not None:
        raise UsageError(refusal)
    return facts_of(Path(folder))


def _tested(options: argparse.Namespace, build: "Facts | None") -> Answer:
    from sterna.golden.words.names import module_name
    from sterna.host.board import Board
    from sterna.host.selftest.pictures import random_pictures
    from sterna.host.selftest.report import Unwritten
    from sterna.host.selftest.selftest import RANDOM_IMAGES, run_stages
    from sterna.host.serialport import SerialPort

    pictures = []
    if build is not None:
        pictures = [random_pictures(build.network, RANDOM_IMAGES)]
        if (further := _of_data(options, build, DATA_IMAGES)) is not None:
            pictures.append(further)
    name = module_name(build.network.name) if build is not None else "board"
    path = str(options.output or f"{name}_selftest.json")
    check_replaced(path, "report of a selftest")  # the default name, too
    transport = SerialPort(options.port, options.baud, options.timeout / 3)
    try:
        report = run_stages(
            transport,
            lambda: Board(transport, timeout=options.timeout, reset=options.reset),
            build,
            pictures,
            name=options.board,
            report=path,
            timeout=options.timeout,
        )
    except Unwritten as error:
        return _unwritten(error)
    except KeyboardInterrupt:
        tell(f"{path}: the report of what was done, marked incomplete")
        raise
    finally:
        transport.close()
    return {**report, "wrote": [path]}, str(report), 0 if report.passed else 1


def _unwritten(error: "Unwritten") -> Answer:
    """What was found is told though the file cannot be: minutes have gone into it."""
    if isinstance(error.__cause__, KeyboardInterrupt):
        streams.say(f"{error.report}\n\nsterna selftest: {error}")
        raise error.__cause__
    streams.say(f"sterna selftest: {error}")
    return {**error.report, "error": str(error), "exit_code": 1}, str(error.report), 1


def _of_data(options: argparse.Namespace, build: "Facts", count: int | None) -> "Pictures | None":
    """Images of the data set that is asked for, else of the build's, where that is here: nothing
    is downloaded unless it was named."""
    from sterna.golden.files.sources import data_of_folder, read_source
    from sterna.host.selftest.pictures import Pictures

    asked = options.data or options.file
    default = data_of_folder(build.folder)
    try:
        if not asked and (default is None or not _here(default)):
            way = f"--data {default} fetches it" if default else "--data and --file name others"
            what = f"the data set {default} is not here" if default else "no data set is named"
            tell(f"{what}: random images only ({way})")
            return None
        found = images.choose(options, build.network, build.folder, default, count)
    except SternaError as error:
        if asked or options.images:
            raise
        tell(f"{default}: not read, random images only ({error})")
        return None
    if options.file:
        name = f"{len(found)} files"
    else:
        source = images.data_name(options, default)
        own = read_source(source).own
        name = f"{'own data' if own else source}, {options.split or 'test'}, the first {len(found)}"
    return Pictures(name, build.network, found.images, found.labels)


def _here(name: str) -> bool:
    """Whether a data set is on this machine."""
    from sterna.train.data.datasets import places

    known = places()
    short = next((k for k in known if name == k or name.startswith(f"{k}_")), None)
    return short is None or known[short] is not None


def _verified(options: argparse.Namespace, build: "Facts | None") -> Answer:
    from sterna.host.selftest.against import check_against
    from sterna.host.selftest.report import NOT_PROVEN
    from sterna.host.selftest.verify import read_report

    report = read_report(options.verify)
    equal: list[str] = ["its checksum, the digest of each stage and its verdict are right"]
    if build is not None:
        again = _again(options, report, build)
        equal += check_against(report, build, [] if again is None else [again])
    else:
        equal.append(
            "not compared with a build, nor which images are right: give BUILD to have its results "
            "computed again"
        )
    text = [str(report), "", f"{options.verify}:", *(f"  {line}" for line in equal)]
    text += ["what this does not show:", *(f"  {line}" for line in NOT_PROVEN)]
    answer = {"report": dict(report), "verified": equal, "not_proven": list(NOT_PROVEN)}
    return answer, "\n".join(text), 0 if report.passed else 1


def _again(options: argparse.Namespace, report: "Selftest", build: "Facts") -> "Pictures | None":
    """The images of the data set that a report tells of, where they are here."""
    rows = report["stages"]["images"]["figures"].get("sets")
    counts = [row.get("images") for row in rows[1:]] if isinstance(rows, list) else []
    if not counts or type(counts[0]) is not int:
        return None
    try:
        return _of_data(options, build, counts[0])
    except SternaError as error:
        tell(str(error))
        return None
