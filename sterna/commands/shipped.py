"""The command ``sterna examples``; as those of networks.py."""

import argparse
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sterna.commands.arguments import out_folder
from sterna.golden.errors import UsageError

__all__ = ["add_parsers", "examples"]

Answer = tuple[dict[str, Any], str, int]


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parser of this command; ``command(name, text)`` makes one."""
    sub = command("examples", "list the networks that come with Sterna, or copy one out")
    sub.add_argument("name", nargs="?", metavar="NAME", help="copy this one")
    sub.add_argument(
        "-o", "--output", type=out_folder, metavar="FOLDER", help="where to (default NAME)"
    )


def examples(options: argparse.Namespace) -> Answer:
    """All shipped networks as a table, or a copy of one."""
    import sterna.shipped as shipped

    if options.name is not None:
        return _copied(options.name.removeprefix("examples/"), options.output)
    if options.output is not None:
        raise UsageError("-o goes with the NAME of an example")
    rows = [_row(name) for name in shipped.examples()]
    if not rows:
        raise UsageError("no examples are here; install sterna again, or run it in a clone")
    return {"examples": rows, "folder": str(shipped.FOLDER)}, _text(rows), 0


def _row(name: str) -> dict[str, Any]:
    import sterna.shipped as shipped
    from sterna.gen.design.graph import walk
    from sterna.gen.fold.complete import neuron_groups
    from sterna.golden.files import network_files as files
    from sterna.golden.files.sources import data_of_folder
    from sterna.golden.network import WeightedNode

    folder = shipped.example_folder(name)
    network = files.load(folder)
    found = shipped.measured(folder)
    weighted = [n for n in network.nodes if isinstance(n, WeightedNode)]
    layers = len(neuron_groups(network, walk(network)))
    return {
        "name": name,
        "data": data_of_folder(folder),
        "accuracy": None if found is None else found["right"] / found["images"],
        "images": None if found is None else found["images"],
        "steps": network.steps,
        "input": list(network.input.shape),
        "weights": sum(n.weight.size for n in weighted),
        "layers": layers,
        "shortcuts": len(weighted) - layers,  # of several into one neuron all but the main one
        "bytes": sum(p.stat().st_size for p in folder.glob("network.*")),
    }


def _text(rows: list[dict[str, Any]]) -> str:
    from sterna.gen.build.tables import rows_text

    heads = ("example", "data", "accuracy", "of images", "T", "weights", "layers", "kB")
    cells = [
        (
            row["name"],
            row["data"],
            "-" if row["accuracy"] is None else f"{row['accuracy']:.2%}",
            row["images"] or "-",
            row["steps"],
            f"{row['weights']:,}",
            f"{row['layers']}" + (f" + {row['shortcuts']} shortcuts" if row["shortcuts"] else ""),
            row["bytes"] // 1000,
        )
        for row in rows
    ]
    return (
        f"{rows_text(heads, cells)}\n"
        "next: sterna sim examples/mnist, or sterna examples mnist for a copy to change"
    )


def _copied(name: str, output: str | None) -> Answer:
    from sterna.golden.files.disk import make_folder, write_atomic
    from sterna.shipped import example_folder

    source, target = example_folder(name), Path(output or name)
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: is there already; say another folder with -o")
    copied = [p for p in sorted(source.iterdir()) if p.is_file()]
    make_folder(target.parent)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for path in copied:
            write_atomic(part / path.name, path.read_bytes())
        part.chmod(0o755)
        part.rename(target)  # whole, or not there
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    answer = {"example": name, "files": [p.name for p in copied], "wrote": [str(target)]}
    return answer, f"next: sterna sim {shlex.quote(str(target))}", 0
