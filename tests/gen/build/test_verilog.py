"""The Verilog reads in every tool, is lint clean, and its plain bench passes in Icarus."""

import json
import re
import shutil

import numpy as np
import pytest
from tinyboard import tiny_build

from sterna.gen.build.lint import lint
from sterna.gen.build.stages import Options, ensure
from sterna.gen.build.synthesis import synthesise
from sterna.gen.tools.programs import ToolFailed, run_tool
from sterna.gen.tools.yosys import module_ports
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.files.network_files import structure_id, weights_id
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
    return ensure(folder / "example", "sim", output=folder / "build")


def test_lint_is_clean(build):
    assert lint(build) > 0


@pytest.mark.yosys
def test_yosys_reads_it(build):
    """The hierarchy is whole, and no wire is undriven, driven twice or in a loop."""
    script = "read_verilog every_core.v; hierarchy -check -top every_core; proc; check -assert"
    done = run_tool("yosys", ["-p", script], build.folder, timeout=900)
    assert "Found and reported 0 problems" in done.text


def icarus(build, *args, plus="", fails=False):
    sources = [f"{build.name}_tb.v", f"{build.name}.v"]
    run_tool("iverilog", ["-g2005", *args, "-o", "tb", *sources], build.folder)  # a last -g counts
    ran = ["tb", *([plus] if plus else [])]
    done = run_tool("vvp", ran, build.folder, timeout=600, check=False)
    assert (done.returncode != 0) == fails, done.text
    return done.text


def test_the_plain_bench_passes_in_icarus(build):
    """With weights as power-up contents: a second simulator, and no Python."""
    packets = np.load(build.folder / "vectors.npz")["packets"]
    for standard in ("-g2005", "-g2012"):  # cocotb has Icarus read it as SystemVerilog
        text = icarus(build, standard)
        assert f"PASS {packets.size} words" in text and "FAIL" not in text


def test_the_plain_bench_can_fail(build):
    path = build.folder / "vectors_out.hex"
    good = path.read_text()
    lines = good.splitlines()
    lines[5] = f"{int(lines[5], 16) ^ 1:08x}"
    path.write_text("\n".join(lines) + "\n")
    try:
        text = icarus(build, fails=True)
        bench = [f"{build.name}_tb.v", f"{build.name}.v"]
        lints = ["--lint-only", "--timing", "-Wno-lint", "-Wno-style", *bench]
        run_tool("verilator", ["--default-language", "1364-2005", *lints], build.folder)
    finally:
        path.write_text(good)
    assert "FAIL word 5" in text and "PASS" not in text


def test_the_plain_bench_names_a_memory_file_that_is_not_right(tmp_path):
    build = ensure(tiny_build(tmp_path, "rom"), "verilog", Options(memories="files"))
    files_ = sorted((build.folder / "mem").glob("*.mem"))
    assert len(files_) > 2 and all(f"{f.name}\"}}, 32'd" in tb(build) for f in files_)
    assert "PASS" in (text := icarus(build)) and "CHANGED" not in text and "FAIL" not in text
    good = files_[0].read_text()
    files_[0].write_text(good.replace("1", "2", 1))
    assert f"CHANGED mem/{files_[0].name}: is not what sterna verilog wrote" in icarus(build)
    files_[0].write_text(good)
    files_[1].unlink()
    text = icarus(build, fails=True)
    assert f"FAIL mem/{files_[1].name}: is not there" in text and "PASS" not in text
    assert "CHANGED" not in text


def tb(build):
    return (build.folder / f"{build.name}_tb.v").read_text()


def test_a_broken_file_does_not_read(build):
    path = build.folder / "broken.v"
    path.write_text((build.folder / "every_core.v").read_text().replace("endmodule", "", 1))
    with pytest.raises(ToolFailed):
        run_tool("iverilog", ["-g2005", "-o", "tb2", "broken.v"], build.folder)


AXIS = ("tdata", "tvalid", "tready", "tlast")
AXIL = """awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready
    araddr arvalid arready rdata rresp rvalid rready""".split()
PORTS = ["clk", "rst", *(f"{s}_axis_{p}" for s in "sm" for p in AXIS)]
PORTS += [f"s_axil_{p}" for p in AXIL]


def test_ports_are_those_vivado_and_litex_expect(build):
    """In this order; docs/integration.md has them so."""
    text = build.verilog.read_text()
    assert [name for _, name, _ in module_ports(text, "every_core")] == PORTS
    taps = (build.folder / "sim/every_core_taps.v").read_text()
    more = [name for _, name, _ in module_ports(taps, "every_core")]
    assert more[: len(PORTS)] == PORTS and "tap_n_valid" in more
    assert "tap_" not in text and "tap_*" in taps


def test_people_can_read_it(build):
    """No name needs an escape but those of modules, which are paths; a stream is a port of its
    name, whole; the header has the ids, and nothing of this machine or day."""
    text = build.verilog.read_text()
    head, _, body = text.partition("/* Generated by")
    assert not re.findall(r"\\(?!every_core\.)\S+", body)
    assert not re.findall(r"\b(?:\w*signal|\w*like)(?:__\d+)?;", body)  # no name in the sources
    for module in ("c", "p", "d", "d.out"):
        names = [name for _, name, _ in module_ports(text, f"every_core.{module}")]
        assert names[:2] == ["clk", "rst"] and "o__payload" in names, module
        at = names.index("o__payload")
        assert names[at : at + 3] == ["o__payload", "o__valid", "o__ready"]
    assert structure_id(build.network, build.design.to_json()) in head
    assert weights_id(build.network) in head and build.network.summary().splitlines()[1] in head
    assert all(line.startswith("//") for line in head.splitlines() if line)
    assert not re.search(r"/(?:home|root|tmp|work)\b|\b20\d\d-", head)


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


@pytest.fixture(scope="module")
def from_files(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files") / "build"
    shutil.copytree(build.folder, folder)
    return ensure(folder, options=Options(memories="files"))


def test_memories_are_read_from_the_packed_files(build, from_files, tmp_path):
    """From mem/, or from the folder of a define; a changed row is another design."""
    text = from_files.verilog.read_text()
    read = re.findall(r'\$readmemh\(\{`EVERY_CORE_MEM, "(\w+\.mem)"\}', text)
    assert sorted(read) == [f"{n}.mem" for n in ("d_params", "d_weights", "f_params", "f_weights")]
    assert "PASS" in icarus(from_files)
    shutil.copytree(from_files.folder / "mem", tmp_path / "elsewhere")
    path = tmp_path / "elsewhere/f_weights.mem"
    head, *rows = path.read_text().splitlines()
    flipped = [f"{int(row, 16) ^ (1 << 4 * len(row)) - 1:0{len(row)}x}" for row in rows]
    path.write_text("\n".join([head, *flipped]) + "\n")
    define = f'-DEVERY_CORE_MEM="{tmp_path}/elsewhere/"'
    assert "FAIL" in icarus(from_files, define, fails=True)
    path.write_text("\n".join([head, *rows]) + "\n")
    assert "PASS" in icarus(from_files, define)
    assert "-DEVERY_CORE_MEM=" in (from_files.folder / "bench/Makefile").read_text()
    assert lint(from_files) > 0


def test_memories_stay_as_they_were_said(build, from_files):
    text = from_files.verilog.read_bytes()
    assert ensure(from_files.folder).verilog.read_bytes() == text != build.verilog.read_bytes()
    back = ensure(from_files.folder, options=Options(memories="inline"))
    assert back.verilog.read_bytes() == build.verilog.read_bytes()
    assert ensure(from_files.folder, options=Options(memories="files")).verilog.read_bytes() == text
    all_ram = {name: f | {"memory": "ram"} for name, f in FOLDING.items()}
    with pytest.raises(DesignError, match="no memory can be read from a file: all of this"):
        ensure(from_files.folder, options=Options(memories="files", folding=all_ram))
    with pytest.raises(UsageError, match="memories 'file' is not one of inline, files"):
        ensure(from_files.folder, options=Options(memories="file"))


def test_one_row_is_wires_and_no_file(tmp_path):
    """All outputs of a layer at once have one row of parameters, which no file is read for."""
    folding = {"conv1": {"pe": 16, "simd": 9}, "conv2": {"engine": "constant"}}
    options = Options(memories="files", folding=folding)
    built = ensure("examples/digits", output=tmp_path / "digits", options=options)
    read = re.findall(r'"(\w+)\.mem"\}', built.verilog.read_text())
    assert sorted(read) == ["conv1_params", "full4_params", "full4_weights"]
    assert "PASS" in icarus(built)


@pytest.mark.yosys
@pytest.mark.slow
def test_synthesis_counts_the_same_of_both(build, from_files):
    inline, files_ = (synthesise(b, "ecp5") for b in (build, from_files))
    assert inline["cells"] == files_["cells"]


def test_the_plain_bench_writes_waves_on_request(build, tmp_path):
    wave = tmp_path / "d.vcd"
    assert "PASS" in icarus(build, plus=f"+wave={wave}")
    text = wave.read_text()
    assert "$scope module every_core_tb $end" in text and " m_axis_tvalid $end" in text
