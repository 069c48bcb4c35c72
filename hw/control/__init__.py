"""AXI-Lite, registers and counters."""
