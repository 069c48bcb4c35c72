"""Memories in Verilog beside a netlist of them: both read at random, every clock compared."""

import re
from pathlib import Path

import numpy as np

from sterna.sim.boardnet import cell_models
from sterna.sim.boardsim import SimulatedBoard, board_library

__all__ = ["contents", "differ"]

# The LED goes on, and stays on, when the two differ.
_BENCH = """
module bench(clk, rst, uart_clk, uart_rst, rx, tx, led);
  input clk;
  input rst;
  input uart_clk;
  input uart_rst;
  input rx;
  output tx;
  output led;
  reg [63:0] r = 64'd88172645463325252;
  wire [63:0] r1 = r ^ r << 13, r2 = r1 ^ r1 >> 7;
  reg differ = 0;
  reg [3:0] begun = 0;
  wire [WIDTH-1:0] wanted, found;
  mems plain(clk, uart_clk, r, wanted);
  mems_netlist cells(clk, uart_clk, r, found);
  always @(posedge clk) begin
    r <= r2 ^ r2 << 17;
    begun <= {begun, 1'b1};
    if (COMPARED && wanted != found) differ <= 1;
  end
  assign led = differ;
  assign tx = 1'b1;
endmodule
"""


def contents(folder: Path, memories: str) -> None:
    """Random rows for the memories that module ``mems`` reads from files."""
    rng = np.random.default_rng(0)
    for width, name, depth in re.findall(r"reg (?:\[(\d+):0\] )?(\w+) \[0:(\d+)\]", memories):
        rows = rng.integers(0, 1 << (int(width or 0) + 1), int(depth) + 1)
        (folder / f"{name}.hex").write_text("".join(f"{row:x}\n" for row in rows))


def differ(folder: Path, memories: str, netlist: str, after: int = 0) -> bool:
    """Whether netlist and module ``mems(clk, other, r, q)`` differ in a clock behind the first
    ``after`` (up to 4), in which registers without a start value are not defined."""
    ports = re.search(r"output \[(\d+):0\] q\)", memories)
    assert ports is not None
    compared = f"begun[{after - 1}]" if after else "1'b1"
    bench = _BENCH.replace("WIDTH-1", ports[1]).replace("COMPARED", compared)
    text = netlist.replace("module mems(", "module mems_netlist(")
    plain = memories.replace('("', f'("{folder}/')
    library = board_library(
        plain + text + bench, "bench", models=cell_models("ecp5", text), optimize="none"
    )
    board = SimulatedBoard(library, 4, ratio=1, seed=0)
    board.exchange(b"", 30_000)
    return board.led
