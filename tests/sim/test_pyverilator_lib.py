"""The genuine pyverilator class drives the toy top, port by port."""

import sys

import numpy as np
import pytest
import toy

from sterna.sim.pyverilator_lib import library_source, open_model, pyverilator
from sterna.sim.verilate import Port


def test_one_image_through_a_real_pyverilator_object(toy_verilog, tmp_path):
    sim = open_model(toy_verilog, "toy")
    assert type(sim) is pyverilator().PyVerilator
    assert type(sim).__module__ == "pyverilator.pyverilator"
    assert sim.module_name == "toy" and "tap_toy__spikes_data" in sim.io

    vcd = tmp_path / "toy.vcd"
    sim.start_vcd_trace(str(vcd))
    sim.io.rst = 1
    sim.clock.tick()
    sim.io.rst = 0
    sim.io.m_axis_tready = 1
    image = np.random.default_rng(4).integers(0, 256, (1, 1, 4, 6), dtype=np.uint8)
    words = image.reshape(-1, 2)
    packet, beats, sent = [], [], 0
    for _ in range(1000):
        sim.clock.write(0)
        sim.io.s_axis_tvalid = sent < len(words)
        if sent < len(words):
            sim.io.s_axis_tdata = int(words[sent, 0]) | int(words[sent, 1]) << 8
        if sim.io.m_axis_tvalid:
            packet.append(int(sim.io.m_axis_tdata))
        if sim.io["tap_toy__spikes_valid"] and sim.io["tap_toy__spikes_ready"]:
            beats.append(int(sim.io["tap_toy__spikes_data"]))
        sent += int(sim.io.s_axis_tvalid and sim.io.s_axis_tready)
        sim.clock.write(1)
        if len(packet) == 4:
            break
    sim.stop_vcd_trace()
    spikes, logits = toy.expected(image)
    assert packet == [int(logits[0].argmax()), *logits[0].tolist()]
    assert sum(beat.bit_count() for beat in beats) == spikes.sum()
    assert "$enddefinitions" in vcd.read_text()


def test_ports_of_every_width_are_reached():
    verilog = """
module wide(clk, a, b, c);
  input clk;
  input [99:0] a;
  input [39:0] b;
  output [99:0] c;
  assign c = a ^ b;
endmodule
"""
    sim = open_model(verilog, "wide")
    sim.io.a = (1 << 100) - 3
    sim.io.b = (1 << 40) - 1
    assert sim.io.c == ((1 << 100) - 3) ^ ((1 << 40) - 1)
    sim.io.a = (1 << 128) - 1  # Verilator relies on zeros above a port's width
    assert sim.io.c == ((1 << 100) - 1) ^ ((1 << 40) - 1)


def test_library_spells_names_as_verilator_does():
    assert "get_tap_a___05Fb(" in library_source("top", [Port("tap_a__b", "output", 1)])


def test_live_gtkwave_is_refused_with_the_way_out():
    from sterna.golden.errors import ToolMissing

    pyverilator()  # puts the stub in place
    with pytest.raises(ToolMissing, match="start_vcd_trace"):
        sys.modules["tclwrapper"].TCLWrapper("gtkwave", "-W")
