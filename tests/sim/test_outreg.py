"""Registers that move into block RAMs: the right ones, and nothing that is computed changes."""

import json
from pathlib import Path

import pytest
from memsbench import contents, differ

from sterna.gen.tools.block_ram_registers import use_output_registers
from sterna.gen.tools.kept_runs import run_kept
from sterna.gen.tools.yosys import synth

# Names of memories say what is behind the register of their read port.
MEMORIES = """
module mems(input clk, input other, input [63:0] r, output [215:0] q);
  (* ram_style = "block" *) reg [35:0] wide [0:511];
  (* ram_style = "block" *) reg [17:0] part [0:1023];
  (* ram_style = "block" *) reg [17:0] enabled [0:1023];
  (* ram_style = "block" *) reg [17:0] cleared [0:1023];
  (* ram_style = "block" *) reg [8:0] twice [0:2047];
  (* ram_style = "block" *) reg [17:0] ones [0:1023];
  (* ram_style = "block" *) reg [17:0] ports [0:1023];
  (* ram_style = "block" *) reg [17:0] apart [0:1023];
  (* ram_style = "block" *) reg [17:0] chain [0:1023];
  initial begin
    $readmemh("wide.hex", wide); $readmemh("part.hex", part); $readmemh("enabled.hex", enabled);
    $readmemh("cleared.hex", cleared); $readmemh("twice.hex", twice); $readmemh("ones.hex", ones);
    $readmemh("ports.hex", ports); $readmemh("apart.hex", apart);
    $readmemh("chain.hex", chain);
  end
  reg [35:0] read_wide = 0, q_wide = 0;
  reg [17:0] read_part = 0, read_enabled = 0, read_cleared = 0, read_ones = 0, read_apart = 0;
  reg [17:0] read_a = 0, read_b = 0, q_a = 0, q_b = 0;
  reg [9:0] q_part = 0;
  reg [17:0] q_enabled = 0, q_cleared = 0, q_ones = 18'h3ffff, q_apart = 0;
  reg [8:0] read_twice = 0, q_twice = 0, q_more = 0;
  reg [17:0] read_chain = 0, next_chain = 0, q_chain = 0;
  assign q = {q_wide, q_part, q_enabled, q_cleared, q_twice, q_more, q_ones, q_a, q_b, q_apart,
              q_chain};
  always @(posedge clk) begin
    read_wide <= wide[r[8:0]]; q_wide <= read_wide;
    read_part <= part[r[9:0]]; q_part <= read_part[9:0];
    if (r[39]) read_enabled <= enabled[r[9:0]];
    if (r[40]) q_enabled <= read_enabled;
    read_cleared <= cleared[r[9:0]]; q_cleared <= r[41] ? 18'd0 : read_cleared;
    read_twice <= twice[r[10:0]]; q_twice <= read_twice; q_more <= read_twice ^ {9{r[43]}};
    read_ones <= ones[r[9:0]]; q_ones <= read_ones;
    read_a <= ports[r[9:0]]; read_b <= ports[r[25:16]]; q_a <= read_a; q_b <= read_b;
    read_apart <= apart[r[9:0]];
    read_chain <= chain[r[9:0]]; next_chain <= read_chain; q_chain <= next_chain;
  end
  always @(posedge other) q_apart <= read_apart;
endmodule
"""
MOVED = {"wide": 36, "part": 10, "enabled": 18, "ports": 36, "chain": 18}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("outreg")
    (folder / "mems.v").write_text(MEMORIES)
    contents(folder, MEMORIES)
    assert synth([folder / "mems.v"], "mems", "ecp5", folder, json_netlist=True)["bram"] >= 8
    return folder


def changed(folder: Path, netlist: str) -> bool:
    """Whether the netlist in a JSON file computes something else than the memories."""
    script = f"read_json {netlist}\nhierarchy -top mems\nwrite_verilog -noattr cells.v\n"
    (folder / "write.ys").write_text(script)
    words, reads = ["-Q", "-s", "write.ys"], ["write.ys", netlist]
    run_kept("yosys", words, folder, reads=reads, makes=["cells.v"], log="write.log")
    return differ(folder, MEMORIES, (folder / "cells.v").read_text())


@pytest.mark.yosys
def test_the_registers_that_can_move_do_and_compute_the_same(folder):
    before = json.loads((folder / "mems_ecp5.json").read_bytes())["modules"]["mems"]["cells"]
    (folder / "moved.json").write_bytes((folder / "mems_ecp5.json").read_bytes())
    assert use_output_registers(folder / "moved.json", "mems") == sum(MOVED.values())
    after = json.loads((folder / "moved.json").read_bytes())["modules"]["mems"]["cells"]
    registers = [sum(c["type"] == "TRELLIS_FF" for c in m.values()) for m in (before, after)]
    assert registers[0] - registers[1] == sum(MOVED.values())
    used = {
        name.split(".")[0]
        for name, cell in after.items()
        if cell["type"] == "DP16KD"
        and "OUTREG" in (cell["parameters"]["REGMODE_A"], cell["parameters"]["REGMODE_B"])
    }
    assert used == set(MOVED)
    # A block's output register is taken: that of the chain's next one stays.
    assert use_output_registers(folder / "moved.json", "mems") == 0
    assert not changed(folder, "mems_ecp5.json")
    assert not changed(folder, "moved.json")


@pytest.mark.yosys
def test_an_output_register_too_many_is_seen(folder):
    netlist = json.loads((folder / "mems_ecp5.json").read_bytes())
    cells = netlist["modules"]["mems"]["cells"]
    cells["cleared.0.0"]["parameters"]["REGMODE_A"] = "OUTREG"
    cells["cleared.0.0"]["connections"]["OCEA"] = ["1"]
    (folder / "wrong.json").write_text(json.dumps(netlist))
    assert changed(folder, "wrong.json")
