"""Synthesis: counts of known circuits for each family, netlists, the Fmax wrapper, refusals."""

import re
import subprocess
import sys

import pytest

from sterna.gen.tools.fmax import fmax_ecp5
from sterna.gen.tools.programs import ToolFailed
from sterna.gen.tools.yosys import count, module_ports, synth
from sterna.golden.errors import DesignError, FileError, UsageError

# 8 flip-flops, one 8-bit adder, a 1024 x 18 memory and a 16 x 4 memory with asynchronous read.
_VERILOG = """
module known(clk, a, b, sum, addr, we, wdata, rdata, small);
  input clk;
  input [7:0] a;
  input [7:0] b;
  output reg [7:0] sum;
  input [9:0] addr;
  input we;
  input [17:0] wdata;
  output reg [17:0] rdata;
  output [3:0] small;
  reg [17:0] big [0:1023];
  reg [3:0] little [0:15];
  always @(posedge clk) begin
    sum <= a + b;
    if (we) big[addr] <= wdata;
    rdata <= big[addr];
    if (we) little[addr[3:0]] <= wdata[3:0];
  end
  assign small = little[addr[9:6]];
endmodule
"""


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "source" / "known.v"
    path.parent.mkdir()
    path.write_text(_VERILOG)
    return path


@pytest.mark.yosys
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("ecp5", {"carry": 4, "bram": 1, "lutram": 6, "dsp": 0}),
        pytest.param("xilinx7", {"carry": 2, "bram": 0.5, "dsp": 0}, marks=pytest.mark.slow),
        pytest.param("ice40", {"bram": 5, "lutram": 0, "dsp": 0}, marks=pytest.mark.slow),
    ],
)
def test_counts_of_a_known_circuit(known, tmp_path, target: str, expected: dict) -> None:
    result = synth([known], "known", target, tmp_path / "build", netlist=True)
    assert {key: result[key] for key in expected} == expected
    # ice40 has no LUT RAM: the small memory becomes flip-flops there.
    assert result["ff"] == 8 if target != "ice40" else result["ff"] >= 8 + 4
    assert result["logic"] >= 8
    if target == "xilinx7":
        assert 4 <= result["lutram"] <= 8
        assert 0 < result["lut_packed_estimate"] <= result["luts"]
    # The netlist holds exactly the cells that were counted.
    text = (tmp_path / "build" / f"known_{target}.v").read_text()
    for cell, number in result["cells"].items():
        assert len(re.findall(rf"^  {re.escape(cell)} ", text, re.M)) == number, cell


@pytest.mark.yosys
@pytest.mark.slow
def test_options_reach_yosys_and_same_inputs_give_same_bytes(known, tmp_path, monkeypatch):
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "one"))
    first = synth([known], "known", "ice40", tmp_path / "a", netlist=True, options=["-nobram"])
    assert first["bram"] == 0
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "two"))  # runs of the first are not here
    synth([known], "known", "ice40", tmp_path / "b", netlist=True, options=["-nobram"])
    one, two = ((tmp_path / d / "known_ice40.v").read_text() for d in "ab")
    assert one == two


def test_count_adds_carry_and_memory_luts() -> None:
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_FF": 7, "TRELLIS_DPR16X4": 2, "MULT18X18D": 1}
    assert count(cells, "ecp5") == {
        "luts": 28,
        "logic": 16,
        "carry": 3,
        "ff": 7,
        "bram": 0,
        "lutram": 12,
        "dsp": 1,
    }
    cells = {
        "LUT2": 1,
        "LUT6": 4,
        "INV": 1,
        "FDRE": 3,
        "FDSE": 1,
        "FDRE_1": 1,
        "RAM32M": 2,
        "SRL16E": 3,
        "RAMB18E1": 3,
        "RAMB36E1": 1,
    }
    assert count(cells, "xilinx7") == {
        "luts": 17,
        "logic": 6,
        "carry": 0,
        "ff": 5,
        "bram": 2.5,
        "lutram": 11,
        "dsp": 0,
    }


def test_ports() -> None:
    assert module_ports(_VERILOG, "known")[:4] == [
        ("input", "clk", 1),
        ("input", "a", 8),
        ("input", "b", 8),
        ("output", "sum", 8),
    ]
    with pytest.raises(DesignError, match="module 'other' is not in the Verilog text"):
        module_ports(_VERILOG, "other")


def test_refusals(known, tmp_path) -> None:
    with pytest.raises(UsageError, match="no synthesis for target 'max10'; use one of ecp5"):
        synth([known], "known", "max10", tmp_path)
    with pytest.raises(FileError, match=r"nothing\.v does not exist"):
        synth([tmp_path / "nothing.v"], "known", "ecp5", tmp_path)
    with pytest.raises(UsageError, match="no Verilog file was given"):
        synth([], "known", "ecp5", tmp_path)
    with pytest.raises(DesignError, match="module 'known' has no clock port 'clock'"):
        fmax_ecp5([known], "known", tmp_path / "fmax", clock="clock")
    with pytest.raises(UsageError, match="no router 'maze'; use router1 or router2"):
        fmax_ecp5([known], "known", tmp_path / "fmax", router="maze")


@pytest.mark.yosys
def test_broken_verilog_names_the_log(tmp_path) -> None:
    (tmp_path / "broken.v").write_text("module broken(input a;\n")
    with pytest.raises(ToolFailed, match=r"yosys ended with code .*broken_ecp5\.log"):
        synth([tmp_path / "broken.v"], "broken", "ecp5", tmp_path)


@pytest.mark.yosys
@pytest.mark.slow
def test_fmax_of_a_deep_path_is_lower_than_of_a_shallow_one(tmp_path) -> None:
    def fmax(name: str, expression: str, router: str = "router1") -> dict:
        path = tmp_path / f"{name}.v"
        path.write_text(
            f"module {name}(clk, a, b, y);\n  input clk;\n  input [15:0] a;\n  input [15:0] b;\n"
            f"  output reg [15:0] y;\n  always @(posedge clk) y <= {expression};\nendmodule\n"
        )
        return fmax_ecp5([path], name, tmp_path / name, seeds=(1,), router=router)

    shallow, deep = fmax("shallow", "a & b"), fmax("deep", "(a + b) ^ ((a + b) * 3 + (b ^ 5) + a)")
    assert shallow["mhz"] > 300 > deep["mhz"]
    assert fmax("other", "a & b", "router2")["mhz"] > 300
    assert any(cell.startswith("core.") for cell in deep["critical"]["cells"])


def test_importing_needs_no_tool() -> None:
    code = "import sterna.gen.tools.yosys, sys; sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


_PARTS = """
module count(input clk, input [7:0] d, output [7:0] q);
  reg [7:0] r, s;
  always @(posedge clk) begin r <= r + d; s <= r ^ (s << 1); end
  assign q = s & r;
endmodule
module top(input clk, input [7:0] d, output [7:0] x, output [7:0] y, output reg [3:0] z);
  wire [7:0] a;
  count one (.clk(clk), .d(d), .q(a));
  count gear_one (.clk(clk), .d(a), .q(x));
  count one_more (.clk(clk), .d(x), .q(y));
  always @(posedge clk) z <= d[3:0];
endmodule
"""


@pytest.mark.yosys
@pytest.mark.parametrize(
    "target",
    ["ecp5", *(pytest.param(t, marks=pytest.mark.slow) for t in ("xilinx7", "ice40"))],
)
def test_parts_are_counted_by_the_names_of_their_cells(tmp_path, target: str) -> None:
    (tmp_path / "top.v").write_text(_PARTS)
    parts = {"one": ["one", "gear_one"], "one_more": ["one_more"], "none": ["nothing"]}
    found = synth([tmp_path / "top.v"], "top", target, tmp_path, parts=parts)
    layers = found["layers"]
    assert list(layers) == list(parts)
    ff = {name: part["ff"] for name, part in layers.items()}
    assert ff == {"one": 32, "one_more": 16, "none": 0}
    assert found["ff"] == 52 and found["rest"]["ff"] == 4
    assert 0 < layers["one_more"]["luts"] < layers["one"]["luts"] and layers["none"]["luts"] == 0
    every = [*layers.values(), found["rest"]]
    assert sum(part["luts"] for part in every) == found["luts"]
    assert sum(part["bram"] for part in every) == found["bram"] == 0
