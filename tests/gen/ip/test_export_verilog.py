"""The exported Verilog in other people's tools, also of two networks in one design."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from exportcase import facts, made, top, wide

from sterna.gen.ip import layout
from sterna.gen.ip.wrapper import bench, vectors, wrapper
from sterna.gen.tools.programs import run_tool


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("two")
    return [made(folder, 0)[1], made(folder, 1, "files")[1]]


def modules(folder: Path) -> list[str]:
    texts = [p.read_text() for p in (*folder.glob("*.v"), *folder.glob("tb/*.v"))]
    return [m for t in texts for m in re.findall(r"^module \\?(\S+?)[ (;]", t, re.M)]


def test_two_exports_share_no_module_file_macro_or_name_of_a_block(both: list[Path]) -> None:
    found = [modules(folder) for folder in both]
    assert not set(found[0]) & set(found[1])
    assert {"tiny", "tiny_axi", "tiny_axi_tb"} <= set(found[0])
    assert {"sterna_tiny_axi_", "sterna_tiny_axi__axi"} <= set(found[1])
    names = [{p.name for p in f.rglob("*") if p.is_file()} for f in both]
    assert names[0] & names[1] == {"component.xml", "ip.json", "README.txt"}
    macros = []
    for folder in both:
        texts = [p.read_text() for p in folder.rglob("*") if p.suffix in (".v", ".h", ".c", ".cpp")]
        macros.append({m for t in texts for m in re.findall(r"^[`#]define (\w+)", t, re.M)})
    assert macros[0] & macros[1] == {"TRY"}  # of each driver's own file


def test_an_exported_wrapper_lints_without_a_waiver_of_its_own(both: list[Path]) -> None:
    for n, folder in enumerate(both):
        x = facts(n)
        args = ["--lint-only", "-Wall", "--top-module", x.wrapper, layout.waivers(x)]
        run_tool("verilator", [*args, *layout.rtl(x)], folder)
        with_both = (folder / layout.waivers(x)).read_text()
        assert not re.search(r'^lint_off (?!.*-file ")', with_both, re.M)


def test_two_exports_lint_in_one_design(both: list[Path], tmp_path: Path) -> None:
    files = [str(f / name) for n, f in enumerate(both) for name in layout.rtl(facts(n))]
    waived = [str(f / layout.waivers(facts(n))) for n, f in enumerate(both)]
    args = ["--lint-only", "-Wall", "--top-module", "both", *waived, *files, str(top(tmp_path))]
    run_tool("verilator", args, tmp_path)


@pytest.mark.yosys
def test_two_exports_elaborate_in_yosys(both: list[Path], tmp_path: Path) -> None:
    names = []
    for n, folder in enumerate(both):
        for name in (*layout.rtl(facts(n)), *(layout.memories(facts(n)) if n else ())):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(folder / name, tmp_path / name)
            names += [name] * name.endswith(".v")
    top(tmp_path)
    script = (
        f"read_verilog {' '.join(names)} both.v; hierarchy -check -top both; proc; check -assert"
    )
    run_tool("yosys", ["-Q", "-p", script], tmp_path)


@pytest.mark.parametrize("n", [0, 1])
def test_an_export_passes_its_bench_in_icarus(both: list[Path], n: int) -> None:
    folder = both[n]
    if shutil.which("iverilog") is None:
        pytest.skip("no iverilog")
    x = facts(n)
    files = (folder / f"{x.module}_tb.f").read_text().split()
    args = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", "bench.vvp", *files]
    done = subprocess.run(args, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(["vvp", "bench.vvp"], cwd=folder, capture_output=True, text=True)
    (folder / "bench.vvp").unlink()
    assert done.returncode == 0 and done.stdout.startswith("PASS "), done.stdout


def test_the_bench_of_an_export_sees_a_wrong_word_and_a_late_reset(
    both: list[Path], tmp_path: Path
) -> None:
    """Faults put in on purpose."""
    if shutil.which("iverilog") is None:
        pytest.skip("no iverilog")
    x = facts(0)
    (tmp_path / "tb").mkdir()
    out = vectors(x)[f"{x.module}_out.hex"].splitlines()
    texts = {"result": wrapper(x), "reset": wrapper(x).replace(" or negedge aresetn", "")}
    texts["handshake"] = wrapper(x).replace("inner_s_axis_tready & ~rst", "inner_s_axis_tready")
    for fault, text in texts.items():
        words = [*out[:-1], f"{int(out[-1], 16) ^ 1:08x}"] if fault == "result" else out
        for name, data in vectors(x).items():
            (tmp_path / "tb" / name).write_text(data)
        (tmp_path / f"tb/{x.module}_out.hex").write_text("\n".join(words) + "\n")
        (tmp_path / "w.v").write_text(text)
        (tmp_path / "tb.v").write_text(bench(x))
        args = ["iverilog", "-g2005", "-o", "t", "tb.v", "w.v", str(both[0] / "tiny.v")]
        subprocess.run(args, cwd=tmp_path, check=True)
        done = subprocess.run(["vvp", "t"], cwd=tmp_path, capture_output=True, text=True)
        assert "FAIL" in done.stdout and "PASS" not in done.stdout, fault
        assert done.returncode == 1, fault


def test_an_export_wrapper_says_the_widths_of_its_network() -> None:
    for width in (8, 24, 128):
        text = wrapper(wide(width))
        assert f"input  wire [{width - 1}:0] s_axis_tdata" in text
        assert f"XIL_INTERFACENAME s_axis, TDATA_NUM_BYTES {width // 8}," in text
        assert "ASSOCIATED_BUSIF s_axis:m_axis:s_axil, ASSOCIATED_RESET aresetn" in text
        assert "FREQ_HZ 100000000" in text
