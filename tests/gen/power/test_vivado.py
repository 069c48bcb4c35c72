"""The script for Vivado, run by Tcl with commands that only write down how they are called."""

import shutil
import subprocess

import pytest

from sterna.gen.power.vivado import Simulated, scripts

STUBS = """\
set calls [open calls.txt w]
proc unknown {name args} {
  global calls
  puts $calls [concat $name $args]
  if {$name eq "report_power" && $args eq "-return_string"} {
    return "+--+\\n| Total On-Chip Power (W)  | 0.250        |\\n| Dynamic (W) | 0.125 |\\n"
  }
}
proc get_ports {name} { return $name }
"""


def run(folder, netlist=False, stubs=STUBS, clock=80.0):
    if shutil.which("tclsh") is None:
        pytest.skip("there is no tclsh")
    sim = Simulated("../net work.v", netlist, "net.saif", ("top", "wrapper", "dut"), 8, 1234)
    texts = scripts("net", "xc7a35ticsg324-1L", clock, 500.0, sim)
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "run.tcl").write_text(f"{stubs}source net_power.tcl\nclose $calls\n")
    done = subprocess.run(
        ["tclsh", "run.tcl"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return (folder / "calls.txt").read_text().splitlines(), done.stdout, texts


def test_reads_the_design_its_clock_and_its_toggles(tmp_path):
    calls, said, texts = run(tmp_path)
    assert calls == [
        "read_verilog {../net work.v}",
        "read_xdc net_clock.xdc",
        "synth_design -mode out_of_context -flatten_hierarchy none -top net "
        "-part xc7a35ticsg324-1L",
        "opt_design",
        "place_design",
        "route_design",
        "read_saif -strip_path top/wrapper/dut -out_file net_unmatched.txt net.saif",
        "report_switching_activity -file net_switching.rpt",
        "report_utilization -file net_utilization.rpt",
        "report_timing_summary -file net_timing.rpt",
        "report_power -file net_power.rpt",
        "report_power -return_string",
    ]
    assert texts["net_clock.xdc"] == "create_clock -name clk -period 12.500 [get_ports clk]\n"
    assert "total: 0.250 W, 0.5 mJ an image at 500 images a second" in said
    assert "dynamic: 0.125 W, 0.25 mJ an image" in said
    assert "net_unmatched.txt" in said and "have not run it" in texts["net_power.tcl"]


def test_a_netlist_is_linked_not_synthesised(tmp_path):
    calls, _, texts = run(tmp_path, netlist=True)
    assert "link_design -mode out_of_context -top net -part xc7a35ticsg324-1L" in calls
    assert not [c for c in calls if c.startswith("synth_design")]
    assert "of the netlist" in texts["net_power.tcl"]


def test_a_report_of_another_form_is_named(tmp_path):
    _, said, _ = run(tmp_path, stubs=STUBS.replace("Total", "All").replace("Dynamic", "Rest"))
    assert "total: see net_power.rpt" in said and "dynamic: see net_power.rpt" in said
