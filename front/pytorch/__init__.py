"""PyTorch models of spiking neurons: run once, written down, and read as networks."""
