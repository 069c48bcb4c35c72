"""The command ``sterna search``; as those of networks.py."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sterna.commands.arguments import minutes, out_folder, whole
from sterna.golden.words.packages import packages
from sterna.golden.words.telling import tell

__all__ = ["add_parsers", "search"]

Answer = tuple[dict[str, Any], str, int]


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parser of this command; ``command(name, text)`` makes one."""
    sub = command("search", "search which skips of a recipe's blocks are worth their hardware")
    sub.add_argument("recipe", metavar="RECIPE", help="recipe with [search], or a folder of one")
    sub.add_argument(
        "-o", "--output", type=out_folder, required=True, metavar="DIR", help="search folder"
    )
    sub.add_argument(
        "--trials", type=whole("members", 1, 10**9), metavar="N", help="members to evaluate in all"
    )
    sub.add_argument(
        "--storage",
        metavar="URL",
        help="database that workers share: postgresql://user@host/name (default: SQLite in DIR)",
    )
    sub.add_argument(
        "--max-minutes", type=minutes, metavar="M", help="stop after so long; run again to go on"
    )


def search(options: argparse.Namespace) -> Answer:
    """Search the skips of a recipe; goes on where an earlier call stopped."""
    with packages():
        import matplotlib
        import optuna

        del matplotlib, optuna  # they are named before anything begins

        from sterna.train.search.search import search as run

    answer = run(
        options.recipe,
        options.output,
        trials=options.trials,
        storage=options.storage,
        max_minutes=options.max_minutes,
        progress=tell,
    )
    answer["wrote"] = [options.output]
    return answer, _text(answer, Path(options.output)), 0


def _text(answer: dict[str, Any], out: Path) -> str:
    from sterna.gen.build.tables import rows_text

    state = "done" if answer["done"] else "not done yet, run the same command again to go on"
    text = f"{answer['name']}: {answer['members']} of {answer['space']} members evaluated, {state}"
    if not answer["front"]:
        return text
    without = answer["without"]
    rows = [*answer["front"]]
    if without is not None and without["label"] not in [r["label"] for r in rows]:
        rows.append(without)
    heads = ("member", "validation", "lanes", "memory bits", "fifo bits", "rate")
    cells = [
        (
            r["label"],
            f"{r['accuracy']:.2%}",
            r["lanes"],
            r["memory_bits"],
            r["fifo_bits"],
            f"{r['rate']:.2%}",
        )
        for r in rows
    ]
    return (
        f"{text}\nthe front, and no skips at all:\n{rows_text(heads, cells)}\n"
        f"recipes of these: {out / 'recipes'}; plots: {out / 'plots'}"
    )
