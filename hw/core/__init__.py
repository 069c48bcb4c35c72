"""A spiking convolution and a pool, from window to spikes."""
