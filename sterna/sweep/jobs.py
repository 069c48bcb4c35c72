"""From the jobs of a plan to tasks: inputs are read here, once, and go on by content."""

import argparse
import glob
import io
import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.commands.arguments import there
from sterna.gen.device.boards import chip_of
from sterna.gen.device.family import TARGETS, family_of
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import canonical_json, read_bytes
from sterna.golden.words.names import not_one_of, show
from sterna.sweep.plan import MOST, Job, numbers, values_of
from sterna.sweep.task import Pack, Task, pack_hash

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Packs", "needs_of", "tasks_of"]

Packs = dict[str, Pack]
"""By `pack_hash`."""
_LIMIT = 1 << 31
_SCRIPTS = 64 << 20
"""Bytes that the files of a script may have in all."""


def needs_of(jobs: list[Job]) -> list[str]:
    """Which of `work.NEEDS` a worker must have."""
    return sorted({"rtl" if job.get("rtl") else job.kind for job in jobs})


def tasks_of(job: Job, packs: Packs, now: "Callable[[Task], dict[str, Any]]") -> list[Task]:
    """The tasks of a job; what they read is added to ``packs``. ``now``: computes a task here, or
    takes what is filed. UsageError, FileError: what the job says, or names, is none."""
    make = {"seeds": _seeds, "foldings": _foldings, "accuracy": _accuracy, "script": _script}
    return make[job.kind](job, packs, now)


def _kept(packs: Packs, pack: Pack) -> str:
    key = pack_hash(pack)
    packs[key] = pack
    return key


def _network(job: Job, key: str, text: str, packs: Packs, folding: Pack | None = None) -> str:
    from sterna.golden.files import network_files
    from sterna.golden.files.instead import instead
    from sterna.golden.files.locks import reading

    folder = _folder(job, text)
    if (refusal := instead(folder, "network")) is not None:
        raise job.wrong(key, f"= {show(text)}: {refusal}")
    with reading(folder):
        network_files.load(folder)  # damaged ones are refused here
        names = ("network.json", "network.safetensors")
        pack = {name: read_bytes(folder / name, _LIMIT) for name in names}
    return _kept(packs, pack | (folding or {}))


def _folder(job: Job, text: str) -> Path:
    """A folder that a job names: below the plan's, or what comes with Sterna."""
    near = job.where / text
    return near if near.is_dir() else Path(there(text))


def _board(job: Job, text: str) -> str:
    if family_of(chip_of(text).family).nextpnr is None:
        raise job.wrong("board", f"= {show(text)} is placed by Vivado; give one with an open flow")
    return text


def _folding_of(job: Job, folder: Path, variants: tuple[str, ...]) -> Pack:
    """folding.json as a worker's build reads it: the job's, a build's design, an example's for the
    board; nothing where the solver is to choose."""
    from sterna.gen.build.folding_file import read_folding

    names = ["design.json", *(f"folding.{v}.json" for v in variants), "folding.json"]
    path = next((folder / n for n in names if (folder / n).is_file()), None)
    if said := job.get("folding"):
        path = job.where / said
    return {} if path is None else {"folding.json": canonical_json(read_folding(path)).encode()}


def _seeds(job: Job, packs: Packs, _now: object) -> list[Task]:
    board = _board(job, job.said["board"])
    seeds = numbers(job, "seeds", job.said["seeds"])
    variants = (board, chip_of(board).family)
    folding = _folding_of(job, _folder(job, job.said["build"]), variants)
    network = _network(job, "build", job.said["build"], packs, folding)
    netlist = Task("netlist", {"board": board}, {"network": network}, None, job.name)
    return [Task("seeds", {"board": board, "seed": s}, {}, netlist, job.name) for s in seeds]


def _foldings(job: Job, packs: Packs, now: "Callable[[Task], dict[str, Any]]") -> list[Task]:
    board = job.get("board") and _board(job, job.said["board"])
    family = job.get("family", chip_of(board).family if board else "ecp5")
    if family not in TARGETS:
        raise job.wrong("family", not_one_of(family, TARGETS))
    if board and family != chip_of(board).family:
        raise job.wrong("family", f"= {show(family)}, but {board} is of {chip_of(board).family}")
    clock = float(job.get("clock", 100.0))
    if not 0 < clock < math.inf:
        raise job.wrong("clock", f"= {clock} must be MHz above 0")
    points = job.whole("points", 12, 1, 1000)
    network = _network(job, "network", job.said["network"], packs)
    said = {"family": family, "clock": clock}
    first = Task("candidates", said | {"points": points}, {"network": network}, None, job.name)
    found = now(first)
    if "error" in found:
        raise UsageError(f"{job.place}: {found['error']}")
    said |= {"board": board, "seed": job.whole("seed", 1, 0, 2**31 - 1)}
    made: dict[Task | str, Task] = {}
    for one in found["row"]["candidates"]:
        task = Task(
            "foldings", said | {"folding": one["folding"]}, {"network": network}, None, job.name
        )
        made.setdefault(task.id, task)  # two rates may have the same one
    return [*made.values()]


def _accuracy(job: Job, packs: Packs, _now: object) -> list[Task]:
    import numpy as np

    import sterna.images as images
    from sterna.gen.build.folder import Build
    from sterna.train.module.frames import pick

    each = job.whole("slice", 500, 1, 10**9)
    most = job.get("images")
    if most is not None:
        job.whole("images", 1, 1, 10**9)
    networks = job.said["networks"]
    networks = networks if isinstance(networks, list) else [networks]
    if not all(isinstance(n, str) for n in networks) or len(set(networks)) < len(networks):
        raise job.wrong("networks", f"= {show(networks)} must be names, each once")
    out = []
    for text in networks:
        folder = _folder(job, text)
        rtl = bool(job.get("rtl", False))
        folding = _folding_of(job, folder, ()) if rtl else {}
        key = _network(job, "networks", text, packs, folding)
        options = argparse.Namespace(
            data=job.get("data"), split=job.get("split"), images=most, file=None, size=None
        )
        if options.split not in (None, *images.PARTS):
            raise job.wrong("split", not_one_of(options.split, images.PARTS))
        built = Build(folder)
        found = images.choose(options, built.network, folder, built.data, None)
        assert found.labels is not None  # a set has some
        for start in range(0, len(found), each):
            part = slice(start, start + each)
            files = {"images.npy": pick(found.images, part), "labels.npy": found.labels[part]}
            data = _kept(packs, {n: _npy(np.ascontiguousarray(a)) for n, a in files.items()})
            said = {"network": built.network.name, "first": start, "rtl": rtl}
            out.append(Task("accuracy", said, {"network": key, "slice": data}, None, job.name))
    return out


def _npy(array: Any) -> bytes:
    import numpy as np

    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    return data.getvalue()


def _script(job: Job, packs: Packs, _now: object) -> list[Task]:
    path, _, function = job.said["call"].rpartition(":")
    file = job.where / path
    if not path.endswith(".py") or not function.isidentifier() or not file.stem.isidentifier():
        raise job.wrong("call", f"= {show(job.said['call'])} must be FILE.py:FUNCTION")
    pack = {file.name: read_bytes(file, _SCRIPTS, "correct call")}
    if not any(
        line.startswith(f"def {function}(".encode()) for line in pack[file.name].split(b"\n")
    ):
        raise job.wrong("call", f"= {show(job.said['call'])}: {path} has no def {function}(")
    files = job.get("files", [])
    for pattern in files if isinstance(files, list) else [files]:
        names = sorted(glob.glob(str(Path(glob.escape(str(job.where))) / str(pattern))))
        names = [name for name in names if Path(name).is_file()]
        if not names:
            raise job.wrong("files", f"= {show(pattern)}: there is no such file")
        for name in map(Path, names):
            data = read_bytes(name, _SCRIPTS, "correct files")
            if pack.setdefault(name.name, data) != data:
                raise job.wrong("files", f"has two different files of the name {name.name}")
            if sum(map(len, pack.values())) > _SCRIPTS:
                raise FileError(
                    f"{job.place}: files are larger than {_SCRIPTS >> 20} MiB; name fewer"
                )
    grid = job.said["arguments"]
    if bad := [k for k in grid if not k.isidentifier()]:
        raise job.wrong("arguments", f"has {show(bad[0])}, which is no name of an argument")
    values = {k: values_of(job, f"arguments.{k}", v) for k, v in grid.items()}
    if (count := math.prod(map(len, values.values()))) > MOST:
        raise job.wrong("arguments", f"make {count:,} tasks; a sweep has {MOST:,} at most")
    key = _kept(packs, pack)
    said = {"module": file.stem, "function": function}
    return [
        Task("script", said | {"arguments": dict(zip(values, one))}, {"files": key}, None, job.name)
        for one in itertools.product(*values.values())
    ]
