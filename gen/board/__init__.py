"""A board: place and route, bitstream, patch, programming, Vivado."""
