"""The cost model: memories as yosys maps them, estimates that follow the folding."""

import json
import random

import numpy as np
import pytest

from sterna.gen.device.memories import mapped
from sterna.gen.fold.fold import fold
from sterna.gen.model.cost import Cost, estimate, fitted
from sterna.gen.tools.kept_runs import run_kept
from sterna.gen.tools.yosys import synth
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.gen.verilog.placeholders import Placeholders
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule
from sterna.hw.memory.shape import MemoryShape, style_attributes

LIBRARIES = {
    "ecp5": "-lib +/lattice/lutrams_trellis.txt -lib +/lattice/brams_16kd.txt",
    "xilinx7": "-lib +/xilinx/lutrams_xc5v.txt -lib +/xilinx/brams_xc4v.txt -D IS_VIRTEX6 "
    "-D HAS_SIZE_36 -D HAS_CASCADE -D HAS_CONFLICT_BUG -D HAS_MIXWIDTH_SDP "
    "-logic-cost-rom 0.015625",  # as synth_xilinx does
    "ice40": "-lib +/ice40/brams.txt -lib +/ice40/spram.txt -no-auto-huge",
}
SHAPES = [
    MemoryShape(width, depth, use)
    for use, widths, depths in (
        ("rom", (2, 8, 18, 20, 40, 72), (12, 64, 128, 400, 600, 1100)),
        ("ram", (8, 20, 32), (12, 40, 100, 400, 1100)),
        ("window", (1, 2, 8, 20, 36, 72), (6, 16, 24, 40, 100, 400, 600, 1100, 2100)),
        ("fifo", (2, 4, 18, 32, 40), (16, 40, 320, 600)),
        ("comb", (4, 20, 72), (3, 16, 40, 70)),
        ("latched", (20, 34), (4, 8, 12, 16, 40)),
    )
    for width in widths
    for depth in depths
    if width * depth < 60_000
]
SHAPES += [
    MemoryShape(width, depth, use, style)
    for use in ("rom", "ram")
    for style in ("block", "distributed")
    for width in (8, 32)
    for depth in (12, 40, 600)
]


def verilog_of(shape: MemoryShape, name: str, draw: random.Random) -> str:
    """A memory as amaranth writes it."""
    w, d, use = shape.width, shape.depth, shape.use
    a = max(1, (d - 1).bit_length())
    style = style_attributes(shape.style, use == "rom")
    style = "".join(f'(* {key} = "{value}" *) ' for key, value in style.items())
    text = (
        f"module {name}(input clk, input [{a - 1}:0] ra, wa, input [{w - 1}:0] wd, input we, re, "
        f"output [{w - 1}:0] rd);\n"
        f"{'(* no_rw_check = 1 *)' if use == 'fifo' else ''} {style}"
        f"reg [{w - 1}:0] mem [0:{d - 1}];\n"
    )
    if use == "rom":
        some = sorted({min(d - 1, k) for k in (*range(12), d // 2, d - 1)})
        text += "initial begin "
        text += " ".join(f"mem[{k}] = {w}'d{draw.getrandbits(w)};" for k in some) + " end\n"
    else:
        address = "ra" if use == "ram" else "wa"
        text += f"always @(posedge clk) if (we) mem[{address}] <= wd;\n"
    if use == "comb":
        return text + "assign rd = mem[ra];\nendmodule\n"
    enable = {"ram": "if (!we)", "fifo": "if (re)"}.get(use, "")
    if use == "latched":
        enable = "if (!re) q <= 0; else"
    text += f"reg [{w - 1}:0] q; always @(posedge clk) {enable} q <= mem[ra];\n"
    if use in ("rom", "ram"):
        text += f"reg [{w - 1}:0] o; always @(posedge clk) o <= q; assign rd = o;\n"
        return text + "endmodule\n"
    return text + "assign rd = q;\nendmodule\n"


def yosys(folder, name: str) -> None:
    reads, makes = [f"{name}.ys", f"{name}.v"], ["stat.json"]
    run_kept("yosys", ["-Q", "-s", reads[0]], folder, reads=reads, makes=makes, log="log")


@pytest.mark.yosys
@pytest.mark.parametrize("family", LIBRARIES)
def test_memories_are_what_yosys_makes_of_them(family, tmp_path):
    draw = random.Random(1)
    shapes = [s for s in SHAPES if family != "ice40" or (s.use, s.style) != ("ram", "distributed")]
    (tmp_path / "memories.v").write_text(
        "".join(verilog_of(s, f"m{n}", draw) for n, s in enumerate(shapes))
    )
    (tmp_path / "memories.ys").write_text(
        "read_verilog memories.v\nproc\nopt -nodffe -nosdff\nopt\nwreduce\nopt_clean\nopt\n"
        f"memory -nomap\nopt_clean\nmemory_libmap {LIBRARIES[family]}\n"
        "tee -q -o stat.json stat -json\n"
    )
    yosys(tmp_path, "memories")
    text = (tmp_path / "stat.json").read_text()
    modules = json.loads(text[text.index("{") :])["modules"]
    for n, shape in enumerate(shapes):
        cells = modules[f"\\m{n}"]["num_cells_by_type"]
        blocks = sum(v for k, v in cells.items() if "KD_" in k or "RAM4K" in k or "BLOCKRAM" in k)
        small = sum(v for k, v in cells.items() if "TRELLIS" in k or "LUTRAM" in k)
        found = mapped(shape, family)
        assert bool(found.bram) == bool(blocks) and bool(found.lutram) == bool(small), shape
        if family != "xilinx7":  # there a block may be a half or a whole one
            assert found.bram == blocks, shape
        if family == "ecp5":
            assert found.lutram == 6 * small, shape


def layers(channels: int = 8, outputs: int = 16) -> Network:
    rng = np.random.default_rng(1)
    trits = lambda *shape: rng.integers(-1, 2, shape).astype(np.int8)  # noqa: E731
    return Network(
        4,
        [
            Input("x", (channels, 12, 12), "frames"),
            Conv2d("c", "x", trits(outputs, channels, 3, 3), padding=(1, 1, 1, 1)),
            Neuron("n", ("c",), NeuronRule(np.full(outputs, 4))),
            Pool("p", "n", "or"),
            Linear("f", "p", trits(5, outputs * 36)),
            Readout("r", ("f",), NeuronRule(np.zeros(5, int), "none")),
        ],
        name="layers",
    )


NET = layers()
FOLDED = {"c": {"pe": 4, "simd": 24, "tp": 2}}


@pytest.mark.yosys
@pytest.mark.parametrize("pe", [2, 16])
def test_block_ram_of_a_whole_design_is_exact(pe, tmp_path):
    design = fold(NET, {"c": {"pe": pe, "simd": 24, "tp": 4}}, family="ecp5")
    (tmp_path / "layers.v").write_text(verilog_text(elaborate(NET, design), "layers"))
    (tmp_path / "layers.ys").write_text(
        "read_verilog layers.v\nsynth_ecp5 -top layers -run begin:map_ffram\n"
        "tee -q -o stat.json stat -json\n"
    )
    yosys(tmp_path, "layers")
    text = (tmp_path / "stat.json").read_text()
    cells = json.loads(text[text.index("{") :])["design"]["num_cells_by_type"]
    total = estimate(NET, design).total
    assert total.bram == cells.get("DP16KD", 0)
    assert total.lutram == pytest.approx(6 * cells.get("TRELLIS_DPR16X4", 0), rel=0.05)


def test_a_board_is_priced_by_the_top_it_gets():
    """iCE40's has no memory of counters; with fixed weights every one has that of its identity."""
    for family, blocks in (("ecp5", 1), ("ice40", 2)):
        rom, ram = (fold(NET, FOLDED, family=family, memory=memory) for memory in ("rom", "ram"))
        plain, board = (estimate(NET, rom, on_board=on).cores["control"] for on in (False, True))
        kept = 0 if family == "ice40" else plain.bram
        assert board.bram == kept + blocks
        assert (board.luts < plain.luts) == (family == "ice40")
        assert estimate(NET, ram, on_board=True).cores["control"].bram == kept


@pytest.mark.yosys
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_the_control_plane_of_a_board_is_what_yosys_makes_of_it(family, tmp_path):
    design = fold(NET, FOLDED, family=family)
    top = elaborate(NET, design, contents=Placeholders("a", family))
    (tmp_path / "control.v").write_text(verilog_text(top.control, "control"))
    found = synth([tmp_path / "control.v"], "control", family, tmp_path)
    guess = estimate(NET, design, on_board=True).cores["control"]
    assert guess.bram == found["bram"]
    assert guess.luts == pytest.approx(found["luts"], rel=0.2)


@pytest.mark.parametrize("family", fitted(("ecp5", "xilinx7", "ice40")))
@pytest.mark.parametrize(
    ("key", "values"), [("pe", (1, 2, 4, 8)), ("simd", (8, 24, 72)), ("tp", (1, 2, 4))]
)
def test_more_lanes_cost_more_logic(family, key, values):
    totals = []
    for value in values:
        entry = {"pe": 4, "simd": 24, "tp": 2} | {key: value}
        found = estimate(NET, fold(NET, {"c": entry}, family=family))
        totals.append(found.cores["c"].luts)
    assert totals == sorted(totals) and totals[-1] > 1.3 * totals[0]


def test_costs_add_up_and_are_of_the_right_size():
    found = estimate(NET, fold(NET, {"c": {"pe": 4, "simd": 24, "tp": 2}}, family="ecp5"))
    assert set(found.cores) == {"c", "p", "f", "control", "axis_input", "axis_output"}
    total = found.total
    assert total.luts == pytest.approx(sum(c.luts for c in found.cores.values()))
    assert 2000 < total.logic < 12_000 and 1500 < total.ff < 12_000
    assert found.largest("bram") in found.cores
    assert Cost(1, 2, 3, 4, 5) + Cost(1, 1, 1, 1, 1) == Cost(2, 3, 4, 5, 6)


def test_a_family_without_coefficients_is_refused_with_the_command(monkeypatch, tmp_path):
    from sterna.gen.model import cost

    path = tmp_path / "none.json"
    path.write_text('{"families": {}}')
    monkeypatch.setattr(cost, "COEFFICIENTS", path)
    cost.coefficients.cache_clear()
    try:
        with pytest.raises(DesignError, match="no coefficients of the cost model for ecp5; run"):
            estimate(NET, fold(NET, family="ecp5"))
        assert fitted(["ecp5", "generic"]) == []
    finally:
        cost.coefficients.cache_clear()
