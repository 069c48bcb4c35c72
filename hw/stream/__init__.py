"""Streams between cores: edges, FIFOs, forks, merges, gearboxes, AXI."""
