"""Networks with names that mean something elsewhere become Verilog, C and files like any other."""

# Arguments of other types than declared are what is tested.
# pyright: reportArgumentType=false, reportCallIssue=false

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from sterna.gen.build.lint import lint
from sterna.gen.build.stages import Build, ensure
from sterna.gen.tools.programs import find, run_tool
from sterna.gen.verilog.bench import _BENCH, vector_images
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.result import compare
from sterna.golden.rule import NeuronRule
from sterna.golden.words.names import MAX_NAME, NAME, module_name
from sterna.golden.words.reserved import RESERVED

LONG = "x" * MAX_NAME


def network(name: str) -> Network:
    """Nodes called as submodules of the top are, fixed ones and those between cores; as a clock, a
    device, keywords; as another with a number; as long as may be."""
    rng = np.random.default_rng(1)
    trits = lambda *shape: rng.integers(-1, 2, shape)  # noqa: E731
    fires = NeuronRule(np.ones(2))
    return Network(
        2,
        [
            Input("clk", (1, 4, 4), "frames"),
            Conv2d("result", "clk", trits(2, 1, 3, 3), padding=1),
            Neuron("con", "result", fires),
            Conv2d("control", "clk", trits(2, 1, 3, 3), padding=1),
            Neuron("wire", "control", fires),
            Merge("add", ("con", "wire"), "or"),
            Merge("add_1", ("wire", "con"), "and"),
            Merge("add_1_1", ("add", "add_1"), "concat"),
            Conv2d("gear_add_1", "add_1_1", trits(2, 4, 3, 3)),
            Neuron(LONG, "gear_add_1", fires),
            Pool("image_input", LONG, "sum"),
            Linear("wait_add", "image_input", trits(3, 2)),
            Readout("module", "wait_add", NeuronRule(np.zeros(3), "none")),
        ],
        name,
    )


FOLDING = {
    "result": {"pe": 2, "simd": 9, "tp": 2},
    "control": {"pe": 1, "simd": 9, "tp": 2},
    "gear_add_1": {"pe": 1, "simd": 4, "tp": 2},
    "wait_add": {"pe": 1, "simd": 2, "tp": 3},
}


def built(folder, name: str) -> Build:
    files.save(network(name), folder / "My-Source.1")
    (folder / "My-Source.1/folding.json").write_text(json.dumps(FOLDING))
    return ensure(folder / "My-Source.1", output=folder / "MyBuild-1 b")


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Build:
    return built(tmp_path_factory.mktemp("names"), "event")


def test_a_reserved_network_builds_under_another_name(build: Build) -> None:
    assert build.name == "sterna_event" and build.network.name == "event"
    text = build.verilog.read_text()
    modules = re.findall(r"^module \\?(\S+?)[ (]", text, re.M)
    assert modules[0] == "sterna_event" and len(set(modules)) == len(modules)
    inside = {m.split(".")[1] for m in modules if m.count(".") == 1}
    cores = {
        "add",
        "add_1",
        "add_1_1",
        "gear_add_1",
        "wait_add",
        "image_input__2",
        "control__2",
        "result__2",
    }
    assert cores | {"image_input", "control", "result", "gear_add_1_1"} <= inside
    for name in ("sterna_event.v", "sterna_event_tb.v", "sterna_event_csr.h"):
        assert (build.folder / name).is_file()


def test_no_file_of_a_build_is_a_device_or_differs_in_capitals_only(build: Build) -> None:
    paths = [str(p.relative_to(build.folder)) for p in build.folder.rglob("*")]
    assert len({p.lower() for p in paths}) == len(paths)
    parts = {part.split(".")[0].lower() for p in paths for part in p.split("/")}
    assert not parts & {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{d}{n}" for d in ("com", "lpt") for n in range(10)),
    }
    assert max(map(len, paths)) < 100


def test_design_and_bench_read_in_verilator(build: Build) -> None:
    assert lint(build) > 0
    top = f"{build.name}_tb"
    args = [
        "--lint-only",
        "--timing",
        "-Wno-lint",
        "-Wno-style",
        "--top-module",
        top,
        f"{top}.v",
        f"{build.name}.v",
    ]
    run_tool(find("verilator"), args, build.folder)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_headers_of_two_designs_read_in_one_program(build: Build, tmp_path) -> None:
    from sterna.hw.control.register_files import c_header
    from sterna.hw.control.registers import register_map

    names = ["event", "int", "register", "a", LONG]
    for name in names:
        text = c_header(register_map(["control", "int", "x__y"]), module_name(name))
        (tmp_path / f"{name}.h").write_text(text)
    (tmp_path / "event.h").write_bytes((build.folder / "sterna_event_csr.h").read_bytes())
    lines = [f'#include "{name}.h"' for name in names] * 2
    lines += [
        "int main(void) { return STERNA_EVENT_ID + STERNA_INT_STALL_INT - A_STALL_X__Y"
        " + STERNA_EVENT_STALL_RESULT; }"
    ]
    (tmp_path / "main.c").write_text("\n".join(lines) + "\n")
    shutil.copy(tmp_path / "main.c", tmp_path / "main.cpp")
    for source in ("main.c", "main.cpp"):
        subprocess.run(
            ["gcc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", source],
            cwd=tmp_path,
            check=True,
        )


def test_no_identifier_beside_an_instance_of_the_top_is_left_to_a_network() -> None:
    """Where our own texts instantiate a module named after a network, all other names are kept."""
    text = re.sub(r"//.*|\{\w+\}\w*|\.\w+|\"[^\"]*\"|\d*'[bdh][0-9a-fA-F]+|\$\w+", " ", _BENCH)
    for word in set(re.findall(r"[A-Za-z_]\w*", text)):
        assert not NAME.match(word) or module_name(word) != word, word
    for word in ("held", "dut", "clk", "rst", "s_axis_tdata", "m_axis_tlast", "s_axil_rdata"):
        assert module_name(word) != word
    assert all(len(word) <= MAX_NAME for word in RESERVED)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["event", "top", "con", "s_axis_tdata", "sterna_leaf_x", LONG])
def test_networks_with_such_names_compute_the_same(name: str, tmp_path) -> None:
    from sterna.sim.simulator import Simulator

    made = built(tmp_path, name)
    lint(made)
    images = vector_images(made.network)
    golden = run(made.network, images, "all")
    for engine in ("batch", "cocotb") if name == "event" else ("batch",):
        assert compare(golden, Simulator(made, engine, workers=1).run(images, "all")) is None
