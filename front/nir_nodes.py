"""nir's nodes (1.0.8), as expressions and cells: its differential equations by forward Euler.

tau dv/dt = (v_leak - v) + r I becomes v' = leak*v + gain*I + bias with leak = 1 - dt/tau and gain
r*dt/tau. A reset to v_reset is one to 0 of u = v - v_reset.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sterna.front.cell import Cell
from sterna.front.expression import Expr
from sterna.golden.errors import NetworkError

__all__ = ["NODES", "PARAMETERS", "Place"]

Shape = tuple[int, int, int]
HARD = (
    "reset to v_reset, as nir defines it; exporters of neurons that subtract lose that: give "
    "reset='subtract' if the model's neurons do"
)


@dataclass(frozen=True)
class Place:
    """Where a node stands: its name, the expression it reads and its map, and what was asked."""

    path: str
    read: Expr
    shape: Shape
    dt: float
    steps: int
    reset: str | None
    cells: dict[str, tuple[Cell, Expr]]

    def refuse(self, why: str) -> NetworkError:
        return NetworkError(f"node '{self.path}': {why}")

    def channels(self, name: str, value: Any) -> np.ndarray:
        """(C,) of a parameter of each neuron, which is the same over the map."""
        a = np.asarray(value, np.float64)
        c, h, w = self.shape
        if a.size == 1:
            return np.full(c, float(a.reshape(-1)[0]))
        if a.size == c:
            return a.reshape(c)
        if a.size != c * h * w:
            raise self.refuse(f"{name} of shape {a.shape} does not fit {self.shape}")
        rows = a.reshape(c, h * w)
        if (rows != rows[:, :1]).any():
            raise self.refuse(
                f"{name} has a value for each neuron; one for each channel can be built"
            )
        return rows[:, 0]

    def number(self, name: str, value: Any) -> float:
        a = np.asarray(value, np.float64).reshape(-1)
        if not a.size or (a != a[0]).any():
            raise self.refuse(f"{name} has several values; one for the layer can be built")
        return float(a[0])

    def declared(self, name: str, value: Any, sizes: tuple[int, ...], whole: bool = True) -> None:
        """Refuse a node that says it is made for other sizes than arrive: for as many values
        (``whole``; a Flatten before may have joined axes), or for that map."""
        value = next(iter(value.values()), None) if isinstance(value, dict) else value
        said = [] if value is None else [int(n) for n in np.asarray(value).reshape(-1)]
        same = int(np.prod(said)) == int(np.prod(sizes)) if whole else tuple(said) == sizes
        if said and not same:
            raise self.refuse(f"{name} {tuple(said)} does not fit the {sizes} that arrives")

    def plain(self) -> "Place":
        """What a layer of maps may read. NetworkError behind a Flatten: its axes are gone."""
        if self.read.kind == "flatten" and self.shape[1:] != (1, 1):
            raise self.refuse("reads a map that was flattened; put the Flatten behind it")
        return self

    def euler(self, name: str, tau: Any) -> float:
        """dt/tau, in 0 .. 1."""
        value = self.number(name, tau)
        if not 0 < self.dt <= value:
            raise self.refuse(
                f"{name} {value:g} is shorter than dt {self.dt:g}; choose dt at most {name}"
            )
        return self.dt / value


Made = tuple[Expr, Shape]
Handler = Callable[[Place, dict[str, Any]], Made]
NODES: dict[str, Handler] = {}
PARAMETERS: dict[str, dict[str, str]] = {}
"""By kind, what becomes of each parameter."""
_TAU = "exact by forward Euler: leak 1 - dt/tau; one for each neuron is refused"
_EACH = "exact: a number, or one a channel; one a neuron of a map is refused"
VERDICTS = {
    "tau": _TAU,
    "tau_syn": _TAU,
    "tau_mem": _TAU,
    "r": _EACH,
    "w_in": _EACH,
    "v_leak": _EACH,
    "v_threshold": f"{_EACH} (fires above it)",
    "threshold": f"{_EACH} (fires above it)",
    "v_reset": f"{_EACH}, unless reset='subtract' says otherwise",
    "scale": _EACH,
    "weight": "exact; real ones are calibrated or trained",
    "bias": "exact",
    "stride": "exact",
    "padding": "exact",
    "dilation": "exact",
    "groups": "exact",
    "kernel_size": "exact",
    "delay": "exact where it is 0; else refused",
    "start_dim": "without effect: the order of values stays",
    "end_dim": "without effect: the order of values stays",
    "input_shape": "checked against what arrives",
    "input_type": "checked against what arrives",
    "output_type": "checked against what arrives",
    "shape": "checked against what arrives",
    "metadata": "without effect",
}
_COMMON = "input_type output_type metadata shape"


def _node(kind: str, parameters: str = "") -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        NODES[kind] = handler
        PARAMETERS[kind] = {n: VERDICTS[n] for n in f"{parameters} {_COMMON}".split()}
        return handler

    return register


def _narrow(a: np.ndarray) -> Any:
    return float(a[0]) if (a == a[0]).all() else a


def _gained(read: Expr, gain: np.ndarray, path: str) -> Expr:
    """``gain`` (C,) times what a neuron reads: in the weights where one layer gives it."""
    if (gain == 1).all():
        return read
    if read.kind in ("conv", "linear"):
        v = dict(read.values)
        if len(gain) == len(v["weight"]):
            v["weight"] = v["weight"] * gain.reshape(-1, *[1] * (v["weight"].ndim - 1))
            v["bias"] = None if v["bias"] is None else v["bias"] * gain
            return replace(read, values=v)
    return Expr("affine", path, (read,), {"gain": _narrow(gain), "offset": 0.0}, read.shape)


def _cell(p: Place, cell: Cell, gain: np.ndarray) -> Made:
    read = _gained(p.read, gain, p.path)
    p.cells[p.path] = (cell, read)
    part = -1 if cell.membrane else 0
    return Expr("cell", p.path, (read,), shape=read.shape, part=part), p.shape


def _firing(p: Place, v: dict[str, Any], leak: float, rest: Any, notes: tuple[str, ...]) -> Cell:
    """A neuron whose membrane leaks towards ``rest`` (C,), all but its input and synapse."""
    threshold = p.channels("v_threshold", v["v_threshold"])
    low = p.channels("v_reset", 0.0 if v.get("v_reset") is None else v["v_reset"])
    if p.reset == "subtract":
        bias = (1 - leak) * rest
        return Cell(
            leak,
            threshold=_narrow(threshold),
            strict=True,
            reset="subtract",
            bias=_bias(bias),
            notes=notes,
        )
    if p.reset is None:
        notes = (*notes, HARD)
    return Cell(
        leak,
        threshold=_narrow(threshold - low),
        strict=True,
        reset="zero",
        bias=_bias((1 - leak) * (rest - low)),
        v_init=_narrow(0.0 - low),
        notes=notes,
    )


def _bias(a: np.ndarray) -> Any:
    return None if (a == 0).all() else _narrow(a)


def _after_synapse(p: Place, cell: Cell, synapse: float) -> Cell:
    """The bias of a membrane, put in front of its synapse: b, then b*(1 - synapse)."""
    if cell.bias is None:
        return replace(cell, synapse=synapse)
    row = np.broadcast_to(np.asarray(cell.bias, np.float64), (p.shape[0],))
    rows = np.repeat(row[None], p.steps, 0)
    rows[1:] *= 1 - synapse
    return replace(cell, synapse=synapse, bias=rows)


@_node("LIF", "tau r v_leak v_threshold v_reset")
def _lif(p: Place, v: dict[str, Any]) -> Made:
    part = p.euler("tau", v["tau"])
    cell = _firing(p, v, 1 - part, p.channels("v_leak", v["v_leak"]), ())
    return _cell(p, cell, part * p.channels("r", v["r"]))


@_node("CubaLIF", "tau_syn tau_mem r v_leak v_threshold v_reset w_in")
def _cuba_lif(p: Place, v: dict[str, Any]) -> Made:
    syn, part = p.euler("tau_syn", v["tau_syn"]), p.euler("tau_mem", v["tau_mem"])
    cell = _firing(p, v, 1 - part, p.channels("v_leak", v["v_leak"]), (FRESH,))
    gain = part * syn * p.channels("r", v["r"]) * p.channels("w_in", v["w_in"])
    return _cell(p, _after_synapse(p, cell, 1 - syn), gain)


FRESH = "the membrane takes in the current of the same step"


@_node("IF", "r v_threshold v_reset")
def _if(p: Place, v: dict[str, Any]) -> Made:
    gain = p.dt * p.channels("r", v["r"])
    low = p.channels("v_reset", 0.0 if v.get("v_reset") is None else v["v_reset"])
    notes: tuple[str, ...] = ()
    if (gain != 1).any():
        notes = (f"gain r*dt {gain[0]:g}; snnTorch and sinabs mean 1 by r = 1: give dt=1 then",)
    return _cell(p, _firing(p, v, 1.0, low, notes), gain)


@_node("Threshold", "threshold")
def _threshold(p: Place, v: dict[str, Any]) -> Made:
    level = _narrow(p.channels("threshold", v["threshold"]))
    # with nothing taken off: where a leak of 0 forgets anyway, a reset says nothing
    return _cell(p, Cell(0.0, threshold=level, strict=True, reset="zero"), np.ones(p.shape[0]))


def _integrator(p: Place, leak: float, rest: np.ndarray, gain: np.ndarray, synapse: Any) -> Made:
    cell = Cell(leak, reset="none", bias=_bias((1 - leak) * rest), membrane=True)
    cell = cell if synapse is None else _after_synapse(p, cell, synapse)
    return _cell(p, cell, gain)


@_node("LI", "tau r v_leak")
def _li(p: Place, v: dict[str, Any]) -> Made:
    part = p.euler("tau", v["tau"])
    rest = p.channels("v_leak", v["v_leak"])
    return _integrator(p, 1 - part, rest, part * p.channels("r", v["r"]), None)


@_node("CubaLI", "tau_syn tau_mem r v_leak w_in")
def _cuba_li(p: Place, v: dict[str, Any]) -> Made:
    syn, part = p.euler("tau_syn", v["tau_syn"]), p.euler("tau_mem", v["tau_mem"])
    gain = part * syn * p.channels("r", v["r"]) * p.channels("w_in", v["w_in"])
    return _integrator(p, 1 - part, p.channels("v_leak", v["v_leak"]), gain, 1 - syn)


@_node("I", "r")
def _i(p: Place, v: dict[str, Any]) -> Made:
    return _integrator(p, 1.0, np.zeros(p.shape[0]), p.dt * p.channels("r", v["r"]), None)


@_node("Affine", "weight bias")
def _affine(p: Place, v: dict[str, Any]) -> Made:
    weight = np.asarray(v["weight"], np.float64)
    if weight.ndim != 2:
        raise p.refuse(f"weight of shape {weight.shape}: only (out, in) can be built")
    if weight.shape[1] != int(np.prod(p.shape)):
        raise p.refuse(f"reads {int(np.prod(p.shape))} values, its weight has {weight.shape[1]}")
    bias = v.get("bias")
    bias = None if bias is None else np.broadcast_to(np.asarray(bias, float), len(weight)).copy()
    values = {"weight": weight, "bias": bias}
    return Expr("linear", p.path, (p.read,), values, (1, len(weight))), (len(weight), 1, 1)


_node("Linear", "weight")(_affine)


@_node("Scale", "scale")
def _scale(p: Place, v: dict[str, Any]) -> Made:
    return _gained(p.read, p.channels("scale", v["scale"]), p.path), p.shape


def _pair(p: Place, name: str, value: Any) -> tuple[int, int]:
    a = np.asarray(value).reshape(-1)
    if a.size not in (1, 2) or a.dtype.kind not in "iuf" or (a != np.rint(a)).any():
        raise p.refuse(f"{name} {value!r} is no whole number or pair")
    return int(a[0]), int(a[-1])


def _conv(p: Place, v: dict[str, Any], flat: bool) -> Made:
    p = p.plain()
    if flat and p.shape[1] != 1:
        raise p.refuse(f"a Conv1d reads a map of {p.shape}; use Conv2d")
    sizes = p.shape[2:] if flat else p.shape[1:]
    p.declared("input_shape", v.get("input_shape"), sizes, whole=False)
    weight = np.asarray(v["weight"], np.float64)
    if weight.ndim != (3 if flat else 4):
        raise p.refuse(f"weight has shape {weight.shape}")
    weight = weight[:, :, None, :] if flat else weight
    size = lambda n, one: (one, _pair(p, n, v[n])[0]) if flat else _pair(p, n, v[n])  # noqa: E731
    stride, dilation, kernel = size("stride", 1), size("dilation", 1), weight.shape[2:]
    groups = int(p.number("groups", v["groups"]))
    if min(*stride, *dilation, *weight.shape, groups) < 1:
        raise p.refuse("stride, dilation, groups and kernel must be at least 1")
    if p.shape[0] != weight.shape[1] * groups or len(weight) % groups:
        raise p.refuse(f"reads {p.shape[0]} channels, its weight {weight.shape[1]} x {groups}")
    word = v["padding"]
    word = word.decode() if isinstance(word, bytes) else word
    if isinstance(word, str):
        if word not in ("same", "valid"):
            raise p.refuse("padding is neither 'same' nor 'valid'")
        total = [d * (k - 1) * (word == "same") for d, k in zip(dilation, kernel, strict=True)]
        edges = (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    else:
        y, x = size("padding", 0)
        edges = (y, y, x, x)
    ends = []
    for k in (0, 1):
        n = p.shape[1 + k] + sum(edges[2 * k : 2 * k + 2]) - dilation[k] * (kernel[k] - 1) - 1
        if n < 0 or min(edges) < 0:
            raise p.refuse(f"its kernel does not fit a map of {p.shape[1:]}")
        ends.append(n // stride[k] + 1)
    bias = None if v.get("bias") is None else np.asarray(v["bias"], np.float64)
    bias = None if bias is None else np.broadcast_to(bias, len(weight)).copy()
    values = {"weight": weight, "bias": bias, "stride": stride, "padding": edges}
    values |= {"dilation": dilation, "groups": groups}
    shape = (len(weight), ends[0], ends[1])
    return Expr("conv", p.path, (p.read,), values, (1, *shape)), shape


_CONV = "input_shape weight stride padding dilation groups bias"


@_node("Conv1d", _CONV)
def _conv1d(p: Place, v: dict[str, Any]) -> Made:
    return _conv(p, v, True)


@_node("Conv2d", _CONV)
def _conv2d(p: Place, v: dict[str, Any]) -> Made:
    return _conv(p, v, False)


def _pool(p: Place, v: dict[str, Any], divisor: int | None) -> Made:
    p = p.plain()
    kernel, stride, padding = (_pair(p, n, v[n]) for n in ("kernel_size", "stride", "padding"))
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise p.refuse("kernel and stride must be at least 1, padding at least 0")
    sizes = [
        (n + 2 * e - k) // s + 1
        for n, k, s, e in zip(p.shape[1:], kernel, stride, padding, strict=True)
    ]
    if min(sizes) < 1:
        raise p.refuse(f"its kernel {kernel} does not fit a map of {p.shape[1:]}")
    values = {"op": "avg", "kernel": kernel, "stride": stride, "padding": padding}
    shape = (p.shape[0], sizes[0], sizes[1])
    made = Expr("pool", p.path, (p.read,), values | {"divisor": divisor}, (1, *shape))
    return made, shape


@_node("SumPool2d", "kernel_size stride padding")
def _sum_pool(p: Place, v: dict[str, Any]) -> Made:
    return _pool(p, v, 1)


@_node("AvgPool2d", "kernel_size stride padding")
def _avg_pool(p: Place, v: dict[str, Any]) -> Made:
    return _pool(p, v, None)


@_node("Delay", "delay")
def _delay(p: Place, v: dict[str, Any]) -> Made:
    if np.any(np.asarray(v["delay"]) != 0):
        raise p.refuse("a Delay cannot be built; leave it out, or shift the frames")
    return p.read, p.shape


@_node("Flatten", "start_dim end_dim")
def _flatten(p: Place, v: dict[str, Any]) -> Made:
    p.declared("input_type", v.get("input_type"), p.shape)
    return Expr("flatten", p.path, (p.read,), {}, p.read.shape), p.shape  # the order stays


@_node("Output")
def _output(p: Place, v: dict[str, Any]) -> Made:
    p.declared("shape", v.get("shape", v.get("output_type")), p.shape)
    return p.read, p.shape


@_node("Identity")
def _same(p: Place, v: dict[str, Any]) -> Made:
    return p.read, p.shape
