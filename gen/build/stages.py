"""The stages of a build: each reads files, writes files, and records the hashes of both.

A stage whose inputs, options and generator are unchanged is not run again; a stale one is, and so
is one that another installation made (`gen.tools.trust`). One command at a time works in a folder.
Files are written through a temporary name, and the record last: an interrupted stage is run again.
A fold that is refused or interrupted before it writes leaves files and record as they were; a
record that is being replaced keeps its options until then, so that the last choice is never lost.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sterna.gen.build.folder import Build, is_build
from sterna.gen.build.generator import generator_id
from sterna.gen.build.replace import check_replaced
from sterna.gen.build.stage_list import CHOOSING, MEMORIES, STAGES
from sterna.gen.device.boards import chip_of
from sterna.gen.fold.goals import check_family
from sterna.gen.tools.progress import Progress, progress_of, waiting
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.files.classes import CLASSES
from sterna.golden.files.disk import (
    hash_file,
    make_folder,
    read_bytes,
    sha256,
    write_atomic,
)
from sterna.golden.files.instead import instead
from sterna.golden.files.locks import reading
from sterna.golden.files.sources import rebased
from sterna.golden.words import values
from sterna.golden.words.names import module_name, not_one_of, show

__all__ = ["Build", "Options", "ensure", "open_build", "stale"]

SOURCE_LIMIT = 1 << 31


@dataclass(frozen=True)
class Options:
    """What the user may decide; None keeps what was said last, else by the example or the solver.

    Any of `CHOOSING` replaces all of them that were said before; a board also the family.
    ``memories`` is of the Verilog, everything else of the folding."""

    family: str | None = None
    clock_mhz: float | None = None
    fps: float | None = None
    latency: float | None = None
    luts: int | None = None
    board: str | None = None
    folding: dict[str, dict[str, Any]] | None = None
    axis_width: int | None = None
    memory: str | None = None
    patchable: bool | None = None
    memories: str | None = None


def open_build(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    variants: Sequence[str] = (),
    progress: Progress | None = None,
) -> Build:
    """The build of ``source``: a build folder itself, or build/<name>/ for an example's folder.

    An example (or any folder with only a network) is never written to: its network, recipe and
    folding are copied when they changed. With ``variants`` (a board, its family) the folding is the
    first there is of folding.<variant>.json, else folding.json, and the build is
    build/<name>-<first variant>/. That holds no build of another network (`check_replaced`).
    """
    build, example = _opened(source, output, variants)
    if example is None:
        return build
    with build.held():
        _check_place(example, build, output is not None, progress)
        _copy(example, build, variants)
    return Build(build.folder, example, tuple(variants))


def _opened(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    variants: Sequence[str],
) -> tuple[Build, Path | None]:
    """(the build, the folder to copy its sources from or None)."""
    folder = values.path("build", source)
    output = None if output is None else values.path("output", output)
    if (refusal := instead(folder, "network")) is not None:
        raise UsageError(refusal)
    if output is None and is_build(folder):
        return Build(folder), None
    network = files.load(folder)  # refuses damaged files before anything is copied
    name = "-".join([module_name(network.name), *variants[:1]])
    target = output if output is not None else Path("build") / name
    make_folder(target)
    if target.resolve() == folder.resolve():
        return Build(folder), None
    return Build(target), folder


def _check_place(example: Path, build: Build, named: bool, progress: Progress | None) -> None:
    """`check_replaced` of the build that ``example`` is copied to, under its lock: another command
    may have put its own network there just now."""
    if os.path.lexists(build.folder / "network.json"):
        check_replaced(build.folder, files.load(example), f"that of {example}", named, progress)


def _left(example: Path | None) -> Path | None:
    """The folder that a build was copied from, where its network is still there."""
    there = example is not None and (example / "network.json").is_file()
    return example if there else None


def _copy(folder: Path, build: Build, variants: Sequence[str]) -> None:
    target = build.folder
    plain = ("network.safetensors", "network.json", "recipe.toml", CLASSES)
    sources = {name: name for name in plain}
    foldings = [f"folding.{variant}.json" for variant in variants]
    sources["folding.json"] = next((n for n in foldings if (folder / n).is_file()), "folding.json")
    with reading(folder):  # its network is two files
        found = {
            name: read_bytes(folder / original, SOURCE_LIMIT)
            for name, original in sources.items()
            if (folder / original).is_file()
        }
    if "recipe.toml" in found:
        found["recipe.toml"] = rebased(found["recipe.toml"], folder, target)
    stale = {n for n in sources if n not in found or hash_file(target / n) != sha256(found[n])}
    if "network.json" in stale and not is_build(target):  # nor one whose first stage failed
        for path in (target / name for name in sources if name in stale):
            if os.path.lexists(path):
                raise UsageError(
                    f"{path}: would be replaced, and {target} is no build folder; say another "
                    "folder with -o (out in Python)"
                )
    for name in sources:
        if name not in found:
            build.remove(name)
        elif name in stale:
            write_atomic(target / name, found[name])


def ensure(
    source: str | os.PathLike[str] | Build,
    upto: str = "verilog",
    options: Options | None = None,
    output: str | Path | None = None,
    progress: Progress | None = None,
    variants: Sequence[str] = (),
) -> Build:
    """Run the stages of a build that are missing or stale.

    Parameters
    ----------
    source : str, path or Build
        A build folder, or a folder with a network, which is never written to.
    upto : str
        The last stage: 'fold', 'pack', 'verilog' or 'sim'.
    options : Options, optional
        How the network is folded; what is not given stays as it was said last.
    output : str or path, optional
        Build folder of a folder with a network; default ``build/<name>``.
    progress : Progress, optional
        What is told of the stages; default nothing.
    variants : sequence of str
        A board and its family, whose ``folding.<variant>.json`` is preferred.

    Returns
    -------
    Build

    Raises
    ------
    UsageError
        No network is there, or an argument is none.
    FileError
        A file is damaged or cannot be written.
    DesignError
        The network cannot be folded as asked.
    """
    if not isinstance(upto, str) or upto not in STAGES:
        raise UsageError(f"stage {not_one_of(upto, STAGES)}")
    steps = progress_of(progress)
    if options is not None and not isinstance(options, Options):
        raise UsageError(
            f"options {show(options)} must be sterna.gen.build.stages.Options, or None"
        )
    if options is not None and options.memories not in (None, *MEMORIES):
        raise UsageError(f"memories {not_one_of(options.memories, MEMORIES)}")
    if isinstance(source, Build):
        # Another network of that name may have been built there since: copied again, it is its own.
        build, example, variants = source, _left(source.example), source.variants
    else:
        build, example = _opened(source, output, variants)
    known = build.cache.get("network") if example is None else None
    with build.held():
        build.forget()  # what another command changed meanwhile
        if known is not None and build.network.digest != known.digest:
            raise FileError(
                f"{build.folder}: holds another network than when this Build was made; build this "
                "one again, with a folder of its own as out"
            )
        if example is not None:
            if build is not source:
                _check_place(example, build, output is not None, progress)
            _copy(example, build, variants)
            if build is not source:
                build = Build(build.folder, example, tuple(variants))
        wanted = list(STAGES)[: list(STAGES).index(upto) + 1]
        planned = stale(build, upto, options)
        steps.total += len(planned)
        if any(build.record().get(s) and not build.sealed(s) for s in wanted):
            steps.note(
                f"{build.folder}: was made by another installation, or altered; made again from "
                "its network"
            )
        for stage in wanted:
            asked = _asked(build, stage, options)
            if _fresh(build, stage, asked):
                steps.total -= stage in planned  # what it reads was made again, and is the same
            else:
                with steps.step(stage), waiting(f"{build.folder}: {stage}"):
                    _run(build, stage, asked)
        build.keep_state()
    return build


def stale(build: Build, upto: str, options: Options | None) -> list[str]:
    """The stages that `ensure` will run: from the first that is missing or stale on, since each
    reads what those before it write."""
    wanted = list(STAGES)[: list(STAGES).index(upto) + 1]
    first = (k for k, s in enumerate(wanted) if not _fresh(build, s, _asked(build, s, options)))
    return wanted[next(first, len(wanted)) :]


def _run(build: Build, stage: str, asked: dict[str, Any]) -> None:
    """Run one stage and record it, last: what it read, and the bytes that it wrote."""
    read = {name: build.hash(name) for name in STAGES[stage].reads}
    old = set((build.sealed(stage) or {}).get("writes", {}))
    build.forget()
    if stage != "fold":  # that one decides before it writes
        build.make_stale(stage)
    STAGES[stage].run(build, asked)
    wrote = STAGES[stage].writes(build)
    for name in old - set(wrote):
        build.remove(name)
    if read != {name: build.hash(name) for name in STAGES[stage].reads}:
        raise FileError(
            f"{build.folder}: its network or folding was changed by another program while it was "
            "read; run the same command again"
        )
    build.enter(
        stage,
        {
            "reads": read,
            "options": asked,
            "generator": generator_id(),
            "writes": {name: build.written[name] for name in wrote},
        },
    )


def _asked(build: Build, stage: str, options: Options | None) -> dict[str, Any]:
    """Options of a stage: those of its last run, each replaced where it is given now."""
    given = {k: v for k, v in vars(options or Options()).items() if v is not None}
    last = _known(build.record().get(stage, {}).get("options", {}))
    memories = given.pop("memories", last.pop("memories", None))
    if stage != "fold":
        return {"memories": memories} if stage == "verilog" and memories in MEMORIES[1:] else {}
    if set(CHOOSING) & set(given):
        last = {k: v for k, v in last.items() if k not in CHOOSING}
    if any("memory" in e for e in (given.get("folding") or {}).values() if isinstance(e, dict)):
        last = {k: v for k, v in last.items() if k != "memory"}  # said anew, core by core
    if "board" in given:  # it brings its family, also for goals that follow
        last = last | {"family": chip_of(given["board"]).family}
    asked = last | given
    if "family" in given and "folding" not in given and asked.get("board"):
        check_family(given["family"], asked["board"], chip_of(asked["board"]).family)
    return asked


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a record that are options, whoever wrote it; their values are checked as others'
    are."""
    kinds = {name: get_args(kind) for name, kind in get_type_hints(Options).items()}
    plain = {
        name: (int, float) if float in given else tuple(get_origin(k) or k for k in given)
        for name, given in kinds.items()
    }
    return {
        k: v
        for k, v in options.items()
        if k in plain
        and v is not None
        and isinstance(v, plain[k])
        and (bool in plain[k] or not isinstance(v, bool))
    }


def _fresh(build: Build, stage: str, asked: dict[str, Any]) -> bool:
    """Options are compared as text: true is not 1, nor is 2.0 two."""
    entry = build.sealed(stage)
    return (
        entry is not None
        and entry.get("generator") == generator_id()
        and json.dumps(entry.get("options"), sort_keys=True) == json.dumps(asked, sort_keys=True)
        and entry.get("reads") == {name: build.hash(name) for name in STAGES[stage].reads}
        and bool(entry.get("writes"))
        and all(build.hash(name) == value for name, value in entry["writes"].items())
    )
