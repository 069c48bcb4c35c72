"""A .nir file (HDF5), or a graph of the nir package, as plain nodes and edges: nothing is run.

A file of a stranger is read with bounds: no link out of it is followed, no array above the limits
is opened, and groups that contain themselves end at a depth.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.errors import FileError, NetworkError, UsageError
from sterna.golden.words.names import show
from sterna.golden.words.packages import packages

__all__ = ["ENTERS", "Graph", "Node", "graph_of"]

DEPTH, NODES, EDGES, NAME = 8, 10_000, 100_000, 512
BYTES = 1 << 30  # of all arrays together
GRAPH = "NIRGraph"
ENTERS = ("sterna_input", "sterna_bits", "sterna_scale", "sterna_mean", "sterna_std")
"""Of an Input's metadata, what ``to_nir`` writes of how images enter, which NIR does not say."""


@dataclass(frozen=True)
class Node:
    """``kind`` is the name of nir's class; ``values`` its parameters."""

    kind: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """Flat: sub-graphs are taken apart, their nodes named 'sub.node'."""

    nodes: dict[str, Node]
    edges: list[tuple[str, str]]


def graph_of(source: Any) -> Graph:
    """The graph of a path or of a ``nir.NIRGraph``.

    Raises
    ------
    FileError
        The file cannot be read, leaves its bounds, or is no NIR.
    NetworkError
        Edges name nodes that are not there.
    """
    if isinstance(source, str | os.PathLike):
        nodes, edges = _of_file(Path(source))
    elif type(source).__name__ == GRAPH and isinstance(getattr(source, "nodes", None), Mapping):
        nodes, edges = _of_object(source, 0)
    else:
        raise UsageError(f"from_nir: {type(source).__name__} is no path and no nir.NIRGraph")
    graph = _flat(nodes, edges)
    for pair in graph.edges:
        for end in pair:
            if end not in graph.nodes:
                raise NetworkError(f"edge {show(pair[0])} -> {show(pair[1])}: no node {show(end)}")
    return graph


def _of_object(graph: Any, depth: int) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    if depth > DEPTH:
        raise NetworkError(f"graph: sub-graphs lie more than {DEPTH} deep")
    nodes: dict[str, Any] = {}
    for name, node in graph.nodes.items():
        if type(node).__name__ == GRAPH:
            nodes[name] = _of_object(node, depth + 1)
        else:
            values = dict(vars(node))
            if type(node).__name__ == "Input":
                values["shape"] = node.input_type["input"]
            nodes[name] = Node(type(node).__name__, values)
    return nodes, [(str(a), str(b)) for a, b in graph.edges]


def _of_file(path: Path) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    with packages():
        import h5py
    try:
        with h5py.File(path, "r") as file:
            reader = _Reader(path)
            return reader.graph(reader.group(file, "node", "node"), "node", 0)
    except FileNotFoundError:
        raise FileError(f"{path}: is not there") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError) as e:
        raise FileError(f"{path}: cannot be read as NIR ({' '.join(str(e).split())[:200]})") from e


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.left = BYTES
        self.nodes = 0

    def refuse(self, where: str, why: str) -> FileError:
        return FileError(f"{self.path}: {show(where)}: {why}")

    def member(self, parent: Any, name: str, where: str) -> Any:
        import h5py

        if parent.get(name, getclass=True, getlink=True) is not h5py.HardLink:
            raise self.refuse(where, "is missing, or a link that leads elsewhere")
        return parent[name]

    def group(self, parent: Any, name: str, where: str) -> Any:
        import h5py

        found = self.member(parent, name, where)
        if not isinstance(found, h5py.Group):
            raise self.refuse(where, "is no group")
        return found

    def value(self, parent: Any, name: str, where: str) -> Any:
        """A dataset, read once its bounds are known."""
        import h5py

        data = self.member(parent, name, where)
        if not isinstance(data, h5py.Dataset):
            raise self.refuse(where, "is no array")
        if data.is_virtual or data.external:
            raise self.refuse(where, "lies in another file, which is not followed")
        if h5py.check_string_dtype(data.dtype) is not None:
            return self._words(data, where)
        if data.dtype.kind not in "biuf":
            raise self.refuse(where, f"has type {data.dtype}, not numbers")
        size = int(data.size or 0) * data.dtype.itemsize
        self.left -= size
        if self.left < 0:
            raise self.refuse(where, f"arrays take more than {BYTES >> 20} MiB")
        found = np.asarray(data[()])
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise self.refuse(where, "has numbers that are not finite")
        return found

    def _words(self, data: Any, where: str) -> Any:
        if int(data.size or 0) > 2 * EDGES:
            raise self.refuse(where, f"has more than {2 * EDGES} words")
        words = []
        for at in np.ndindex(data.shape):
            word = data[at]
            if len(word) > NAME:
                raise self.refuse(where, f"has a word of more than {NAME} letters")
            words.append(word.decode() if isinstance(word, bytes) else str(word))
        return np.array(words, object).reshape(data.shape) if data.shape else words[0]

    def graph(self, group: Any, where: str, depth: int) -> tuple[dict[str, Any], Any]:
        if depth > DEPTH:
            raise self.refuse(where, f"sub-graphs lie more than {DEPTH} deep")
        nodes: dict[str, Any] = {}
        inside = self.group(group, "nodes", f"{where}/nodes")
        for name in inside:
            self.nodes += 1
            if self.nodes > NODES:
                raise self.refuse(where, f"has more than {NODES} nodes")
            at = f"{where}/nodes/{name}"
            node = self.group(inside, name, at)
            kind = self.value(node, "type", f"{at}/type")
            if not isinstance(kind, str):
                raise self.refuse(at, "its type is no word")
            if kind == GRAPH:
                nodes[name] = self.graph(node, at, depth + 1)
            else:
                keys = [k for k in node if k not in ("type", "metadata")]
                if len(keys) > 32:
                    raise self.refuse(at, "has more than 32 parameters")
                values = {k: self.value(node, k, f"{at}/{k}") for k in keys}
                if kind == "Input" and "metadata" in node:
                    more = self.group(node, "metadata", f"{at}/metadata")
                    said = [k for k in ENTERS if k in more]
                    values["metadata"] = {
                        k: self.value(more, k, f"{at}/metadata/{k}") for k in said
                    }
                nodes[name] = Node(kind, values)
        edges = self.value(group, "edges", f"{where}/edges")
        if np.size(edges) and (np.ndim(edges) != 2 or np.shape(edges)[1] != 2):
            raise self.refuse(f"{where}/edges", "are no pairs")
        return nodes, [(str(a), str(b)) for a, b in np.reshape(edges, (-1, 2))]


def _flat(nodes: dict[str, Any], edges: list[tuple[str, str]], prefix: str = "") -> Graph:
    found: dict[str, Node] = {}
    doors: dict[str, tuple[str, str]] = {}
    lines: list[tuple[str, str]] = []
    for name, node in nodes.items():
        path = prefix + name
        if isinstance(node, Node):
            found[path] = node
            continue
        inner = _flat(*node, prefix=f"{path}.")
        ends = []
        for kind in ("Input", "Output"):
            own = [k for k in node[0] if isinstance(node[0][k], Node) and node[0][k].kind == kind]
            if len(own) != 1:
                raise NetworkError(
                    f"node '{path}': a sub-graph with {len(own)} nodes {kind} cannot be built; "
                    "give it one"
                )
            ends.append(f"{path}.{own[0]}")
        doors[path] = (ends[0], ends[1])
        for end in ends:  # inside a graph these only pass on
            inner.nodes[end] = Node("Identity", {})
        found |= inner.nodes
        lines += inner.edges
    for a, b in edges:
        a, b = prefix + a, prefix + b
        lines.append((doors[a][1] if a in doors else a, doors[b][0] if b in doors else b))
    return Graph(found, lines)
