"""The folder of an exported block: everything in it, written at once or not at all."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from sterna.gen.build.folder import Build, is_inside
from sterna.gen.build.folder import Build as Folder
from sterna.gen.ip import layout
from sterna.gen.ip.amaranth_core import amaranth_core
from sterna.gen.ip.driver import driver_files
from sterna.gen.ip.exported import Exported, exported
from sterna.gen.ip.fusesoc import core_files
from sterna.gen.ip.ipxact import component_files
from sterna.gen.ip.litex_core import litex_core
from sterna.gen.ip.texts import FORMAT, constraint_files, manifest, readme, waiver_file
from sterna.gen.ip.vivado import scripts
from sterna.gen.ip.wrapper import bench, clock_driver, vectors, wrapper
from sterna.gen.tools.progress import tell
from sterna.golden.errors import FileError
from sterna.golden.files.disk import (
    StrPath,
    check_new_folder,
    is_part,
    make_folder,
    parse_json,
    read_bytes,
)
from sterna.golden.words import values
from sterna.golden.words.names import show

__all__ = ["block_files", "check_folder", "export", "read_manifest"]

LIMIT = 1 << 24  # bytes of a manifest


def block_files(x: Exported, added: Mapping[str, str] = MappingProxyType({})) -> dict[str, bytes]:
    """Every file of the block by its name, those ``added``, too; the same build gives the same
    bytes."""
    rtl = dict(zip(layout.rtl(x), (x.verilog, wrapper(x)), strict=True))
    texts: dict[str, str | bytes] = {
        **rtl,
        **{f"{layout.MEMORIES}{name}": text for name, text in x.memories.items()},
        layout.image(x): x.image,
        layout.bench(x): bench(x),
        layout.driver(x): clock_driver(x),
        **{f"{layout.BENCH}{name}": text for name, text in vectors(x).items()},
        **constraint_files(x),
        **waiver_file(x),
        **component_files(x),
        **core_files(x),
        **scripts(x),
        **driver_files(x),
        layout.amaranth(x): amaranth_core(x),
        layout.litex(x): litex_core(x),
        layout.README: readme(x, layout.datasheet(x) in added),
        **added,
    }
    made = {name: t.encode() if isinstance(t, str) else t for name, t in texts.items()}
    return made | {layout.MANIFEST: manifest(x, made).encode()}


def export(
    build: Build, folder: StrPath, more: Callable[[Exported], Mapping[str, str]] | None = None
) -> dict[str, bytes]:
    """Write the block of a build that has its Verilog, and the files that ``more`` makes of its
    facts; returns the files by their names.

    An earlier export of the same network is replaced, with those of its files that are as it wrote
    them; anything else that is there is refused. Files of tools that worked in the folder stay.

    Raises
    ------
    FileError
        The folder holds something else or cannot be written, or a file of the build is damaged.
    DesignError
        A part cannot be written for this design.
    """
    folder = values.path("folder", folder)
    check_folder(folder, build.name)  # before the work
    x = exported(build)
    made = block_files(x, more(x) if more is not None else {})
    make_folder(folder)
    block = Folder(folder)
    with block.held():
        # Another export may have taken the folder since: whose it is counts from here on.
        body = check_folder(folder, build.name) or {"files": {}}
        old = {name: h for name, h in body["files"].items() if isinstance(h, str)}
        _tell_replaced(folder, body, x)
        for name in sorted(set(old) - set(made)):
            if not is_inside(name) or (now := block.hash(name)) is None:
                continue
            if now != old[name]:
                tell(f"{folder / name}: was edited by hand and is kept; the block no longer has it")
            else:
                block.remove(name)
                for parent in PurePosixPath(name).parents[:-1]:
                    with contextlib.suppress(OSError):  # something is left in it
                        (folder / parent).rmdir()
        # The manifest first: a folder that was interrupted is known as our own.
        for name in sorted(made, key=lambda name: name != layout.MANIFEST):
            make_folder(block.place(name).parent)
            block.write(name, made[name])
    return made


def read_manifest(folder: Path) -> dict[str, Any]:
    """ip.json of an exported block. FileError where it is none."""
    path = folder / layout.MANIFEST
    body = parse_json(read_bytes(path, LIMIT), path)
    ours = isinstance(body, dict) and body.get("format") == FORMAT
    if not ours or type(body.get("module")) is not str or type(body.get("files")) is not dict:
        raise FileError(f"{path}: is not of an exported block; export it again")
    return body


def check_folder(folder: Path, module: str | None = None) -> dict[str, Any] | None:
    """The manifest of an earlier export there, of the network called ``module`` where that is
    given; None where nothing is. FileError where something else is, or where no folder can be
    made."""
    check_new_folder(folder)
    if not folder.is_dir() or not any(name for name in os.listdir(folder) if not is_part(name)):
        return None
    try:
        body = read_manifest(folder)
    except FileError:
        raise FileError(
            f"{folder}: is not empty, and no exported block; give another folder, or empty it"
        ) from None
    if module is not None and body.get("module") != module:
        raise FileError(
            f"{folder}: holds the block of the network {show(body.get('module'))}; give "
            f"'{module}' a folder of its own"
        )
    return body


def _tell_replaced(folder: Path, body: dict[str, Any], x: Exported) -> None:
    """A line of an earlier export with other weights or of another design."""
    now = {"weights_id": x.weights, "structure_id": x.structure}
    there = {key: show(str(body[key])[:16]) for key in now if body.get(key, now[key]) != now[key]}
    if there:
        held = " and ".join(f"{key} {value}" for key, value in there.items())
        new = " and ".join(f"'{now[key][:16]}'" for key in there)
        tell(f"{folder}: held the block of {held}, replaced by {new}")
