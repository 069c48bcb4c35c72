"""Reads every port of a Verilog top in every clock, and keeps what it read."""

import ctypes
from collections.abc import Mapping, Sequence
from importlib.resources import files as package_files

from sterna.gen.timing.samples import Run, Scene
from sterna.gen.tools.cache import Cache
from sterna.golden.errors import DesignError
from sterna.sim.batch import SimulationError
from sterna.sim.verilate import Port, build_library, cpp_name, harness_files

__all__ = ["Sampler"]


class Sampler:
    """One simulated top. Inputs are zero until they are set.

    Args:
        verilog: text that holds module ``top`` and all below it.
        top: the module's name.
        found: its ports.
        clock: name of its clock.
        seed: of registers and memories that start at random.
        optimize: as `sim.verilate.batch_library`'s.
        store: where built libraries are kept.

    Raises:
        DesignError: no such clock. ToolMissing, ToolFailed: Verilator or the compiler.
    """

    def __init__(
        self,
        verilog: str,
        top: str,
        found: Sequence[Port],
        clock: str = "clk",
        *,
        seed: int = 1,
        optimize: str = "none",
        store: Cache | None = None,
    ):
        if clock not in {p.name for p in found if p.direction == "input"}:
            raise DesignError(f"module '{top}' has no input '{clock}', which would be its clock")
        self.clock = clock
        self.inputs = [p for p in found if p.direction == "input" and p.name != clock]
        self.outputs = [p for p in found if p.direction == "output"]
        self.widths = {p.name: p.width for p in found}
        self.values = {p.name: 0 for p in self.inputs}
        """Of the inputs in the next clock."""
        extra = harness_files("harness.cpp")
        del extra["harness.cpp"]  # what it includes is included here, too
        here = package_files("sterna.sim.waves").joinpath("sampler.cpp")
        extra["sampler.cpp"] = here.read_text(encoding="utf-8")
        extra["sterna_ports.h"] = self._header()
        library = build_library(verilog, top, extra, optimize=optimize, store=store)
        self._lib = lib = ctypes.CDLL(str(library))
        pointer, number = ctypes.c_void_p, ctypes.c_uint64
        for name, result, arguments in (
            ("new", pointer, [number]),
            ("delete", None, [pointer]),
            ("message", ctypes.c_char_p, [pointer]),
            ("step", ctypes.c_bool, [pointer, ctypes.c_char_p, ctypes.c_char_p]),
            ("hold", ctypes.c_int64, [pointer, ctypes.c_char_p, number]),
        ):
            function = getattr(lib, f"sterna_bench_{name}")
            function.restype, function.argtypes = result, arguments
        self._bench = None
        self._out = ctypes.create_string_buffer(sum(_size(p) for p in self.outputs) + 1)
        self._runs: list[Run] = []
        self._bench = lib.sterna_bench_new(seed)
        self._check(not lib.sterna_bench_message(self._bench))

    def __del__(self) -> None:
        if getattr(self, "_bench", None) is not None:
            self._lib.sterna_bench_delete(self._bench)
            self._bench = None

    def _header(self) -> str:
        lines = [f"#define STERNA_CLOCK {cpp_name(self.clock)}"]
        for name, found in (("INPUTS", self.inputs), ("OUTPUTS", self.outputs)):
            lines.append(f"#define STERNA_{name}(X) \\")
            lines += [f"    X({cpp_name(p.name)}, {_size(p)}) \\" for p in found]
            lines.append("")
        return "\n".join(lines) + "\n"

    def _check(self, well: bool) -> None:
        if not well:
            why = self._lib.sterna_bench_message(self._bench).decode(errors="replace")
            raise SimulationError(f"the simulated design ended: {why}")

    def step(self) -> Mapping[str, int]:
        """One clock; what all ports but the clock were in it."""
        given = b"".join(self.values[p.name].to_bytes(_size(p), "little") for p in self.inputs)
        self._check(self._lib.sterna_bench_step(self._bench, given, self._out))
        raw, at, found = self._out.raw, 0, dict(self.values)
        for port in self.outputs:
            found[port.name] = int.from_bytes(raw[at : at + _size(port)], "little")
            at += _size(port)
        self._keep(1, found)
        return found

    def hold(self, most: int) -> int:
        """Up to ``most`` clocks that are as the last one was; how many they are."""
        count = self._lib.sterna_bench_hold(self._bench, self._out, most)
        self._check(count >= 0)
        if count:
            self._keep(count, self._runs[-1].values)
        return count

    def _keep(self, clocks: int, values: Mapping[str, int]) -> None:
        last = self._runs[-1] if self._runs else None
        if last is not None and last.values == values:
            self._runs[-1] = Run(last.start, last.clocks + clocks, last.values)
        else:
            self._runs.append(Run(0 if last is None else last.end, clocks, values))

    def scene(self) -> Scene:
        """All since the last call, which is forgotten then."""
        kept, self._runs = self._runs, []
        return Scene(tuple(kept))


def _size(port: Port) -> int:
    """Bytes of a port's value."""
    return -(-port.width // 8)
