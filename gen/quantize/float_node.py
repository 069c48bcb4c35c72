"""What every node of a float network has: its numbers as they are meant, its shape, what it
becomes.

A node is kept as it is given; ``FloatNetwork`` passes each through `FloatNode.meant` and
`FloatNode.fitted` once. Afterwards numbers are Python's, arrays numpy's own (C order, native, real,
finite), per-channel values a number or (C,), batch norms whole. numpy only: no torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from sterna.golden.errors import NetworkError
from sterna.golden.nodes.node import Shape
from sterna.golden.words import values
from sterna.golden.words.names import check_name, not_one_of, show
from sterna.golden.words.shown import Fields

__all__ = ["BatchNorm", "FloatNode", "StreamMaker", "Weighted", "changed"]


LARGEST, SMALLEST = 2.0**127, 2.0**-126
"""Of float32's numbers: of any, and of those that others are divided by."""


@dataclass(frozen=True, eq=False, repr=False)
class BatchNorm(Fields):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, every array (O,), or a number for all.

    ``gamma`` or ``beta`` None: 1 or 0 (torch's affine=False)."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    eps: float = 1e-5

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """(gain, offset), float64 (O,), with y = gain*x + offset."""
        gain = self.gamma.astype(np.float64) / np.sqrt(self.var.astype(np.float64) + self.eps)
        return gain, self.beta.astype(np.float64) - self.mean.astype(np.float64) * gain


class FloatNode(Fields, ABC):
    """Base of all kinds. becomes: the kind of integer node."""

    becomes: ClassVar[type[Any]]
    name: str
    inputs: tuple[str, ...]

    @property
    def makes(self) -> str:
        """As of the integer node; `makes_of` of what it reads."""
        return self.becomes.makes

    def makes_of(self, given: Sequence[str]) -> str:
        """What it makes where its inputs make what is ``given``."""
        return self.makes

    def meant(self) -> Self:
        """The node with every field of its type; NetworkError with its name where one is not
        meant."""
        check_name(self.name, f"node {show(self.name)}: names")
        return changed(self, self._converted())

    @abstractmethod
    def _converted(self) -> dict[str, Any]:
        """Fields, of which all that can be said without the network is said."""

    def fitted(self, channels: int, steps: int) -> Self:
        """What depends on the channels it makes and the network's steps."""
        return self

    def shape_of(self, shapes: Sequence[Shape]) -> Shape:
        """What it makes of inputs of these ``shapes``; the default: one that all have."""
        for name, shape in zip(self.inputs, shapes, strict=True):
            if shape != shapes[0]:
                raise NetworkError(
                    f"node '{self.name}': input '{name}' is {shape}, '{self.inputs[0]}' is "
                    f"{shapes[0]}; inputs must have one shape"
                )
        return shapes[0]

    def amplitude_of(self, amplitudes: Sequence[float]) -> float:
        """Real value of one integer unit of what it makes, of its inputs'."""
        return 1.0

    def integer(self, **given: Any) -> Any:
        """The integer node: fields of the same names, but those that are given."""
        own = [f.name for f in fields(self.becomes) if f.name not in given]
        return self.becomes(**{k: getattr(self, k) for k in own}, **given)

    def _channels(self, what: str, value: Any, channels: int, steps: int | None = None) -> Any:
        """None, a number, or float (C,); with ``steps`` also (T, C). Axes of one are left out, as
        in (C, 1, 1)."""
        if value is None:
            return None
        if isinstance(value, int | float) and (found := values.real(value)) is not None:
            return self.ordinary(what, found)
        a = self._array(what, value)
        if a.shape == (channels,) or (steps is not None and a.shape == (steps, channels)):
            return a
        if a.size == 1:
            return float(a.flat[0]) if channels > 1 or a.ndim == 0 else a.reshape(1)
        longer = tuple(n for n in a.shape if n != 1)
        if longer == (channels,) and a.size:
            return a.reshape(channels)
        if steps is not None and longer == tuple(n for n in (steps, channels) if n != 1):
            if a.ndim > 1:
                return a.reshape(steps, channels)
        wanted = f"({channels},)" + (f" or ({steps}, {channels})" if steps is not None else "")
        raise NetworkError(
            f"node '{self.name}': {what} has shape {a.shape}, which fits no {channels} channels; "
            f"give a number or {wanted}"
        )

    def _norm(self, norm: Any, channels: int) -> BatchNorm | None:
        if norm is None:
            return None
        if not isinstance(norm, BatchNorm):
            raise NetworkError(f"node '{self.name}': norm {show(norm)} must be a BatchNorm")
        parts: dict[str, Any] = {}
        for part, missing in (("gamma", 1.0), ("beta", 0.0), ("mean", None), ("var", None)):
            value = getattr(norm, part)
            value = missing if value is None else value
            if value is None:
                raise NetworkError(
                    f"node '{self.name}': its batch norm has no running {part}; train it with "
                    "track_running_stats, or measure it over the training images"
                )
            found = self._channels(f"norm.{part}", value, channels)
            parts[part] = np.full(channels, found) if isinstance(found, int | float) else found
        refusal = (
            f"node '{self.name}': norm.eps {show(norm.eps)} must be a real number of at least 0"
        )
        parts["eps"] = self.ordinary("norm.eps", values.number(refusal, norm.eps))
        if parts["eps"] < 0:
            raise NetworkError(refusal)
        if np.any(parts["var"] < 0):
            raise NetworkError(f"node '{self.name}': a variance is negative; repair the file")
        if np.any(parts["var"].astype(np.float64) + parts["eps"] == 0):
            raise NetworkError(
                f"node '{self.name}': a variance and eps are both 0; give norm.eps more than 0"
            )
        return changed(norm, parts)

    def _array(self, what: str, value: Any) -> np.ndarray:
        """float16, 32 or 64, native and in C order; the array itself where it is so already."""
        a = values.array(f"node '{self.name}': {what}", value)
        kind = a.dtype if a.dtype.kind == "f" and a.dtype.itemsize <= 8 else np.dtype(np.float64)
        with np.errstate(over="ignore"):
            a = a.astype(kind.newbyteorder("="), copy=False)
        a = np.ascontiguousarray(a) if a.ndim else a
        if a.size:
            self.ordinary(what, float(np.abs(a).max()))
        return a

    def _positive(self, what: str) -> float:
        value = getattr(self, what)
        refusal = f"node '{self.name}': {what} {show(value)} must be a positive real number"
        found = values.number(refusal, value, positive=True)
        return self.ordinary(what, found, positive=True)

    def ordinary(self, what: str, value: float, positive: bool = False) -> float:
        """A number, unless float32 has no room for it: what some of them multiply to then fits
        float64. ``positive``: it divides others, so it cannot be next to nothing either."""
        if abs(value) <= LARGEST and (value >= SMALLEST or not positive):
            return value
        raise NetworkError(
            f"node '{self.name}': {what} {value:g} is beyond the range of float32; give numbers of "
            "ordinary size"
        )

    def _choice(self, field: str, what: str, words: Iterable[str]) -> str:
        value = getattr(self, field)
        refusal = f"node '{self.name}': {what} {not_one_of(value, words)}"
        return values.choice(refusal, value, words)

    def _names(self) -> tuple[str, ...]:
        return values.node_names(self.name, "inputs", self.inputs)

    def _source(self, given: Any) -> str:
        found = values.node_names(self.name, "input", given)
        if len(found) != 1:
            raise NetworkError(
                f"node '{self.name}': reads one node, not {len(found)}; join them in a FloatMerge "
                "or a FloatNeuron"
            )
        return found[0]


class StreamMaker(FloatNode):
    """Base of the kinds whose integer node needs no choice of weights or rules: of streams, but a
    pool may be of sums."""

    def stream(self, amplitudes: Sequence[float]) -> Any:
        """The integer node, of the amplitudes of its inputs."""
        return self.integer()

    def check(self, maxima: Sequence[int]) -> None:
        """NetworkError where the integer node cannot be built on streams of these maxima."""


def window_outputs(
    name: str, given: Shape, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int]:
    """Height and width of what a window makes of a map, padded to ``size``."""
    high, wide = ((n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True))
    if min(high, wide) < 1:
        raise NetworkError(
            f"node '{name}': the kernel is larger than its input of {given[1]} x {given[2]}; "
            "use a smaller kernel or more padding"
        )
    return high, wide


class Weighted(FloatNode):
    """Base of the kinds with weights; stride, padding, groups, dilation and shape of its kernels
    are those of what it becomes."""

    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    dilation: tuple[int, int]
    input: str
    weight: np.ndarray
    kind: str
    bias: np.ndarray | None
    norm: BatchNorm | None
    unit: float | None

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def flattens(self) -> bool:
        """Whether it reads its input as one pixel of C*H*W channels."""
        return self.becomes.flattens

    def kernels(self, weight: Any) -> Any:
        """Weights of this node's shape, of numpy or torch, as (O, C/groups, Kh, Kw)."""
        return self.becomes.kernels(weight)

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first weight to the last."""
        (*_, kh, kw), (dy, dx) = self.kernels(self.weight).shape, self.dilation
        return dy * (kh - 1) + 1, dx * (kw - 1) + 1

    def shape_of(self, shapes: Sequence[Shape]) -> Shape:
        ((c, h, w),) = shapes
        o, channels, *_ = self.kernels(self.weight).shape
        if channels * self.groups != c or o % self.groups:
            raise NetworkError(
                f"node '{self.name}': weight {self.weight.shape} with {self.groups} groups "
                f"does not fit {c} input channels; give (O, {c}//groups, Kh, Kw)"
            )
        top, bottom, left, right = self.padding
        size = h + top + bottom, w + left + right
        return o, *window_outputs(self.name, shapes[0], size, self.extent, self.stride)

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """(gain, offset) float64 (O,) between the weighted sum and the neuron: bias, batch norm."""
        channels = len(self.weight)
        bias = np.zeros(channels) if self.bias is None else np.asarray(self.bias, np.float64)
        if self.norm is None:
            return np.ones(channels), bias
        gain, offset = self.norm.affine()
        return gain, gain * bias + offset

    def _sums(self, ndim: int, axes: str) -> dict[str, Any]:
        """The fields that all have."""
        weight = self._array("weight", self.weight)
        if weight.ndim != ndim or weight.size == 0:
            raise NetworkError(f"node '{self.name}': weight has shape {weight.shape}; give {axes}")
        bias = self._channels("bias", self.bias, len(weight))
        return {
            "input": self._source(self.input),
            "weight": weight,
            "kind": self._choice("kind", "weight kind", ("ternary", "binary", "real")),
            "bias": np.full(len(weight), bias) if isinstance(bias, int | float) else bias,
            "norm": self._norm(self.norm, len(weight)),
            "unit": None if self.unit is None else self._positive("unit"),
        }


def changed(node: Any, given: dict[str, Any]) -> Any:
    """The node with other fields; itself where none is another."""
    new = {k: v for k, v in given.items() if not _same(getattr(node, k), v)}
    return replace(node, **new) if new else node


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b) or isinstance(a, np.ndarray | BatchNorm):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
