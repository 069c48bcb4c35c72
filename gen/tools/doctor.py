"""``sterna doctor``: is everything here that Sterna needs, and what installs what is missing?

The first stage uses only the standard library and runs before anything is installed, as ``python3
gen/tools/doctor.py --first`` (the Makefile does); the second one looks at the Python packages and
tools inside the environment.
"""

# Until the version is known this file must compile and run on Python 3.6, which `make venv` may
# find: nothing newer above the check, no newer syntax anywhere.
# ruff: noqa: E402
import sys

_PYTHON_MINIMUM = (3, 11)
_PYTHON_FIX = "apt install python3.11"
if __name__ == "__main__" and sys.version_info[:2] < _PYTHON_MINIMUM:
    sys.exit(
        print(
            "python {} at {} is too old, {}.{} or newer is needed; run: {}, or name another with "
            "make PYTHON=...".format(
                ".".join(map(str, sys.version_info[:3])),
                sys.executable,
                *_PYTHON_MINIMUM,
                _PYTHON_FIX,
            ),
            file=sys.stderr,
        )
        or 3
    )

import argparse
import functools
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Check", "first_stage", "second_stage", "examine", "table", "main"]

_DISK_NEEDED = 4 << 30  # virtual environment 2.5 GB, simulation and synthesis builds the rest


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        name: what was looked for.
        ok: True if it is there and usable.
        needed: False for things that only some commands want.
        found: version or place, or what is wrong.
        fix: the command that repairs it; empty where ``ok``.
        purpose: what it is for, where that is not plain.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    fix: str = ""
    purpose: str = ""


def first_stage(folder: Path | None = None) -> list[Check]:
    """What must be there before anything can be installed; standard library only.

    Args:
        folder: where the environment and the builds will lie (for the disk space).
    """
    version = sys.version_info[:3]
    text = ".".join(map(str, version))
    checks = [
        Check(
            "python",
            version[:2] >= _PYTHON_MINIMUM,
            True,
            f"{text} at {sys.executable}",
            "" if version[:2] >= _PYTHON_MINIMUM else _PYTHON_FIX,
        )
    ]
    checks += [_program(name) for name in ("g++", "make", "perl")]
    checks.append(_pip_or_venv())
    free = shutil.disk_usage(folder or Path.cwd()).free
    checks.append(
        Check(
            "disk",
            free >= _DISK_NEEDED,
            True,
            f"{free / 2**30:.1f} GiB free",
            "" if free >= _DISK_NEEDED else f"free {_DISK_NEEDED >> 30} GiB on this disk",
        )
    )
    return checks


def _program(name: str) -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(name, False, True, "not on PATH", f"apt install {name}")
    return Check(name, True, True, path)


def _pip_or_venv() -> Check:
    if sys.prefix != sys.base_prefix:
        return Check("venv", True, True, sys.prefix)
    if importlib.util.find_spec("ensurepip") is not None:
        return Check("venv", True, True, "venv and ensurepip")
    # pip 22.3 and newer can fill an environment made without ensurepip.
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--version"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0 and importlib.util.find_spec("venv") is not None:
        return Check("venv", True, True, "venv without ensurepip, " + done.stdout.split(" from")[0])
    major, minor = sys.version_info[:2]
    return Check(
        "venv", False, True, "no ensurepip and no pip", f"apt install python{major}.{minor}-venv"
    )


def second_stage() -> list[Check]:
    """Python packages, Verilator, yosys, nextpnr, Icarus and CUDA."""
    from sterna.gen.tools import programs
    from sterna.golden.errors import ToolMissing
    from sterna.golden.words.packages import EXTRAS, PACKAGES, there

    checks = []
    for module, package in PACKAGES.items():
        name, needed = package.distribution, package.needed
        if not package.listed:
            continue
        # Found by name only: importing torch takes seconds, and pyverilator fails on Python 3.11.
        if not there(module):
            purpose = EXTRAS.get(package.extra, "")
            checks.append(Check(name, False, needed, "not installed", package.install, purpose))
        else:
            checks.append(_versioned(name, needed))
    for name, needed, purpose in (
        ("verilator", True, "simulating, lint"),
        ("yosys", False, "synthesis"),
        ("nextpnr-ecp5", False, "bitstreams for ECP5"),
        ("nextpnr-ice40", False, "bitstreams for iCE40"),
        ("iverilog", False, "the plain bench beside the Verilog"),
    ):
        try:
            tool = programs.find(name)
        except ToolMissing as error:
            text, _, fix = str(error).partition("; run: ")
            checks.append(Check(name, False, needed, text, fix, purpose))
        else:
            place = (
                f"native, {tool.argv[0]}"
                if name in programs.NATIVE_OR_WASM and (tool.source == "system")
                else tool.source
            )
            note = f"; {tool.note}" if tool.note else ""
            checks.append(Check(name, True, needed, f"{tool.version} ({place}){note}".strip()))
    checks += _headers()
    checks.append(_slots())
    checks.append(_cuda())
    return checks


def _headers() -> list[Check]:
    """What g++ finds of the libraries that waves as .fst are written with."""
    from sterna.gen.tools.headers import FST_HEADERS, has_header

    checks = []
    for name, package in FST_HEADERS if shutil.which("g++") else ():
        if has_header(name):
            checks.append(Check(name, True, False, "found by g++"))
        else:
            fix = f"apt install {package}"
            checks.append(Check(name, False, False, "not found by g++", fix, "waves as .fst"))
    return checks


def _slots() -> Check:
    from sterna.gen.tools.slots import slot_count

    count = slot_count()
    said = "STERNA_JOBS" if os.environ.get("STERNA_JOBS") else "by memory and cores"
    return Check("at once", True, False, f"{count} of yosys and nextpnr ({said})")


def _versioned(name: str, needed: bool) -> Check:
    """A package that is there: whether Sterna asks for another version, or was tested with one."""
    version = _version(name)
    wanted = _asked().get(_plain(name), "")
    if not _within(version, wanted):
        fix = f"pip install '{name}{wanted}'"
        return Check(name, False, needed, f"{version}, {wanted} is asked for", fix)
    pin = _pins().get(_plain(name), version)
    tested = f" (tested with {pin})" if pin != version.partition("+")[0] else ""
    return Check(name, True, needed, version + tested)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def _asked() -> dict[str, str]:
    """What Sterna's own metadata says of versions, by name: '>=0.5.9,<0.6'."""
    try:
        lines = importlib.metadata.requires("sterna") or []
    except importlib.metadata.PackageNotFoundError:  # a bare clone on the path
        return {}
    found = (re.match(r"([\w.-]+)(?:\[.*?\])?\s*([<>=!~][^;]*)", line) for line in lines)
    return {_plain(m[1]): m[2].strip().strip("()") for m in found if m}


@functools.cache
def _pins() -> dict[str, str]:
    """The versions of constraints.txt, in a clone."""
    path = Path(__file__).resolve().parents[2] / "constraints.txt"
    if not path.is_file():
        return {}
    found = re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.M)
    return {_plain(name): version for name, version in found}


def _within(version: str, wanted: str) -> bool:
    """Whether a version is one of those wanted; one that cannot be read is."""
    have = _numbers(version)
    for sign, text in re.findall(r"(>=|<=|==|!=|<|>)\s*([\d.]+)", wanted):
        limit = _numbers(text)
        size = max(len(have), len(limit))
        a, b = (v + (0,) * (size - len(v)) for v in (have, limit))
        good = {
            ">=": a >= b,
            "<=": a <= b,
            "==": a == b,
            "!=": a != b,
            "<": a < b,
            ">": a > b,
        }[sign]
        if have and not good:
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # a bare folder on the path
        return "without a version"


def _cuda() -> Check:
    from sterna.golden.words.packages import PACKAGES, there

    if not there("torch"):
        return Check("cuda", False, False, "no torch", PACKAGES["torch"].install)
    code = (
        "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() "
        "else 'none, torch ' + torch.__version__ + ' computes on the CPU')"
    )
    # In its own process: a broken driver must not take doctor with it.
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        line = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return Check("cuda", False, False, f"torch does not import: {line}", "pip install torch")
    text = done.stdout.strip()
    return Check("cuda", not text.startswith("none"), False, text, "", "training on a GPU")


def examine() -> list[Check]:
    """Both stages."""
    return first_stage() + second_stage()


def table(checks: Sequence[Check]) -> str:
    """The checks as lines of text: mark, name, what was found, what to do."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        mark = "ok" if check.ok else ("MISSING" if check.needed else "absent")
        purpose = f" (for {check.purpose})" if check.purpose and not check.ok else ""
        fix = f"  -> {check.fix}" if check.fix and not check.ok else ""
        lines.append(f"{mark:8}{check.name:{width}}  {check.found}{purpose}{fix}")
    return "\n".join(lines)


def report(checks: Sequence[Check]) -> dict[str, object]:
    """The checks as one JSON object with ``ok``: nothing needed is missing."""
    return {"ok": _complete(checks), "checks": [asdict(check) for check in checks]}


def _complete(checks: Sequence[Check]) -> bool:
    return all(check.ok or not check.needed for check in checks)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``doctor``; returns 0, or 3 where something needed is missing."""
    parser = argparse.ArgumentParser(prog="sterna doctor")
    parser.add_argument(
        "--first",
        action="store_true",
        help="only what can be looked at before anything is installed",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    checks = first_stage() if options.first else examine()
    if options.json:
        print(json.dumps(report(checks)))
    elif not options.first or not _complete(checks):
        print(table(checks))
    return 0 if _complete(checks) else 3


if __name__ == "__main__":
    sys.exit(main())
