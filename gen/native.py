"""C++ of this package, compiled once for each compiler and machine, and called through ctypes."""

import ctypes
import functools
import hashlib
import os
import platform
import tempfile
from pathlib import Path

from sterna.gen.tools import find, run_tool
from sterna.golden.errors import FileError

__all__ = ["cache_folder", "library"]


def cache_folder() -> Path:
    """Where what was built is kept: ``$STERNA_CACHE``, else the user's cache folder."""
    given = os.environ.get("STERNA_CACHE")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sterna"


@functools.cache
def library(source: Path, flags: tuple[str, ...] = ("-O2",)) -> ctypes.CDLL:
    """The shared library of one C++ file without other files of ours.

    Raises:
        ToolMissing: there is no g++; the sentence says how to install it.
        ToolFailed: it does not compile.
        FileError: the cache folder cannot be used.
    """
    compiler = find("g++")
    arguments = [*flags, "-std=c++17", "-shared", "-fPIC"]
    parts = [source.read_text(), compiler.version, *arguments]
    if "-march=native" in flags:
        parts.append(_processor())
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    path = cache_folder() / "native" / f"{source.stem}-{key}.so"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                made = Path(folder) / path.name
                run_tool(compiler, [*arguments, "-o", str(made), str(source.absolute())], folder)
                made.replace(path)  # whole or not at all, whoever else compiles it now
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise FileError(
            f"{path} cannot be made or loaded: {error.strerror or error}; set STERNA_CACHE to a "
            "folder with free space"
        ) from error


def _processor() -> str:
    """What code for this very processor depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({n for n in lines if n.startswith(("flags", "model name"))}))
