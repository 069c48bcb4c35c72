"""The scripts for Vivado, run with commands that only note: what they make is whole and legal."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from exportcase import facts, wide
from tclrun import vivado_calls

from sterna.gen.ip.exported import Exported
from sterna.gen.ip.folder import block_files
from sterna.gen.ip.vivado import DMA_AT, REGISTERS_AT, block_design, dma_width, scripts
from sterna.golden.errors import DesignError

STREAMS = {8, 16, 32, 64, 128, 256, 512, 1024}
MEMORY = {32, 64, 128, 256, 512, 1024}
# of each IP: pins that must be connected, interfaces (True: a master), legal values of properties
PINS = {
    "xilinx.com:ip:processing_system7:5.5": (
        {"FCLK_CLK0", "FCLK_RESET0_N", "M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK", "IRQ_F2P"},
        {"M_AXI_GP0": True, "S_AXI_HP0": False},
        {
            "PCW_USE_M_AXI_GP0": {1},
            "PCW_USE_S_AXI_HP0": {1},
            "PCW_S_AXI_HP0_DATA_WIDTH": {32, 64},
            "PCW_EN_CLK0_PORT": {1},
            "PCW_EN_RST0_PORT": {1},
            "PCW_FPGA0_PERIPHERAL_FREQMHZ": range(1, 251),
            "PCW_USE_FABRIC_INTERRUPT": {1},
            "PCW_IRQ_F2P_INTR": {1},
        },
    ),
    "xilinx.com:ip:proc_sys_reset:5.0": (
        {"slowest_sync_clk", "ext_reset_in", "peripheral_aresetn"},
        {},
        {},
    ),
    "xilinx.com:ip:axi_dma:7.1": (
        {"s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk", "axi_resetn", "mm2s_introut"}
        | {"s2mm_introut"},
        {"S_AXI_LITE": False, "M_AXI_MM2S": True, "M_AXI_S2MM": True}
        | {"M_AXIS_MM2S": True, "S_AXIS_S2MM": False},
        {
            "c_include_sg": {0},
            "c_sg_include_stscntrl_strm": {0},
            "c_sg_length_width": range(8, 27),
            "c_include_mm2s": {1},
            "c_include_s2mm": {1},
            "c_m_axis_mm2s_tdata_width": STREAMS,
            "c_m_axi_mm2s_data_width": MEMORY,
            "c_m_axi_s2mm_data_width": MEMORY,
        },
    ),
    "xilinx.com:ip:xlconcat:2.1": ({"In0", "In1", "dout"}, {}, {"NUM_PORTS": {2}}),
    "xilinx.com:ip:axis_dwidth_converter:1.1": (
        {"aclk", "aresetn"},
        {"S_AXIS": False, "M_AXIS": True},
        {
            "S_TDATA_NUM_BYTES": range(1, 513),
            "M_TDATA_NUM_BYTES": range(1, 513),
            "HAS_TLAST": {1},
            "HAS_TKEEP": {1},
        },
    ),
}


def known(vlnv: str, properties: dict[str, int], x: Exported):
    if vlnv == "xilinx.com:ip:smartconnect:1.0":
        sides = {"S": properties["NUM_SI"], "M": properties["NUM_MI"]}
        ends = {f"{s}{n:02}_AXI": s == "M" for s in sides for n in range(sides[s])}
        return {"aclk", "aresetn"}, ends, {"NUM_SI": range(1, 17), "NUM_MI": range(1, 17)}
    if vlnv == ":".join(x.vlnv):
        data = {b.name: b.mode == "master" for b in x.buses if b.kind in ("axis", "axilite")}
        return {"aclk", "aresetn"}, data, {}
    return PINS[vlnv]


def check(calls: list[str], x: Exported) -> dict[str, dict[str, int]]:
    """Every pin and interface of every cell is connected, once, and exists; every property is
    legal. Returns the properties of each cell."""
    cells: dict[str, str] = {}
    values: dict[str, dict[str, int]] = {}
    nets: list[tuple[str, str]] = []
    joined: list[tuple[str, str]] = []
    for line in calls:
        words = line.split()
        if words[0] == "create_bd_cell":
            assert words[-1] not in cells and words[1:3] == ["-type", "ip"]
            cells[words[-1]] = words[4]
            values[words[-1]] = {}
        elif words[0] == "set_property" and "-dict" in line:
            found = re.findall(r"CONFIG\.(\w+) (\S+?)[}\s]", line)
            assert len(found) == line.count("CONFIG.")
            values[words[-1]] |= {k: int(v) for k, v in found}
        elif words[0] == "connect_bd_net":
            nets.append((words[1], words[2]))
        elif words[0] == "connect_bd_intf_net":
            joined.append((words[1], words[2]))
    pins = [pin for pair in nets for pin in pair]
    ends = [pin for pair in joined for pin in pair]
    assert len(set(ends)) == len(ends)
    for cell, vlnv in cells.items():
        wires, sides, legal = known(vlnv, values[cell], x)
        assert {p.split("/")[1] for p in pins if p.split("/")[0] == cell} == wires, cell
        assert {p.split("/")[1] for p in ends if p.split("/")[0] == cell} == set(sides), cell
        for key, value in values[cell].items():
            assert value in legal[key], (cell, key, value)
        for end, master in sides.items():
            assert [a == f"{cell}/{end}" for a, b in joined if f"{cell}/{end}" in (a, b)] == [
                master
            ]
    assert {p.split("/")[0] for p in pins + ends} == set(cells)
    drivers = {a for a, _ in nets}
    driven = [b for _, b in nets]
    assert len(set(driven)) == len(driven) and not drivers & set(driven)
    return values


def run(x: Exported, folder: Path, *argv: str) -> list[str]:
    name = f"{x.module}_block_design.tcl"
    block = folder / "ip"
    block.mkdir(exist_ok=True)
    (block / name).write_text(block_design(x, "xc7z020clg400-1", "tul.com.tw:pynq-z2:part0:1.0"))
    made = folder / f"{x.module}_vivado/{x.module}_system"
    for path in (f"runs/impl_1/{x.module}_system_wrapper.bit",):
        (Path(f"{made}.{path}")).parent.mkdir(parents=True, exist_ok=True)
        Path(f"{made}.{path}").write_text("bits")
    handoff = Path(f"{made}.gen/sources_1/bd/{x.module}_system/hw_handoff")
    handoff.mkdir(parents=True, exist_ok=True)
    (handoff / f"{x.module}_system.hwh").write_text("<x/>")
    calls = vivado_calls(block / name, *argv)
    assert {p.name for p in block.iterdir()} == {name, "run_.tcl", "calls.txt"}  # nothing in it
    return calls


def test_the_system_of_an_export_is_connected_and_built(tmp_path: Path) -> None:
    x = facts()
    calls = run(x, tmp_path)
    values = check(calls, x)
    assert "create_project -force tiny_system " in calls[0]
    assert calls[0].endswith("-part xc7z020clg400-1")
    assert "set_property board_part tul.com.tw:pynq-z2:part0:1.0 project" in calls
    assert any("apply_board_preset 1" in c for c in calls if c.startswith("apply_bd"))
    placed = [c.split() for c in calls if c.startswith("assign_bd_address -offset")]
    at = {c[-1]: (int(c[2], 16), c[4], c[6]) for c in placed}
    assert at == {
        "tiny_0/s_axil/*": (REGISTERS_AT, "64K", "ps7/Data"),
        "dma/S_AXI_LITE/Reg": (DMA_AT, "64K", "ps7/Data"),
    }
    assert f"{x.vlnv[3]}" in next(c for c in calls if c.endswith(" tiny_0"))
    assert 1 << values["dma"]["c_sg_length_width"] > x.packet_bytes
    steps = [c.split()[0] for c in calls]
    order = ["validate_bd_design", "save_bd_design", "make_wrapper", "launch_runs"]
    assert [s for s in steps if s in order] == order
    for end in ("bit", "hwh"):
        assert (tmp_path / f"tiny_system.{end}").is_file()
    assert any(c.startswith("write_hw_platform -fixed -include_bit") for c in calls)


def test_part_and_board_of_an_export_can_be_said_to_the_script(tmp_path: Path) -> None:
    calls = run(
        facts(), tmp_path, "xc7z010clg400-1", "digilentinc.com:zybo-z7-10:part0:1.0", "stop"
    )
    assert calls[0].endswith("-part xc7z010clg400-1") and "zybo-z7-10" in calls[1]
    assert not any(c.startswith("launch_runs") for c in calls)
    calls = run(facts(), tmp_path, "xc7z010clg400-1", "", "stop")
    assert not any("board_part" in c for c in calls)
    assert any("apply_board_preset 0" in c for c in calls if c.startswith("apply_bd"))


@pytest.mark.parametrize("width", [8, 16, 24, 40, 64, 72, 128, 488, 512])
def test_images_of_every_width_of_an_export_reach_the_block(width: int, tmp_path: Path) -> None:
    x = wide(width)
    values = check(run(x, tmp_path, "xc7z020clg400-1", "", "stop"), x)
    stream = values["dma"]["c_m_axis_mm2s_tdata_width"]
    assert stream <= values["dma"]["c_m_axi_mm2s_data_width"]
    if "width" in values:
        given, taken = (values["width"][f"{s}_TDATA_NUM_BYTES"] for s in "SM")
        assert (given, taken) == (stream // 8, width // 8)
    else:
        assert stream == width


def test_every_width_of_an_export_has_a_stream_of_the_dma() -> None:
    for width in range(8, 513, 8):
        stream = dma_width(width)
        assert stream in STREAMS and (width not in STREAMS or stream == width)
        assert math.lcm(stream, width) <= 8 * 512 or stream == width


def test_an_export_with_packets_too_long_for_the_dma_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Exported, "packet_bytes", property(lambda _: 1 << 26))
    with pytest.raises(DesignError, match="packets of 67108864 bytes are longer than the 67108863"):
        block_design(facts())


@pytest.mark.parametrize("n", [0, 1])
def test_the_packaging_script_of_an_export_names_files_that_are_there(
    n: int, tmp_path: Path
) -> None:
    x = facts(n)
    calls = packaged(x, tmp_path)
    added = {Path(c.rstrip("}")).name for c in calls if c.startswith("add_files")}
    assert added == {f"{x.module}.v", f"{x.wrapper}.v"} and added <= set(block_files(x))
    assert f"set_property top {x.wrapper} sources" in calls
    assert any(c.startswith("ipx::package_project ") for c in calls)
    call = next(c for c in calls if c.startswith("ipx::package_project "))
    root = re.fullmatch(r".*? -root_dir (\{.*?\}|\S+) .*", call)[1].strip("{}")  # type: ignore
    assert Path(root).name == f"{x.module}_packaged"
    assert Path(root).resolve().parent == tmp_path.resolve()  # beside the block
    assert calls[-1].startswith("ipx::save_core")


@pytest.mark.parametrize("which", ["block design", "packaging"])
def test_the_scripts_of_an_export_say_where_files_of_memories_are(
    which: str, tmp_path: Path
) -> None:
    x = facts()
    assert not any("MEM" in text for text in scripts(x).values())
    x = replace(x, read_from_files=True)
    calls = run(x, tmp_path) if which == "block design" else packaged(x, tmp_path)
    mem = (tmp_path / "ip/mem").resolve()
    spaced = " " in str(mem)  # a word of Tcl's then, in braces
    for name in x.memories:
        place = f"{{{mem / name}}}" if spaced else str(mem / name)
        assert f"add_files -norecurse {place}" in calls
        assert f"set_property file_type {{Memory File}} {place}" in calls
    # a list of one: Tcl writes its quotes with backslashes, or it in braces
    define = f'{{{{TINY_MEM="{mem}/"}}}}' if spaced else rf"{{TINY_MEM=\"{mem}/\"}}"
    for fileset in ("sources_1", "sim_1"):
        assert f"set_property verilog_define {define} {fileset}" in calls
    built = "set_property synth_checkpoint_mode None tiny_system.bd"
    assert (built in calls) == (which == "block design")


def packaged(x: Exported, folder: Path) -> list[str]:
    name = f"{x.module}_package_ip.tcl"
    (folder / "ip").mkdir()
    (folder / "ip" / name).write_text(scripts(x)[name])
    return vivado_calls(folder / "ip" / name)
