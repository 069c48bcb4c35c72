"""A script that has Vivado say what power a design takes, with the toggles of a simulation.

Nobody of Sterna has run it: there is no Vivado where it is developed. The tests run it in a Tcl
interpreter in which Vivado's commands only write down how they are called.
"""

from dataclasses import dataclass

__all__ = ["Simulated", "scripts"]


@dataclass(frozen=True)
class Simulated:
    """What a SAIF is of. verilog: its file as the script sees it; netlist: made of the device's
    cells; saif: its file; scope: the design's instance there."""

    verilog: str
    netlist: bool
    saif: str
    scope: tuple[str, ...]
    images: int
    clocks: int


_TCL = """\
# What power {top} takes in a {part} at {mhz:g} MHz, by Vivado, out of context:
#   vivado -mode batch -source {top}_power.tcl
# with the toggles of {of.images} images in {of.clocks} clocks of {kind}. They have no glitches: the
# dynamic part is a lower bound. Those who wrote this have not run it: there was no Vivado.
cd [file dirname [file normalize [info script]]]
read_verilog {{{of.verilog}}}
read_xdc {top}_clock.xdc
{made}
opt_design
place_design
route_design
read_saif -strip_path {scope} -out_file {top}_unmatched.txt {{{of.saif}}}
report_switching_activity -file {top}_switching.rpt
report_utilization -file {top}_utilization.rpt
report_timing_summary -file {top}_timing.rpt
report_power -file {top}_power.rpt
puts "matched: the line of read_saif above counts the nets; Vivado guesses those that are in\
 {top}_unmatched.txt"
set text [report_power -return_string]
foreach {{what name}} {{total {{Total On-Chip Power}} dynamic Dynamic}} {{
  append name {{[^|]*\\|\\s*([0-9.]+)}}
  if {{[regexp $name $text all watts]}} {{
    set energy [expr {{$watts / {rate:.6g} * 1e3}}]
    puts "$what: $watts W, $energy mJ an image at {rate:.6g} images a second"
  }} else {{
    puts "$what: see {top}_power.rpt"
  }}
}}
"""
# Flattened, nets lose the names that the simulation has.
_SYNTHESIS = "synth_design -mode out_of_context -flatten_hierarchy none -top {top} -part {part}"
_NETLIST = """\
# The memories of this netlist are logic, those of the device are not.
link_design -mode out_of_context -top {top} -part {part}"""


def scripts(top: str, part: str, clock_mhz: float, rate: float, of: Simulated) -> dict[str, str]:
    """The Tcl script and the constraint of the clock that it reads, by their names; it is run in
    the folder that it is in.

    Args:
        top: name of the top module.
        part: the device, as its maker writes it.
        clock_mhz: that the SAIF has.
        rate: images a second at that clock.
    """
    made = (_NETLIST if of.netlist else _SYNTHESIS).format(top=top, part=part)
    text = _TCL.format(
        top=top,
        part=part,
        mhz=clock_mhz,
        of=of,
        kind="the netlist" if of.netlist else "the RTL",
        made=made,
        scope="/".join(of.scope),
        rate=rate,
    )
    clock = f"create_clock -name clk -period {1e3 / clock_mhz:.3f} [get_ports clk]\n"
    return {f"{top}_power.tcl": text, f"{top}_clock.xdc": clock}
