"""Waves: what every signal of a simulation does, in files for a viewer, by names to read."""
