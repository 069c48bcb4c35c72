"""What can be simulated for its toggles, and the programs that it takes."""

__all__ = ["OF"]

OF = {"rtl": ("verilator", "g++"), "netlist": ("yosys", "verilator", "g++")}
