"""``to_nir``: a float network as a graph of the Neuromorphic Intermediate Representation.

The other way round of ``front.nir_nodes``: a leak is tau = dt/(1 - leak), its input's gain is 1 by
r = tau/dt. A neuron that fires at its threshold is written with one just below, since NIR's fire
above; amplitudes of spikes and batch norms go into the weights behind and in front, groups become
zeros. What NIR has no word for is refused by its node.
"""

import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from sterna.front.arguments import word_of
from sterna.gen.quantize.float_network import (
    FloatInput,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatNeurons,
    FloatPool,
    FloatReadout,
    Weighted,
)
from sterna.gen.quantize.float_neurons import carried
from sterna.gen.quantize.reference import worth_of
from sterna.gen.quantize.ties import tie_width
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.files.disk import StrPath, write_atomic
from sterna.golden.words import values
from sterna.golden.words.names import Scope, show
from sterna.golden.words.packages import packages

__all__ = ["to_nir"]

SAID = {"leak", "synapse"}
"""Fields of a neuron that NIR has words for, beside thresholds, starts and resets."""
WRITTEN = set(
    "name input inputs shape coding bits seed scale mean std weight stride padding dilation groups "
    "kind bias norm unit mode kernel".split()
)
"""Fields of all other nodes that are written, or mean nothing here: a new one is refused."""
POOLS = {"sum": "SumPool2d", "avg": "AvgPool2d"}
Part = tuple[str, float]
"""A stream in the graph: its node, and what one of its units is worth."""


def to_nir(network: Any, path: StrPath, *, dt: float = 1.0, reset: str | None = None) -> Path:
    """Write a float network as a NIR file, which ``from_nir`` with the same ``dt`` reads back; how
    images enter is noted in the metadata of its input.

    Parameters
    ----------
    network : FloatNetwork, or what has one: Imported, Run
        Of 'direct' or 'frames' coding; the graph reads what the network's input makes of a pixel,
        ``(p*scale - mean)/std``.
    path : str or path
    dt : float
        Length of a step, in the unit that time constants are written in.
    reset : str, optional
        'subtract' also writes neurons that subtract their threshold, which NIR cannot say: read the
        file with ``from_nir(..., reset='subtract')``. By default they are refused; refused in any
        case is what subtracts another number, as snnTorch's threshold/beta.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    NetworkError
        NIR has no word for it: the node, and what.
    UsageError
        An argument is not meant.
    ToolMissing
        The package nir is not installed.
    FileError
        The file cannot be written.
    """
    given = network if isinstance(network, FloatNetwork) else getattr(network, "network", None)
    if not isinstance(given, FloatNetwork):
        raise UsageError(f"to_nir: {show(network)} is no FloatNetwork; give one, or an Imported")
    where = values.path("to_nir", path)
    dt = values.number(f"dt {show(dt)} must be a number above 0", dt, True, UsageError)
    reset = None if reset is None else word_of("reset", reset, ("subtract",))
    with packages():
        import nir

    writer = _Writer(given, nir, dt, reset)
    for node in given.nodes:
        writer.add(node)
    file: Any = io.BytesIO()
    nir.write(file, nir.NIRGraph(writer.nodes, writer.edges))
    write_atomic(where, file.getvalue())
    return where


class _Writer:
    def __init__(self, network: FloatNetwork, nir: Any, dt: float, reset: str | None) -> None:
        self.network, self.nir, self.dt, self.reset = network, nir, dt, reset
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.axes: dict[str, tuple[int, ...]] = {}  # of what each node of the graph gives
        self.streams: dict[str, tuple[Part, ...]] = {}
        self.scope = Scope([])

    def refuse(self, name: str, why: str, way: str = "") -> NetworkError:
        way = f"; {way}" if way else ""
        return NetworkError(f"node '{name}': {why}, which NIR has no word for{way}")

    def put(self, name: str, node: Any, axes: tuple[int, ...], *sources: str) -> str:
        name = self.scope.name(name)
        self.nodes[name], self.axes[name] = node, axes
        self.edges += [(s, name) for s in sources]
        return name

    def add(self, node: Any) -> None:
        """A node of the network; weighted ones come with the neurons that read them."""
        if not isinstance(node, FloatNeurons):  # theirs: `_check`
            for f in fields(node):
                value: Any = getattr(node, f.name)
                if f.name not in WRITTEN and not np.array_equal(value, np.asarray(f.default)):
                    raise self.refuse(node.name, f"{f.name} {value}")
        if isinstance(node, FloatInput):
            self._input(node)
        elif isinstance(node, FloatPool):
            if node.input in self.streams:
                parts = self.streams[node.input]
                made = self._pool(node, *(name for name, _ in parts))
                self.streams[node.name] = ((made, parts[0][1]),)
        elif isinstance(node, FloatMerge):
            self._merge(node)
        elif isinstance(node, FloatNeurons):
            self._neurons(node)
        elif not isinstance(node, Weighted):
            raise self.refuse(node.name, f"a {type(node).__name__}")

    def _input(self, node: FloatInput) -> None:
        if node.coding not in ("direct", "frames"):
            raise self.refuse(node.name, f"{node.coding} coding")
        readers = [n for n in self.network.nodes if node.name in n.inputs]
        flat = node.shape[1:] == (1, 1) and not any(
            isinstance(n, Weighted) and not n.flattens for n in readers
        )
        axes = node.shape[:1] if flat else node.shape
        said = {n: getattr(node, n) for n in ("bits", "scale", "mean", "std")}
        said = {f"sterna_{n}": v for n, v in said.items() if v is not None}
        noted = {"sterna_input": node.coding, **said}
        kind = self.nir.Input({"input": np.array(axes)}, metadata=noted)
        name = self.put(node.name, kind, axes)
        self.streams[node.name] = ((name, 1.0),)

    def _pool(self, node: FloatPool, *sources: str) -> str:
        if node.mode not in POOLS:
            raise self.refuse(node.name, f"a pool of mode '{node.mode}'")
        padding = self._alike(node.name, node.padding)
        sizes = [np.array(s) for s in (node.kernel, node.stride, padding)]
        kind, axes = getattr(self.nir, POOLS[node.mode]), self.network.shape[node.name]
        return self.put(node.name, kind(*sizes), axes, *sources)

    def _merge(self, node: FloatMerge) -> None:
        if node.mode != "add":
            raise self.refuse(node.name, f"a merge '{node.mode}'")
        parts = tuple(p for i in node.inputs for p in self.streams[i])
        if len({name for name, _ in parts}) < len(parts):
            raise self.refuse(node.name, "an addition of a stream to itself")
        if len({gain for _, gain in parts}) > 1:
            raise self.refuse(node.name, "an addition of spikes of several amplitudes")
        self.streams[node.name] = parts

    # ----------------------------------------------------------------------------------- neurons

    def _neurons(self, node: FloatNeurons) -> None:
        self._check(node)
        gain, offset = np.ones(()), np.zeros(self.network.shape[node.name][0])
        if isinstance(node, FloatNeuron) and node.norm is not None:
            gain, offset = node.norm.affine()
        if node.bias is not None:
            offset = offset + node.bias
        sources: list[str] = []
        for name in self._layers_first(node):
            if name in self.streams:
                sources += [self._scaled(part, gain, name) for part in self.streams[name]]
            else:
                sources.append(self._sums(name, gain, offset))
                offset = np.zeros_like(offset)
        axes = self.axes[sources[0]]
        name = self.put(node.name, self._neuron(node, axes), axes, *sources)
        if isinstance(node, FloatReadout):
            kind = self.nir.Output({"output": np.array(axes)})
            self.put("output", kind, axes, name)
        else:
            assert isinstance(node, FloatNeuron)
            self.streams[node.name] = ((name, node.amplitude),)

    def _layers_first(self, node: FloatNeurons) -> list[str]:
        """Its inputs, the first of them one that can hold a bias."""
        return sorted(node.inputs, key=lambda name: name in self.streams)

    def _check(self, node: FloatNeurons) -> None:
        name, membrane = node.name, isinstance(node, FloatReadout) and node.mode == "membrane"
        if isinstance(node, FloatReadout) and node.mode == "first_spike":
            raise self.refuse(name, "a readout of first spikes")
        unsaid = carried(type(node), vars(node)) - SAID - {"amplitude", "norm", "mode"}
        if unsaid:
            raise self.refuse(name, f"{min(unsaid)} of a neuron")
        if getattr(node, "delay", 0):
            raise self.refuse(name, "delayed spikes")
        if np.ndim(node.bias) == 2:
            raise self.refuse(name, "a bias that differs from step to step")
        if node.synapse is not None and (node.synapse in ("ramp", 1.0) or node.leak == 1):
            raise self.refuse(name, "a synapse or a membrane behind one that does not decay")
        if membrane:
            if np.any(np.asarray(node.v_init) != 0):
                raise self.refuse(name, "a membrane that is read and does not begin at 0")
        elif node.reset == "subtract":
            self._check_subtract(node)
            if np.any(np.asarray(node.v_init) != 0):
                raise self.refuse(name, "a subtracting neuron that does not begin at 0")
        elif node.reset != "zero":
            raise self.refuse(name, f"reset '{node.reset}'")

    def _check_subtract(self, node: FloatNeurons) -> None:
        """Refuse what takes off another number than its threshold, or anything without being
        asked for."""
        level = np.asarray(node.threshold, np.float64)
        back = level if node.reset_by is None else np.asarray(node.reset_by, np.float64)
        if not back.any():
            why = "a neuron that fires and is never reset"
            raise self.refuse(node.name, why, "read its membrane, or let it reset to zero")
        level, back = np.broadcast_arrays(level, back)
        if np.any(back != level):
            at = np.flatnonzero(back != level)[0]
            why = (
                f"a reset that takes off {back.flat[at]:g} at a threshold of {level.flat[at]:g} "
                "(of snnTorch threshold/beta, since its reset comes a step late)"
            )
            raise self.refuse(node.name, why, "reset='subtract' neither; use a reset to zero")
        if self.reset != "subtract":
            way = "give reset='subtract', here and to from_nir"
            raise self.refuse(node.name, "reset 'subtract'", way)

    def _neuron(self, node: FloatNeurons, axes: tuple[int, ...]) -> Any:
        full: Callable[[Any], np.ndarray] = lambda a: np.broadcast_to(  # noqa: E731
            np.asarray(a, np.float64).reshape(-1, *[1] * (len(axes) - 1)), axes
        ).copy()
        part, tau, r = _time(node.leak, self.dt)
        times: dict[str, Any] = {}
        if node.synapse is not None:
            slow, tau_syn, w_in = _time(float(node.synapse), self.dt)
            times = {"tau_syn": full(tau_syn), "tau_mem": full(tau), "w_in": full(w_in)}
        elif part > 0:
            times = {"tau": full(tau)}
        start = np.asarray(node.v_init, np.float64)
        leaking = {"r": full(r)} | ({"v_leak": full(-start)} if times else {})
        if isinstance(node, FloatReadout) and node.mode == "membrane":
            kind = {0: "I", 1: "LI", 3: "CubaLI"}[len(times)]
            return getattr(self.nir, kind)(**times, **leaking)
        fires = {"v_threshold": full(self._level(node) - start), "v_reset": full(-start)}
        kind = {0: "IF", 1: "LIF", 3: "CubaLIF"}[len(times)]
        return getattr(self.nir, kind)(**times, **leaking, **fires)

    def _level(self, node: FloatNeurons) -> np.ndarray:
        """The threshold that is crossed where the neuron's own is reached."""
        level = np.broadcast_to(np.asarray(node.threshold, np.float64), self._channels(node))
        if node.strict:
            return level
        unit: Any = worth_of(self.network, node).size
        return level - np.maximum(2 * tie_width(level, unit=unit), 1e-9 * unit)

    def _channels(self, node: FloatNeurons) -> tuple[int]:
        return (self.network.shape[node.name][0],)

    # ------------------------------------------------------------------------------------ inputs

    def _scaled(self, part: Part, gain: np.ndarray, of: str) -> str:
        """Spikes that enter a neuron as they are, times what they are worth."""
        name, worth = part
        if np.all(gain * worth == 1):
            return name
        axes = self.axes[name]
        full = np.broadcast_to((gain * worth).reshape(-1, *[1] * (len(axes) - 1)), axes).copy()
        return self.put(f"{of}_scale", self.nir.Scale(full), axes, name)

    def _sums(self, name: str, gain: np.ndarray, offset: np.ndarray) -> str:
        """Weighted sums times ``gain`` plus ``offset``, behind their pool if there is one."""
        pool = self.network.by_name[name]
        if isinstance(pool, FloatPool):
            return self._pool(pool, self._sums(pool.input, gain, offset / pool.shares))
        node = self.network.weighted(name)
        own_gain, own_offset = node.affine()
        parts = self.streams[node.input]
        scale = gain * own_gain * parts[0][1]
        weight = np.asarray(node.weight, np.float64)
        weight = weight * np.reshape(scale, (-1, *[1] * (weight.ndim - 1)))
        bias = gain * own_offset + offset
        sources = [source for source, _ in parts]
        if not node.flattens:
            return self._conv(node, node.kernels(weight), bias, sources)
        axes = self.axes[sources[0]]
        if len(axes) > 1:
            flat = self.nir.Flatten({"input": np.array(axes)}, 0, -1)
            sources = [self.put(f"{name}_flat", flat, (int(np.prod(axes)),), *sources)]
        layer = self.nir.Affine(weight, bias) if bias.any() else self.nir.Linear(weight)
        return self.put(name, layer, (len(weight),), *sources)

    def _alike(self, name: str, padding: tuple[int, int, int, int]) -> tuple[int, int]:
        top, bottom, left, right = padding
        if top != bottom or left != right:
            raise self.refuse(name, f"padding {padding}, not alike on both sides")
        return top, left

    def _conv(self, node: Weighted, weight: np.ndarray, bias: Any, sources: list[str]) -> str:
        padding = self._alike(node.name, node.padding)
        size = self.network.shape[node.input][1:]
        weight = _dense(weight, node.groups)  # nir 1.0.8's own check knows no groups
        how = node.stride, padding, node.dilation, 1, bias
        layer = self.nir.Conv2d(size, weight, *how)
        return self.put(node.name, layer, self.network.shape[node.name], *sources)


def _dense(weight: np.ndarray, groups: int) -> np.ndarray:
    """(O, C, Kh, Kw) with zeros of a weight (O, C/groups, Kh, Kw)."""
    out, each = len(weight), weight.shape[1]
    dense = np.zeros((out, each * groups, *weight.shape[2:]))
    for g in range(groups):
        rows = slice(g * out // groups, (g + 1) * out // groups)
        dense[rows, g * each : (g + 1) * each] = weight[rows]
    return dense


def _time(leak: float, dt: float) -> tuple[float, float, float]:
    """(dt/tau, tau, r) of a leak, as near to it as floats come when Euler's step is taken again:
    1 - dt/tau is the leak, dt/tau*r is 1 (of a leak of 1: dt*r)."""
    if leak == 1:
        return 0.0, np.inf, _nearest(1 / dt, lambda r: dt * r, 1.0)
    tau = _nearest(dt / (1 - leak), lambda t: 1 - dt / t, leak)
    tau = max(tau, dt)
    part = dt / tau
    return part, tau, _nearest(1 / part, lambda r: part * r, 1.0)


def _nearest(start: float, made: Callable[[float], float], wanted: float) -> float:
    """The float near ``start`` that makes what is nearest to ``wanted``."""
    near = [start]
    for way in (np.inf, -np.inf):
        value = start
        for _ in range(4):
            value = float(np.nextafter(value, way))
            near.append(value)
    return min(near, key=lambda value: (abs(made(value) - wanted), abs(value - start)))
