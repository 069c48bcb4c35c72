"""cocotb benches on Verilator, built once per design and several times faster than by its runner.

cocotb's own Verilator runner makes every signal of the design public, which stops most of
Verilator's optimizations: 4 to 7 times slower. Here only the ports are, named in a control file.
Outside pytest that runner also returns normally when tests fail; here a failure is an error.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.gen.tools.cache import Cache, key_of
from sterna.gen.tools.plain_paths import Plain, plain_paths
from sterna.gen.tools.programs import ToolFailed, find
from sterna.golden.errors import ToolMissing
from sterna.sim.batch import BatchResult, SimulationError
from sterna.sim.taps import Tap
from sterna.sim.verilate import forget_memories, ports, runtime_objects, trace_defines
from sterna.sim.waves.wave import Wave

__all__ = ["BenchFailed", "CoreRun", "run_core", "run_network", "build_bench", "run_bench"]


class BenchFailed(SimulationError):
    """A bench ran and failed; the message has the assertion."""


@dataclass(frozen=True)
class CoreRun:
    """``clocks`` run after reset; ``taken[stream]`` and ``given[stream]``: clock of each beat."""

    clocks: int
    taken: dict[str, list[int]]
    given: dict[str, list[int]]


def run_core(
    verilog: str,
    top: str,
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    *,
    constants: Mapping[str, int] | None = None,
    in_stall: float = 0.0,
    out_stall: float = 0.0,
    seed: int = 1,
    watchdog: int = 5000,
    drain: int = 16,
    store: Cache | None = None,
) -> CoreRun:
    """Drive the input streams of a core and compare every beat of its output streams.

    A stream ``i`` has the ports ``i__valid``, ``i__ready`` and ``i__payload``, as Amaranth writes
    them; the core has ``clk`` and ``rst``. Beats are integers of any width.

    Args:
        inputs: beats to offer, by stream.
        outputs: beats that must come, by stream; one too many is a failure too.
        constants: values of other input ports, set before reset.
        in_stall: probability that no beat is offered in a clock.
        out_stall: probability that no beat is taken in a clock.
        seed: of the stalls.
        watchdog: clocks without movement after which the bench fails.
        drain: clocks watched after the last beat.

    Raises:
        BenchFailed: a wrong beat, too many or too few, a beat that changed while it waited.
        ToolMissing, ToolFailed: cocotb, Verilator or the compiler.
    """
    job = {
        "inputs": {name: [f"{value:x}" for value in beats] for name, beats in inputs.items()},
        "outputs": {name: [f"{value:x}" for value in beats] for name, beats in outputs.items()},
        "constants": {name: f"{value:x}" for name, value in (constants or {}).items()},
        "in_stall": in_stall,
        "out_stall": out_stall,
        "seed": seed,
        "watchdog": watchdog,
        "drain": drain,
    }
    program = build_bench(verilog, top, store=store)
    with tempfile.TemporaryDirectory(prefix="sterna-bench-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        run_bench(program, top, "sterna.sim.benches.stream_core", folder)
        return CoreRun(**json.loads((folder / "report.json").read_text(encoding="utf-8")))


def run_network(
    verilog: str,
    top: str,
    taps: Sequence[Tap],
    images: NDArray[np.uint8],
    words_out: int,
    *,
    writes: Sequence[tuple[int, int]] = (),
    expected: BatchResult | None = None,
    in_stall: float = 0.0,
    out_stall: float = 0.0,
    seed: int = 1,
    watchdog: int = 200_000,
    drain: int = 16,
    random_memory: bool = False,
    wave: Wave | None = None,
    store: Cache | None = None,
) -> BatchResult:
    """Push images through a network's top under cocotb: what BatchModel.run does, far slower.

    Args:
        taps: the spike streams to record; the top has a tap for each.
        images: uint8 [B, bytes], rows as :func:`sterna.golden.coding.image_bits` gives them.
        words_out: words of an output packet.
        writes: (address, value) of AXI4-Lite writes to make before the first image.
        expected: packets and beats to check against as they come.
        wave: where to write what every signal does.

    Raises:
        BenchFailed: nothing moved for ``watchdog`` clocks, a wrong beat or packet.
        ToolMissing, ToolFailed: cocotb, Verilator or the compiler.
    """
    text = forget_memories(verilog) if random_memory else verilog
    word_bytes = {p.name: p.width for p in ports(text, top)}["s_axis_tdata"] // 8
    arrays = _arrays(images, word_bytes, expected)
    job = {
        "taps": [{"node": t.node, "beats": t.beats, "beat_bytes": t.beat_bytes} for t in taps],
        "words_out": words_out,
        "writes": [list(pair) for pair in writes],
        "in_stall": in_stall,
        "out_stall": out_stall,
        "seed": seed,
        "watchdog": watchdog,
        "drain": drain,
    }
    program = build_bench(text, top, wave=wave.kind if wave is not None else "", store=store)
    with tempfile.TemporaryDirectory(prefix="sterna-bench-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
        path = wave.path.absolute() if wave is not None else None
        run_bench(program, top, "sterna.sim.benches.network_top", folder, wave=path)
        with np.load(folder / "out.npz", allow_pickle=False) as out:
            beats = {t.node: out[f"tap_{t.node}"].reshape(len(images), t.beats, -1) for t in taps}
            return BatchResult(
                out["packets"].view("<u4").reshape(len(images), words_out),
                beats,
                out["clocks"],
                int(out["clocks_run"]),
                {t.node: t for t in taps},
                float(out["seconds"]),
            )


def build_bench(verilog: str, top: str, *, wave: str = "", store: Cache | None = None) -> Path:
    """Build, or find, the program a bench of module ``top`` runs in: a folder for cocotb.
    ``wave``: as ``trace`` of `sim.verilate.build_library`."""
    store = store or Cache()
    runner = _runner()
    tool, compiler = find("verilator"), find("g++")
    found = ports(verilog, top)
    # In a control file backslashes and wildcards would need quoting; port names have neither.
    control = ["`verilator_config"]
    control += [f'public_flat_rw -module "{top}" -var "{port.name}"' for port in found]

    def build(work: Path) -> None:
        if wave:
            traced = (*_RUNTIME, f"verilated_{wave}_c")
            runner.kind, runner.runtime = wave, runtime_objects(traced, trace_defines(wave))
        else:
            runner.runtime = runtime_objects(_RUNTIME)
        with plain_paths() as runner.plain:
            here = runner.plain.folder
            (here / "design.v").write_text(verilog, encoding="utf-8")
            (here / "ports.vlt").write_text("\n".join(control) + "\n", encoding="utf-8")
            try:
                runner.build(
                    sources=[here / "ports.vlt", here / "design.v"],
                    hdl_toplevel=top,
                    build_dir=here / "obj",
                    timescale=("1ns", "1ps"),
                    log_file=here / "build.log",
                    always=True,
                    waves=bool(wave),
                )
            except RuntimeError:
                log = (here / "build.log").read_text(errors="replace", encoding="utf-8")
                found = re.search(r"^.*\berror\b.*$", log, re.M | re.I)
                reason = found[0].strip() if found else log.strip().rpartition("\n")[2]
                raise ToolFailed(f"the bench of '{top}' does not build: {reason}") from None
            shutil.move(here / "obj" / top, work / top)  # where cocotb looks for it

    from cocotb_tools.config import libs_dir

    # The program finds cocotb's libraries where they were when it was built: not in another venv.
    key = key_of(
        "cocotb",
        verilog,
        *control,
        version("cocotb"),
        str(libs_dir),
        tool.version,
        compiler.version,
        *_MAKE,
        *_VERILATE,
        *((wave,) if wave else ()),
    )
    return store.entry(key, build)


def run_bench(
    program: Path, top: str, module: str, folder: Path, *, wave: Path | None = None
) -> None:
    """Run the cocotb tests of ``module`` in ``folder``, which ``$STERNA_BENCH`` tells them.
    ``wave``: the file that a program built with waves writes.

    Raises:
        BenchFailed: with the first failing assertion; also where no test ran at all.
    """
    from cocotb_tools.check_results import get_results
    from cocotb_tools.config import libs_dir

    runner = _runner()
    libraries = str(libs_dir), os.environ.get("LD_LIBRARY_PATH")
    results, log = folder / "results.xml", folder / "bench.log"
    # Under pytest the runner ends with SystemExit, elsewhere with RuntimeError or not at all.
    with contextlib.suppress(SystemExit, RuntimeError, subprocess.CalledProcessError):
        runner.test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=program,
            test_dir=folder,
            results_xml=str(results),
            log_file=log,
            waves=wave is not None,
            test_args=[] if wave is None else ["--trace-file", str(wave)],
            extra_env={
                "STERNA_BENCH": str(folder),
                "COCOTB_ANSI_OUTPUT": "0",
                "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
            },
        )
    text = log.read_text(errors="replace", encoding="utf-8") if log.is_file() else ""
    try:
        tests, failed = get_results(results)
    except RuntimeError:
        tail = " | ".join(text.strip().splitlines()[-3:])
        raise BenchFailed(f"bench of '{top}' ended without results: {tail}") from None
    if failed or not tests:
        raise BenchFailed(f"bench of '{top}' failed: {_reason(text)}")


def _reason(log: str) -> str:
    found = re.search(r"^ *((?:Assertion|[A-Z]\w*)Error: .*)$", log, re.M)
    return found[1].removeprefix("AssertionError: ") if found else "no test ran"


_VERILATE = ("-O3", "--x-assign", "fast", "--no-timing", "-Wno-lint", "-Wno-style", "-Wno-fatal")
_RUNTIME = ("verilated", "verilated_vpi", "verilated_threads")
_MAKE = (
    "OPT_FAST=-O1",
    "OPT_SLOW=-O0",
    "OPT_GLOBAL=-O1",
    "VM_PARALLEL_BUILDS=0",
    "VK_GLOBAL_OBJS=",
)


def _runner() -> Any:
    try:
        version("cocotb")
    except PackageNotFoundError:
        raise ToolMissing("cocotb is not installed; run: pip install 'cocotb>=2.1,<2.2'") from None
    with warnings.catch_warnings():
        # Its warning that the runner is experimental; warnings are errors in our tests.
        warnings.simplefilter("ignore")
        from cocotb_tools.runner import Verilator

    class LeanVerilator(Verilator):
        """cocotb's runner without ``--public-flat-rw``, in clean surroundings."""

        plain: Plain
        runtime: Sequence[str] = ()  # Verilator's run-time, compiled once for all designs
        kind = ""  # of waves

        def _simulator_in_path_build_only(self) -> None:
            self.executable = find("verilator").argv[0]

        def _set_env_common(self) -> None:
            super()._set_env_common()
            # An outer `make -j` would leak its flags into Verilator's build.
            for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS"):
                self.env.pop(name, None)
            tool = find("verilator")
            self.env |= {k: v for k, v in tool.env.items() if k != "PATH"}
            if "PATH" in tool.env:
                self.env["PATH"] = tool.env["PATH"] + os.pathsep + self.env["PATH"]

        def _build_command(self) -> list[list[str]]:
            from cocotb_tools.config import libs_dir, share_dir

            verilate, make = super()._build_command()
            if "VERILATOR_ROOT" in self.env:
                self.env["VERILATOR_ROOT"] = str(self.plain(self.env["VERILATOR_ROOT"]))
            verilate = [
                part.replace(str(libs_dir), str(self.plain(libs_dir))).replace(
                    str(share_dir), str(self.plain(share_dir))
                )
                for part in verilate
                if part != "--public-flat-rw"
            ]
            runtime = (str(self.plain(path)) for path in self.runtime)
            verilate[verilate.index("-LDFLAGS") + 1] += " " + " ".join(runtime)
            if self.kind == "fst":
                verilate[verilate.index("--trace")] = "--trace-fst"
                verilate[verilate.index("-LDFLAGS") + 1] += " -llz4 -lz"
                make += ["VM_TRACE_FST=1"]
            return [[verilate[0], *_VERILATE, *verilate[1:]], [*make, *_MAKE]]

    runner = LeanVerilator()
    runner.log.setLevel(logging.CRITICAL)
    return runner


def _arrays(
    images: NDArray[np.uint8], word_bytes: int, expected: BatchResult | None
) -> dict[str, NDArray[np.uint8]]:
    """What the bench sends and expects, by name."""
    words = -(-images.shape[1] // word_bytes)
    padded = np.zeros((len(images), words * word_bytes), np.uint8)
    padded[:, : images.shape[1]] = images
    arrays: dict[str, NDArray[np.uint8]] = {}
    arrays["images"] = padded.reshape(len(images), words, word_bytes)
    if expected is not None:
        arrays["packets"] = expected.words.reshape(-1).view(np.uint8).reshape(-1, 4)
        for node, beats in expected.beats.items():
            arrays[f"tap_{node}"] = beats.reshape(-1, beats.shape[2])
    return arrays
