"""The command that hands a network to other people's tools; as those of networks.py."""

import argparse
import shlex
from collections.abc import Callable
from typing import Any

from sterna.commands.arguments import out_folder

__all__ = ["add_parsers", "export"]

Answer = tuple[dict[str, Any], str, int]


def add_parsers(_command: object, staged: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the parser of this command; ``staged`` makes one of a command that runs stages."""
    sub = staged(
        "export", "write a folder that Vivado, FuseSoC and other tools take the network from"
    )
    sub.add_argument(
        "--ip",
        type=out_folder,
        required=True,
        metavar="DIR",
        help="a new or empty folder, or one of an earlier export of this network",
    )
    sub.add_argument(
        "--memories",
        choices=("inline", "files"),
        help="contents of memories in the Verilog (default), or read by $readmemh from mem/",
    )
    sub.add_argument(
        "--no-timing",
        dest="timing",
        action="store_false",
        help="no timing diagrams in the datasheet: a large network is simulated for minutes",
    )


def export(options: argparse.Namespace) -> Answer:
    """The block's folder."""
    from pathlib import Path

    from sterna.commands.networks import options_of
    from sterna.datasheet import export_block
    from sterna.gen.build.stages import ensure, open_build
    from sterna.gen.ip.folder import check_folder, read_manifest
    from sterna.gen.tools.progress import Progress

    folder = Path(options.ip)
    check_folder(folder)  # refused before anything is written, that of another network before
    progress = Progress(1)
    built = open_build(options.folder, options.output, progress=progress)
    check_folder(folder, built.name)  # the first stage
    ensure(built, "verilog", options_of(options), progress=progress)
    with progress.step(f"block {built.name}"):
        names = sorted(export_block(built, folder, options.timing))
    told = read_manifest(folder)
    answer = {"build": str(built.folder), "folder": str(folder), "files": names}
    answer |= {key: told[key] for key in ("vlnv", "top", "structure_id", "weights_id")}
    text = (
        f"{folder}: {told['top']}, {len(names)} files; README.txt says how each tool takes them\n"
        f"fusesoc --cores-root {shlex.quote(str(folder))} run --target sim {told['vlnv']}"
    )
    return answer | {"wrote": [str(folder)]}, text, 0
