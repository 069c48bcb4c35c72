"""The Verilog reads in every tool, is lint clean, and its plain bench passes in Icarus."""

import json

import numpy as np
import pytest

from sterna.gen.build.lint import lint
from sterna.gen.build.stages import ensure
from sterna.gen.tools.programs import ToolFailed, run_tool
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.rule import Decay, NeuronRule


def network():
    """Every kind of core: row banks, bit planes, depthwise, pool, binary, rom and ram."""
    rng = np.random.default_rng(11)
    trits = lambda *shape: rng.integers(-1, 2, shape)  # noqa: E731
    return Network(
        3,
        [
            Input("x", (1, 8, 6)),
            Conv2d("c", "x", trits(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            Neuron(
                "n",
                ("c",),
                NeuronRule(
                    threshold=rng.integers(90, 200, 4),
                    leak=Decay(2),
                    fraction_bits=2,
                    reset_by=rng.integers(50, 90, 4),
                ),
            ),
            Pool("p", "n", "sum"),
            Conv2d("d", "p", trits(4, 1, 2, 2), groups=4),
            Neuron("m", ("d",), NeuronRule(threshold=rng.integers(1, 3, 4), synapse=Decay(1))),
            Linear("f", "m", rng.integers(0, 2, (3, 24)) * 2 - 1, kind="binary"),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="every_core",
    )


FOLDING = {
    "c": {"pe": 2, "simd": 9, "tp": 2, "memory": "ram"},
    "d": {"pe": 2, "simd": 4, "tp": 1, "memory": "rom"},
    "f": {"pe": 1, "simd": 4, "tp": 3, "memory": "rom"},
}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verilog")
    files.save(network(), folder / "example")
    (folder / "example/folding.json").write_text(json.dumps(FOLDING))
    return ensure(folder / "example", output=folder / "build")


def test_lint_is_clean(build):
    assert lint(build) > 0


@pytest.mark.yosys
def test_yosys_reads_it(build):
    """The hierarchy is whole, and no wire is undriven, driven twice or in a loop."""
    script = "read_verilog every_core.v; hierarchy -check -top every_core; proc; check -assert"
    done = run_tool("yosys", ["-p", script], build.folder, timeout=900)
    assert "Found and reported 0 problems" in done.text


def icarus(build):
    run_tool("iverilog", ["-g2005", "-o", "tb", "every_core_tb.v", "every_core.v"], build.folder)
    return run_tool("vvp", ["tb"], build.folder, timeout=600).text


def test_the_plain_bench_passes_in_icarus(build):
    """With weights as power-up contents: a second simulator, and no Python."""
    text = icarus(build)
    packets = np.load(build.folder / "vectors.npz")["packets"]
    assert f"PASS {packets.size} words" in text and "FAIL" not in text


def test_the_plain_bench_can_fail(build):
    path = build.folder / "vectors_out.hex"
    good = path.read_text()
    lines = good.splitlines()
    lines[5] = f"{int(lines[5], 16) ^ 1:08x}"
    path.write_text("\n".join(lines) + "\n")
    try:
        text = icarus(build)
    finally:
        path.write_text(good)
    assert "FAIL word 5" in text and "PASS" not in text


def test_a_broken_file_does_not_read(build):
    path = build.folder / "broken.v"
    path.write_text((build.folder / "every_core.v").read_text().replace("endmodule", "", 1))
    with pytest.raises(ToolFailed):
        run_tool("iverilog", ["-g2005", "-o", "tb2", "broken.v"], build.folder)


def test_ports_are_those_vivado_and_litex_expect(build):
    text = build.verilog.read_text()
    head = text[text.index("module every_core(") :]
    ports = {p.strip() for p in head[head.index("(") + 1 : head.index(")")].split(",")}
    axis = {f"{side}_axis_{p}" for side in "sm" for p in ("tdata", "tvalid", "tready", "tlast")}
    names = "awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready "
    names += "araddr arvalid arready rdata rresp rvalid rready"
    axil = {f"s_axil_{p}" for p in names.split()}
    assert ports == {"clk", "rst"} | axis | axil
    taps = (build.folder / "sim/every_core_taps.v").read_text()
    assert "tap_n_valid" in taps and "tap_" not in text


def test_csr_files_say_the_same(build):
    registers = json.loads((build.folder / "csr.json").read_text())["registers"]
    header = (build.folder / "every_core_csr.h").read_text()
    for register in registers:
        assert f"_{register['name'].upper()} 0x{register['address']:04x}u" in header
    assert {"stall_c", "stall_p", "stall_d", "stall_f"} <= {r["name"] for r in registers}
    assert (build.folder / "filelist.f").read_text() == "every_core.v\n"


def test_the_verilog_names_no_folder_of_this_machine(build):
    text = build.verilog.read_text()
    assert "src =" not in text and "/hw/" not in text
