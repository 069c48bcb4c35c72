"""Scripts by which Vivado takes an exported block: a block design of a Zynq-7000, and packaging.

Nobody of Sterna has run them: there is no Vivado where it is developed. The tests run them in a Tcl
interpreter in which Vivado's commands note how they are called, and check what is connected.
"""

import math

from sterna.gen.ip import layout
from sterna.gen.ip.exported import Exported
from sterna.golden.errors import DesignError

__all__ = ["PART", "block_design", "dma_width", "memory_width", "package_ip", "scripts"]

PART = "xc7z020clg400-1"
"""Where nothing is said: the device of PYNQ-Z1, PYNQ-Z2, Zybo Z7-20 and Arty Z7-20."""
_STREAMS = tuple(8 << n for n in range(8))  # 8 .. 1024: what AXI DMA 7.1 has as a stream
_LEAST_MEMORY = 32  # bits, of its memory side
_LENGTH_BITS = (14, 26)  # of its length registers: the default, the most
_CONVERTER = 512  # bytes: the converter holds a common multiple of both widths, and no more
_FCLK = (0.1, 250.0)  # MHz that a Zynq-7000 gives its fabric
REGISTERS_AT, DMA_AT = 0x43C0_0000, 0x4040_0000


def dma_width(width: int) -> int:
    """Bits of the DMA's stream for images of ``width`` bits a beat: the same where it can have
    them, else the next larger that the converter between them can have, or the largest."""
    if width in _STREAMS:
        return width
    fits = [w for w in _STREAMS if math.lcm(w, width) // 8 <= _CONVERTER]
    wider = [w for w in fits if w > width]
    return min(wider) if wider else max(fits)


def memory_width(width: int) -> int:
    """Bits of the DMA's memory side for images of ``width`` bits a beat: addresses of packets are
    multiples of it."""
    return max(_LEAST_MEMORY, dma_width(width))


def block_design(x: Exported, part: str = PART, board_part: str = "") -> str:
    """The Tcl script of a system: Zynq-7000, AXI DMA in simple mode, the block.

    It makes ``NAME_system.bit`` and ``.hwh``, which PYNQ reads, and ``.xsa`` beside the folder of
    the block: that is searched for IP, with all below it.

    Args:
        part: the device, as its maker writes it.
        board_part: Vivado's name of the board, whose preset sets memory and clocks of the
            processor; '' leaves them as they are by default, which is no board's.

    Raises:
        DesignError: packets are longer than the DMA takes.
    """
    longest = max(x.packet_bytes, 4 * x.result_words)
    bits = max(_LENGTH_BITS[0], longest.bit_length())
    if bits > _LENGTH_BITS[1]:
        raise DesignError(
            f"packets of {longest} bytes are longer than the {(1 << _LENGTH_BITS[1]) - 1} that one "
            "transfer of the AXI DMA has; move them with a DMA of your own"
        )
    least, most = _FCLK
    stream = dma_width(x.axis_width)
    return _DESIGN.format(
        name=x.module,
        wrapper=x.wrapper,
        vlnv=":".join(x.vlnv),
        part=part,
        board=board_part,
        mhz=f"{min(max(x.clock_mhz, least), most):g}",
        stream=stream,
        memory=memory_width(x.axis_width),
        length=bits,
        image=x.packet_bytes,
        result=4 * x.result_words,
        images=_converter(x.axis_width, stream),
        memories=_memories(x, f"get_files {x.module}_system.bd"),
        registers=f"0x{REGISTERS_AT:08X}",
        dma=f"0x{DMA_AT:08X}",
    )


def _converter(width: int, stream: int) -> str:
    if width == stream:
        return (
            "connect_bd_intf_net [get_bd_intf_pins dma/M_AXIS_MM2S] [get_bd_intf_pins $net/s_axis]"
        )
    return _CONVERTED.format(given=stream // 8, taken=width // 8)


def package_ip(x: Exported) -> str:
    """The Tcl script that has Vivado write a component.xml of its own."""
    return _PACKAGE.format(
        name=x.module,
        wrapper=x.wrapper,
        vendor=x.vlnv[0],
        library=x.vlnv[1],
        version=x.vlnv[3],
        part=PART,
        made=x.made,
        files="".join(f"  {name}\n" for name in layout.rtl(x)),
        memories=_memories(x),
    )


def _memories(x: Exported, system: str = "") -> str:
    """What has Vivado find the files of memories; '' where the Verilog reads none. ``system``: Tcl
    of a block design, whose block is then synthesised with it: its own run knows no macro."""
    if not x.read_from_files:
        return ""
    text = _MEMORIES.format(
        macro=x.memory_macro,
        folder=layout.MEMORIES.rstrip("/"),
        files="".join(f"  {name}\n" for name in layout.memories(x)),
    )
    return text + (f"set_property synth_checkpoint_mode None [{system}]\n" if system else "")


def scripts(x: Exported) -> dict[str, str]:
    """Both, by the names of their files."""
    return {
        f"{x.module}_block_design.tcl": block_design(x),
        f"{x.module}_package_ip.tcl": package_ip(x),
    }


_CONVERTED = """\
# The DMA has no stream of {taken} bytes.
create_bd_cell -type ip -vlnv xilinx.com:ip:axis_dwidth_converter:1.1 width
set_property -dict [list \\
  CONFIG.S_TDATA_NUM_BYTES {given} \\
  CONFIG.M_TDATA_NUM_BYTES {taken} \\
  CONFIG.HAS_TLAST 1 \\
  CONFIG.HAS_TKEEP 1 \\
] [get_bd_cells width]
connect_bd_net $clock [get_bd_pins width/aclk]
connect_bd_net $resetn [get_bd_pins width/aresetn]
connect_bd_intf_net [get_bd_intf_pins dma/M_AXIS_MM2S] [get_bd_intf_pins width/S_AXIS]
connect_bd_intf_net [get_bd_intf_pins width/M_AXIS] [get_bd_intf_pins $net/s_axis]"""

_DESIGN = """\
# A system of a Zynq-7000, an AXI DMA and {name}: {name}_system.bit, .hwh and .xsa.
#   vivado -mode batch -source {name}_block_design.tcl [-tclargs PART [BOARD_PART [stop]]]
# They and the project, {name}_vivado, are written beside this folder, in which Vivado looks for IP.
# 'stop': only the block design, no synthesis. Those who wrote this have not run it: there was no
# Vivado.
#
# One transfer of the DMA is one image ({image} bytes, zero-padded) or one result ({result} bytes).
# Registers of the block are at {registers}, those of the DMA at {dma}.
set part {{{part}}}
set board {{{board}}}
set stop 0
if {{[info exists argv]}} {{
  if {{[llength $argv] > 0}} {{ set part [lindex $argv 0]; set board {{}} }}
  if {{[llength $argv] > 1}} {{ set board [lindex $argv 1] }}
  if {{[llength $argv] > 2}} {{ set stop [expr {{[lindex $argv 2] eq "stop"}}] }}
}}
set here [file dirname [file normalize [info script]]]
set out [file dirname $here]
set project [file join $out {name}_vivado]
create_project -force {name}_system $project -part $part
if {{$board ne ""}} {{ set_property board_part $board [current_project] }}
set_property ip_repo_paths [list $here] [current_project]
update_ip_catalog
create_bd_design {name}_system

# The processor. Only a board's preset has the right memory and clocks.
create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7:5.5 ps7
set preset [expr {{$board ne "" ? 1 : 0}}]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \\
  make_external {{FIXED_IO, DDR}} apply_board_preset $preset Master Disable Slave Disable \\
] [get_bd_cells ps7]
set_property -dict [list \\
  CONFIG.PCW_USE_M_AXI_GP0 1 \\
  CONFIG.PCW_USE_S_AXI_HP0 1 \\
  CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 \\
  CONFIG.PCW_EN_CLK0_PORT 1 \\
  CONFIG.PCW_EN_RST0_PORT 1 \\
  CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ {mhz} \\
  CONFIG.PCW_USE_FABRIC_INTERRUPT 1 \\
  CONFIG.PCW_IRQ_F2P_INTR 1 \\
] [get_bd_cells ps7]

# The block, and all cells around it.
set net {name}_0
create_bd_cell -type ip -vlnv {vlnv} $net
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 reset
create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma:7.1 dma
set_property -dict [list \\
  CONFIG.c_include_sg 0 \\
  CONFIG.c_sg_include_stscntrl_strm 0 \\
  CONFIG.c_sg_length_width {length} \\
  CONFIG.c_include_mm2s 1 \\
  CONFIG.c_include_s2mm 1 \\
  CONFIG.c_m_axis_mm2s_tdata_width {stream} \\
  CONFIG.c_m_axi_mm2s_data_width {memory} \\
  CONFIG.c_m_axi_s2mm_data_width 32 \\
] [get_bd_cells dma]
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 control
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 2] [get_bd_cells control]
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 memory
set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] [get_bd_cells memory]
create_bd_cell -type ip -vlnv xilinx.com:ip:xlconcat:2.1 interrupts
set_property -dict [list CONFIG.NUM_PORTS 2] [get_bd_cells interrupts]

# One clock, and its reset.
set clock [get_bd_pins ps7/FCLK_CLK0]
foreach pin [list ps7/M_AXI_GP0_ACLK ps7/S_AXI_HP0_ACLK reset/slowest_sync_clk \\
    control/aclk memory/aclk dma/s_axi_lite_aclk dma/m_axi_mm2s_aclk dma/m_axi_s2mm_aclk \\
    $net/aclk] {{
  connect_bd_net $clock [get_bd_pins $pin]
}}
connect_bd_net [get_bd_pins ps7/FCLK_RESET0_N] [get_bd_pins reset/ext_reset_in]
set resetn [get_bd_pins reset/peripheral_aresetn]
foreach pin [list control/aresetn memory/aresetn dma/axi_resetn $net/aresetn] {{
  connect_bd_net $resetn [get_bd_pins $pin]
}}

# Registers; memory; images; results; interrupts.
foreach {{from to}} [list \\
    ps7/M_AXI_GP0 control/S00_AXI control/M00_AXI $net/s_axil control/M01_AXI dma/S_AXI_LITE \\
    dma/M_AXI_MM2S memory/S00_AXI dma/M_AXI_S2MM memory/S01_AXI memory/M00_AXI ps7/S_AXI_HP0 \\
    $net/m_axis dma/S_AXIS_S2MM] {{
  connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}}
{images}
connect_bd_net [get_bd_pins dma/mm2s_introut] [get_bd_pins interrupts/In0]
connect_bd_net [get_bd_pins dma/s2mm_introut] [get_bd_pins interrupts/In1]
connect_bd_net [get_bd_pins interrupts/dout] [get_bd_pins ps7/IRQ_F2P]

# The segment is "registers", as component.xml says; where Vivado inferred it, "reg0".
assign_bd_address -offset {registers} -range 64K \\
  -target_address_space [get_bd_addr_spaces ps7/Data] [get_bd_addr_segs $net/s_axil/*]
assign_bd_address -offset {dma} -range 64K \\
  -target_address_space [get_bd_addr_spaces ps7/Data] [get_bd_addr_segs dma/S_AXI_LITE/Reg]
foreach space [list dma/Data_MM2S dma/Data_S2MM] {{
  assign_bd_address -target_address_space [get_bd_addr_spaces $space] \\
    [get_bd_addr_segs ps7/S_AXI_HP0/HP0_DDR_LOWOCM]
}}
validate_bd_design
save_bd_design
set design [get_files {name}_system.bd]
make_wrapper -files $design -top -import
set_property top {name}_system_wrapper [current_fileset]
{memories}update_compile_order -fileset sources_1
if {{!$stop}} {{
  # Those of an earlier run, which must not pass for what this one makes.
  foreach kind {{bit hwh xsa}} {{ file delete -force [file join $out {name}_system.$kind] }}
  launch_runs impl_1 -to_step write_bitstream -jobs 4
  wait_on_run impl_1
  if {{[get_property PROGRESS [get_runs impl_1]] != "100%"}} {{ error "implementation failed" }}
  open_run impl_1
  report_utilization -file [file join $out {name}_utilization.rpt]
  report_timing_summary -file [file join $out {name}_timing.rpt]
  set slack [get_property SLACK [get_timing_paths -delay_type max]]
  set hold [get_property SLACK [get_timing_paths -delay_type min]]
  if {{$slack eq "" || $hold eq ""}} {{ error "there are no timed paths; see {name}_timing.rpt" }}
  if {{$slack < 0 || $hold < 0}} {{
    error "timing is missed, setup $slack ns, hold $hold ns: fold with a lower --clock"
  }}
  file copy -force [file join $project {name}_system.runs impl_1 {name}_system_wrapper.bit] \\
    [file join $out {name}_system.bit]
  # Vivado keeps it in .gen, before 2020.2 in .srcs.
  foreach kind {{srcs gen}} {{
    set handoff [file join $project {name}_system.$kind sources_1 bd {name}_system hw_handoff]
    foreach found [glob -nocomplain [file join $handoff {name}_system.hwh]] {{
      file copy -force $found [file join $out {name}_system.hwh]
    }}
  }}
  if {{![file exists [file join $out {name}_system.hwh]]}} {{
    error "Vivado left no {name}_system.hwh below $project; look for it there"
  }}
  write_hw_platform -fixed -include_bit -force -file [file join $out {name}_system.xsa]
  puts "{name}_system.bit: slack $slack ns"
}}
"""

_MEMORIES = """\
# The contents of memories: as files of the project, and where the Verilog looks for them.
foreach file {{
{files}}} {{
  add_files -norecurse [file join $here $file]
  set_property file_type {{Memory File}} [get_files [file join $here $file]]
}}
foreach set {{sources_1 sim_1}} {{
  set_property verilog_define [list "{macro}=\\"[file join $here {folder}]/\\""] [get_filesets $set]
}}
"""

_PACKAGE = """\
# Has Vivado write a component.xml of its own, in {name}_packaged/ beside this folder:
#   vivado -mode batch -source {name}_package_ip.tcl
# It has the same name as the one that is here: give a project one of the two folders, not both.
# The one that is here was written by {made}. Those who wrote this have not run it: there was no
# Vivado.
set here [file dirname [file normalize [info script]]]
set files {{
{files}}}
create_project -in_memory -part {part}
foreach file $files {{ add_files -norecurse [file join $here $file] }}
set_property top {wrapper} [current_fileset]
{memories}update_compile_order -fileset sources_1
ipx::package_project -root_dir [file join [file dirname $here] {name}_packaged] -vendor {vendor} \\
  -library {library} -taxonomy /Sterna -import_files
set core [ipx::current_core]
set_property name {name} $core
set_property version {version} $core
set_property display_name {{{name}: a spiking neural network}} $core
foreach bus {{s_axis m_axis s_axil}} {{
  ipx::associate_bus_interfaces -busif $bus -clock aclk -reset aresetn $core
}}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
"""
