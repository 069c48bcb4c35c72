"""Runs of programs that take minutes, kept by what went into them.

yosys and nextpnr make the same files of the same ones. What they left is kept in the user's cache
under this installation's seal (`gen.tools.cache`), so that to build what was built before, in any
folder, takes no second run. ``$STERNA_CACHE``, an empty folder, has everything run again.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from sterna.gen.tools.cache import Cache, cache_folder, key_of
from sterna.gen.tools.programs import Completed, Stop, Tool, find, run_tool
from sterna.golden.errors import FileError
from sterna.golden.files.disk import read_bytes
from sterna.golden.words.telling import detail

__all__ = ["run_kept"]

_LIMIT = 2 << 30
_LARGEST = 1 << 30  # of a file that is read
_SAID = "said.txt"  # what the program said, beside the files
_MEMORY = re.compile(rb'\$readmem[hb]\s*\(\s*(?:\{\s*`(\w+)\s*,\s*)?"([^"\n]+)"')
_FOLDER = re.compile(
    rb'^`define (\w+) "([^"\n]*)"', re.M
)  # which our Verilog has it read them from
_OTHERS = re.compile(rb"\$readmem|`include")  # of files that the key may not cover


def run_kept(
    program: str,
    args: Sequence[str],
    cwd: str | os.PathLike[str],
    *,
    reads: Sequence[str],
    makes: Sequence[str] = (),
    log: str,
    timeout: float | None = None,
    stop: Stop | None = None,
) -> Completed:
    """`run_tool` of a program whose files ``makes`` follow from its arguments and the files
    ``reads`` alone (names in ``cwd``, all of them but what Verilog among them loads memories from);
    taken from the cache where all that is as it was in a run that ended well. Raises as `run_tool`.
    """
    tool, folder = find(program), Path(cwd)
    store = Cache(cache_folder() / "runs", "cache of runs", _LIMIT)
    key = _key(tool, args, folder, reads, makes)
    if key is not None and (text := _taken(store, key, folder, makes)) is not None:
        (folder / log).write_text(text, encoding="utf-8")
        detail(f"{program} {tool.version}: ran before, kept as {store.folder / key}")
        return Completed(0, text, 0.0)
    done = run_tool(tool, args, folder, log=log, timeout=timeout, stop=stop)

    def fill(work: Path) -> None:
        for name in makes:
            shutil.copyfile(folder / name, work / name)
        (work / _SAID).write_text(done.text, encoding="utf-8")

    # The run was good, whether or not it can be kept. Nothing runs under the entry's lock: who
    # holds a slot may wait for it.
    with contextlib.suppress(FileError):
        if key is not None:
            store.entry(key, fill)
    return done


def _key(
    tool: Tool, args: Sequence[str], folder: Path, reads: Sequence[str], makes: Sequence[str]
) -> str | None:
    """Of all that the run follows from; None where that cannot be told."""
    version = [tool.name, tool.version]
    if tool.source != "wheel":  # the very file
        found = os.stat(tool.argv[0])
        version += [tool.argv[0], f"{found.st_size} {found.st_mtime_ns}"]
    data = [read_bytes(folder / name, _LARGEST) for name in reads]
    for text in list(data):
        memories = _MEMORY.findall(text)
        if len(_OTHERS.findall(text)) > len(memories):
            return None
        try:
            where = dict(_FOLDER.findall(text)) | {b"": b""}
            names = [os.fsdecode(where[macro] + name) for macro, name in memories]
            data += [read_bytes(folder / name, _LARGEST) for name in names]
        except (FileError, KeyError):
            return None
    return key_of(*version, *args, *reads, *makes, *data)


def _taken(store: Cache, key: str, folder: Path, makes: Sequence[str]) -> str | None:
    """What the program said, its files in ``folder`` again; None where they are not kept."""
    place = store.there(key)
    if place is None:
        return None
    try:  # another process may remove it now, to make room
        text = (place / _SAID).read_text(encoding="utf-8")
        for name in makes:
            shutil.copyfile(place / name, folder / name)
    except OSError:
        return None
    return text
