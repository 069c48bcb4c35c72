"""The block for FuseSoC: ``NAME.core``, and lists of files for tools that read those."""

from collections.abc import Iterable

from sterna.gen.ip import layout
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.vivado import PART
from sterna.gen.ip.wrapper import bench_macro

__all__ = ["core", "core_files"]


def core_files(x: Exported) -> dict[str, str]:
    """The core and the lists, by their names."""
    rtl = "".join(f"{name}\n" for name in layout.rtl(x))
    return {
        f"{x.module}.core": core(x),
        f"{x.module}.f": rtl,
        f"{x.module}_tb.f": f"{rtl}{layout.bench(x)}\n",
    }


def core(x: Exported) -> str:
    """CAPI2: file sets, and targets to lint, simulate and synthesise."""
    header = f"V{x.wrapper}_tb__pch.h"
    return _CORE.format(
        x=x,
        vlnv=":".join(x.vlnv),
        macro=bench_macro(x),
        rtl=_list(layout.rtl(x)),
        memories=_copied(layout.memories(x)) if x.read_from_files else "",
        design="rtl, memories" if x.read_from_files else "rtl",
        waivers=layout.waivers(x),
        bench=layout.bench(x),
        data=_copied(layout.bench_data(x)),
        driver=layout.driver(x),
        xdc=layout.constraints(x)[0],
        header=header,
        part=PART,
    )


def _list(names: Iterable[str]) -> str:
    return "\n".join(f"      - {name}" for name in names)


def _copied(names: Iterable[str]) -> str:
    """Files that are read at run time, in folders of where the tool works."""
    names = tuple(names)
    rows = "\n".join(f"      - {name}: {{file_type: user, copyto: {name}}}" for name in names)
    what = "memories" if names[0].startswith(layout.MEMORIES) else "bench_data"
    return f"  {what}:\n    files:\n{rows}\n"


_CORE = """\
CAPI=2:
# The network {x.module} with AXI interfaces; made by {x.made}.
#   fusesoc --cores-root . run --target sim {vlnv}
name: {vlnv}
description: "{x.summary}"

filesets:
  rtl:
    files:
{rtl}
    file_type: verilogSource-2005
{memories}  waivers:
    files:
      - {waivers}
    file_type: vlt
  bench:
    files:
      - {bench}
    file_type: verilogSource-2005
{data}  driver:
    files:
      - {driver}
    file_type: cppSource
  constraints:
    files:
      - {xdc}
    file_type: xdc

parameters:
  {macro}_PORTS:
    datatype: bool
    default: true
    description: the bench is clocked from outside
    paramtype: vlogdefine

targets:
  default:
    filesets: [{design}]
    toplevel: {x.wrapper}

  lint:
    description: Verilator, every warning on but those that {waivers} explains
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
    filesets: [waivers, {design}]
    toplevel: {x.wrapper}

  # The prefix keeps a name with __ as it is. The header is included as text: not every Verilator
  # knows how its compiler takes a compiled one.
  sim:
    description: images through the wrapper in Verilator; fails at the first difference
    flow: sim
    flow_options:
      tool: verilator
      mode: cc
      verilator_options: [--prefix V{x.wrapper}_tb, -Wno-fatal, -Wno-lint, -Wno-style]
      make_options:
        - OPT_FAST=-O1
        - OPT_GLOBAL=-O0
        - "'VK_PCH_I_FAST=-include {header}'"
        - "'VK_PCH_I_SLOW=-include {header}'"
    filesets: [{design}, bench, bench_data, driver]
    parameters: [{macro}_PORTS]
    toplevel: {x.wrapper}_tb

  sim_icarus:
    description: the same in Icarus
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2005]
    filesets: [{design}, bench, bench_data]
    toplevel: {x.wrapper}_tb

  synth:
    description: synthesis by Vivado, out of context
    flow: vivado
    flow_options:
      part: {part}
      pnr: none
    filesets: [{design}, constraints]
    toplevel: {x.wrapper}

  synth_yosys:
    description: synthesis by yosys for 7-series
    flow: generic
    flow_options:
      tool: yosys
      arch: xilinx
      output_format: json
    filesets: [{design}]
    toplevel: {x.wrapper}
"""
