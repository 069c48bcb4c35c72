"""cocotb benches. They run inside the simulator's process: see sim/cocotb_runner.py."""
