"""The command that writes report.json and report.html; as those of networks.py."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["add_parsers", "report"]

Answer = tuple[dict[str, Any], str, int]


def add_parsers(_command: object, staged: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the parser of this command; ``staged`` makes one of a command that runs stages."""
    sub = staged("report", "everything known about a build: report.json, report.html, a table")
    sub.add_argument("--open", action="store_true", help="show report.html in a browser")
    sub.add_argument(
        "--board",
        metavar="B",
        help="the board whose device shares are of (default: what the design is made for, or the "
        "smallest that holds it)",
    )
    sub.add_argument(
        "--frontier",
        action="store_true",
        help="also weigh foldings from slow to fast, which takes up to minutes",
    )


def report(options: argparse.Namespace) -> Answer:
    """report.json, report.html and a table."""
    from sterna.commands.networks import options_of
    from sterna.gen.build.report_files import keep_frontier, write_report
    from sterna.gen.build.stages import ensure
    from sterna.gen.build.tables import table
    from sterna.gen.device.boards import chip_of
    from sterna.gen.tools.progress import Progress

    if options.board is not None:
        chip_of(options.board)  # refused before the first stage
    progress = Progress(1 if options.frontier else 0)
    given = options.folder, "fold", options_of(options), options.output, progress
    built = ensure(*given)
    if options.frontier:
        with progress.step("foldings from slow to fast"):
            keep_frontier(built)
    answer, path = write_report(built, options.board)
    text = table(answer)
    if options.open and not _shown(path):
        text += "\nno browser was found here; open report.html with one"
    return answer | {"wrote": [str(built.folder / "report.json"), str(path)]}, text, 0


def _shown(path: Path) -> bool:
    """Whether a browser took it."""
    import webbrowser

    try:
        return webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        return False
