"""Timing diagrams of a block: from samples of its ports to WaveJSON and pictures."""
