"""How far yosys and nextpnr are, by the lines that they print."""

import pytest

from sterna.gen.tools.meters import meter

YOSYS = """\
1. Executing Verilog-2005 frontend: digits.v
2.6. Executing FLATTEN pass (flatten design).
2.13. Executing FSM pass (extract and optimize FSM).
2.13.1. Executing FSM_DETECT pass (finding FSMs in design).
2.24. Executing ALUMACC pass (create $alu and $macc cells).
2.26. Executing MEMORY pass.
2.28. Executing MEMORY_LIBMAP pass (mapping memories to cells).
2.31. Executing MEMORY_MAP pass (converting memories to logic and flip-flops).
2.36. Executing DFFLEGALIZE pass (convert FFs and LATCHes to types supported by the target).
2.46. Executing ABC9 pass.
2.46.28.4. Executing ABC9_EXE pass (technology mapping using ABC9).
3. Executing JSON backend.
"""
NEXTPNR = """\
Info: constraining clock net 'clk' to 25.00 MHz
Info: Running main analytical placer, max placement attempts per cell = 2293011.
Info:     at iteration #1, type ALL: wirelen solved = 514, spread = 15854, legal = 17142; time = 0s
Info:     at iteration #18, type ALL: wirelen solved = 5905, spread = 8937, legal = 10803; time = 0s
Info: HeAP Placer Time: 5.35s
Info: Running simulated annealing placer for refinement.
Info:   at iteration #1: temp = 0.000000, timing cost = 201, wirelen = 10543
Info:   at iteration #25: temp = 0.000000, timing cost = 251, wirelen = 8287
Info: Max frequency for clock '$glbnet$clk$TRELLIS_IO_IN': 205.72 MHz (PASS at 25.00 MHz)
Info: Routing 11214 arcs.
Info:    IterCnt |  w/ripup   wo/ripup |  w/r  wo/r |      arcs| batch(sec) total(sec)|
Info:       1000 |       49        950 |   49   950 |     10269|       0.51       0.51|
Info:      13428 |     1881      10991 |    6   330 |         0|       1.20       6.07|
Info: Routing complete.
"""


@pytest.mark.parametrize(
    ("program", "text", "least"),
    [("yosys", YOSYS, 10), ("nextpnr-ecp5", NEXTPNR, 7), ("nextpnr-ice40", NEXTPNR, 7)],
)
def test_a_tool_goes_on_by_what_it_prints(program: str, text: str, least: int) -> None:
    said: list[float] = []
    hear = meter(program, said.append)
    for line in text.splitlines():
        hear(f"{line}\n")
    steps = [v for v in said if v > 0]
    assert steps == sorted(steps) and len(set(steps)) >= least
    assert steps[0] < 0.15 and 0.95 < steps[-1] < 1


def test_what_nobody_knows_is_heard_and_says_nothing() -> None:
    said: list[float] = []
    meter("iverilog", said.append)("Info: Routing 5 arcs.\n")
    for program in ("yosys", "nextpnr-ecp5"):
        for line in ("", "\n", "Info: Routing 0 arcs.\n", "Info:  1 | | |  0|\n", "\x00" * 99):
            meter(program, said.append)(line)
    assert all(0 <= v <= 1 for v in said)
