"""NIR graphs against NIR's own equations, simulated once more in numpy; files of strangers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sterna.front.nir import from_nir
from sterna.gen.quantize.reference import float_logits
from sterna.golden.errors import FileError, NetworkError, UsageError

nir = pytest.importorskip("nir")
h5py = pytest.importorskip("h5py")

from nircase import simulate  # noqa: E402

RNG = np.random.default_rng(5)
STEPS = 7


def trits(*shape: int) -> np.ndarray:
    w = RNG.choice([-1.0, 0.0, 1.0], shape)
    w.reshape(shape[0], -1)[:, 0] = 1
    return w


def full(value: float, *shape: int) -> np.ndarray:
    return np.full(shape, value)


def inp(*shape: int) -> Any:
    return nir.Input({"input": np.array(shape)})


def out(*shape: int) -> Any:
    return nir.Output({"output": np.array(shape)})


def row(*nodes: Any) -> Any:
    names = {f"n{k}": n for k, n in enumerate(nodes)}
    edges = [(f"n{k}", f"n{k + 1}") for k in range(len(nodes) - 1)]
    return nir.NIRGraph(names, edges, type_check=False)


def lif(*s: int, tau: float = 2.0, r: Any = 1.0, leak: float = 0.0, th: Any = 0.5, low: float = 0):
    th = np.broadcast_to(np.asarray(th, float), s).copy()
    r = np.broadcast_to(np.asarray(r, float), s).copy()
    return nir.LIF(full(tau, *s), r, full(leak, *s), th, full(low, *s))


def iaf(*s: int, th: float = 2.5, low: float = 0.0) -> Any:
    return nir.IF(full(1, *s), full(th, *s), full(low, *s))


def cuba(*s: int, leak: float = 0.0, low: float = 0.0, w_in: float = 2.0) -> Any:
    return nir.CubaLIF(
        full(2.0, *s),
        full(4.0, *s),
        full(4.0, *s),
        full(leak, *s),
        full(0.75, *s),
        full(low, *s),
        full(w_in, *s),
    )


def conv(o: int, c: int, size: int) -> Any:
    return nir.Conv2d((size, size), trits(o, c, 3, 3), 1, 1, 1, 1, trits(o, 1)[:, 0])


def two(first: Any, n: int = 6, o: int = 4) -> Any:
    return row(inp(8), nir.Linear(trits(n, 8)), first, nir.Linear(trits(o, n)), iaf(o), out(o))


def pooled(kind: Any) -> Any:
    pool = kind(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    return row(
        inp(2, 6, 6),
        conv(3, 2, 6),
        lif(3, 6, 6, th=np.array([0.5, 1, 1.5]).reshape(3, 1, 1)),
        pool,
        nir.Flatten({"input": np.array([3, 3, 3])}, 0),
        nir.Linear(trits(4, 27)),
        lif(4),
        out(4),
    )


def pooled_sums(kind: Any) -> Any:
    pool = kind(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    level = np.array([0.5, 1, 1.5]).reshape(3, 1, 1)
    return row(
        inp(2, 6, 6),
        conv(3, 2, 6),
        pool,
        lif(3, 3, 3, th=level),
        nir.Flatten({"input": np.array([3, 3, 3])}, 0),
        nir.Linear(trits(4, 27)),
        lif(4),
        out(4),
    )


def branches() -> Any:
    nodes = {
        "in": inp(8),
        "a": nir.Linear(trits(6, 8)),
        "b": nir.Affine(trits(6, 8), trits(6, 1)[:, 0]),
        "n": lif(6),
        "c": nir.Linear(trits(3, 6)),
        "m": iaf(3),
        "out": out(3),
    }
    edges = [("in", "a"), ("in", "b"), ("a", "n"), ("b", "n"), ("n", "c"), ("c", "m"), ("m", "out")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def wave() -> Any:
    conv1 = nir.Conv1d(9, trits(3, 2, 3), 2, 1, 1, 1, trits(3, 1)[:, 0])
    flat = nir.Flatten({"input": np.array([3, 5])}, 0)
    return row(inp(2, 9), conv1, lif(3, 5), flat, nir.Linear(trits(4, 15)), iaf(4), out(4))


GRAPHS = {
    "if": two(iaf(6)),
    "if to v_reset": two(iaf(6, low=-0.5)),
    "lif": two(lif(6)),
    "lif r": two(lif(6, r=np.array([1, 2, 4, 0.5, 1, 2]))),
    "lif v_leak": two(lif(6, leak=0.25)),
    "lif v_reset": two(lif(6, low=-0.25, leak=0.125)),
    "lif tau 4": two(lif(6, tau=4.0)),
    "cuba": two(cuba(6)),
    "cuba v_leak, v_reset": two(cuba(6, leak=0.25, low=0.125)),
    "threshold": two(nir.Threshold(full(1.0, 6))),
    "sum pool": pooled(nir.SumPool2d),
    "average pool": pooled(nir.AvgPool2d),
    "sum pool of sums": pooled_sums(nir.SumPool2d),
    "average pool of sums": pooled_sums(nir.AvgPool2d),
    "branches": branches(),
    "input and layer": nir.NIRGraph(
        {
            "n0": inp(6),
            "n1": nir.Linear(trits(6, 6)),
            "n2": lif(6),
            "n3": nir.Linear(trits(4, 6)),
            "n4": iaf(4),
            "n5": out(4),
        },
        [("n0", "n1"), ("n1", "n2"), ("n0", "n2"), ("n2", "n3"), ("n3", "n4"), ("n4", "n5")],
        type_check=False,
    ),
    "conv1d": wave(),
    "groups": row(
        inp(4, 5, 5),
        nir.Conv2d((5, 5), trits(4, 2, 3, 3), 2, 0, 1, 2, trits(4, 1)[:, 0]),
        lif(4, 2, 2),
        nir.Flatten({"input": np.array([4, 2, 2])}, 0),
        nir.Linear(trits(3, 16)),
        iaf(3),
        out(3),
    ),
    "scale": row(
        inp(8),
        nir.Linear(trits(6, 8)),
        nir.Scale(full(0.5, 6)),
        lif(6),
        nir.Linear(trits(4, 6)),
        iaf(4),
        out(4),
    ),
    "li": row(
        inp(8),
        nir.Linear(trits(6, 8)),
        lif(6),
        nir.Linear(trits(4, 6)),
        nir.LI(full(2.0, 4), full(1.0, 4), full(0.5, 4)),
        out(4),
    ),
    "cuba li": row(
        inp(8),
        nir.Linear(trits(6, 8)),
        lif(6),
        nir.Linear(trits(4, 6)),
        nir.CubaLI(full(2.0, 4), full(4.0, 4), full(1.0, 4), full(0.5, 4)),
        out(4),
    ),
    "i": row(
        inp(8),
        nir.Linear(trits(6, 8)),
        lif(6),
        nir.Linear(trits(4, 6)),
        nir.I(full(1.0, 4)),
        out(4),
    ),
}

# each kind of neuron once more as the output, where the next layer hides nothing
for _name in [n for n in GRAPHS if n.startswith(("if", "lif", "cuba v", "cuba", "thr"))]:
    if _name != "cuba li":
        GRAPHS[f"{_name}, read"] = row(inp(8), *list(GRAPHS[_name].nodes.values())[1:3], out(6))


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("name", list(GRAPHS))
def test_a_graph_computes_nirs_equations(name: str, reset: str) -> None:
    graph = GRAPHS[name]
    found = from_nir(graph, dt=1.0, steps=STEPS, reset=reset)
    shape = found.network.input.shape
    frames = np.random.default_rng(1).integers(0, 2, (STEPS, 12, *shape))
    own_shape = tuple(int(n) for n in next(iter(graph.nodes.values())).input_type["input"])
    own = [simulate(graph, frames[:, k].reshape(STEPS, *own_shape), 1.0, reset) for k in range(12)]
    ends = found.network.readout.mode
    wanted = np.array([o.sum(0) if ends == "count" else o[-1] for o in own]).reshape(12, -1)
    assert np.allclose(float_logits(found.network, frames), wanted, atol=1e-9)
    assert wanted.std() > 0


def test_the_default_reset_is_the_files_and_the_report_says_so() -> None:
    found = from_nir(GRAPHS["lif"], dt=1, steps=2)
    assert "reset='subtract'" in found.report.table()
    assert (
        "reset='subtract'"
        not in from_nir(GRAPHS["lif"], dt=1, steps=2, reset="zero").report.table()
    )


def test_a_file_is_the_graph(tmp_path: Path) -> None:
    for name in ("sum pool", "cuba", "conv1d"):
        path = tmp_path / "g.nir"
        nir.write(path, GRAPHS[name])
        a, b = (from_nir(s, dt=1, steps=3).network for s in (path, GRAPHS[name]))
        frames = np.random.default_rng(2).integers(0, 2, (3, 4, *a.input.shape))
        assert np.array_equal(float_logits(a, frames), float_logits(b, frames))


def test_a_graph_in_a_graph_is_taken_apart() -> None:
    inner = row(inp(6), lif(6), out(6))
    whole = row(inp(8), nir.Linear(trits(6, 8)), inner, nir.Linear(trits(4, 6)), iaf(4), out(4))
    assert "n2.n1" in from_nir(whole, dt=1, steps=2).cells


def change(graph: Any, name: str, node: Any) -> Any:
    return nir.NIRGraph({**graph.nodes, name: node}, graph.edges, type_check=False)


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda: change(GRAPHS["lif"], "n2", lif(6, th=np.arange(6) + 1.0, tau=0.5)), "shorter"),
        (lambda: change(GRAPHS["lif"], "n2", nir.Delay(full(1.0, 6))), "Delay"),
        (lambda: change(GRAPHS["lif"], "n2", lif(5)), "does not fit"),
        (lambda: change(GRAPHS["sum pool"], "n2", lif(3, 6, 6, th=RNG.random((3, 6, 6)))), "each"),
        (
            lambda: nir.NIRGraph(
                GRAPHS["lif"].nodes, [*GRAPHS["lif"].edges, ("n3", "n1")], type_check=False
            ),
            "recurrent",
        ),
        (lambda: change(GRAPHS["lif"], "n2", lif(6, r=np.nan)), "finite"),
        (
            lambda: change(GRAPHS["lif"], "n2", nir.Linear(trits(6, 6))),
            "^node 'n2': reads weighted sums",
        ),
        (
            lambda: nir.NIRGraph(
                GRAPHS["lif"].nodes, [*GRAPHS["lif"].edges, ("n3", "zz")], type_check=False
            ),
            "no node",
        ),
    ],
)
def test_what_cannot_be_built_is_named(make: Any, word: str) -> None:
    with pytest.raises(NetworkError, match=word) as told:
        from_nir(make(), dt=1, steps=2)
    assert "module" not in str(told.value)


def hostile(path: Path, what: str) -> None:
    nir.write(path, GRAPHS["lif"])
    with h5py.File(path, "a") as f:
        nodes, n = f["node/nodes"], f["node/nodes/n2"]
        if what == "external link":
            del n["tau"]
            n["tau"] = h5py.ExternalLink("/etc/hostname", "/x")
        elif what == "soft link":
            del n["tau"]
            n["tau"] = h5py.SoftLink("/node/nodes/n2/r")
        elif what == "huge":
            del n["tau"]
            n.create_dataset("tau", (1 << 40,), "f8", chunks=(1024,))
        elif what == "external file":
            del n["tau"]
            n.create_dataset("tau", (6,), "f8", external=[("/etc/hostname", 0, 48)])
        elif what == "loop":
            g = nodes.create_group("sub")
            g["type"] = "NIRGraph"
            g["nodes"] = nodes
            g["edges"] = f["node/edges"][()]
        elif what == "unknown":
            del n["type"]
            n["type"] = "Exec"
        elif what == "parameter":
            n["extra"] = 1.0


@pytest.mark.parametrize(
    "what, error, word",
    [
        ("external link", FileError, "leads elsewhere"),
        ("soft link", FileError, "leads elsewhere"),
        ("huge", FileError, "MiB"),
        ("external file", FileError, "another file"),
        ("loop", FileError, "deep"),
        ("unknown", NetworkError, "Exec"),
        ("parameter", NetworkError, "extra"),
    ],
)
def test_hostile_files_end_in_one_sentence(
    what: str, error: type, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "h.nir"
    hostile(path, what)
    with pytest.raises(error, match=word):
        from_nir(path, dt=1, steps=2)


def test_what_is_no_nir_ends_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.nir"
    path.write_bytes(b"no")
    for source in (path, tmp_path / "absent.nir"):
        with pytest.raises(FileError):
            from_nir(source, dt=1, steps=2)
    with pytest.raises(UsageError):
        from_nir(3, dt=1, steps=2)
    with pytest.raises(UsageError, match="dt"):
        from_nir(GRAPHS["lif"], dt=0, steps=2)
