"""Netlists: what each cell drives, once, and names that Verilator can trace."""

from sterna.sim.power.cells import driven, shortened, untraced

MODELS = (
    (
        "cells.v",
        """\
module LUT4 (output O, input I0, I1);
endmodule
(* keep *)
module DFF (
\toutput reg Q, // output Z
\tinput C, D
);
endmodule
module RAM (
  input [3:0] ADDR, output [3:0] DATA, output NEXT,
  input CLK);
  reg [3:0] mem;
endmodule
""",
    ),
)
NETLIST = """\
module top(a, y);
  input [1:0] a;
  output [1:0] y;
  wire [3:0] \\one.data ;
  wire [0:0] \\one.single ;
  wire bare;
  wire [5:2] \\one.high ;
  LUT4 #(
    .O(4'h6)
  ) first (
    .I0(a[0]),
    .I1(\\one.data [2]),
    .O(y[1])
  );
  DFF \\one.reg  (
    .C(a[1]),
    .D(bare),
    .Q(\\one.single [0])
  );
  RAM ram (
    .ADDR({ a, a }),
    .DATA({ \\one.data [3:2], bare, y[0] }),
    .NEXT(),
    .CLK(a[1])
  );
  RAM again (
    .ADDR({ a, a }),
    .DATA(\\one.data ),
    .NEXT(\\one.high [3])
  );
  unknown other (
    .O(bare)
  );
endmodule
"""


def test_the_bits_that_cells_drive() -> None:
    assert list(driven(NETLIST, MODELS)) == [
        ("LUT4", [("y", 1)]),
        ("DFF", [("one.single", None)]),
        ("RAM", [("one.data", 2), ("one.data", 3), ("bare", None), ("y", 0)]),
        (
            "RAM",
            [("one.data", 0), ("one.data", 1), ("one.data", 2), ("one.data", 3), ("one.high", 1)],
        ),
    ]


def test_long_names_become_short_and_stay_apart() -> None:
    long = "conv1." + "deep." * 20
    text = f"wire \\{long}a ; wire \\{long}b ; assign \\{long}a = \\short.x ; wire \\{'y' * 200} ;"
    assert shortened(text) == (
        "wire \\conv1.long0 ; wire \\conv1.long1 ; assign \\conv1.long0 = \\short.x ; "
        "wire \\long2 ;"
    )


def test_cells_are_without_waves() -> None:
    ((name, text),) = untraced(MODELS)
    assert name == "cells.v" and text == f"/*verilator tracing_off*/\n{MODELS[0][1]}"
