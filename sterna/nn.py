"""Layers, neurons and readouts for a torch module, loop and optimiser of one's own.

All of it works on sequences [T, B, ...], all steps at once, and has no state between calls;
``sterna.from_torch`` reads it exactly. An image that is one for all steps is x.unsqueeze(0), and
its neurons know ``steps``.
"""

from sterna.train.nn.fold import fold_
from sterna.train.nn.neurons import IF, LIF, OverTime, Readout
from sterna.train.nn.weighted import BinaryConv2d, BinaryLinear, TernaryConv2d, TernaryLinear

__all__ = [
    "BinaryConv2d",
    "BinaryLinear",
    "IF",
    "LIF",
    "OverTime",
    "Readout",
    "TernaryConv2d",
    "TernaryLinear",
    "fold_",
]
