"""C++ of this package, compiled once for each compiler and machine, and called through ctypes."""

import ctypes
import functools
import platform
import re
from pathlib import Path

from sterna.gen.tools.cache import Cache, key_of
from sterna.gen.tools.programs import find, run_tool
from sterna.gen.tools.trust import cache_folder
from sterna.golden.errors import FileError
from sterna.golden.files.disk import read_text

__all__ = ["cache_folder", "library"]

_LIMIT = 1 << 24


@functools.cache
def library(source: Path, flags: tuple[str, ...] = ("-O2",)) -> ctypes.CDLL:
    """The shared library of one C++ file and the headers of ours beside it that it includes.

    Raises:
        ToolMissing: there is no g++; the sentence says how to install it.
        ToolFailed: it does not compile.
        FileError: the cache folder cannot be used.
    """
    compiler = find("g++")
    arguments = [*flags, "-std=c++17", "-shared", "-fPIC"]
    parts = [*_texts(source), compiler.version, *arguments]
    if "-march=native" in flags:
        parts.append(_processor())
    name = f"{source.stem}.so"

    def build(work: Path) -> None:
        run_tool(compiler, [*arguments, "-o", name, str(source.absolute())], work)

    store = Cache(cache_folder() / "native", "native cache")
    path = store.entry(f"{source.stem}-{key_of(*parts)}", build) / name
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise FileError(
            f"{path} cannot be loaded: {error}; set STERNA_CACHE to a folder that programs may be "
            "run from"
        ) from error


def _texts(source: Path) -> list[str]:
    """The text of a source and of every header that it includes by "name", each once."""
    found: dict[Path, str] = {}
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = read_text(path, _LIMIT)
            names = re.findall(r'^#include "(.+)"', found[path], re.MULTILINE)
            waiting += [path.with_name(name) for name in names]
    return list(found.values())


def _processor() -> str:
    """What code for this very processor depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({n for n in lines if n.startswith(("flags", "model name"))}))
