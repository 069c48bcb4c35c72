"""Choosing a folding: completion, candidates, search."""
