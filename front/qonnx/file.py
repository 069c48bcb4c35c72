"""A QONNX file as plain nodes and arrays: nothing is run, and no other file is opened.

A file of a stranger is read with bounds: its size, the number of its nodes, and arrays that lie in
other files are refused.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.errors import FileError, NetworkError, UsageError
from sterna.golden.files.disk import read_bytes
from sterna.golden.words.names import show
from sterna.golden.words.packages import packages

__all__ = ["Graph", "Node", "graph_of"]

BYTES = 1 << 30
DOMAINS = ("", "ai.onnx", "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""Whose operations are read. qonnx imports what any other domain names."""
NODES = 10_000
_AGAIN = "export the network again"


@dataclass(frozen=True)
class Node:
    """One operation: its kind, a name for sentences, tensors by name ('' where one is left out),
    and attributes as numbers, words, arrays or tuples of numbers."""

    kind: str
    path: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """``nodes`` in the file's order, which is that of computing; ``arrays`` of weights by tensor;
    ``shapes`` of the inputs that are no arrays; the names of the ``outputs``."""

    nodes: tuple[Node, ...]
    arrays: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    model: Any


def graph_of(source: Any) -> Graph:
    """The graph of a path, or of an ``onnx.ModelProto`` (or what has one as ``.model``).

    Raises
    ------
    FileError
        The file is no ONNX, or leaves its bounds.
    NetworkError
        Something in it is of no kind that is read.
    """
    with packages():
        import onnx
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        blob = read_bytes(path, BYTES, "a network is smaller: give the QONNX file")
        try:
            model = onnx.load_model_from_string(blob)
        except Exception as e:  # protobuf has its own errors for each way a file is wrong
            raise FileError(
                f"{path}: cannot be read as ONNX ({' '.join(str(e).split())[:200]}); {_AGAIN}"
            ) from e
    else:
        model = getattr(source, "model", source)
        if not isinstance(model, onnx.ModelProto):
            raise UsageError(f"from_qonnx: {type(source).__name__} is no path and no ONNX model")
    graph = model.graph
    words = [w for n in graph.node for w in (n.name, n.op_type, n.domain, *n.input, *n.output)]
    words += [a.name for n in graph.node for a in n.attribute]
    words += [v.name for v in (*graph.initializer, *graph.input, *graph.output)]
    if not all(isinstance(w, str) for w in words):  # bytes: protobuf could not read them
        raise FileError(f"graph: has names that are no UTF-8; {_AGAIN}")
    if not graph.node or len(graph.node) > NODES:
        raise FileError(f"graph: has {len(graph.node)} nodes, not 1 to {NODES}; {_AGAIN}")
    arrays = {t.name: _array(t, onnx) for t in graph.initializer}
    if model.functions:
        raise NetworkError("graph: has functions of its own, which are not run; export it without")
    if graph.sparse_initializer:
        raise NetworkError("graph: has sparse weights, which are not read; export dense ones")
    inputs = [v for v in graph.input if v.name not in arrays]
    return Graph(
        tuple(_node(n, k, onnx) for k, n in enumerate(graph.node)),
        arrays,
        {v.name: _shape(v) for v in inputs},
        tuple(v.name for v in graph.output),
        model,
    )


def _shape(value: Any) -> tuple[int, ...]:
    """Of an input; an unknown batch is 1."""
    dims = value.type.tensor_type.shape.dim
    sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in dims]
    if not sizes or min([1, *sizes[1:]]) < 1:
        raise NetworkError(
            f"input {show(value.name)}: its shape is not in the file; export it with a fixed shape"
        )
    return (1, *(int(n) for n in sizes[1:]))


def _array(tensor: Any, onnx: Any) -> np.ndarray:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise FileError(
            f"tensor {show(tensor.name)}: lies in another file, which is not followed; save the "
            "model as one file"
        )
    if any(n < 0 for n in tensor.dims):
        raise FileError(f"tensor {show(tensor.name)}: has a negative size; {_AGAIN}")
    try:
        found = onnx.numpy_helper.to_array(tensor)
    except Exception as e:  # sizes that do not fit, unknown types
        cause = " ".join(str(e).split())[:200]
        raise FileError(f"tensor {show(tensor.name)}: cannot be read ({cause}); {_AGAIN}") from e
    if found.dtype.kind not in "biuf":
        raise NetworkError(f"tensor {show(tensor.name)}: has type {found.dtype}, not numbers")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise NetworkError(f"tensor {show(tensor.name)}: has numbers that are not finite")
    return np.asarray(found)


def _node(node: Any, number: int, onnx: Any) -> Node:
    path = node.name or f"{node.op_type}_{number}"
    if node.domain not in DOMAINS:
        raise NetworkError(
            f"node {show(path)}: {show(node.op_type)} of domain {show(node.domain)} is not read; "
            "export it for QONNX"
        )
    values: dict[str, Any] = {}
    for a in node.attribute:
        if a.type == onnx.AttributeProto.TENSOR:
            values[a.name] = _array(a.t, onnx)
        elif a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise NetworkError(f"node {show(path)}: has a graph inside; only plain nodes are read")
        else:
            value = onnx.helper.get_attribute_value(a)
            value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            values[a.name] = tuple(value) if isinstance(value, list) else value
    return Node(node.op_type, path, tuple(node.input), tuple(node.output), values)
