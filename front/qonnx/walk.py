"""What is known of a QONNX graph on the way through it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sterna.front.cell import Cell
from sterna.front.expression import Expr
from sterna.front.qonnx.file import Node
from sterna.golden.errors import NetworkError
from sterna.golden.names import show

__all__ = ["Steps", "Stream", "Walk", "refused"]


@dataclass(frozen=True)
class Stream:
    """An activation: its expression, and its shape without the batch: (n,) or (C, H, W)."""

    expr: Expr
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """What a quantizer's tensor is worth to its neurons: neuron k of ``paths`` (from 0) fires where
    the tensor's whole value, ``(value - low) / size``, is above k."""

    tensor: str
    low: Any
    size: Any
    paths: tuple[str, ...]


@dataclass
class Walk:
    """What is known so far: arrays and streams by tensor, neurons by path, quantizers, and what is
    only approximated, by path. ``pixels``: every number that one can be, as the graph sees it."""

    arrays: dict[str, np.ndarray]
    pixels: np.ndarray
    streams: dict[str, Stream] = field(default_factory=dict)
    cells: dict[str, tuple[Cell, Expr]] = field(default_factory=dict)
    steps: list[Steps] = field(default_factory=list)
    approximated: dict[str, str] = field(default_factory=dict)

    def stream(self, node: Node, k: int = 0) -> Stream:
        """The activation that a node reads."""
        name = node.inputs[k] if k < len(node.inputs) else ""
        if name not in self.streams:
            raise refused(node, f"reads {show(name)}, which is no activation")
        return self.streams[name]

    def array(self, node: Node, k: int, missing: Any = None) -> Any:
        """A parameter of a node; ``missing`` where it is left out."""
        name = node.inputs[k] if k < len(node.inputs) else ""
        if name in self.streams:
            raise refused(node, f"its input {k} is computed from the image; it must be stored")
        if name in self.arrays:
            return self.arrays[name]
        if missing is None:
            raise refused(node, f"its input {k} {show(name)} is not in the file")
        return missing


def refused(node: Node, why: str) -> NetworkError:
    return NetworkError(f"node {show(node.path)}: {node.kind}: {why}")
