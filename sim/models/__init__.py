"""Verilog models of cells that yosys has none of."""
