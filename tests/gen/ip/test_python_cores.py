"""The modules of Python that a block is exported with: imported with nothing of ours, connected,
two side by side, converted, linted, simulated."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from blockcase import through
from repo import ROOT

from sterna.gen.ip.amaranth_core import class_name
from sterna.gen.ip.exported import Exported
from sterna.gen.tools.programs import ToolFailed, run_tool
from sterna.sim.verilate import Port

QUIET = ["-Wno-fatal", "-Wno-UNDRIVEN", "-Wno-UNUSED", "-Wno-TIMESCALEMOD", "-Wno-DECLFILENAME"]
STRICT = ["-Werror-PINMISSING", "-Werror-WIDTH"]


def loaded(block: Exported, folder: Path, kind: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"{block.module}_{kind}", folder / f"{block.module}_{kind}.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def ends(blocks: dict[str, tuple[Exported, Path]], clock: str, reset: str) -> list[Port]:
    """The ports of the tops below."""
    found = [Port(clock, "input", 1), Port(reset, "input", 1)]
    for name, (block, _) in blocks.items():
        for end, width, ways in (
            ("in", block.axis_width, ("input", "output")),
            ("out", 32, ("output", "input")),
        ):
            given, taken = ways
            found += [
                Port(f"{name}_{end}_{part}", way, bits)
                for part, way, bits in (
                    ("data", given, width),
                    ("valid", given, 1),
                    ("ready", taken, 1),
                    ("last", given, 1),
                )
            ]
    return found


def lint(folder: Path, top: str, blocks: dict[str, tuple[Exported, Path]]) -> None:
    """Ports alone: what is said of what is inside would hide what is said of the connection."""
    stubs = []
    for block, _ in blocks.values():
        heads = ", ".join(f"{p.way}put wire {p.range} {p.name}" for p in block.ports)
        stubs.append(f"module {block.wrapper} ({heads});\nendmodule\n")
    (folder / "top.v").write_text("\n".join([top, *stubs]))
    run_tool("verilator", ["--lint-only", "--top-module", "top", *QUIET, *STRICT, "top.v"], folder)


def same(found: dict[str, list[list[int]]], blocks: dict[str, tuple[Exported, Path]]) -> None:
    for name, (block, _) in blocks.items():
        assert found[name] == block.vectors[1][:2].tolist(), name


def amaranth_top(modules: dict[str, ModuleType], blocks: dict[str, tuple[Exported, Path]]) -> str:
    from amaranth.back import verilog
    from amaranth.hdl import Module, Signal

    m, seen = Module(), []
    for name, module in modules.items():
        block = blocks[name][0]
        core = getattr(module, class_name(block))()
        m.submodules[name] = core
        for end, stream, inward in (("in", core.s_axis, True), ("out", core.m_axis, False)):
            ways = {"data": inward, "last": inward, "valid": inward, "ready": not inward}
            for part, to_core in ways.items():
                inner = getattr(stream.payload if part in ("data", "last") else stream, part)
                outer = Signal(inner.shape(), name=f"{name}_{end}_{part}")
                m.d.comb += inner.eq(outer) if to_core else outer.eq(inner)
                seen.append(outer)
    return verilog.convert(m, name="top", ports=seen)


def test_amaranth_builds_two_side_by_side(blocks, tmp_path) -> None:  # type: ignore[no-untyped-def]
    modules = {n: loaded(block, folder, "amaranth") for n, (block, folder) in blocks.items()}
    top = amaranth_top(modules, blocks)
    below = [text for module in modules.values() for text in module.sources().values()]
    lint(tmp_path, top, blocks)
    wrong = top.replace(".s_axis_tlast(", ".s_axis_last(")
    assert wrong != top
    with pytest.raises(ToolFailed):
        lint(tmp_path, wrong, blocks)
    found = ends(blocks, "clk", "rst")
    both = {name: block for name, (block, _) in blocks.items()}
    same(through("\n".join([top, *below]), found, both, "clk", "rst"), blocks)


def test_a_platform_of_amaranth_is_given_the_files(blocks) -> None:  # type: ignore[no-untyped-def]
    from amaranth.hdl import Fragment

    class Platform:
        def __init__(self) -> None:
            self.files: dict[str, str] = {}

        def add_file(self, name: str, content: str) -> None:
            assert self.files.setdefault(name, content) == content

    given = Platform()
    for block, folder in blocks.values():
        module = loaded(block, folder, "amaranth")
        Fragment.get(getattr(module, class_name(block))(domain="fast"), given)
        assert module.REGISTERS["id"] == 0 and module.IMAGE_BEATS == block.image_beats
        assert f"{module.WEIGHTS_ID:064x}" == block.weights
    assert set(given.files) == {"alpha.v", "alpha_axi.v", "be_ta.v", "be_ta_axi.v"}
    assert given.files["alpha.v"].startswith("`define ALPHA_MEM ")
    assert not given.files["be_ta.v"].startswith("`define")


def test_files_of_memories_are_found_wherever_the_folder_is(blocks, tmp_path) -> None:  # type: ignore[no-untyped-def]
    block, made = blocks["alpha"]
    for name in ('a "quoted" one', "back\\slash", "`ALPHA_MEM", "100%d ü $x", "it's {here}"):
        folder = tmp_path / name
        shutil.copytree(made, folder)
        text = loaded(block, folder, "amaranth").sources()["alpha.v"]
        below = text[text.index("\n") :]
        assert below.lstrip("\n") == (folder / "alpha.v").read_text()
        shown = 'module t; initial $display("%0s", `ALPHA_MEM); endmodule\n'
        (tmp_path / "t.v").write_text(text + shown)
        run_tool("verilator", ["--lint-only", "--top-module", "t", "-Wno-lint", "t.v"], tmp_path)
        done = read_back(tmp_path)
        if done is not None:
            assert done == f"{folder}/mem/", name
    shutil.copytree(made, tmp_path / "new\nline")
    with pytest.raises(ValueError, match="move the folder"):
        loaded(block, tmp_path / "new\nline", "amaranth").sources()


def read_back(folder: Path) -> str | None:
    """What Icarus, where it is, says the macro in t.v is."""
    if shutil.which("iverilog") is None:
        return None
    subprocess.run(["iverilog", "-g2005", "-s", "t", "-o", "t", "t.v"], cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "t"], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().splitlines()[-1]


@pytest.fixture
def litex() -> None:
    for package in ("litex", "migen"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; run: pip install {package}")


def test_litex_builds_two_side_by_side(blocks, tmp_path, litex) -> None:  # type: ignore[no-untyped-def]
    from migen import Module, Signal
    from migen.fhdl import verilog

    soc, seen, below = Module(), set(), []
    for name, (block, folder) in blocks.items():
        module = loaded(block, folder, "litex")
        core = getattr(module, class_name(block))()
        setattr(soc.submodules, name, core)
        before = sorted(folder.rglob("*.v"))
        below += [path.read_text() for path in module.sources(tmp_path / "out")]
        assert sorted(folder.rglob("*.v")) == before
        for end, stream, inward in (("in", core.sink, True), ("out", core.source, False)):
            for part in ("data", "last", "valid", "ready"):
                inner = getattr(stream, part)
                outer = Signal(len(inner), name=f"{name}_{end}_{part}")
                to_core = inward != (part == "ready")
                soc.comb += inner.eq(outer) if to_core else outer.eq(inner)
                seen.add(outer)
    top = str(verilog.convert(soc, seen, name="top"))
    lint(tmp_path, top, blocks)
    wrong = top.replace(".m_axis_tdata(", ".m_axis_data(")
    assert wrong != top
    with pytest.raises(ToolFailed):
        lint(tmp_path, wrong, blocks)
    found = ends(blocks, "sys_clk", "sys_rst")
    both = {name: block for name, (block, _) in blocks.items()}
    same(through("\n".join([top, *below]), found, both, "sys_clk", "sys_rst"), blocks)


def test_litex_puts_it_on_a_bus(blocks, tmp_path, litex) -> None:  # type: ignore[no-untyped-def]
    from litex.build.sim import SimPlatform
    from litex.soc.integration.soc import SoC, SoCIORegion

    block, folder = blocks["alpha"]
    module = loaded(block, folder, "litex")
    platform = SimPlatform("SIM", [("sys_clk", 0)])
    soc = SoC(platform, sys_clk_freq=1e6)
    soc.bus.add_region("io", SoCIORegion(0x8000_0000, 0x8000_0000, cached=False))
    core = getattr(module, class_name(block))(platform, build=tmp_path / "out")
    soc.submodules.net = core
    core.add_to(soc, "net", origin=0x9000_0000)
    assert soc.bus.regions["net"].origin == 0x9000_0000 and soc.bus.regions["net"].size == 1 << 16
    assert soc.constants["NET_STATUS_OFFSET"] == module.REGISTERS["status"]
    names = [Path(source[0]).name for source in platform.sources]
    assert names == ["alpha.here.v", "alpha_axi.v"]
    assert Path(platform.sources[0][0]).parent == tmp_path / "out"
    assert not (folder / "alpha.here.v").exists()
    with pytest.raises(ValueError, match="is inside the exported folder"):
        module.sources(folder / "sub")


@pytest.mark.parametrize(("kind", "needs"), [("amaranth", "amaranth"), ("litex", "litex migen")])
def test_they_need_nothing_of_ours(blocks, kind, needs) -> None:  # type: ignore[no-untyped-def]
    """And no package but the framework, as far as that lets us say."""
    for package in needs.split():
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; run: pip install {package}")
    block, folder = blocks["be_ta"]
    code = (
        "import sys\n"
        "class Ban:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('sterna', 'numpy', 'torch', 'safetensors'):\n"
        "            raise ModuleNotFoundError(f'{name} is banned here', name=name)\n"
        "sys.meta_path.insert(0, Ban())\n"
        f"import {block.module}_{kind} as m\n"
        f"print(m.{class_name(block)}.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.stdout.strip() == class_name(block), done.stderr
    line = f"{block.module}_{kind}.py"
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), line],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert checked.returncode == 0, checked.stdout
