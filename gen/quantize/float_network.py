"""The description of a trained network in real numbers, before any integer is decided.

Training and every front end (NIR, snnTorch, Brevitas ...) end in a :class:`FloatNetwork`;
``sterna.gen.quantize.quantize`` turns it into the integer ``Network``. numpy only: no torch.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save as save_tensors

from sterna.gen.quantize.float_nodes import (
    KINDS,
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNeuron,
    FloatNeurons,
    FloatNode,
    FloatPool,
    FloatReadout,
    StreamMaker,
    Weighted,
)
from sterna.golden.errors import FileError, NetworkError
from sterna.golden.files.arrays import parse_tensors
from sterna.golden.files.disk import parse_json, read_bytes, write_atomic
from sterna.golden.files.instead import instead
from sterna.golden.graph import inputs_first
from sterna.golden.network import steps_of
from sterna.golden.nodes.streams import filed, read_back
from sterna.golden.rule import LEVELS, later
from sterna.golden.summary import headline, summary
from sterna.golden.words import values
from sterna.golden.words.names import check_name, show
from sterna.golden.words.shown import Shown

__all__ = [
    "BatchNorm",
    "FloatInput",
    "FloatConv2d",
    "FloatLinear",
    "FloatNeuron",
    "FloatNeurons",
    "FloatPool",
    "FloatMerge",
    "FloatReadout",
    "FloatNode",
    "FloatNetwork",
    "FloatSums",
    "StreamMaker",
    "Weighted",
]

FORMAT = "sterna-float"
VERSION = 1
KEYS = {"format", "version", "steps", "nodes", "tensors_sha256", "check"}
_HEAD_LIMIT, _BLOB_LIMIT = 1 << 26, 1 << 34
AGAIN = "run the same `sterna train` command again, or save the network again"
_ARRAYS = ("weight", *LEVELS, "mean", "std")


class FloatSums(NamedTuple):
    """Weighted sums that a neuron reads: the node whose they are, and the pool between, if any."""

    weighted: Weighted
    pool: FloatPool | None = None


class FloatNetwork(Shown):
    """A directed acyclic graph of float nodes, run for ``steps`` time steps.

    What is meant by a node's arguments (torch tensors, numpy's numbers, an int for a pair, None for
    an affine) is converted here, once (`FloatNode.meant`).

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
        self.nodes = _sorted([_meant(n) for n in _listed(nodes)])
        self.by_name = {n.name: n for n in self.nodes}
        self.shape: dict[str, tuple[int, int, int]] = {}
        self.amplitude: dict[str, float] = {}
        self._makes: dict[str, str] = {}
        for k, node in enumerate(self.nodes):
            self._check(node)
            shape = node.shape_of([self.shape[i] for i in node.inputs])
            self.shape[node.name] = values.check_size(node.name, shape)
            self.nodes[k] = self.by_name[node.name] = node = node.fitted(shape[0], self.steps)
            self.amplitude[node.name] = node.amplitude_of(self.amplitudes(node))

    def _check(self, node: FloatNode) -> None:
        given = [self._makes[i] for i in node.inputs]
        for i, makes in zip(node.inputs, given, strict=True):
            if makes not in node.becomes.reads:
                raise NetworkError(f"node '{node.name}': reads {_UNREADABLE[makes].format(i)}")
        self._makes[node.name] = makes = node.makes_of(given)
        if isinstance(node, FloatPool) and makes == "sums":
            self._check_pool(node)

    def _check_pool(self, node: FloatPool) -> None:
        """Of sums."""
        if node.mode in ("or", "first"):
            raise NetworkError(
                f"node '{node.name}': a pool '{node.mode}' is of single spikes, and '{node.input}' "
                "makes weighted sums; use 'max', 'sum' or 'avg', or put a FloatNeuron between"
            )
        if isinstance(self.by_name[node.input], FloatPool):
            raise NetworkError(
                f"node '{node.name}': pools the sums of '{node.input}', which is a pool already; "
                "make them one pool, or put a FloatNeuron between"
            )
        source = self.weighted(node.input)
        if node.mode != "max" and any(node.padding) and np.any(source.affine()[1]):
            raise NetworkError(
                f"node '{node.name}': adds padding, and sums with the bias or norm of '"
                f"{node.input}', which padding has not; put these behind the pool, use no padding "
                "or 'max', or put a FloatNeuron between"
            )

    def amplitudes(self, node: FloatNode) -> list[float]:
        """Of what ``node`` reads, in its order."""
        return [self.amplitude[i] for i in node.inputs]

    def weighted(self, name: str) -> Weighted:
        """The convolution or full connection ``name``; NetworkError where that is another node."""
        node = self.by_name[name]
        if not isinstance(node, Weighted):
            raise NetworkError(
                f"node '{name}': is a {type(node).__name__}, not a FloatConv2d or FloatLinear"
            )
        return node

    def sums(self, name: str) -> FloatSums | None:
        """Whose weighted sums the node ``name`` makes, and its pool where it is one; None where it
        makes something else."""
        node = self.by_name[name]
        if self._makes[name] != "sums":
            return None
        if isinstance(node, FloatPool):
            return FloatSums(self.weighted(node.input), node)
        return FloatSums(self.weighted(name))

    def summary(self) -> str:
        """A table for people: a line a node."""
        return summary(self.steps, self.nodes, self.shape)

    def line(self) -> str:
        """It in short."""
        return headline(self.steps, self.nodes, self.shape)

    def __str__(self) -> str:
        return self.summary()

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
        """Write FOLDER/STEM.json and STEM.safetensors, which ``load`` reads.

        Parameters
        ----------
        folder : str or path
            Made where there is none.
        stem : str

        Returns
        -------
        Path
            Of the json.

        Raises
        ------
        FileError
            It cannot be written.
        """
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
        """Read what ``save`` wrote.

        Parameters
        ----------
        path : str or path
            Of the json, or its folder.

        Returns
        -------
        FloatNetwork

        Raises
        ------
        FileError
            A file is missing, altered or of a newer version.
        """
        path = values.path("float network", path)
        if (refusal := instead(path, "float")) is not None:
            raise FileError(refusal)
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


_UNREADABLE = {
    "logits": "the readout '{}'",
    "sums": "the weighted sums of '{}'; put a FloatNeuron between",
    "pixels": "the pixels of '{}', which only a convolution or a full connection can; put one and "
    "its neurons between",
}


def _meant(node: Any) -> FloatNode:
    if not isinstance(node, FloatNode):
        *some, last = (kind.__name__ for kind in KINDS.values())
        raise NetworkError(
            f"network: {show(node)} is no float node; give {', '.join(some)} and {last}"
        )
    return node.meant()


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
        for s in n.inputs:
            if s not in by_name:
                raise NetworkError(f"node '{n.name}': input '{s}' does not exist; add or rename it")
    return [by_name[name] for name in inputs_first({n.name: n.inputs for n in nodes})]


def _describe(node: FloatNode, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """A node as JSON; its arrays go to ``tensors`` and leave {'tensor': key} behind. Fields that
    came later are left out at their default."""
    out: dict[str, Any] = {"op": node.becomes.op}
    new = later(type(node))
    for f in fields(node):
        value = getattr(node, f.name)
        if f.name in new and not np.ndim(value) and value == new[f.name]:
            continue
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
    return filed(out) if isinstance(node, FloatInput) else out


def _restore(d: dict[str, Any], tensors: dict[str, np.ndarray]) -> FloatNode:
    kind = KINDS.get(d.get("op", ""))
    if kind is None:
        raise FileError(f"node '{d.get('name')}': op {d.get('op')!r} is unknown; update sterna")
    d = read_back(d) if kind is FloatInput else d
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
