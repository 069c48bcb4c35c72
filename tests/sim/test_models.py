"""Models of vendors' cells against the Verilog that yosys made those cells of."""

import re
from pathlib import Path

import pytest
from memsbench import contents, differ

from sterna.gen.tools.yosys import synth

# Memories of every width, two kinds of ports, and every write mode, each read all the time.
MEMORIES = """
module mems(input clk, input other, input [63:0] r, output [194:0] q);
  integer k;
  (* ram_style = "block" *) reg [35:0] rom36 [0:511];
  (* ram_style = "block" *) reg [17:0] rom18 [0:1023];
  (* ram_style = "block" *) reg [8:0] rom9 [0:2047];
  (* ram_style = "block" *) reg [3:0] rom4 [0:4095];
  (* ram_style = "block" *) reg [1:0] rom2 [0:8191];
  (* ram_style = "block" *) reg rom1 [0:16383];
  (* ram_style = "block" *) reg [35:0] bytes [0:511];
  (* ram_style = "block" *) reg [35:0] apart [0:511];
  (* ram_style = "block" *) reg [17:0] held [0:1023];
  (* ram_style = "block" *) reg [17:0] early [0:1023];
  (* ram_style = "block" *) reg [8:0] nine [0:2047];
  (* ram_style = "block" *) reg single [0:16383];
  initial begin
    $readmemh("rom36.hex", rom36); $readmemh("rom18.hex", rom18);
    $readmemh("rom9.hex", rom9); $readmemh("rom4.hex", rom4);
    $readmemh("rom2.hex", rom2); $readmemh("rom1.hex", rom1);
    $readmemh("bytes.hex", bytes); $readmemh("apart.hex", apart);
    $readmemh("held.hex", held); $readmemh("early.hex", early);
    $readmemh("nine.hex", nine); $readmemh("single.hex", single);
  end
  reg [35:0] q36, qb, qc;
  reg [17:0] q18, qh, qe, qe2;
  reg [8:0] q9, qn;
  reg [3:0] q4;
  reg [1:0] q2;
  reg q1, qt;
  assign q = {q36, qb, qc, q18, qh, qe, qe2, q9, qn, q4, q2, q1, qt};
  wire [13:0] a = r[13:0], b = r[27:14];
  wire [35:0] d = r[63:28];
  always @(posedge clk) begin
    q36 <= rom36[a]; q18 <= rom18[a]; q9 <= rom9[a]; q4 <= rom4[a]; q2 <= rom2[a]; q1 <= rom1[a];
    for (k = 0; k < 4; k = k + 1) if (r[32 + k]) bytes[a[8:0]][9 * k +: 9] <= d[9 * k +: 9];
    if (r[40]) qb <= bytes[b[8:0]];
    if (r[41]) apart[b[8:0]] <= d;
    // The write mode NORMAL, with enable and reset.
    if (r[42]) begin if (r[43]) held[a[9:0]] <= d; else qh <= held[a[9:0]]; end
    // READBEFOREWRITE, on two ports that write.
    qe <= early[a[9:0]];
    if (r[44]) early[a[9:0]] <= d;
    // WRITETHROUGH.
    if (r[45]) begin nine[a[10:0]] <= d; qn <= d; end else qn <= nine[a[10:0]];
    if (r[47]) single[b] <= d[0];
    qt <= single[a];
  end
  always @(posedge clk) begin
    qe2 <= early[~a[9:0]];
    if (r[48]) early[~a[9:0]] <= d >> 18;
  end
  always @(posedge other) qc <= apart[a[8:0] ^ 9'd5];
endmodule
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mems")
    (folder / "mems.v").write_text(MEMORIES)
    contents(folder, MEMORIES)
    found = synth([folder / "mems.v"], "mems", "ecp5", folder, netlist=True)
    assert found["bram"] >= 12
    return folder


@pytest.mark.yosys
def test_dp16kd_is_what_yosys_takes_it_for(folder):
    netlist = (folder / "mems_ecp5.v").read_text()
    widths = {int(w) for w in re.findall(r"\.DATA_WIDTH_[AB]\(32'd(\d+)\)", netlist)}
    modes = set(re.findall(r'\.WRITEMODE_[AB]\("(\w+)"\)', netlist))
    assert widths == {1, 2, 4, 9, 18, 36}
    assert modes == {"NORMAL", "READBEFOREWRITE", "WRITETHROUGH"}
    assert not differ(folder, MEMORIES, netlist, after=4)


@pytest.mark.yosys
def test_a_changed_bit_of_a_block_ram_is_seen(folder):
    netlist = (folder / "mems_ecp5.v").read_text()
    for name in ("rom36", "rom18", "rom9"):  # the others may be written before they are read
        instance = netlist.index(f"\\{name}.0.0  (")
        at = netlist.rindex(".INITVAL_1F(320'h", 0, instance) + len(".INITVAL_1F(320'h")
        digit = format(int(netlist[at + 79], 16) ^ 1, "x")  # the lowest bit of the word
        assert differ(folder, MEMORIES, netlist[: at + 79] + digit + netlist[at + 80 :], after=4)
