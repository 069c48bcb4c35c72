"""A Vivado project for a 7-series board: a folder that needs only Vivado.

``vivado -mode batch -source build.tcl`` in it makes ``<name>.bit``. The clock is the one asked for
(the design's), from an MMCM; Vivado says whether it is met, and build.tcl ends with an error where
it is not. The fixed memories are read from ``mem/*.mem``: with other weights of the same structure
only those files differ (`write_project` again, or copy them).
"""

import dataclasses
from typing import Any

from sterna.gen.board.bitstream import divisor
from sterna.gen.board.pins import TOP, constraints, wrapper
from sterna.gen.build.stages import Build
from sterna.gen.device.boards import Board
from sterna.gen.device.pll import setting
from sterna.gen.verilog.elaborate import filled_spec, verilog_text
from sterna.gen.verilog.memory_files import from_files
from sterna.gen.verilog.memory_images import ident_image, memory_images
from sterna.hw.top.board_top import BoardTop, link_spec

__all__ = ["write_project"]

_TCL = """\
# Makes {name}.bit for {board} ({part}):
#   vivado -mode batch -source build.tcl
cd [file dirname [file normalize [info script]]]
create_project -force {name} vivado -part {part}
add_files -norecurse {{pins.v board.v}}
{memories}add_files -fileset constrs_1 -norecurse pins.xdc
set_property top {top} [current_fileset]
launch_runs synth_1 -jobs 4
wait_on_run synth_1
if {{[get_property PROGRESS [get_runs synth_1]] != "100%"}} {{ error "synthesis failed" }}
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {{[get_property PROGRESS [get_runs impl_1]] != "100%"}} {{ error "implementation failed" }}
open_run impl_1
report_utilization -file utilization.rpt
report_timing_summary -file timing.rpt
file copy -force vivado/{name}.runs/impl_1/{top}.bit {name}.bit
set slack [get_property SLACK [get_timing_paths -delay_type max]]
set hold [get_property SLACK [get_timing_paths -delay_type min]]
if {{$slack eq "" || $hold eq ""}} {{ error "there are no timed paths; see timing.rpt" }}
if {{$hold < 0}} {{ error "hold times are missed by [expr {{-$hold}}] ns; see timing.rpt" }}
if {{$slack < 0}} {{
  error "the clock of {mhz:.3f} MHz is missed by [expr {{-$slack}}] ns: fold with a lower --clock"
}}
puts "{name}.bit: {mhz:.3f} MHz, slack $slack ns"
"""


def write_project(build: Build, where: Board, baud: int) -> dict[str, Any]:
    """Write the project into the build's ``vivado_<board>/``; returns what is in it.

    DesignError where the design is folded for another family.
    """
    where.check_takes(build.design.family)
    images = memory_images(build.network, build.design)
    fixed = [i for i in images if i.region is None]
    spec = filled_spec(build.network, build.design)
    if fixed:
        ident = ident_image(build.network, images)
        spec = dataclasses.replace(spec, ident=tuple(ident.rows))
        fixed.append(ident)
    link = link_spec(spec, where.family, divisor(where, baud))
    inner = f"{build.name}_board"
    text, files = from_files(verilog_text(BoardTop(spec, link), inner), f"{inner}.network", fixed)
    pll = setting(where.family, where.clock_hz, build.design.clock_mhz * 1e6)
    project = f"vivado_{where.name}"
    folder = build.folder / project
    memories = "".join(f"add_files -norecurse mem/{name}\n" for name in sorted(files))
    texts = {
        "board.v": text,
        "pins.v": wrapper(where, inner, pll),
        "pins.xdc": constraints(where, pll.mhz)[1],
        "build.tcl": _TCL.format(
            name=build.name,
            board=where.name,
            part=where.part,
            top=TOP,
            memories=memories,
            mhz=pll.mhz,
        ),
    } | {f"mem/{name}": data for name, data in files.items()}
    with build.held():
        build.workshop(project)
        build.remove_folder(f"{project}/mem")
        for name, data in texts.items():
            build.write(f"{project}/{name}", data)
    interval = build.design.modelled_interval or build.design.interval
    return {
        "board": where.name,
        "part": where.part,
        "family": where.family,
        "project": str(folder),
        "files": sorted(texts),
        "clock_mhz": pll.mhz,
        "pll": pll.parameters,
        "baud": baud,
        "interval": interval,
        "images_per_second": pll.mhz * 1e6 / interval,
    }
