"""What an expression is worth on the way to a float network, and the nodes that neurons become."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sterna.front.cell import Cell
from sterna.front.expression import Expr
from sterna.gen.quantize.float_network import BatchNorm, FloatNeuron, FloatReadout
from sterna.golden.errors import NetworkError

__all__ = [
    "Value",
    "by_group",
    "check_reads",
    "composed",
    "kind_of",
    "neuron_of",
    "per_input",
    "plain",
    "readout_of",
    "times",
    "unscaled",
    "window_of",
]


@dataclass(frozen=True)
class Value:
    """What an expression is: ``node`` of a stream ('pixels' or 'spikes'), or the ``terms`` of
    sums, with the affine that still acts on their total."""

    kind: str  # 'pixels', 'spikes', 'sums'
    shape: tuple[int, int, int]
    node: str = ""
    terms: tuple[str, ...] = ()
    norm: BatchNorm | None = None
    gain: Any = 1.0
    offset: Any = 0.0


def check_reads(who: str, e: Expr, reads: list[Expr], shapes: list[tuple[int, ...]]) -> None:
    """NetworkError where ``e`` acts on axes of what it reads that are not those of the maps (of
    ``shapes``, (C, H, W)) behind them: channels of a flattened map, padding in front of anything
    but a convolution, shapes that are stretched to fit. Expressions of graphs may have no shape."""
    if e.kind not in ("conv", "pad") and any(r.kind == "pad" for r in reads):
        raise NetworkError(
            f"{who}: reads padded maps, and only a convolution's padding can be built; put the "
            "padding right in front of one, or give it padding="
        )
    each = e.kind == "affine" and any(np.ndim(e.values[k]) for k in ("gain", "offset"))
    if each or e.kind in ("conv", "norm", "pool"):
        read = reads[0]
        while read.kind == "pad":
            read = read.args[0]
        if read.shape and tuple(read.shape[1:]) not in _faces(shapes[0]):
            raise NetworkError(
                f"{who}: acts on axes {tuple(read.shape[1:])} of a map of {shapes[0]} that was "
                "reshaped, which cannot be built; let it read the map (C, H, W) itself"
            )
    wide = [[n for n in r.shape if n != 1] for r in (e, *reads) if r.shape]
    if e.kind in ("add", "mul") and any(w != wide[0] for w in wide):
        sizes = " and ".join(str(tuple(r.shape[1:])) for r in reads)
        raise NetworkError(
            f"{who}: joins streams of {sizes}, stretched to one shape, which cannot be built; give "
            "both one shape"
        )


def _faces(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The axes of a tensor behind the batch, under which a map (C, H, W) is itself."""
    c, h, w = shape
    return [(c, h, w), *([(c, w)] if h == 1 else []), *([(c,)] if h == w == 1 else [])]


def kind_of(weight: np.ndarray) -> str:
    """'binary', 'ternary' or 'real', by the values of each output channel."""
    flat = np.abs(np.asarray(weight, np.float64)).reshape(len(weight), -1)
    if not np.isfinite(flat).all():
        return "real"  # and refused where it is looked at
    size = flat.max(1, keepdims=True)
    near = np.abs(flat - size) <= 1e-6 * size
    if near.all() and (size > 0).all():
        return "binary"
    return "ternary" if (near | (flat <= 1e-6 * size)).all() else "real"


def unscaled(value: Value) -> bool:
    return bool(np.all(np.asarray(value.gain) == 1) and np.all(np.asarray(value.offset) == 0))


def plain(a: Any) -> Any:
    return float(a) if np.ndim(a) == 0 else a


def per_input(gain: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """(C*H*W,) of one gain a channel, in torch's order."""
    full = np.broadcast_to(np.asarray(gain, np.float64), (shape[0],))
    return np.repeat(full, shape[1] * shape[2])


def by_group(each: np.ndarray, groups: int, outputs: int) -> np.ndarray:
    """(outputs, C/groups): what the weights of each output meet of one number a channel, (C,)."""
    return each.reshape(groups, -1).repeat(outputs // groups, 0)


def window_of(v: dict[str, Any]) -> dict[str, Any]:
    """Kernel, stride and padding of a pool as a float node has them; (y, x) of padding given."""
    (y, x) = v["padding"]
    return {"kernel": v["kernel"], "stride": v["stride"], "padding": (y, y, x, x)}


def times(sums: Value, gain: Any, offset: Any = 0.0) -> BatchNorm:
    """Sums times a number, or one a channel, and one added, as a norm."""
    zeros = np.zeros(sums.shape[0])
    return BatchNorm(zeros + gain, zeros + offset, zeros, zeros + 1, 0.0)


def composed(first: BatchNorm | None, second: BatchNorm) -> BatchNorm:
    """second(first(x)): the first where it is alone, else their product as an affine."""
    if first is None:
        return second
    g1, o1 = first.affine()
    g2, o2 = second.affine()
    return BatchNorm(g1 * g2, o1 * g2 + o2, np.zeros_like(g1), np.ones_like(g1), 0.0)


def neuron_of(name: str, cell: Cell, sums: Value) -> FloatNeuron:
    """The neurons that add ``sums``."""
    settings = cell.settings(cell.reset, cell.reset_by)
    return FloatNeuron(name, sums.terms, amplitude=cell.amplitude, norm=sums.norm, **settings)


def readout_of(name: str, cell: Cell, sums: Value, mode: str) -> FloatReadout:
    """The readout of ``sums``; a membrane is never reset, nor what has fired, of a first spike."""
    if sums.norm is not None:
        raise NetworkError(
            f"node '{name}': a gain or a batch norm over the total of the last layers is not built "
            "in front of a readout; put it into each of them"
        )
    settings = cell.settings(cell.reset, cell.reset_by)
    if mode != "count":
        settings |= {"reset": "none", "reset_by": None}
    return FloatReadout(name, sums.terms, mode=mode, **settings)
