"""A genuine ``pyverilator.PyVerilator`` object over a Verilog top, on today's Python and Verilator.

pyverilator 0.7.0 cannot be used as it comes, for two reasons that are worked around here:

* It does not import: its dependency tclwrapper calls, at import, a tkinter function that Python
  removed (and needs a display). tclwrapper only talks to GTKWave, so a stub takes its place.
* Its own ``build`` predates Verilator 4.2: it reads the port list wrongly and forces C++11.

Its run-time class needs neither: ``PyVerilator(file)`` loads a shared library with a known set of C
symbols (``construct``, ``eval``, ``get_x``, ``set_x``, ``_pyverilator_*``). That library is built
here, from the same verilated sources as the batch model plus VCD tracing.
"""

import importlib
import sys
import types
from collections.abc import Sequence
from typing import Any

from sterna.gen.tools.cache import Cache
from sterna.golden.errors import ToolMissing
from sterna.golden.words.packages import packages
from sterna.sim.verilate import Port, build_library, cpp_name, ports

__all__ = ["pyverilator", "library_source", "open_model"]


def pyverilator() -> Any:
    """The pyverilator package, imported with a stub in place of tclwrapper.

    Raises:
        ToolMissing: pyverilator is not installed.
    """
    if "pyverilator" not in sys.modules:
        # Always, not only after a failed import: the real one opens a Tk interpreter.
        stub = types.ModuleType("tclwrapper")
        stub.TCLWrapper = _NoGtkWave  # type: ignore[attr-defined]
        sys.modules["tclwrapper"] = stub
        with packages():
            importlib.import_module("pyverilator")
    return sys.modules["pyverilator"]


class _NoGtkWave:
    def __init__(self, *_: object):
        raise ToolMissing("live GTKWave needs tclwrapper; write a VCD file with start_vcd_trace")


def open_model(verilog: str, top: str, *, store: Cache | None = None) -> Any:
    """Build, or find, the model of module ``top`` and return a ``pyverilator.PyVerilator``.

    Ports are ``sim.io.<name>``; ``sim.clock.tick()`` is one clock (the port named ``clk``). Write
    inputs before the tick that shall see them. ``sim.start_vcd_trace(path)`` records waves.

    Raises:
        DesignError: no such module. ToolMissing, ToolFailed: Verilator, compiler or pyverilator.
    """
    package = pyverilator()
    source = library_source(top, ports(verilog, top))
    library = build_library(
        verilog, top, {"pyverilator.cpp": source}, trace="vcd", optimize="none", store=store
    )
    return package.PyVerilator(str(library))


def library_source(top: str, found: Sequence[Port]) -> str:
    """C++ with the symbols that PyVerilator 0.7.0 looks up in its library."""
    inputs = [port for port in found if port.direction == "input"]
    outputs = [port for port in found if port.direction == "output"]
    tables = _table("inputs", "input_widths", inputs) + _table("outputs", "output_widths", outputs)
    tables += _table("internal_signals", "internal_signal_widths", [])
    access = "".join(_access(port) for port in found)
    return _TEMPLATE.format(top=top, tables=tables, access=access)


def _table(names: str, widths: str, found: Sequence[Port]) -> str:
    # PyVerilator decodes Verilator's names itself, so it is given those. One more element than
    # there are ports: C++ has no empty arrays.
    quoted = "".join(f'"{cpp_name(port.name)}", ' for port in found)
    numbers = "".join(f"{port.width}, " for port in found)
    return (
        f"extern const uint32_t _pyverilator_num_{names} = {len(found)};\n"
        f"extern const char* const _pyverilator_{names}[] = {{{quoted}nullptr}};\n"
        f"extern const uint32_t _pyverilator_{widths}[] = {{{numbers}0}};\n"
    )


def _access(port: Port) -> str:
    name = cpp_name(port.name)
    if port.width > 64:
        text = f"uint32_t get_{name}(Vtop* top, uint32_t word) {{ return top->{name}[word]; }}\n"
        change = "uint64_t word, uint32_t value", f"top->{name}[word] = value & {_mask(port)};"
    else:
        kind = "uint64_t" if port.width > 32 else "uint32_t"
        text = f"{kind} get_{name}(Vtop* top) {{ return top->{name}; }}\n"
        mask = f"0x{(1 << port.width) - 1:x}ull"
        change = f"{kind} value", f"top->{name} = value & {mask};"
    if port.direction == "input":
        text += f"int set_{name}(Vtop* top, {change[0]}) {{ {change[1]} return 0; }}\n"
    return text


def _mask(port: Port) -> str:
    # Bits above a port's width must stay zero: Verilator relies on it.
    top_word = (port.width - 1) // 32
    bits = port.width - 32 * top_word
    return f"(word == {top_word} ? 0x{(1 << bits) - 1:x}u : ~0u)"


_TEMPLATE = """\
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include "verilated.h"
#include "verilated_vcd_c.h"
#include "Vtop.h"

typedef void (*finish_callback)(const char*, int, const char*);
static finish_callback on_finish = nullptr;

void vl_finish(const char* file, int line, const char* hier) {{
    if (on_finish) on_finish(file, line, hier);
    Verilated::threadContextp()->gotFinish(true);
}}
void vl_stop(const char* file, int line, const char* hier) {{ vl_finish(file, line, hier); }}
void vl_fatal(const char* file, int line, const char*, const char* message) {{
    std::fprintf(stderr, "%s:%d: %s\\n", file, line, message);
    std::abort();
}}

extern "C" {{
extern const char* const _pyverilator_module_name = "{top}";
{tables}extern const char* const _pyverilator_json_data = "null";

Vtop* construct() {{
    VerilatedContext* context = new VerilatedContext;
    context->traceEverOn(true);
    return new Vtop{{context, "TOP"}};
}}
int eval(Vtop* top) {{
    top->eval();
    top->contextp()->timeInc(1);
    return 0;
}}
int destruct(Vtop* top) {{
    VerilatedContext* context = top->contextp();
    top->final();
    delete top;
    delete context;
    return 0;
}}
VerilatedVcdC* start_vcd_trace(Vtop* top, const char* name) {{
    VerilatedVcdC* file = new VerilatedVcdC;
    top->trace(file, 99);
    file->open(name);
    return file;
}}
int add_to_vcd_trace(VerilatedVcdC* file, int time) {{ file->dump(uint64_t(time)); return 0; }}
int flush_vcd_trace(VerilatedVcdC* file) {{ file->flush(); return 0; }}
int stop_vcd_trace(VerilatedVcdC* file) {{ file->close(); delete file; return 0; }}
int get_finished() {{ return Verilated::threadContextp()->gotFinish(); }}
void set_finished(int yes) {{ Verilated::threadContextp()->gotFinish(yes); }}
void set_vl_finish_callback(finish_callback callback) {{ on_finish = callback; }}
void* set_command_args(int argc, char** argv) {{
    Verilated::commandArgs(argc, argv);
    return nullptr;
}}
{access}}}
"""
