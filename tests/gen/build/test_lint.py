"""The lint passes what yosys writes and still finds what it must."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sterna.gen.build.lint import lint
from sterna.gen.build.stages import Build
from sterna.gen.tools.programs import ToolFailed, run_tool

GOOD = """module top(input clk, input [3:0] a, input b, output reg [4:0] y);
  reg [4:0] next = 5'h0;
  always @* begin
    next = y;
    casez (a) 4'b1???: next = y + b; endcase
    if (!a) next = 5'h0;
  end
  always @(posedge clk) y <= next;
endmodule
"""


def fake(folder: Path, text: str) -> Build:
    (folder / "top.v").write_text(text)
    return cast(Build, SimpleNamespace(name="top", verilog=folder / "top.v", folder=folder))


def test_what_yosys_writes_is_clean(tmp_path: Path) -> None:
    assert lint(fake(tmp_path, GOOD)) > 0
    # The rules are left for others, who need them: without, Verilator warns of this very text.
    words = ["--lint-only", "-Wall", "--top-module", "top"]
    run_tool("verilator", [*words, "lint.vlt", "top.v"], tmp_path)
    with pytest.raises(ToolFailed):
        run_tool("verilator", [*words, "top.v"], tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("next = y;", "", "LATCH"),
        ("y <= next", "y <= {next, b}", "WIDTHTRUNC"),
        ("y <= next;", "y <= next; always @(posedge b) y <= 0;", "MULTIDRIVEN"),
        ("y + b", "y + c", "IMPLICIT|VARNOTFOUND|variable: 'c'"),
    ],
)
def test_defects_are_found(old: str, new: str, warning: str, tmp_path: Path) -> None:
    build: Any = fake(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ToolFailed):
        lint(build)
    log = (tmp_path / "lint.log").read_text()
    assert any(word in log for word in warning.split("|")), log
