"""The LiteX module of examples/litex fits the Verilog of a build: every port of both is there."""

import importlib.util
import sys

import numpy as np
import pytest
from repo import EXAMPLES

from sterna.gen.build.stages import ensure
from sterna.gen.tools.programs import ToolFailed, run_tool
from sterna.golden.files import network_files as files
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule
from sterna.sim.verilate import ports

EXAMPLE = EXAMPLES / "litex" / "sterna_litex.py"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("litex")
    rng = np.random.default_rng(3)
    nodes = [
        Input("x", (1, 4, 4), bits=8),
        Linear("f", "x", rng.integers(-1, 2, (3, 16))),
        Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
    ]
    files.save(Network(2, nodes, "tiny"), folder / "example")
    return ensure(folder / "example", output=folder / "build")


def litex_verilog(folder):
    """Verilog of a LiteX module that is only the core, every signal of its ends a port."""
    for package in ("litex", "migen"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; run: pip install {package}")
    spec = importlib.util.spec_from_file_location("sterna_litex", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["sterna_litex"] = module
    spec.loader.exec_module(module)
    from migen.fhdl import verilog

    core = module.SternaCore(None, folder)
    ends = [core.bus.aw, core.bus.w, core.bus.b, core.bus.ar, core.bus.r, core.sink, core.source]
    return str(verilog.convert(core, {s for end in ends for s in end.flatten()}, name="soc"))


def test_every_port_is_connected_and_verilator_takes_it(build):
    text = litex_verilog(build.folder)
    found = ports(build.verilog.read_text(), "tiny")
    folder = build.folder / "litex"
    folder.mkdir(exist_ok=True)
    # Only the ports: warnings about what is inside would hide those about the connection.
    names = ", ".join(port.name for port in found)
    lines = [f"  {p.direction} [{p.width - 1}:0] {p.name};" for p in found]
    (folder / "core.v").write_text("\n".join([f"module tiny({names});", *lines, "endmodule\n"]))

    def lint(soc):
        (folder / "soc.v").write_text(soc)
        quiet = ["-Wno-fatal", "-Wno-UNDRIVEN", "-Wno-UNUSED", "-Wno-TIMESCALEMOD"]
        errors = ["-Werror-PINMISSING", "-Werror-WIDTH"]
        run_tool(
            "verilator",
            ["--lint-only", "--top-module", "soc", *quiet, *errors, "soc.v", "core.v"],
            folder,
        )

    lint(text)
    for right, wrong in (
        (".s_axil_wstrb(", ".s_axil_wstrobe("),
        (".s_axil_wstrb(w_payload_strb),", ""),
        ("[7:0] sink_payload_data", "[8:0] sink_payload_data"),
    ):
        assert right in text
        with pytest.raises(ToolFailed):
            lint(text.replace(right, wrong))
