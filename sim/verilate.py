"""From Verilog text to a shared library: Verilator, then the compiler, no make.

The compiler is called directly: an outer `make -j` cannot leak into it, and Verilator's run-time,
which takes longer to compile than a small design, is compiled once for all designs.
"""

import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from sterna.gen.tools.cache import Cache, key_of
from sterna.gen.tools.headers import FST_HEADERS, has_header
from sterna.gen.tools.programs import find, run_tool
from sterna.gen.tools.progress import at, stretch
from sterna.gen.tools.yosys import module_ports
from sterna.golden.errors import DesignError, ToolMissing
from sterna.sim.taps import Tap

__all__ = [
    "WRAPPER",
    "Port",
    "ports",
    "cpp_name",
    "build_library",
    "check_trace",
    "harness_files",
    "batch_library",
    "runtime_objects",
    "trace_defines",
    "forget_memories",
]

# -O2 runs 3% faster than -O1 and -march=native slower; -O2 takes 2.5 times longer to compile.
_FAST = {"run": ("-O1",), "none": ("-O0",)}
_DEFINES = (
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
)
# A process loads many models: no symbol of one may be taken for another's.
_SHARED = ("-fPIC", "-std=gnu++17", "-fvisibility-inlines-hidden", "-fno-gnu-unique", "-w")
_VERILATING = 0.1  # about the share of Verilator in the time until there is a library
_UNIT = 300_000  # bytes of C++ compiled together: one unit costs 2 s before its first line

_TRACES = {
    "": (),
    "vcd": ("--trace",),
    "fst": ("--trace-fst",),
    # Of every net; what a memory holds is none.
    "saif": (
        *("--trace-saif", "--trace-underscore"),
        *("--trace-max-width", "0", "--trace-max-array", "1"),
    ),
}

WRAPPER = "SternaWrapper"  # no network has this name: theirs have no capitals

_VERILATOR = (
    "--cc",
    "--prefix",
    "Vtop",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "unique",
    "--no-assert",
    "--no-timing",
    "--output-split",
    "40000",
    "-Wno-lint",
    "-Wno-style",
    "-Wno-fatal",
    "-Mdir",
    "obj",
)


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module: its name, ``"input"`` or ``"output"``, its width in bits."""

    name: str
    direction: str
    width: int


def ports(verilog: str, top: str) -> tuple[Port, ...]:
    """The ports of module ``top`` in Verilog that was made here (`module_ports`), in their order.

    Raises:
        DesignError: the text has no such module.
    """
    found = module_ports(verilog, top)
    return tuple(Port(name, direction, width) for direction, name, width in found)


def _with_wrapper(verilog: str, top: str, found: Sequence[Port]) -> str:
    """The Verilog and a module around ``top`` that holds rst in a register.

    Verilator computes all logic that depends on an input at every change of any input. rst reaches
    every next-state function, so the whole design would be computed twice a clock.
    """
    names = ", ".join(port.name for port in found)
    held = ", ".join(f".{p.name}({'held' if p.name == 'rst' else p.name})" for p in found)
    lines = [f"module {WRAPPER}({names});"]
    lines += [f"  {p.direction} [{p.width - 1}:0] {p.name};" for p in found]
    lines += ["  reg held = 1'b1;", "  always @(posedge clk) held <= rst;"]
    lines += [f"  {top} dut ({held});", "endmodule", ""]
    return verilog + "\n" + "\n".join(lines)


def cpp_name(name: str) -> str:
    """The name Verilator gives a port in C++: a second underscore in a row is spelled out."""
    return name.replace("__", "___05F")


def forget_memories(verilog: str) -> str:
    """The same Verilog with random initial contents in every memory that it writes.

    The values come from the model's seed, a new one each run, so that nothing can lean on the zeros
    a simulation would start from. Memories that are never written keep their contents.
    """
    block = re.compile(
        r"^ *reg (?:\[(\d+):0\] )?(\S+) ?\[(\d+):0\];\n"
        r" *initial begin\n(?: *\2 ?\[\d+\] = [^;]*;\n)+ *end\n",
        re.M,
    )

    def fill(found: re.Match[str]) -> str:
        width, name, depth = int(found[1] or 0) + 1, found[2], int(found[3]) + 1
        # Only this module's text counts: a ROM elsewhere may have the name of a RAM here.
        module = found.string
        if not re.search(rf"^\s*{re.escape(name)} ?\[[^=\n]*<=", module, re.M):
            return found[0]
        # A loop of calls: --x-initial unique gives all rows of a memory the same random value.
        draws = ", ".join(["$urandom"] * -(-width // 32))
        return (
            f"  reg [{width - 1}:0] {name} [{depth - 1}:0];\n"
            f"  initial begin : sterna_fill_{found.start()}\n    integer k;\n"
            f"    for (k = 0; k < {depth}; k = k + 1) {name} [k] = {{{draws}}};\n  end\n"
        )

    return "".join(block.sub(fill, m) for m in re.split(r"(?m)^(?=module )", verilog))


def batch_library(
    verilog: str,
    top: str,
    taps: Sequence[Tap] = (),
    *,
    models: Sequence[tuple[str, str]] = (),
    optimize: str = "run",
    wave: str = "",
    store: Cache | None = None,
) -> Path:
    """Build, or find, the library :class:`sterna.sim.batch.BatchModel` runs.

    Args:
        verilog: text holding module ``top`` with the top-level ports.
        top: the module's name.
        taps: the spike streams to record.
        models: further (file name, text) of Verilog, such as a vendor's cells.
        optimize: ``"run"``, or ``"none"`` to be ready sooner and run 5 times slower: for a
            few thousand clocks.
        wave: what kind of waves it can write, as `build_library`'s ``trace``.
        store: where built libraries are kept.

    Raises:
        DesignError: a port is missing or has another width.
        ToolMissing, ToolFailed: Verilator or the compiler.
    """
    found = {port.name: port for port in ports(verilog, top)}
    wanted = {
        "clk": 1,
        "rst": 1,
        "s_axis_tvalid": 1,
        "s_axis_tready": 1,
        "s_axis_tlast": 1,
        "m_axis_tdata": 32,
        "m_axis_tvalid": 1,
        "m_axis_tready": 1,
        "m_axis_tlast": 1,
        "s_axis_tdata": None,
    }
    for tap in taps:
        wanted |= {f"{tap.port}_valid": 1, f"{tap.port}_ready": 1}
        wanted[f"{tap.port}_data"] = tap.beat_bits
    for name, width in wanted.items():
        if name not in found:
            raise DesignError(f"'{top}' has no port '{name}'; emit it again with taps")
        if width is not None and found[name].width != width:
            raise DesignError(
                f"port '{name}' of '{top}' is {found[name].width} bits wide, {width} are expected; "
                "the Verilog and design.json are of different builds: emit it again"
            )
    extra = harness_files("harness.cpp")
    if wave:
        here = package_files("sterna.sim.waves").joinpath("waves.cpp")
        extra["harness.h"] = extra.pop("harness.cpp")
        extra["waves.cpp"] = here.read_text(encoding="utf-8")
    extra["sterna_ports.h"] = _ports_header(list(found), taps)
    text = _with_wrapper(verilog, top, tuple(found.values()))
    return build_library(
        text, WRAPPER, extra, models=models, trace=wave, optimize=optimize, store=store
    )


def _ports_header(names: Sequence[str], taps: Sequence[Tap]) -> str:
    """What the harness is told of the top's ports: whether it has AXI4-Lite, taps, limits."""
    lines = [f"#define STERNA_AXIL {int('s_axil_awvalid' in names)}", "#define STERNA_TAPS(X) \\"]
    for k, tap in enumerate(taps):
        parts = ", ".join(cpp_name(f"{tap.port}_{part}") for part in ("valid", "ready", "data"))
        lines.append(f"    X({k}, {parts}, {tap.beat_bytes}) \\")
    lines += ["", "#define STERNA_LIMITS(X) \\"]
    for name in names:
        if match := re.fullmatch(r"limit_(\d+)", name):
            lines.append(f"    X({match[1]}, {cpp_name(name)}) \\")
    return "\n".join([*lines, ""]) + "\n"


def harness_files(name: str) -> dict[str, str]:
    """The text of a harness of this folder and of what it includes, by name."""
    here = package_files("sterna.sim")
    return {n: here.joinpath(n).read_text(encoding="utf-8") for n in (name, "verilator_ends.h")}


def build_library(
    verilog: str,
    top: str,
    extra: dict[str, str],
    *,
    models: Sequence[tuple[str, str]] = (),
    trace: str = "",
    optimize: str = "run",
    store: Cache | None = None,
) -> Path:
    """Build, or find, ``model.so``: the verilated ``top`` and the C++ of ``extra``.

    Args:
        extra: file name -> text; the ``.cpp`` are compiled, headers are found by them.
        trace: a key of `_TRACES`, where the model can write such files (slower); 'fst' where
            `check_trace` lets it.

    Raises:
        ToolMissing, ToolFailed: Verilator or the compiler.
    """
    store = store or Cache()
    tool, compiler = find("verilator"), find("g++")
    args = [*_VERILATOR, *_TRACES[trace]]
    args += ["--top-module", top, "design.v", *(name for name, _ in models)]
    defines = (*_DEFINES, *trace_defines(trace))
    flags = _FAST[optimize]
    key = key_of(
        verilog,
        *(part for item in (*models, *extra.items()) for part in item),
        tool.version,
        compiler.version,
        *args,
        *defines,
        *_SHARED,
        *flags,
    )

    def build(work: Path) -> None:
        for name, text in (("design.v", verilog), *models, *extra.items()):
            (work / name).write_text(text, encoding="utf-8")
        run_tool(tool, args, work)
        with stretch(_VERILATING, 1.0):
            _compile(work, [n for n in extra if n.endswith(".cpp")], defines, flags, trace)
        for path in work.iterdir():
            if path.name != "model.so":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return store.entry(key, build) / "model.so"


def trace_defines(trace: str) -> tuple[str, ...]:
    """What the compiler is told of waves of a kind of `_TRACES`, or of none."""
    found = (f"-DVM_TRACE={int(bool(trace))}", f"-DVM_TRACE_VCD={int(trace == 'vcd')}")
    return (*found, f"-DVM_TRACE_{trace.upper()}=1") if trace not in ("", "vcd") else found


def check_trace(trace: str) -> None:
    """ToolMissing where this machine cannot compile waves of the kind: Verilator's FST needs two
    libraries with their headers, its VCD nothing."""
    if trace != "fst":
        return
    for header, package in FST_HEADERS:
        if not has_header(header):
            raise ToolMissing(
                f"waves as .fst need {header}, which g++ does not find; run: apt install "
                f"{package}, or write a .vcd"
            )


def _compile(
    work: Path, extra: list[str], defines: tuple[str, ...], flags: Sequence[str], trace: str
) -> None:
    """``model.so`` of what Verilator wrote into ``work`` and of the files ``extra``."""
    compiler = find("g++")
    sources = _units(work, extra)
    names = ["verilated", "verilated_threads", *([f"verilated_{trace}_c"] if trace else [])]
    include = _include()
    common = [*_SHARED, *defines, "-I.", "-Iobj", f"-I{include}", f"-I{include}/vltstd"]
    # Start-up code runs once and holds the contents of every memory: not worth optimizing.
    jobs = [
        [*common, *(("-O0",) if slow else flags), "-c", name, "-o", f"{name}.o"]
        for name, slow in sources
    ]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        runtime = pool.submit(runtime_objects, names, defines)
        _all([pool.submit(run_tool, compiler, job, work) for job in jobs])
        objects = [f"{name}.o" for name, _ in sources] + runtime.result()
    libraries = ["-lpthread", *(["-llz4", "-lz"] if trace == "fst" else [])]
    run_tool(compiler, ["-shared", "-Wl,-Bsymbolic", *objects, "-o", "model.so", *libraries], work)


def _all(compiled: Sequence[Future[Any]]) -> None:
    """Wait for them; the first error that comes is raised."""
    for number, done in enumerate(as_completed(compiled), 1):
        done.result()
        at(number, len(compiled) + 1)  # and the linker


def _units(work: Path, extra: Sequence[str]) -> list[tuple[str, bool]]:
    """Write few larger files that include Verilator's many small ones: (name, is start-up)."""
    units: list[tuple[str, bool]] = []
    for slow in (False, True):
        size, lines, groups = 0, [], []
        for path in sorted((work / "obj").glob("*.cpp")):
            if path.stem.endswith("Slow") is not slow:
                continue
            if lines and size + path.stat().st_size > _UNIT:
                groups.append(lines)
                size, lines = 0, []
            lines.append(f'#include "{path.name}"\n')
            size += path.stat().st_size
        for k, group in enumerate([*groups, lines] if lines else groups):
            name = f"{'slow' if slow else 'fast'}{k}.cpp"
            (work / name).write_text("".join(group), encoding="utf-8")
            units.append((name, slow))
    return [*units, *((name, False) for name in extra)]


def runtime_objects(names: Sequence[str], defines: Sequence[str] = ()) -> list[str]:
    """Object files of Verilator's run-time sources ``names``, absolute paths.

    Always in the default cache: they are the same for every design and store.
    """
    tool, compiler = find("verilator"), find("g++")
    include = _include()
    common = [
        "-O1",
        *_SHARED,
        "-DVM_COVERAGE=0",
        "-DVM_SC=0",
        "-DVM_TIMING=0",
        *defines,
        f"-I{include}",
        f"-I{include}/vltstd",
    ]

    def build(work: Path) -> None:
        jobs = [[*common, "-c", f"{include}/{name}.cpp", "-o", f"{name}.o"] for name in names]
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            _all([pool.submit(run_tool, compiler, job, work) for job in jobs])

    key = key_of("runtime", tool.version, compiler.version, *common, *names)
    folder = Cache().entry(key, build)
    return [str(folder / f"{name}.o") for name in names]


@cache
def _include() -> Path:
    tool = find("verilator")
    if "VERILATOR_ROOT" in tool.env:
        return Path(tool.env["VERILATOR_ROOT"]) / "include"
    text = run_tool(tool, ["--getenv", "VERILATOR_ROOT"], Path.cwd()).text
    return Path(text.strip().splitlines()[-1]) / "include"
