"""One network, folded: every decision that the Verilog follows from."""
