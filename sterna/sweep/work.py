"""What workers run: of each kind of task the function that computes it, and what is around it.

Nothing here reads a path of the client's: inputs come as packs, are put into a folder of the
worker's, and what was computed goes back as JSON. One task at a time in a process.
"""

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.golden.errors import DesignError, FileError, SternaError, ToolMissing
from sterna.golden.files.disk import make_folder, parse_json
from sterna.golden.words.names import show
from sterna.golden.words.packages import PackageMissing, missing, packages, there
from sterna.golden.words.telling import QUIET, at_level
from sterna.sweep.store import DONE, FAILED
from sterna.sweep.task import Pack, task_code

if TYPE_CHECKING:
    from sterna.gen.build.folder import Build

__all__ = ["KINDS", "NEEDS", "Mismatch", "facts", "run", "same"]

_ONE = threading.Lock()


class Mismatch(SternaError):
    """A worker has another Sterna than the client."""


def same(pack: Pack) -> Pack:
    """A pack, as dask's own task: it is computed, and so sent, once a worker, and again where the
    worker that had it died."""
    return pack


def facts(needs: list[str], programs: list[str]) -> dict[str, Any]:
    """Of a worker: its ``code``, ``host``, and the sentence of what it lacks, '' where nothing."""
    lacks = ""
    try:
        for name in needs:
            if not there(name):
                raise missing(ModuleNotFoundError(name=name)) or ToolMissing(f"{name} is missing")
        for name in programs:
            from sterna.gen.tools.programs import find

            find(name)
    except (ToolMissing, PackageMissing) as error:
        lacks = str(error)
    return {"code": task_code(), "host": socket.gethostname(), "lacks": lacks}


def run(
    kind: str,
    arguments: dict[str, Any],
    inputs: Mapping[str, Pack],
    before: dict[str, Any] | None,
    code: str,
) -> dict[str, Any]:
    """Compute a task: ``state``, ``row`` or ``error``, and ``made`` (by what, where, how long).

    What fails is a result, too. Mismatch and ToolMissing are raised: they are of this worker, and
    another one may do it.
    """
    host = socket.gethostname()
    if code != task_code():
        raise Mismatch(
            f"the worker on {host} has Sterna {task_code()}, this one is {code}; install the same "
            "there, and start it again"
        )
    start = time.monotonic()
    made: dict[str, Any] = {"host": host, "process": os.getpid()}
    result: dict[str, Any]
    if before is not None and before["state"] == FAILED:
        result = {"state": FAILED, "error": before["error"]}
    else:
        result = _guarded(kind, arguments, inputs, before and before["row"], made)
    made["seconds"] = round(time.monotonic() - start, 3)
    made["python"] = ".".join(map(str, sys.version_info[:3]))
    return {**result, "made": made}


def _guarded(
    kind: str, arguments: dict[str, Any], inputs: Mapping[str, Pack], before: Any, made: Any
) -> dict[str, Any]:
    """One task in a folder that is gone afterwards."""
    with (
        _ONE,
        at_level(QUIET),
        contextlib.redirect_stdout(sys.stderr),  # of a local worker, stdout is the client's
        tempfile.TemporaryDirectory(prefix="task-", dir=_scratch()) as folder,
    ):
        try:
            row = KINDS[kind](arguments, inputs, before, Path(folder))
        except ToolMissing:
            raise
        except SternaError as error:
            return {"state": FAILED, "error": str(error)}
        except Exception as error:
            if isinstance(error, ImportError) and (lacks := missing(error)) is not None:
                raise lacks from None
            return {"state": FAILED, "error": _sentence(error)}
    made["tools"] = row.pop("tools", {})
    return {"state": DONE, "row": row}


def _sentence(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())[:500]
    at = f"{os.path.basename(place.filename)}, line {place.lineno}"
    return f"{type(error).__name__}: {said} ({at})" if said else f"{type(error).__name__} ({at})"


def _scratch() -> str | None:
    """The folder of dask's worker, which goes with it; None outside of one."""
    try:
        from distributed import get_worker

        return get_worker().local_directory
    except (ImportError, ValueError):
        return None


def unpack(pack: Pack, folder: Path) -> Path:
    """The files of a pack in a folder."""
    from sterna.gen.build.folder import is_inside

    for name, data in pack.items():
        if not is_inside(name):
            raise FileError(f"{show(name)} is no name of a file in a pack; send the task again")
        make_folder((folder / name).parent)
        (folder / name).write_bytes(data)
    return folder


# --- seeds --------------------------------------------------------------------------------------


def _netlist(said: dict[str, Any], inputs: Any, _before: Any, folder: Path) -> dict[str, Any]:
    """A network's netlist for a board, with all that place and route reads."""
    from sterna.gen.build.stages import Options, ensure
    from sterna.gen.device.boards import chip_of
    from sterna.gen.tools.programs import provenance

    source = unpack(inputs["network"], folder / "network")
    options = Options(family=chip_of(said["board"]).family)
    built = ensure(source, "pack", options, folder / "build")
    return _for_board(built, said["board"]) | {"tools": provenance("yosys")}


def _for_board(built: "Build", board: str) -> dict[str, Any]:
    """The files that place and route reads, the MHz it aims at, the clocks of an image."""
    from sterna.gen.board.bitstream import BoardOptions, placeable

    place, mhz = placeable(built, BoardOptions(board))
    names = [p.name for p in place.glob("pins.*") if p.suffix != ".v"]
    files = {name: (place / name).read_bytes() for name in ("netlist.json", *names)}
    return {"files": files, "mhz": mhz, "clocks": built.design.interval}


def _seeds(said: dict[str, Any], _inputs: Any, before: Any, folder: Path) -> dict[str, Any]:
    return _placed(before, said["board"], said["seed"], folder)


def _placed(netlist: dict[str, Any], name: str, seed: int, folder: Path) -> dict[str, Any]:
    """The row of one placement."""
    from sterna.gen.board.place import place
    from sterna.gen.device.boards import board
    from sterna.gen.device.family import family_of
    from sterna.gen.tools.programs import provenance

    where = board(name)
    how = family_of(where.family).nextpnr
    assert how is not None  # the plan was refused
    made = place(unpack(netlist["files"], folder / "place"), where, seed, netlist["mhz"])
    mhz = made.fmax_mhz["sync"]
    used = {k: have for k, (have, _) in made.used.items()}
    row = {"mhz": round(mhz, 3), "uart_mhz": round(made.fmax_mhz["uart"], 3)}
    row |= {"fps": round(mhz * 1e6 / netlist["clocks"], 1), **{f"used_{k}": used[k] for k in used}}
    return row | {"tools": provenance(how.program)}


# --- foldings -----------------------------------------------------------------------------------


def _candidates(said: dict[str, Any], inputs: Any, _before: Any, folder: Path) -> dict[str, Any]:
    """The foldings that are tried, each with its estimate."""
    from sterna.gen.fold.frontier import candidates
    from sterna.golden.files import network_files

    network = network_files.load(unpack(inputs["network"], folder))
    found = candidates(network, said["family"], said["clock"], said["points"])
    return {
        "candidates": [
            {"folding": c.design.folding, "estimate": c.as_dict(said["clock"])} for c in found
        ]
    }


def _foldings(said: dict[str, Any], inputs: Any, _before: Any, folder: Path) -> dict[str, Any]:
    """One folding by yosys and, for a board, placed."""
    from sterna.building import build
    from sterna.gen.build.folder import Build
    from sterna.gen.build.synthesis import synthesise

    source = unpack(inputs["network"], folder / "network")
    family, clock = said["family"], said["clock"]
    given: dict[str, Any] = {"family": family, "clock_mhz": clock, "folding": said["folding"]}
    built = build(source, folder / "build", **given)
    clocks = built.design.interval
    counted = synthesise(Build(folder / "build"), family)
    row: dict[str, Any] = {"clocks": clocks, "fps": round(clock * 1e6 / clocks, 1)}
    row |= {k: counted[k] for k in ("luts", "ff", "bram", "lutram")}
    guess = counted["estimate"] or {}
    row |= {f"estimated_{k}": guess.get(k) for k in ("luts", "ff", "bram")}
    tools = counted["tools"]
    if said["board"] is not None:
        try:
            netlist = _for_board(Build(folder / "build"), said["board"])
            placed = _placed(netlist, said["board"], said["seed"], folder)
            tools = tools | placed.pop("tools")
            row |= {"placed_mhz": placed["mhz"], "placed_fps": placed["fps"]}
            row |= {k: v for k, v in placed.items() if k.startswith("used_")}
        except DesignError as error:  # it does not fit, which is what was asked
            row |= {"placed_mhz": None, "placed_fps": None, "why": str(error)}
    return row | {"tools": tools}


# --- accuracy -----------------------------------------------------------------------------------


def _accuracy(said: dict[str, Any], inputs: Any, _before: Any, folder: Path) -> dict[str, Any]:
    """A slice of a test set through the golden model and, where asked, the Verilog."""
    with packages():
        from sterna.golden.exact import run as golden
    from sterna.golden.files import network_files
    from sterna.golden.files.arrays import parse_npy

    files = inputs["slice"]
    images, labels = (
        parse_npy(files[name], name, "run the sweep again") for name in ("images.npy", "labels.npy")
    )
    source = unpack(inputs["network"], folder / "network")
    network = network_files.load(source)
    row: dict[str, Any] = {"images": len(labels)}
    if not said["rtl"]:
        row["right"] = int((golden(network, images).classes == labels).sum())
        return row
    from sterna.gen.build.stages import ensure
    from sterna.gen.tools.programs import provenance
    from sterna.sim.verify import verify

    found = verify(ensure(source, "verilog", output=folder / "build"), images, labels)
    row["right"] = round(found["accuracy"] * len(labels))
    row |= {k: found[k] for k in ("spikes_compared", "mismatches", "clocks_per_image")}
    if found["mismatches"]:
        raise SternaError(f"golden and the Verilog differ: {found['first_difference']}")
    return row | {"tools": provenance("verilator")}


# --- scripts ------------------------------------------------------------------------------------


def _script(said: dict[str, Any], inputs: Any, _before: Any, folder: Path) -> dict[str, Any]:
    """A function of the user's own file, called with the arguments by name; its answer."""
    import importlib
    import json

    with _importable(unpack(inputs["files"], folder)):
        module = importlib.import_module(said["module"])
        found = getattr(module, said["function"])(**said["arguments"])
    if found is None:
        return {}
    try:
        if not isinstance(found, dict) or "tools" in found:
            raise TypeError
        return parse_json(json.dumps(found, allow_nan=False).encode(), said["function"])
    except (TypeError, ValueError, FileError):
        raise SternaError(
            f"{said['function']} returned {show(found)}; return a dict of texts and finite "
            "numbers, or nothing"
        ) from None


@contextlib.contextmanager
def _importable(folder: Path) -> Any:
    """Modules of ``folder`` can be imported inside, and are forgotten afterwards: the next task may
    have others of the same name."""
    before = set(sys.modules)
    names = {p.stem for p in folder.glob("*.py")}
    hidden = {n: sys.modules.pop(n) for n in names & before}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names & set(sys.modules):
            del sys.modules[name]
        sys.modules.update(hidden)


KINDS: dict[str, Callable[[dict[str, Any], Any, Any, Path], dict[str, Any]]] = {
    "netlist": _netlist,
    "seeds": _seeds,
    "candidates": _candidates,
    "foldings": _foldings,
    "accuracy": _accuracy,
    "script": _script,
}
NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "seeds": (("amaranth", "amaranth_boards"), ("yosys",)),
    "foldings": (("amaranth", "amaranth_boards"), ("yosys",)),
    "accuracy": (("torch",), ()),
    "rtl": (("torch", "amaranth"), ("verilator", "g++")),
    "script": ((), ()),
}
"""Packages and programs of a worker, by kind of job; 'rtl' of an accuracy with Verilog."""
