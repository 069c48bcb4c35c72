"""The nodes of a float network: what front ends and training write down.

Each kind says what its fields may be, which shape and amplitude it makes, and which integer node it
becomes. numpy only: no torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import numpy as np

from sterna.gen.quantize.float_neurons import FloatNeuron, FloatNeurons, FloatReadout
from sterna.gen.quantize.float_node import (
    BatchNorm,
    FloatNode,
    StreamMaker,
    Weighted,
    window_outputs,
)
from sterna.golden.errors import NetworkError
from sterna.golden.nodes import (
    CODINGS,
    MERGE_OPS,
    Conv2d,
    Input,
    Linear,
    Merge,
    Pool,
)
from sterna.golden.nodes.node import Shape
from sterna.golden.nodes.streams import default_bits, default_scale
from sterna.golden.rule import MAX_SHIFT
from sterna.golden.words import values
from sterna.golden.words.names import show

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
    "KINDS",
    "StreamMaker",
    "Weighted",
]

SAME_AMPLITUDE = 1e-6  # relative difference up to which two amplitudes are one


@dataclass(frozen=True, eq=False, repr=False)
class FloatInput(StreamMaker):
    """Where images enter. Real value of a direct pixel, or of a value in 'frames', p:
    (p * scale - mean) / std.

    ``bits``: of it, 1 .. 8; default 8, in frames 1. ``scale``: default 1/255, of frames 1 (a
    count is itself). ``mean`` and ``std`` (a number or one for each channel) are recorded as a
    front end found them; ``quantize`` says which of them can be built.
    """

    becomes: ClassVar[type[Any]] = Input
    inputs: ClassVar[tuple[str, ...]] = ()
    name: str
    shape: tuple[int, int, int]
    coding: str = "direct"
    bits: int = cast("int", None)
    seed: int = 0
    scale: float = cast("float", None)
    mean: Any = None
    std: Any = None

    def __post_init__(self) -> None:
        given = {"bits": default_bits(self.coding), "scale": default_scale(self.coding)}
        for key, value in given.items():
            if getattr(self, key) is None:
                object.__setattr__(self, key, value)

    @property
    def makes(self) -> str:
        return "pixels" if self.coding == "direct" else "spikes"

    def _converted(self) -> dict[str, Any]:
        shape = values.tuple_of(self.name, "shape", self.shape, 1, 3, most=math.inf)
        shape = values.check_size(self.name, shape)
        coding = self._choice("coding", "coding", CODINGS)
        refusal = f"node '{self.name}': bits {show(self.bits)} must be 1 to 8"
        bits = values.integer(refusal, self.bits, 1, 8)
        refusal = f"node '{self.name}': seed {show(self.seed)} must be 0 to 2**32-1"
        return {
            "shape": shape,
            "coding": coding,
            "bits": bits,
            "seed": values.integer(refusal, self.seed, 0, 2**32 - 1),
            "scale": self._positive("scale"),
            "mean": self._channels("mean", self.mean, shape[0]),
            "std": self._channels("std", self.std, shape[0]),
        }

    def shape_of(self, shapes: Sequence[Shape]) -> Shape:
        return self.shape

    def amplitude_of(self, amplitudes: Sequence[float]) -> float:
        return self.scale if self.coding in ("direct", "frames") else 1.0


@dataclass(frozen=True, eq=False, repr=False)
class FloatConv2d(Weighted):
    """A convolution with real effective weights (O, C/groups, Kh, Kw), zero padding.

    ``kind`` is 'ternary' (values -a, 0, +a) or 'binary' (-a, +a), with a >= 0 for each output
    channel; training starts from arbitrary values, ``quantize`` refuses them. ``kind`` 'real' is
    for training and comparison only; ``quantize`` refuses it.
    ``padding`` is (top, bottom, left, right), also a number or torch's (y, x). ``unit``: the one
    size ``a`` of all channels, where training must keep it (neurons with several inputs); None:
    each channel has its own.
    """

    becomes: ClassVar[type[Any]] = Conv2d
    name: str
    input: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    kind: str = "ternary"
    bias: np.ndarray | None = None
    norm: BatchNorm | None = None
    unit: float | None = None
    dilation: tuple[int, int] = field(default=(1, 1), kw_only=True)

    def _converted(self) -> dict[str, Any]:
        found = self._sums(4, "(O, C//groups, Kh, Kw)")
        stride = values.tuple_of(self.name, "stride", self.stride, 1)
        dilation = values.tuple_of(self.name, "dilation", self.dilation, 1)
        padding = (t, b, left, r) = values.padding(self.name, self.padding)
        kh, kw = replace(self, weight=found["weight"], dilation=dilation).extent
        if max(t, b) >= kh or max(left, r) >= kw:
            what = "kernel" if dilation == (1, 1) else "dilated kernel"
            raise NetworkError(
                f"node '{self.name}': padding {padding} must be smaller than {what} ({kh}, {kw})"
            )
        refusal = f"node '{self.name}': groups {show(self.groups)} must be at least 1"
        groups = values.integer(refusal, self.groups, 1, values.MAX_SIZE)
        own = {"stride": stride, "padding": padding, "groups": groups, "dilation": dilation}
        return found | own


@dataclass(frozen=True, eq=False, repr=False)
class FloatLinear(Weighted):
    """A full connection of a (C, H, W) map: weight (O, C*H*W), torch's (c, y, x) order."""

    becomes: ClassVar[type[Any]] = Linear
    stride: ClassVar[tuple[int, int]] = Linear.stride
    padding: ClassVar[tuple[int, int, int, int]] = Linear.padding
    groups: ClassVar[int] = Linear.groups
    dilation: ClassVar[tuple[int, int]] = Linear.dilation
    name: str
    input: str
    weight: np.ndarray
    kind: str = "ternary"
    bias: np.ndarray | None = None
    norm: BatchNorm | None = None
    unit: float | None = None

    def _converted(self) -> dict[str, Any]:
        return self._sums(2, "(O, C*H*W)")

    def shape_of(self, shapes: Sequence[Shape]) -> Shape:
        ((c, h, w),) = shapes
        if self.weight.shape[1] != c * h * w:
            raise NetworkError(
                f"node '{self.name}': weight {self.weight.shape} does not fit its input of "
                f"{c} x {h} x {w}; give (O, {c * h * w})"
            )
        return self.weight.shape[0], 1, 1


@dataclass(frozen=True, eq=False, repr=False)
class FloatPool(StreamMaker):
    """Pooling of spikes: 'sum', 'avg' (a sum with a smaller amplitude), 'max' (of values), 'or'
    (of spikes), 'first'; or, in front of a neuron, 'sum', 'avg' or 'max' of what a FloatConv2d or
    FloatLinear makes, behind its bias and batch norm.

    ``stride``: default the kernel. ``padding``: as a convolution's; 0 for sums and means (which
    count it, torch's ``count_include_pad``), nothing for maxima."""

    becomes: ClassVar[type[Any]] = Pool
    name: str
    input: str
    mode: str
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = cast("tuple[int, int]", None)
    padding: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), kw_only=True)

    def __post_init__(self) -> None:
        if self.stride is None:
            object.__setattr__(self, "stride", self.kernel)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def _converted(self) -> dict[str, Any]:
        (kh, kw) = kernel = values.tuple_of(self.name, "kernel", self.kernel, 1)
        (t, b, left, r) = padding = values.padding(self.name, self.padding)
        if max(t, b) >= kh or max(left, r) >= kw:
            raise NetworkError(
                f"node '{self.name}': padding {padding} must be smaller than the pool's window "
                f"({kh}, {kw})"
            )
        return {
            "input": self._source(self.input),
            "mode": self._choice("mode", "pool mode", ("sum", "avg", "max", "or", "first")),
            "kernel": kernel,
            "stride": values.tuple_of(self.name, "stride", self.stride, 1),
            "padding": padding,
        }

    def shape_of(self, shapes: Sequence[Shape]) -> Shape:
        ((c, h, w),) = shapes
        size = h + sum(self.padding[:2]), w + sum(self.padding[2:])
        return c, *window_outputs(self.name, (c, h, w), size, self.kernel, self.stride)

    def makes_of(self, given: Sequence[str]) -> str:
        return "sums" if given[0] == "sums" else self.makes

    def pooled(self, x: np.ndarray) -> np.ndarray:
        """Of real values [T,B,C,H,W]; of 'avg' their sums."""
        return self.stream([1.0]).compute(np, [x])

    def amplitude_of(self, amplitudes: Sequence[float]) -> float:
        """Of sums: what one behind it is worth of one in front of it."""
        return amplitudes[0] / (math.prod(self.kernel) if self.mode == "avg" else 1)

    @property
    def shares(self) -> float:
        """How often what is added at every position of a map stands in each of its pooled sums, of
        such without padding."""
        return float(math.prod(self.kernel)) if self.mode == "sum" else 1.0

    @property
    def passes_norms(self) -> bool:
        """Whether what it makes of normed sums is what a norm makes of pooled ones."""
        return self.mode == "max" or (self.mode == "avg" and not any(self.padding))

    def stream(self, amplitudes: Sequence[float]) -> Any:
        return self.integer(mode="sum" if self.mode == "avg" else self.mode)

    def check(self, maxima: Sequence[int]) -> None:
        if self.mode in ("sum", "avg", "max"):
            return
        if maxima[0] > 1:
            what = f"of values up to {maxima[0]}"
            raise NetworkError(
                f"node '{self.name}': a pool '{self.mode}' {what} cannot be built; use 'max', or "
                "pool single spikes"
            )


@dataclass(frozen=True, eq=False, repr=False)
class FloatMerge(StreamMaker):
    """Several spike streams into one: 'add', 'or', 'and', 'andnot', 'concat'."""

    becomes: ClassVar[type[Any]] = Merge
    name: str
    inputs: tuple[str, ...]
    mode: str

    def _converted(self) -> dict[str, Any]:
        inputs, mode = self._names(), self._choice("mode", "merge mode", MERGE_OPS)
        if len(inputs) < 2 or (mode == "andnot" and len(inputs) != 2):
            wanted = "exactly two" if mode == "andnot" else "two or more"
            raise NetworkError(
                f"node '{self.name}': {mode} of {len(inputs)} inputs; give it {wanted}"
            )
        return {"inputs": inputs, "mode": mode}

    def shape_of(self, shapes: Sequence[Shape]) -> Shape:
        if self.mode != "concat":
            return super().shape_of(shapes)
        for name, shape in zip(self.inputs, shapes, strict=True):
            if shape[1:] != shapes[0][1:]:
                raise NetworkError(
                    f"node '{self.name}': inputs '{self.inputs[0]}' {shapes[0]} and '{name}' "
                    f"{shape} cannot be concatenated; bring one to the other's height and width "
                    "by a strided 1x1 convolution or a pool"
                )
        return sum(s[0] for s in shapes), *shapes[0][1:]

    def amplitude_of(self, amplitudes: Sequence[float]) -> float:
        return min(amplitudes)

    def stream(self, amplitudes: Sequence[float]) -> Any:
        return self.integer(shifts=self.shifts(amplitudes))

    def shifts(self, amplitudes: Sequence[float]) -> tuple[int, ...]:
        """Left shift that brings each input to the smallest amplitude among them.

        NetworkError where two amplitudes are no power of two apart, or differ in a boolean merge.
        """
        shifted = self.mode in ("add", "concat")
        least = int(np.argmin(amplitudes))
        out = []
        for name, amplitude in zip(self.inputs, amplitudes, strict=True):
            with np.errstate(over="ignore"):
                ratio = float(np.float64(amplitude) / amplitudes[least])
            shift = round(float(np.log2(min(ratio, 2.0**MAX_SHIFT * 2))))
            meets = shift <= MAX_SHIFT and abs(ratio / 2.0**shift - 1) <= SAME_AMPLITUDE
            if not meets or (shift and not shifted):
                powers = "" if shifted else f", and '{self.mode}' needs 1 : 1"
                raise NetworkError(
                    f"node '{self.name}': inputs '{self.inputs[least]}' and '{name}' have "
                    f"amplitudes 1 : {ratio:g}, not a power of two up to 2**{MAX_SHIFT}{powers}; "
                    "tie the amplitudes in training"
                )
            out.append(shift)
        return tuple(out)


KINDS: dict[str, type[Any]] = {
    kind.becomes.op: kind
    for kind in (
        FloatInput,
        FloatConv2d,
        FloatLinear,
        FloatNeuron,
        FloatPool,
        FloatMerge,
        FloatReadout,
    )
}
"""All that a float network can hold, by the ``op`` of its file."""
