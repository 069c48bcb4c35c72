"""What of a QONNX graph is known before any image: weights behind their quantizers.

The arithmetic is that of the QONNX operators, in the type of the stored numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sterna.front.qonnx.file import Node
from sterna.golden.errors import NetworkError
from sterna.golden.words.names import show

__all__ = ["CONSTANT", "is_bipolar", "levels", "number", "rounding"]

ROUNDINGS: dict[str, Callable[[Any], Any]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.fix,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}


def number(node: Node, what: str, value: Any) -> float:
    """The one number of an array."""
    a = np.asarray(value, np.float64).reshape(-1)
    if not a.size or (a != a[0]).any():
        raise NetworkError(
            f"node {show(node.path)}: {what} has several values; one for the layer can be built"
        )
    return float(a[0])


def levels(node: Node, bits: Any) -> tuple[int, int]:
    """(lowest, highest) whole number that a Quant gives."""
    n = number(node, "bit_width", bits)
    if n < 1 or n > 32 or n != int(n):
        raise NetworkError(f"node {show(node.path)}: bit_width {n:g} is not a whole number 1 to 32")
    signed = bool(node.values.get("signed", 1))
    narrow = bool(node.values.get("narrow", 0))
    if signed:
        return -(1 << (int(n) - 1)) + narrow, (1 << (int(n) - 1)) - 1
    return 0, (1 << int(n)) - 1 - narrow


def rounding(node: Node) -> Callable[[Any], Any]:
    """How a Quant rounds."""
    word = str(node.values.get("rounding_mode", "ROUND")).upper()
    if word not in ROUNDINGS:
        raise NetworkError(f"node {show(node.path)}: rounding_mode {show(word)} is not known")
    return ROUNDINGS[word]


def is_bipolar(node: Node, bits: Any) -> bool:
    """Whether a Quant gives -1 and 1, as one of a signed bit does."""
    return number(node, "bit_width", bits) == 1 and bool(node.values.get("signed", 1))


def _quant(node: Node, x: Any, scale: Any, zero: Any, bits: Any) -> Any:
    if is_bipolar(node, bits):
        whole = _bipolar(node, x / scale + zero, np.ones_like(scale))
    else:
        low, high = levels(node, bits)
        whole = rounding(node)(np.clip(x / scale + zero, low, high))
    return (whole - zero) * scale


def _bipolar(node: Node, x: Any, scale: Any) -> Any:
    return np.where(x >= 0, np.ones_like(x), -np.ones_like(x)) * scale


def _transpose(node: Node, x: Any) -> Any:
    return np.transpose(x, node.values.get("perm"))


def _constant(node: Node) -> Any:
    for key in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if key in node.values:
            return np.asarray(node.values[key])
    raise NetworkError(f"node {show(node.path)}: a Constant without numbers")


def _reshape(node: Node, x: Any, shape: Any) -> Any:
    sizes = [int(n) for n in np.asarray(shape).reshape(-1)]
    sizes = [x.shape[k] if n == 0 and k < x.ndim else n for k, n in enumerate(sizes)]
    return np.reshape(x, sizes)


def _unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    axes = node.values.get("axes") if axes is None else axes
    return np.expand_dims(x, tuple(int(n) for n in np.asarray(axes).reshape(-1)))


CONSTANT: dict[str, Callable[..., Any]] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "Transpose": _transpose,
    "Constant": _constant,
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Identity": lambda node, x: x,
    "Neg": lambda node, x: -x,
    "Abs": lambda node, x: np.abs(x),
    "Sqrt": lambda node, x: np.sqrt(x),
    "Add": lambda node, a, b: a + b,
    "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b,
    "Div": lambda node, a, b: a / b,
}
"""By kind: (node, its arrays) -> its array."""
