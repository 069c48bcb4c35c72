"""Everything that tools and estimates need to know of a family of FPGAs, one object each.

What its logic looks like, `golden.fabric` has, which the hardware reads, too; which devices and
boards there are, `gen.device.boards`; coefficients of the cost model are fitted by
``benchmarks/cost_sweep.py``. A family is added in these four places.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sterna.gen.device.carry_cells import ccu2c, free_ends
from sterna.gen.device.plls import ECP5_PLL, ICE40_PLL, MHZ, MMCM, Pll
from sterna.golden.device.fabric import FABRICS, Fabric, fabric_of

__all__ = [
    "FAMILIES",
    "SHORTEST",
    "TARGETS",
    "Block",
    "Family",
    "LutRamMode",
    "Nextpnr",
    "RESOURCES",
    "Synthesis",
    "family_of",
]

SHORTEST = 3
"""Registers one after the other that become a shift register, where a family has them."""

RESOURCES = {
    "luts": "LUTs",
    "logic": "logic",
    "lutram": "LUT RAM",
    "carry": "carry",
    "ff": "flip-flops",
    "bram": "block RAMs",
    "dsp": "DSPs",
}
"""What is counted, by its key in every file and answer: its word. ``luts`` are all LUTs, which are
``logic`` and ``lutram``."""


@dataclass(frozen=True)
class Block:
    """A block RAM mode of yosys' ``memory_libmap``: words by width, cost, blocks it counts as;
    simple: one port reads, one writes; byte: pieces in depth may share a block, by groups of so
    many bits where written."""

    shapes: tuple[tuple[int, int], ...]  # width, words
    cost: int
    count: float
    simple: bool
    byte: int = 9


@dataclass(frozen=True)
class LutRamMode:
    """LUT RAM as ``memory_libmap`` has it: words, bits, cost, its share that falls with unused
    bits, LUTs of the whole, LUTs of a bit."""

    words: int
    width: int
    cost: int
    scaled: int
    unit: int
    bit: int = 0


@dataclass(frozen=True)
class Synthesis:
    """yosys for a family.

    script: commands from Verilog to its cells; ``{top}`` and ``{options}`` are filled in. counts:
    resource of `RESOURCES` but luts -> pattern of a cell's name -> how many of the resource it is.
    stat: options of ``stat``. board: the command for a whole board, ``{kind}`` that of the device.
    selected: write only the top as JSON. models: of its cells, in yosys' share folder; no_models:
    options of the synthesis command without which it would use cells that have none; own_models:
    those that sim/models has. chains: makes modules of the family's cells for the carry
    chains in a text by Sterna (`gen.device.carry_cells`); free_ends: of carry chains in a netlist
    for nextpnr.
    """

    script: tuple[str, ...]
    counts: dict[str, dict[str, float]]
    models: str
    no_models: tuple[str, ...] = ()
    own_models: tuple[str, ...] = ()
    chains: Callable[[str], str] | None = None
    free_ends: Callable[[Path, str], int] | None = None
    stat: str = ""
    board: str = ""
    selected: bool = False


@dataclass(frozen=True)
class Nextpnr:
    """Place and route, and the packer.

    text: suffix of a configuration as text; bits: of a bitstream; cells: what it calls the
    resources. pack, unpack: program and arguments, ``TEXT``
    and ``BITS`` being the files. kinds: of devices, as the synthesis command is told.
    """

    program: str
    text: str
    text_option: str
    bits: str
    cells: dict[str, str]
    pack: tuple[str, ...]
    unpack: tuple[str, ...]
    options: tuple[str, ...] = ()
    speed: bool = False
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def programs(self) -> tuple[str, ...]:
        """All that a bitstream takes."""
        return "yosys", self.program, self.pack[0]


@dataclass(frozen=True)
class Family:
    """fabric: what the logic depends on. blocks: modes of block RAM; old_word: cost of imitating
    the old word of an address that is being written, 1 where blocks read it. lut_ram: modes with a
    writer and a reader, lut_ram_single of one port, none where that is no other. shifts: LUT RAM
    also makes shift registers. lut_inputs: what a LUT is counted with. ff_per_lut: what the device
    has. coefficients: whose the cost model takes. target: the family that stands for this one in
    synthesis. block_worth: LUTs that a block RAM is worth where neither runs out, about its share
    of a chip. link_blocks: block RAMs of a board's link. registers: flip-flops may move into block
    RAMs. constraints: suffix of the file that pins are given in."""

    fabric: Fabric
    blocks: tuple[Block, ...]
    lut_inputs: int
    block_worth: float
    coefficients: str
    target: str
    lut_ram: tuple[LutRamMode, ...] = ()
    lut_ram_single: tuple[LutRamMode, ...] = ()
    old_word: int = 1
    shifts: bool = False
    ff_per_lut: int = 1
    link_blocks: int = 0
    registers: bool = False
    constraints: str = ""
    synthesis: Synthesis | None = None
    nextpnr: Nextpnr | None = None
    pll: Pll | None = None

    @property
    def name(self) -> str:
        return self.fabric.name

    @property
    def block_bits(self) -> int:
        """Bits of a block RAM."""
        return max(w * n for b in self.blocks if b.count == 1 for w, n in b.shapes)

    @property
    def block_port(self) -> int:
        """Bits that a block RAM reads in a clock."""
        return max(w for b in self.blocks if b.count == 1 for w, _ in b.shapes)

    @property
    def most_mhz(self) -> float:
        """The fastest clock that its PLL makes, by the data sheet; of no family, that of any."""
        plls = [self.pll] if self.pll else [f.pll for f in FAMILIES.values() if f.pll]
        return max(pll.limits.output[1] for pll in plls) / MHZ

    def takes(self, other: str) -> bool:
        """Whether its devices take designs that are folded for ``other``: for it, or for any."""
        return other in (self.name, _GENERIC)


_GENERIC = "generic"

_ECP5 = Family(
    fabric=FABRICS["ecp5"],
    blocks=(
        Block(((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024)), 128, 1, False),
        Block(((36, 512),), 128, 1, True),
    ),
    lut_ram=(LutRamMode(16, 4, 4, 0, 6),),
    old_word=7,
    lut_inputs=4,
    block_worth=200.0,
    link_blocks=4,
    registers=True,
    coefficients="ecp5",
    target="ecp5",
    constraints=".lpf",
    synthesis=Synthesis(
        script=("synth_ecp5 -top {top}{options}",),
        board="synth_ecp5",
        counts={
            "logic": {"LUT4": 1, "CCU2C": 2},
            "carry": {"CCU2C": 1},
            "ff": {"TRELLIS_FF": 1},
            "bram": {"DP16KD": 1},
            "lutram": {"TRELLIS_DPR16X4": 6},  # two slices of storage, one for the write port
            "dsp": {"MULT18X18D": 1},
        },
        models="ecp5/cells_sim.v",
        no_models=("-nobram",),
        own_models=("dp16kd", "ehxplll"),
        chains=ccu2c,
        free_ends=free_ends,
    ),
    nextpnr=Nextpnr(
        program="nextpnr-ecp5",
        text="config",
        text_option="--textcfg",
        bits=".bit",
        cells={"luts": "TRELLIS_COMB", "ff": "TRELLIS_FF", "bram": "DP16KD"},
        pack=("ecppack", "--compress", "--input", "TEXT", "--bit", "BITS"),
        unpack=("ecpunpack", "--input", "BITS", "--textcfg", "TEXT"),
        # More weight on the clock than its 10 (docs/measured.md has what that brings).
        options=("--placer-heap-timingweight", "40"),
        speed=True,
    ),
    pll=ECP5_PLL,
)

_ICE40 = Family(
    fabric=FABRICS["ice40"],
    blocks=(Block(((2, 2048), (4, 1024), (8, 512), (16, 256)), 64, 1, True, 1),),
    old_word=7,
    lut_inputs=4,
    block_worth=176.0,
    link_blocks=7,
    coefficients="ice40",
    target="ice40",
    constraints=".pcf",
    synthesis=Synthesis(
        script=("synth_ice40 -device u -top {top}{options}",),
        # Eight flip-flops of a tile share an enable: small groups with one of their own leave cells
        # empty (digits on an UP5K: 282 groups, and no legal placement at 93%; so 135 and 92%).
        board="synth_ice40 -device {kind} -dffe_min_ce_use 5",
        counts={
            "logic": {"SB_LUT4": 1},
            "carry": {"SB_CARRY": 1},
            "ff": {"SB_DFF.*": 1},
            "bram": {"SB_RAM40_4K.*": 1},
            "lutram": {},
            "dsp": {"SB_MAC16": 1},
        },
        models="ice40/cells_sim.v",
        own_models=("sb_pll40_2_pad",),
    ),
    nextpnr=Nextpnr(
        program="nextpnr-ice40",
        text="asc",
        text_option="--asc",
        bits=".bin",
        # A logic cell is a LUT and a flip-flop.
        cells={"luts": "ICESTORM_LC", "bram": "ICESTORM_RAM"},
        pack=("icepack", "TEXT", "BITS"),
        unpack=("iceunpack", "BITS", "TEXT"),
        kinds={"up5k": "u", "hx8k": "hx"},
    ),
    pll=ICE40_PLL,
)

_XILINX_BLOCKS = (
    Block(((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024)), 129, 0.5, False),
    Block(((1, 32768), (2, 16384), (4, 8192), (9, 4096), (18, 2048), (36, 1024)), 257, 1, False),
    Block(((36, 512),), 129, 0.5, True),
    Block(((72, 512),), 257, 1, True),
)
_XILINX_LUT_RAM = (
    LutRamMode(32, 4, 8, 8, 4),
    LutRamMode(64, 2, 8, 8, 0, 2),
    LutRamMode(128, 1, 8, 8, 0, 4),
    LutRamMode(32, 6, 8, 7, 4),
    LutRamMode(64, 3, 8, 7, 4),
)
_XILINX_LUT_RAM_SINGLE = (
    LutRamMode(32, 8, 8, 8, 4),
    LutRamMode(64, 4, 8, 8, 0, 1),
    LutRamMode(128, 2, 8, 8, 0, 2),
    LutRamMode(256, 1, 8, 8, 0, 4),
)
# -noiopad: the design is a block, not a whole chip.
_SYNTH_XILINX = "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {top}{options}"

_XILINX7 = Family(
    fabric=FABRICS["xilinx7"],
    blocks=_XILINX_BLOCKS,
    lut_ram=_XILINX_LUT_RAM,
    lut_ram_single=_XILINX_LUT_RAM_SINGLE,
    shifts=True,
    lut_inputs=6,
    ff_per_lut=2,
    block_worth=300.0,
    link_blocks=2,
    coefficients="xilinx7",
    target="xilinx7",
    constraints=".xdc",
    synthesis=Synthesis(
        # yosys' own step prices a LUT5 at 3/5 of a LUT6 in the hope that two will share a site, and
        # so splits each pair of 6-input functions into three LUTs. With the prices that its help
        # text gives, the count of LUTs *and* its estimate of packed sites are lower (lanes: 20%).
        script=(
            f"{_SYNTH_XILINX} -run begin:map_luts",
            "opt_expr -mux_undef -noclkinv",
            "abc9 -luts 2:2,3,6:5,10,20",
            "clean",
            f"xilinx_srl -fixed -minlen {SHORTEST}",
            "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
            "xilinx_dffopt",
            "opt_lut_ins -tech xilinx",
            f"{_SYNTH_XILINX} -run finalize:check",
        ),
        counts={
            "logic": {"LUT[1-6]|INV": 1},
            "carry": {"CARRY4": 1},
            "ff": {"FD[RSCP]E(_1)?": 1},
            "bram": {"RAMB18E1": 0.5, "RAMB36E1": 1},
            "lutram": {
                "RAM(32|64)X1S|SRL16E|SRLC16E|SRLC32E": 1,
                "RAM(32|64)X1D|RAM128X1S": 2,
                "RAM128X1D|RAM256X1S|RAM32M|RAM64M": 4,
                "RAM256X1D": 8,
            },
            "dsp": {"DSP48E1": 1},
        },
        stat="-tech xilinx",
        # The other two name cells by their module themselves. Some modules of the library cannot
        # be written.
        selected=True,
        models="xilinx/cells_sim.v",
        no_models=("-nobram",),
    ),
    pll=MMCM,
)

_ANY = Family(
    fabric=FABRICS[_GENERIC],
    blocks=_XILINX_BLOCKS,
    lut_ram=_XILINX_LUT_RAM,
    lut_ram_single=_XILINX_LUT_RAM_SINGLE,
    shifts=True,
    lut_inputs=6,
    block_worth=300.0,
    coefficients="xilinx7",
    target="ecp5",
)

FAMILIES = {family.name: family for family in (_ANY, _ECP5, _XILINX7, _ICE40)}
TARGETS = {name: family.synthesis for name, family in FAMILIES.items() if family.synthesis}
"""How yosys synthesises for those that it does."""


def family_of(name: Any) -> Family:
    """DesignError for what is no family."""
    return FAMILIES[fabric_of(name).name]
