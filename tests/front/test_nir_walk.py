"""Every node of nir and every parameter of it, whatever its value: NIR's own equations, or a
refusal by the node's name."""

import inspect
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")

from nir.ir.node import NIRNode  # noqa: E402
from nircase import simulate  # noqa: E402

from sterna.front.nir import from_nir  # noqa: E402
from sterna.front.nir_nodes import NODES, PARAMETERS  # noqa: E402
from sterna.gen.quantize.reference import float_logits  # noqa: E402
from sterna.golden.errors import NetworkError  # noqa: E402

RNG = np.random.default_rng(8)
STEPS, N = 6, 6
EXACT, REFUSED = True, False
NONE = "leave it out"

CLASSES = {
    n: c
    for n, c in inspect.getmembers(nir, inspect.isclass)
    if issubclass(c, NIRNode) and c not in (NIRNode, nir.NIRGraph)
}


def trits(*shape: int) -> np.ndarray:
    w = RNG.choice([-1.0, 0.0, 1.0], shape)
    w.reshape(shape[0], -1)[:, 0] = 1
    return w


def each(low: float, high: float) -> np.ndarray:
    """A value for each of N channels, dyadic."""
    return np.linspace(low, high, N) // 0.125 * 0.125


LEVELS = [(1.25, EXACT), (each(0.5, 2), EXACT)]
TAUS = [(4.0, EXACT), (each(2, 4), REFUSED), (0.5, REFUSED)]
GAINS = [(0.5, EXACT), (each(0.5, 4), EXACT), (-1.0, EXACT)]
RESTS = [(0.25, EXACT), (each(-0.5, 0.5), EXACT)]
CONV: dict[str, list[tuple[Any, bool]]] = {
    "input_shape": [(None, EXACT), ((7, 7), REFUSED)],
    "weight": [(trits(3, 2, 2, 2), EXACT), (trits(3, 1, 3, 3), REFUSED)],
    "stride": [(2, EXACT), ((1, 2), EXACT), (0, REFUSED)],
    "padding": [(0, EXACT), ((1, 0), EXACT), ("same", EXACT), ("valid", EXACT), ("odd", REFUSED)],
    "dilation": [(2, EXACT)],
    "groups": [(2, REFUSED)],  # of this weight; with its own in test_nir.py
    "bias": [(np.array([1.0, -1, 0.5]), EXACT)],
}
READ = [GAINS[0], (GAINS[1][0], REFUSED)]  # of classes that are compared: one gain for all
VALUES: dict[str, dict[str, list[tuple[Any, bool]]]] = {
    "IF": {"r": GAINS, "v_threshold": LEVELS, "v_reset": [(NONE, EXACT), *RESTS]},
    "LIF": {
        "tau": TAUS,
        "r": GAINS,
        "v_leak": RESTS,
        "v_threshold": LEVELS,
        "v_reset": [(NONE, EXACT), *RESTS],
    },
    "CubaLIF": {
        "tau_syn": TAUS,
        "tau_mem": TAUS,
        "r": GAINS,
        "v_leak": RESTS,
        "v_threshold": LEVELS,
        "v_reset": [(NONE, EXACT), *RESTS],
        "w_in": [(NONE, EXACT), *GAINS],
    },
    "LI": {"tau": TAUS, "r": READ, "v_leak": RESTS},
    "CubaLI": {
        "tau_syn": TAUS,
        "tau_mem": TAUS,
        "r": READ,
        "v_leak": RESTS,
        "w_in": [(NONE, EXACT), *READ],
    },
    "I": {"r": READ},
    "Threshold": {"threshold": LEVELS},
    "Linear": {
        "weight": [
            (trits(N, 8) * each(0.25, 1)[:, None], EXACT),
            (trits(N, 7), REFUSED),
            (trits(N, 8, 1), REFUSED),
        ]
    },
    "Affine": {
        "weight": [(trits(N, 8), EXACT), (trits(N, 7), REFUSED)],
        "bias": [(each(-1, 1), EXACT), (np.ones(5), REFUSED)],
    },
    "Scale": {"scale": [(0.5, EXACT), (each(0.25, 2), EXACT), (-1.0, EXACT)]},
    "Conv2d": CONV,
    "Conv1d": {
        **CONV,
        "input_shape": [(None, EXACT), (7, REFUSED)],
        "weight": [(trits(3, 2, 2), EXACT), (trits(3, 1, 3), REFUSED)],
        "stride": [(2, EXACT), (0, REFUSED)],
        "padding": [(0, EXACT), ("same", EXACT), ("valid", EXACT), ("odd", REFUSED)],
    },
    "SumPool2d": {
        "kernel_size": [(np.array([4, 2]), EXACT), (np.array([9, 9]), REFUSED)],
        "stride": [(np.array([1, 2]), EXACT), (np.array([0, 1]), REFUSED)],
        "padding": [(np.array([1, 1]), EXACT), (np.array([0, 1]), EXACT)],
    },
    "Flatten": {
        "start_dim": [(1, EXACT)],
        "end_dim": [(1, EXACT)],
        "input_type": [({"input": np.array([2, 3, 3])}, REFUSED)],
    },
    "Delay": {"delay": [(0.0, EXACT), (1.0, REFUSED)]},
    "Input": {
        "input_type": [({"input": np.array([8, 1, 1])}, EXACT), ({"input": np.array([7])}, REFUSED)]
    },
    "Output": {"output_type": [({"output": np.array([7])}, REFUSED)]},
}
VALUES["AvgPool2d"] = VALUES["SumPool2d"]
"""Other values of each parameter: a new one has none here, and fails."""
USUAL: dict[str, dict[str, Any]] = {
    "IF": {"r": 1.0, "v_threshold": 2.5, "v_reset": 0.0},
    "LIF": {"tau": 2.0, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.5, "v_reset": 0.0},
    "CubaLIF": {
        "tau_syn": 2.0,
        "tau_mem": 4.0,
        "r": 4.0,
        "v_leak": 0.0,
        "v_threshold": 0.75,
        "v_reset": 0.0,
        "w_in": 2.0,
    },
    "LI": {"tau": 2.0, "r": 1.0, "v_leak": 0.0},
    "CubaLI": {"tau_syn": 2.0, "tau_mem": 4.0, "r": 4.0, "v_leak": 0.0, "w_in": 2.0},
    "I": {"r": 1.0},
    "Threshold": {"threshold": 1.0},
    "Scale": {"scale": 2.0},
    "Delay": {"delay": 0.0},
}


def parameters(kind: Any) -> list[str]:
    return [n for n in inspect.signature(kind.__init__).parameters if n != "self"]


def test_every_node_and_every_parameter_has_a_verdict() -> None:
    """One that is new there fails here, until somebody says what it is."""
    for name, kind in CLASSES.items():
        if name != "Input":  # its shape is the network's
            assert name in NODES, name
            assert set(parameters(kind)) <= set(PARAMETERS[name]), name
            assert all(
                v.startswith(("exact", "without effect", "checked"))
                for v in PARAMETERS[name].values()
            )
        assert set(parameters(kind)) - {"metadata"} == set(VALUES[name]), name


def whole(value: Any, size: int = N) -> Any:
    return np.broadcast_to(np.asarray(value, float), (size,)).copy()


def row(*nodes: Any) -> Any:
    names = {f"n{k}": n for k, n in enumerate(nodes)}
    edges = [(f"n{k}", f"n{k + 1}") for k in range(len(nodes) - 1)]
    return nir.NIRGraph(names, edges, type_check=False)


def lif(*shape: int) -> Any:
    return nir.LIF(*(np.full(shape, v) for v in (2.0, 2.0, 0.0, 0.5, 0.0)))


def ends(*shape: int) -> tuple[Any, Any]:
    return nir.Input({"input": np.array(shape)}), nir.Output({"output": np.array([N])})


def graph(kind: str, change: dict[str, Any]) -> Any:
    """One that has a node of that kind, with a parameter changed."""
    first, last = ends(8)
    if kind in USUAL:
        given = {k: whole(v) for k, v in (USUAL[kind] | change).items() if v is not NONE}
        node = getattr(nir, kind)(**given)
        behind = [lif(N)] if kind in ("Scale", "Delay") else []
        return row(first, nir.Linear(trits(N, 8)), node, *behind, last)
    if kind in ("Linear", "Affine"):
        usual = {"weight": trits(N, 8)} | ({"bias": whole(0.5)} if kind == "Affine" else {})
        return row(first, getattr(nir, kind)(**usual | change), lif(N), last)
    if kind in ("Input", "Output"):
        usual = {
            "Input": {"input_type": {"input": np.array([8])}},
            "Output": {"output_type": {"output": np.array([N])}},
        }
        edge = getattr(nir, kind)(**usual[kind] | change)
        first, last = (edge, last) if kind == "Input" else (first, edge)
        return row(first, nir.Linear(trits(N, 8)), lif(N), last)
    flat = kind == "Conv1d"
    first, last = ends(2, *[8] * (2 - flat))
    layer, size = None, (2, *[8] * (2 - flat))
    if kind.startswith("Conv"):
        usual = {
            "input_shape": 8 if flat else (8, 8),
            "weight": trits(3, 2, *[3] * (2 - flat)),
            "stride": 1,
            "padding": 1,
            "dilation": 1,
            "groups": 1,
        }
        layer = changed(kind, usual | {"bias": np.zeros(3)}, change)
    else:
        pair = lambda n: np.array([n, n])  # noqa: E731
        usual = {"kernel_size": pair(2), "stride": pair(2), "padding": pair(0)}
        layer = changed(kind, usual, change) if kind.endswith("Pool2d") else None
    nodes = [first]
    if layer is not None and kind.startswith("Conv"):
        size = made(layer, size)
        nodes += [layer, lif(*size)]
    else:
        nodes += [nir.Conv2d((8, 8), trits(2, 2, 1, 1), 1, 0, 1, 1, np.zeros(2)), lif(2, 8, 8)]
        if layer is not None:
            size = made(layer, size)
            nodes.append(layer)
    flatten = {"input_type": {"input": np.array(size)}, "start_dim": 0, "end_dim": -1}
    flatten |= change if kind == "Flatten" else {}
    nodes.append(nir.Flatten(**flatten))
    return row(*nodes, nir.Linear(trits(N, int(np.prod(size)))), lif(N), last)


def changed(kind: str, usual: dict[str, Any], change: dict[str, Any]) -> Any:
    """A node, also one that nir itself would not make, as a file may hold it."""
    try:
        return getattr(nir, kind)(**usual | change)
    except Exception:
        node = getattr(nir, kind)(**usual)
        vars(node).update(change)
        return node


def made(layer: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """What a layer makes of a map, where it makes something."""
    from nircase import node

    try:
        found = np.shape(node(layer, np.zeros(size), {}, 1.0, "zero"))
    except Exception:  # a layer that is refused
        return size
    return found if all(found) else size


def cases() -> list[Any]:
    return [
        pytest.param(kind, name, value, exact, id=f"{kind}-{name}-{k}")
        for kind in CLASSES
        for name, options in VALUES[kind].items()
        for k, (value, exact) in enumerate(options)
    ]


@pytest.mark.parametrize(("kind", "name", "value", "exact"), cases())
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_no_parameter_is_dropped(kind: str, name: str, value: Any, exact: bool, reset: str) -> None:
    given = graph(kind, {name: value})
    if not exact:
        with pytest.raises(NetworkError, match="node 'n"):
            from_nir(given, dt=1, steps=STEPS, reset=reset)
        return
    found = from_nir(given, dt=1, steps=STEPS, reset=reset)
    shape = found.network.input.shape
    frames = RNG.integers(0, 2, (STEPS, 8, *shape))
    own_shape = [int(n) for n in given.nodes["n0"].input_type["input"]]
    own = [simulate(given, frames[:, k].reshape(STEPS, *own_shape), 1.0, reset) for k in range(8)]
    mode = found.network.readout.mode
    wanted = np.array([o.sum(0) if mode == "count" else o[-1] for o in own]).reshape(8, -1)
    assert np.allclose(float_logits(found.network, frames), wanted, atol=1e-9)
    assert wanted.std() > 0
