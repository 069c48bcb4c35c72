"""``sterna.build``: from a network, or a folder that has one, to a build in one call."""

import os
from pathlib import Path
from typing import Any

from sterna.built import Build
from sterna.gen.build.folder import Build as Folder
from sterna.gen.build.folder import is_build
from sterna.gen.build.folding_file import read_folding
from sterna.gen.build.replace import check_replaced
from sterna.gen.build.stages import Options, ensure
from sterna.gen.design.design import Design
from sterna.gen.tools.progress import Progress, progress_of
from sterna.golden.errors import UsageError
from sterna.golden.files import network_files as files
from sterna.golden.files.disk import StrPath, make_folder
from sterna.golden.network import Network
from sterna.golden.words import values
from sterna.golden.words.names import module_name, show

__all__ = ["build"]

OTHERS = ("folding.json", "recipe.toml")
"""What a folder says of the network in it, which is of no other one."""


def build(
    network: Network | StrPath | Folder,
    out: StrPath | None = None,
    *,
    board: str | None = None,
    fps: float | None = None,
    folding: dict[str, dict[str, Any]] | Design | StrPath | None = None,
    family: str | None = None,
    luts: int | None = None,
    clock_mhz: float | None = None,
    memory: str | None = None,
    patchable: bool | None = None,
    memories: str | None = None,
    upto: str = "verilog",
    progress: Progress | None = None,
) -> Build:
    """Verilog and everything before it of a network; stages that are there and fresh are kept.

    Parameters
    ----------
    network : Network, str, path or Build
        A network, or a folder with one (a build, or one that is never written to).
    out : str or path, optional
        Build folder; default ``build/<name>``. A network that it holds is replaced, without
        ``out`` only one with the same layers.
    board : str, optional
        The fastest design that fits this board, or with ``fps`` the smallest that reaches it.
    fps : float, optional
        Images a second to reach.
    folding : dict, Design or path, optional
        Some or all keys of a folding of some or all weighted nodes, by name; a design of ``fold``
        or ``solve``; a folding file.
    family : str, optional
        generic, or a family of FPGAs by the name that ``sterna fold --family`` takes.
    luts : int, optional
        The fastest design of at most so many LUTs of the family.
    clock_mhz : float, optional
        That ``fps`` and estimates assume.
    memory : str, optional
        'rom' or 'ram': weights of all cores built in, or rewritable at run time.
    patchable : bool, optional
        Whether built-in weights are sized for retrained ones, too.
    memories : str, optional
        'inline', contents of memories are in the Verilog, or 'files', it reads them from ``mem/``;
        default the last choice, else 'inline'.
    upto : str
        The last stage: 'fold', 'pack', 'verilog' or 'sim'.
    progress : Progress, optional
        What is told of the stages; default nothing.

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
    given = {"board": board, "fps": fps, "family": family, "luts": luts, "clock_mhz": clock_mhz}
    given |= {"memory": memory, "patchable": patchable, "memories": memories}
    _check_numbers(given)
    settings = _folding(folding) | {k: v for k, v in given.items() if v is not None}
    progress_of(progress)
    options = Options(**settings)
    where = None if out is None else values.path("out", out)
    if isinstance(network, Folder):
        return Build.of(ensure(network, upto, options, progress=progress))
    if not isinstance(network, Network):
        return Build.of(ensure(values.path("build", network), upto, options, where, progress))
    folder = where or Path("build") / module_name(network.name)
    _put(network, folder, out is not None, progress)
    return Build.of(ensure(folder, upto, options, folder, progress))


def _put(network: Network, folder: Path, named: bool, progress: Progress | None) -> None:
    """The network into the folder; another one's folding and recipe go with it."""
    made, there = Folder(folder), folder / "network.json"
    make_folder(folder)
    with made.held():  # whose it is, too: another program may be about to take it
        if os.path.lexists(there) and files.load(folder).digest != network.digest:
            if not is_build(folder):
                raise UsageError(
                    f"{folder}: holds another network, and no build; give another out, or save "
                    "there first"
                )
            check_replaced(folder, network, "this network", named, progress)
            for name in OTHERS:
                made.remove(name)
        files.save(network, folder)


def _folding(folding: Any) -> dict[str, Any]:
    if folding is None:
        return {}
    if isinstance(folding, Design):
        said = {k: getattr(folding, k) for k in ("folding", "family", "clock_mhz")}
        patchable = any(c.patchable for c in folding.cores)
        return said | ({"patchable": True} if patchable else {})
    if isinstance(folding, dict):
        return {"folding": folding}
    return read_folding(values.path("folding", folding))


def _check_numbers(given: dict[str, Any]) -> None:
    """Options are kept in a record as JSON: each has the type it is written with."""
    for name in ("fps", "clock_mhz"):
        if given[name] is not None:
            refusal = f"{name} {show(given[name])} must be a number above 0"
            given[name] = values.number(refusal, given[name], True, UsageError)
    if given["luts"] is not None:
        refusal = f"luts {show(given['luts'])} must be a whole number from 1"
        given["luts"] = values.integer(refusal, given["luts"], 1, 10**9, UsageError)
    if given["patchable"] is not None:
        refusal = f"patchable {show(given['patchable'])} must be True or False"
        given["patchable"] = values.flag(refusal, given["patchable"], UsageError)
    for name in ("board", "family", "memory", "memories"):
        if given[name] is not None and not isinstance(given[name], str):
            raise UsageError(f"{name} {show(given[name])} must be a name")
