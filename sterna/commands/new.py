"""The command ``sterna new``; as those of networks.py."""

import argparse
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import sterna.images as images
from sterna.commands.arguments import whole
from sterna.golden.errors import UsageError
from sterna.golden.words.packages import packages
from sterna.golden.words.telling import tell

__all__ = ["add_parsers", "new"]

Answer = tuple[dict[str, Any], str, int]


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parser of this command; ``command(name, text)`` makes one."""
    sub = command("new", "write a commented recipe that fits some data, and runs as it is")
    sub.add_argument("name", metavar="NAME", help="folder to make; the recipe is NAME/recipe.toml")
    sub.add_argument("--data", help="folder:PATH, FILE.npz, tonic:NAME or a name")
    sub.add_argument(
        "--like",
        metavar="SET",
        help="take the layers of digits, mnist, cifar10 ... and, without --data, the data set",
    )
    images.add_size(sub)
    sub.add_argument(
        "--steps",
        type=whole("time steps", 1, 1024),
        metavar="T",
        help="frames that recordings of events are binned into (default 8)",
    )
    sub.add_argument(
        "--bits",
        type=whole("bits", 1, 8),
        metavar="B",
        help="bits of a value of such a frame: events are counted up to 2**B - 1 (default 1: not "
        "counted)",
    )


def _check_time(data: str, options: argparse.Namespace, shape: Any) -> None:
    """UsageError where --steps or --bits would be passed over."""
    for option, said, there in (
        ("--steps", options.steps, shape.frames),
        ("--bits", options.bits, shape.bits if shape.frames else None),
    ):
        if said is not None and said != there:
            has = f"has frames of {there}" if there else "has no frames; T is steps in the recipe"
            raise UsageError(f"{option} {said}: {data} {has}; leave {option} out")


def new(options: argparse.Namespace) -> Answer:
    """A recipe for some data."""
    with packages():
        from sterna.golden.files.disk import write_atomic
        from sterna.golden.files.sources import moved, read_source
        from sterna.golden.words.names import legal_name
        from sterna.train.data import datasets
        from sterna.train.data.sets import Wanted
        from sterna.train.recipe.recipe import parse_recipe
        from sterna.train.recipe.recipe_check import check_data, check_recipe
        from sterna.train.recipe.starter import KNOWN, shape_of, starter_text

    if not (options.data or options.like):
        raise UsageError("say with --data what it is for, or with --like what it is like")
    folder, name = Path(options.name), legal_name(Path(options.name).resolve().name)
    path = folder / "recipe.toml"
    if os.path.lexists(path):
        raise UsageError(f"{path}: is there already; choose another name")
    data = images.data_name(options, options.like)
    source, parts = read_source(data, "--data"), None
    if source.own or data not in KNOWN:
        steps = source.steps or options.steps or 8
        parts = datasets.load(data, None, Wanted(steps=steps, bits=options.bits))
        shape = shape_of(parts)
        if shape.frames:
            shape = replace(shape, bits=source.bits or options.bits or shape.bits)
        if source.own and shape.frames and source.kind != "npz":
            source = replace(source, steps=shape.frames)
        for note in parts.notes:
            tell(f"{data}: {note}")
    else:
        shape = replace(KNOWN[data], names=datasets.class_names(data))
        if shape.frames:
            shape = replace(shape, bits=options.bits or 1)
    _check_time(data, options, shape)
    text = starter_text(name, moved(str(source), ".", folder), options.like or "", shape)
    recipe = parse_recipe(text, path)
    network = check_recipe(recipe)
    if parts is not None:
        check_data(recipe, network, parts)
    write_atomic(path, text.encode())
    answer = {"recipe": str(path), "shape": list(shape.image), "classes": shape.classes}
    answer["wrote"] = [str(path)]
    said = f"{path}: {' x '.join(map(str, shape.image))}, {shape.classes} classes"
    where = shlex.quote(str(folder))
    return answer, f"{said}\nnext: sterna train {where} -o runs/{name}", 0
