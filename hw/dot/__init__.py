"""Dot products: the three engines and what they are made of."""
