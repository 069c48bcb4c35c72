"""The description of a trained network in real numbers, before any integer is decided.

Training and every front end (NIR, snnTorch, Brevitas ...) end in a :class:`FloatNetwork`;
``sterna.gen.quantize.quantize`` turns it into the integer ``Network``. numpy only: no torch.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as save_tensors

from sterna.gen.quantize.float_convert import convert, fit
from sterna.gen.quantize.float_nodes import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNeuron,
    FloatNode,
    FloatPool,
    FloatReadout,
    Weighted,
    sources,
)
from sterna.golden import values
from sterna.golden.arrays import parse_tensors
from sterna.golden.disk import parse_json, read_bytes, write_atomic
from sterna.golden.errors import FileError, NetworkError
from sterna.golden.graph import inputs_first
from sterna.golden.names import check_name, show
from sterna.golden.network import steps_of

__all__ = [
    "BatchNorm",
    "FloatInput",
    "FloatConv2d",
    "FloatLinear",
    "FloatNeuron",
    "FloatPool",
    "FloatMerge",
    "FloatReadout",
    "FloatNode",
    "FloatNetwork",
    "sources",
]

FORMAT = "sterna-float"
VERSION = 1
KEYS = {"format", "version", "steps", "nodes", "tensors_sha256", "check"}
_HEAD_LIMIT, _BLOB_LIMIT = 1 << 26, 1 << 34
AGAIN = "run the same `sterna train` command again, or save the network again"


_OPS: dict[str, type] = {
    "input": FloatInput,
    "conv2d": FloatConv2d,
    "linear": FloatLinear,
    "neuron": FloatNeuron,
    "pool": FloatPool,
    "merge": FloatMerge,
    "readout": FloatReadout,
}
_ARRAYS = ("weight", "bias", "threshold", "reset_by", "v_init", "mean", "std")


class FloatNetwork:
    """A directed acyclic graph of float nodes, run for ``steps`` time steps.

    What is meant by a node's arguments (torch tensors, numpy's numbers, an int for a pair, None for
    an affine) is converted here, once (`float_convert`).

    Parameters
    ----------
    steps : int
        T, 1 .. 1,024.
    nodes : iterable of float nodes
        In any order; exactly one FloatInput and one FloatReadout.

    Attributes
    ----------
    nodes : list
        In topological order.
    shape : dict
        (C, H, W) by name.
    amplitude : dict
        Real value of one integer unit of a spike stream, by name.

    Raises
    ------
    NetworkError
        Names, types, shapes or kinds do not fit: node, cause, next step.
    """

    def __init__(self, steps: int, nodes: Iterable[FloatNode]) -> None:
        self.steps = steps_of(steps)
        self.nodes = _sorted([convert(n) for n in _listed(nodes)])
        self.by_name = {n.name: n for n in self.nodes}
        self.shape: dict[str, tuple[int, int, int]] = {}
        self.amplitude: dict[str, float] = {}
        for k, node in enumerate(self.nodes):
            shape = values.check_size(node.name, self._shape(node))
            self.shape[node.name] = shape
            self.nodes[k] = self.by_name[node.name] = node = fit(node, shape[0], self.steps)
            self.amplitude[node.name] = self._amplitude(node)

    def _shape(self, node: FloatNode) -> tuple[int, int, int]:
        if isinstance(node, FloatInput):
            return node.shape
        for n in sources(node):
            if isinstance(self.by_name[n], FloatReadout):
                raise NetworkError(f"node '{node.name}': reads the readout '{n}'")
            sums = isinstance(self.by_name[n], Weighted)
            if sums and not isinstance(node, FloatNeuron | FloatReadout):
                raise NetworkError(
                    f"node '{node.name}': reads the weighted sums of '{n}'; put a FloatNeuron "
                    "between"
                )
            pixels = self.by_name[n]
            if (
                isinstance(pixels, FloatInput)
                and pixels.coding == "direct"
                and not isinstance(node, Weighted)
            ):
                raise NetworkError(
                    f"node '{node.name}': reads the pixels of '{n}', which only a convolution or a "
                    "full connection can; put one and its neurons between"
                )
        c, h, w = self.shape[sources(node)[0]]
        if isinstance(node, FloatConv2d):
            o, cg, kh, kw = node.weight.shape
            if cg * node.groups != c or o % node.groups:
                raise NetworkError(
                    f"node '{node.name}': weight {node.weight.shape} with {node.groups} groups "
                    f"does not fit {c} input channels; give (O, {c}//groups, Kh, Kw)"
                )
            top, bottom, left, right = node.padding
            out = (
                o,
                (h + top + bottom - kh) // node.stride[0] + 1,
                (w + left + right - kw) // node.stride[1] + 1,
            )
        elif isinstance(node, FloatLinear):
            if node.weight.shape[1] != c * h * w:
                raise NetworkError(
                    f"node '{node.name}': weight {node.weight.shape} does not fit its input of "
                    f"{c} x {h} x {w}; give (O, {c * h * w})"
                )
            out = (node.weight.shape[0], 1, 1)
        elif isinstance(node, FloatPool):
            out = (
                c,
                (h - node.kernel[0]) // node.stride[0] + 1,
                (w - node.kernel[1]) // node.stride[1] + 1,
            )
        elif isinstance(node, FloatMerge) and node.mode == "concat":
            for n in node.inputs:
                if self.shape[n][1:] != (h, w):
                    raise NetworkError(
                        f"node '{node.name}': inputs '{node.inputs[0]}' {(c, h, w)} and '{n}' "
                        f"{self.shape[n]} cannot be concatenated; bring one to the other's height "
                        "and width by a strided 1x1 convolution or a pool"
                    )
            out = (sum(self.shape[n][0] for n in node.inputs), h, w)
        else:
            for n in sources(node):
                if self.shape[n] != (c, h, w):
                    raise NetworkError(
                        f"node '{node.name}': input '{n}' is {self.shape[n]}, "
                        f"'{sources(node)[0]}' is {(c, h, w)}; inputs must have one shape"
                    )
            out = (c, h, w)
        if min(out) < 1:
            raise NetworkError(
                f"node '{node.name}': the kernel is larger than its input of {h} x {w}; "
                "use a smaller kernel or more padding"
            )
        return out

    def _amplitude(self, node: FloatNode) -> float:
        if isinstance(node, FloatInput):
            return node.scale if node.coding == "direct" else 1.0
        if isinstance(node, FloatNeuron):
            return node.amplitude
        if isinstance(node, FloatPool):
            divisor = node.kernel[0] * node.kernel[1] if node.mode == "avg" else 1
            return self.amplitude[node.input] / divisor
        if isinstance(node, FloatMerge):
            return min(self.amplitude[n] for n in node.inputs)
        return 1.0

    def weighted(self, name: str) -> Weighted:
        """The convolution or full connection ``name``; NetworkError where that is another node."""
        node = self.by_name[name]
        if not isinstance(node, Weighted):
            raise NetworkError(
                f"node '{name}': is a {type(node).__name__}, not a FloatConv2d or FloatLinear"
            )
        return node

    @property
    def input(self) -> FloatInput:
        return next(n for n in self.nodes if isinstance(n, FloatInput))

    @property
    def readout(self) -> FloatReadout:
        return next(n for n in self.nodes if isinstance(n, FloatReadout))

    @property
    def digest(self) -> str:
        """sha256 of all that ``save`` writes."""
        tensors: dict[str, np.ndarray] = {}
        nodes = [_describe(n, tensors) for n in self.nodes]
        text = json.dumps([self.steps, nodes], sort_keys=True)
        blob = save_tensors({k: np.ascontiguousarray(v) for k, v in sorted(tensors.items())})
        return hashlib.sha256(text.encode() + blob).hexdigest()

    def save(self, folder: str | Path, stem: str = "float") -> Path:
        """Write FOLDER/STEM.json and STEM.safetensors atomically; returns the json's path."""
        check_name(stem, f"float network: stem {show(stem)}")
        path = values.path("float network", folder) / f"{stem}.json"
        tensors: dict[str, np.ndarray] = {}
        nodes = [_describe(n, tensors) for n in self.nodes]
        blob = save_tensors({k: np.ascontiguousarray(v) for k, v in sorted(tensors.items())})
        head = {
            "format": FORMAT,
            "version": VERSION,
            "steps": self.steps,
            "nodes": nodes,
            "tensors_sha256": hashlib.sha256(blob).hexdigest(),
        }
        head["check"] = _check(head)
        write_atomic(path.with_suffix(".safetensors"), blob)
        write_atomic(path, (json.dumps(head, indent=1, sort_keys=True) + "\n").encode())
        return path

    @classmethod
    def load(cls, path: str | Path) -> "FloatNetwork":
        """Read what ``save`` wrote (the json's path or its folder). FileError if altered."""
        path = values.path("float network", path)
        path = path / "float.json" if path.is_dir() else path
        head = parse_json(read_bytes(path, _HEAD_LIMIT, AGAIN), path, AGAIN)
        tensor_file = path.with_suffix(".safetensors")
        blob = read_bytes(tensor_file, _BLOB_LIMIT, AGAIN)
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise FileError(f"{path}: is not a {FORMAT} file; give what training wrote, or {AGAIN}")
        # Files of an earlier Sterna have no check.
        if set(head) - KEYS or head.get("check", "") not in ("", _check(head)):
            raise FileError(f"{path}: altered, its text is not what its own check says; {AGAIN}")
        if head.get("version") != VERSION:
            raise FileError(
                f"{path}: version {head.get('version')} is not {VERSION}; update sterna, or {AGAIN}"
            )
        if hashlib.sha256(blob).hexdigest() != head.get("tensors_sha256"):
            raise FileError(
                f"{path.with_suffix('.safetensors')}: altered or truncated (its hash is not the "
                f"one in the json); {AGAIN}"
            )
        try:
            tensors, _ = parse_tensors(blob, tensor_file, AGAIN)
            return cls(head["steps"], [_restore(d, tensors) for d in head["nodes"]])
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as e:
            raise FileError(f"{path}: does not describe a network ({e}); {AGAIN}") from e


def _check(head: dict[str, Any]) -> str:
    """sha256 of the canonical text of everything else in the json."""
    rest = {k: v for k, v in head.items() if k != "check"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _listed(nodes: Any) -> list[Any]:
    try:
        return list(nodes)
    except Exception:  # a foreign object may raise what it likes
        raise NetworkError(f"network: nodes {show(nodes)} must be a list of nodes") from None


def _sorted(nodes: list[FloatNode]) -> list[FloatNode]:
    """Makers before readers, else as they were given."""
    by_name: dict[str, FloatNode] = {}
    for n in nodes:
        if n.name in by_name:
            raise NetworkError(f"node '{n.name}': the name is used twice; rename one")
        by_name[n.name] = n
    for what, kind in (("Input", FloatInput), ("Readout", FloatReadout)):
        if sum(isinstance(n, kind) for n in nodes) != 1:
            raise NetworkError(f"a network has exactly one {what}; add or remove nodes")
    for n in nodes:
        for s in sources(n):
            if s not in by_name:
                raise NetworkError(f"node '{n.name}': input '{s}' does not exist; add or rename it")
    return [by_name[name] for name in inputs_first({n.name: sources(n) for n in nodes})]


def _describe(node: FloatNode, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """A node as JSON; its arrays go to ``tensors`` and leave {'tensor': key} behind."""
    op = next(k for k, v in _OPS.items() if isinstance(node, v))
    out: dict[str, Any] = {"op": op}
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, BatchNorm):
            for g in ("gamma", "beta", "mean", "var"):
                tensors[f"{node.name}.norm.{g}"] = np.asarray(getattr(value, g))
            value = {"norm_eps": value.eps}
        elif f.name in _ARRAYS and isinstance(value, np.ndarray | list | tuple):
            tensors[f"{node.name}.{f.name}"] = np.asarray(value)
            value = {"tensor": f"{node.name}.{f.name}"}
        elif isinstance(value, np.generic):
            value = value.item()
        out[f.name] = value
    return out


def _restore(d: dict[str, Any], tensors: dict[str, np.ndarray]) -> FloatNode:
    kind = _OPS.get(d.get("op", ""))
    if kind is None:
        raise FileError(f"node '{d.get('name')}': op {d.get('op')!r} is unknown; update sterna")
    unknown = set(d) - {f.name for f in fields(kind)} - {"op"}
    if unknown:
        raise FileError(f"node '{d.get('name')}': unknown key '{min(unknown)}'; update sterna")
    args: dict[str, Any] = {}
    for key, value in d.items():
        if isinstance(value, dict) and "tensor" in value:
            value = tensors[value["tensor"]]
        elif isinstance(value, dict):
            parts = [tensors[f"{d['name']}.norm.{g}"] for g in ("gamma", "beta", "mean", "var")]
            value = BatchNorm(*parts, eps=value["norm_eps"])
        elif isinstance(value, list):
            value = tuple(value)
        if key != "op":
            args[key] = value
    return kind(**args)
