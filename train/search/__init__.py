"""Searches for skip connections."""
