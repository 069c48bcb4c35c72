"""The netlist of a board's pins in Verilator: the cells that place and route would get.

yosys ships models of most cells (see sim/netlist.py); those of block RAM on ECP5 and of the PLLs
are in sim/models. The PLL's clock is the harness's ``clk``, at any ratio: what a netlist computes
does not depend on it.
"""

from importlib.resources import files as package_files

from sterna.sim.netlist import NETLIST_TARGETS, yosys_models

__all__ = ["cell_models"]

_OURS = {"ecp5": ("dp16kd", "ehxplll"), "ice40": ("sb_pll40_2_pad",), "xilinx7": ()}
_PLL_CLOCK = "`define STERNA_PLL_CLOCK SternaBoard.clk\n"


def cell_models(target: str, text: str) -> tuple[tuple[str, str], ...]:
    """(file name, Verilog) of the cells that the netlist ``text`` uses, ours where yosys has none.

    Raises:
        UsageError: no such target. ToolMissing: yosys is not installed.
    """
    folder = package_files("sterna.sim.models")
    ours = {name: folder.joinpath(f"{name}.v").read_text() for name in _OURS[target]}
    names = {name.upper() for name in ours}
    found = yosys_models(NETLIST_TARGETS[target].models, text, leave=names)
    return (*found, *((f"{n}.v", t) for n, t in ours.items() if n.upper() in text))
