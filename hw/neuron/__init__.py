"""Neurons, from sums to beats of spikes: their scans, one step a clock, and turns at them."""
