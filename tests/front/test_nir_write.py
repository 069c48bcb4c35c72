"""A float network as NIR and back: the same spikes at every neuron; nir's own reader reads it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")
pytest.importorskip("h5py")

from nircase import simulate  # noqa: E402

from sterna.front.nir import from_nir  # noqa: E402
from sterna.front.nir_write import to_nir  # noqa: E402
from sterna.gen.quantize.float_network import (  # noqa: E402
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
)
from sterna.gen.quantize.quantize import quantize  # noqa: E402
from sterna.gen.quantize.reference import float_logits, reference, walk  # noqa: E402
from sterna.golden.errors import NetworkError, UsageError  # noqa: E402
from sterna.golden.exact import run  # noqa: E402

STEPS = 6
RNG = np.random.default_rng(4)


def trits(*shape: int, size: Any = 1.0) -> np.ndarray:
    w = RNG.choice([-1.0, 0.0, 1.0], shape)
    w.reshape(shape[0], -1)[:, 0] = 1
    return w * np.reshape(size, (-1, *[1] * (len(shape) - 1)))


def norm(n: int) -> BatchNorm:
    return BatchNorm(*(RNG.uniform(low, low + 0.5, n) for low in (0.5, -0.2, -0.3, 0.5)))


def vectors(*middle: Any, out: Any = None, last: int = 6) -> FloatNetwork:
    nodes = [FloatInput("x", (8, 1, 1), "frames"), FloatLinear("a", "x", trits(6, 8)), *middle]
    read = out or FloatReadout("r", ("b",), reset="zero", mode="count")
    return FloatNetwork(STEPS, [*nodes, FloatLinear("b", "n", trits(4, last)), read])


def neuron(**given: Any) -> FloatNetwork:
    return vectors(FloatNeuron("n", ("a",), **{"reset": "zero", **given}))


def maps(mode: str = "sum", **given: Any) -> FloatNetwork:
    return FloatNetwork(
        STEPS,
        [
            FloatInput("x", (2, 6, 6), "frames"),
            FloatConv2d(
                "c", "x", trits(4, 2, 3, 3, size=RNG.uniform(0.2, 1, 4)), padding=1, norm=norm(4)
            ),
            FloatNeuron("n", ("c",), 0.4, reset="zero", leak=0.75, **given),
            FloatPool("p", "n", mode),
            FloatConv2d(
                "d", "p", trits(4, 2, 2, 2), groups=2, stride=(1, 1), bias=RNG.normal(size=4)
            ),
            FloatNeuron("m", ("d",), 0.7, reset="zero", leak=0.3),
            FloatLinear("f", "m", trits(5, 16)),
            FloatReadout("r", ("f",), leak=0.9),
        ],
    )


def skips(spikes: bool) -> FloatNetwork:
    """Neurons that add a layer and spikes; or an addition of spikes that a layer reads."""
    nodes: list[Any] = [
        FloatInput("x", (3, 5, 5), "frames"),
        FloatConv2d("c", "x", trits(3, 3, 3, 3), padding=1),
        FloatNeuron("n", ("c",), reset="zero", amplitude=0.5),
        FloatConv2d("d", "n", trits(3, 3, 3, 3, size=0.25), padding=1, unit=0.25),
    ]
    if spikes:
        nodes += [
            FloatNeuron("m", ("d", "n"), 0.75, reset="zero", norm=norm(3)),
            FloatLinear("f", "m", trits(4, 75)),
        ]
    else:
        nodes += [
            FloatNeuron("m", ("d",), reset="zero", amplitude=0.5),
            FloatMerge("s", ("n", "m"), "add"),
            FloatLinear("f", "s", trits(4, 75)),
        ]
    return FloatNetwork(STEPS, [*nodes, FloatReadout("r", ("f",))])


def padded(mode: str) -> FloatNetwork:
    return FloatNetwork(
        STEPS,
        [
            FloatInput("x", (2, 6, 6), "frames"),
            FloatConv2d("c", "x", trits(4, 2, 3, 3), padding=1),
            FloatNeuron("n", ("c",), reset="zero"),
            FloatPool("p", "n", mode, (3, 3), (2, 2), padding=1),
            FloatLinear("f", "p", trits(4, 36)),
            FloatReadout("r", ("f",)),
        ],
    )


def pooled_sums(mode: str) -> FloatNetwork:
    return FloatNetwork(
        STEPS,
        [
            FloatInput("x", (2, 6, 6), "frames"),
            FloatConv2d("c", "x", trits(4, 2, 3, 3), padding=1, bias=RNG.normal(0, 0.3, 4)),
            FloatPool("p", "c", mode),
            FloatNeuron("n", ("p",), 0.75, reset="zero", bias=0.125),
            FloatLinear("f", "n", trits(4, 36)),
            FloatReadout("r", ("f",)),
        ],
    )


def swapped(network: FloatNetwork, name: str, **change: Any) -> FloatNetwork:
    nodes = [replace(n, **change) if n.name == name else n for n in network.nodes]
    return FloatNetwork(STEPS, nodes)


def direct(normed: bool = False) -> FloatNetwork:
    nodes = maps().nodes
    if normed:  # an unpadded first layer, in front of which the mean may stand
        change = {"c": {"padding": (0, 0, 0, 0)}, "f": {"weight": trits(5, 4)}}
        nodes = [replace(n, **change.get(n.name, {})) for n in nodes]
    mean, std = ([0.25, 0.5], 0.5) if normed else (None, None)
    source = FloatInput("x", (2, 6, 6), scale=1 / 64, mean=mean, std=std)
    return FloatNetwork(STEPS, [source, *nodes[1:]])


NETS = {
    "if": neuron(threshold=2.0),
    "if strict": neuron(threshold=2.0, strict=True),
    "lif": neuron(leak=0.9),
    "leak num/4096": neuron(leak=1234 / 4096, threshold=1.5),
    "leak 0": neuron(leak=0.0, threshold=1.0),
    "synapse": neuron(leak=0.75, synapse=0.6),
    "threshold a channel": neuron(threshold=np.linspace(0.5, 2, 6), leak=0.5),
    "v_init": neuron(v_init=0.5, leak=0.7),
    "v_init a channel": neuron(v_init=np.linspace(-1, 0.5, 6), threshold=1.5),
    "bias": neuron(bias=np.linspace(-0.3, 0.3, 6), leak=0.7),
    "amplitude": neuron(amplitude=0.3, leak=0.5),
    "norm of a neuron": neuron(norm=norm(6), leak=0.5),
    "maps, sum": maps(),
    "maps, average": maps("avg"),
    "dilated": swapped(maps(), "c", padding=(2, 2, 2, 2), dilation=(2, 2)),
    "maps, amplitude": maps("avg", amplitude=0.25),
    "spikes enter a neuron": skips(True),
    "spikes are added": skips(False),
    "average of sums": pooled_sums("avg"),
    "sum of sums": pooled_sums("sum"),
    "padded average": padded("avg"),
    "padded sum": padded("sum"),
    "direct": direct(),
    "direct, normalised": direct(True),
    "membrane, synapse": vectors(
        FloatNeuron("n", ("a",), reset="zero"),
        out=FloatReadout("r", ("b",), leak=0.8, synapse=0.5, bias=0.25),
    ),
    "count, lif": vectors(
        FloatNeuron("n", ("a",), reset="zero"),
        out=FloatReadout("r", ("b",), reset="zero", mode="count", leak=0.7, threshold=0.4),
    ),
}


def images(network: FloatNetwork, count: int = 10) -> np.ndarray:
    top, shape = 2, (STEPS, count, *network.input.shape)
    if network.input.coding == "direct":
        top, shape = 256, shape[1:]
    return RNG.integers(0, top, shape).astype(np.uint8)


def spikes(network: FloatNetwork, given: np.ndarray) -> dict[str, np.ndarray]:
    return {
        n.name: reference(network, n, s)[0]
        for n, s in walk(network, given)
        if isinstance(n, FloatNeuron)
    }


def back(network: FloatNetwork, path: Path, dt: float, **more: Any) -> FloatNetwork:
    return from_nir(path, dt=dt, steps=network.steps, **more).network


@pytest.mark.parametrize("dt", [1.0, 1e-3])
@pytest.mark.parametrize("name", NETS)
def test_what_comes_back_fires_as_it_did(name: str, dt: float, tmp_path: Path) -> None:
    network = NETS[name]
    path = to_nir(network, tmp_path / "n.nir", dt=dt)
    again = back(network, path, dt)
    given = images(network)
    one, two = spikes(network, given), spikes(again, given)
    assert set(one) == set(two)
    for node, own in one.items():
        assert np.array_equal(own, two[node]), node
        assert own.any() and not own.all(), node
    assert np.allclose(float_logits(network, given), float_logits(again, given), atol=1e-9)


@pytest.mark.parametrize("name", NETS)
def test_nirs_own_reader_reads_it_and_its_equations_are_ours(name: str, tmp_path: Path) -> None:
    network = NETS[name]
    graph = nir.read(to_nir(network, tmp_path / "n.nir"))
    given = images(network, 3)
    frames = given.astype(float)
    if network.input.coding == "direct":
        zero, one = np.zeros(1), np.ones(1)
        mean, std = (
            np.reshape(d if v is None else v, (-1, 1, 1))
            for v, d in ((network.input.mean, zero), (network.input.std, one))
        )
        frames = np.repeat(((frames * network.input.scale - mean) / std)[None], STEPS, 0)
    axes = [int(n) for n in graph.nodes["x"].input_type["input"]]
    own = [simulate(graph, frames[:, k].reshape(STEPS, *axes), 1.0) for k in range(3)]
    mode = network.readout.mode
    wanted = np.array([o.sum(0) if mode == "count" else o[-1] for o in own]).reshape(3, -1)
    assert np.allclose(float_logits(network, given), wanted, atol=1e-6)


def test_integers_are_the_same_too(tmp_path: Path) -> None:
    network = NETS["leak num/4096"]
    again = back(network, to_nir(network, tmp_path / "n.nir"), 1.0)
    given = images(network, 40)
    one, two = (quantize(n, given)[0] for n in (network, again))
    assert np.array_equal(run(one, given).logits, run(two, given).logits)


def test_neurons_that_subtract_are_written_where_one_says_so(tmp_path: Path) -> None:
    network = vectors(FloatNeuron("n", ("a",), leak=0.9))
    with pytest.raises(NetworkError, match="node 'n': reset 'subtract', which NIR has no word for"):
        to_nir(network, tmp_path / "n.nir")
    network = vectors(
        FloatNeuron("n", ("a",), leak=0.9),
        out=FloatReadout("r", ("b",), reset="subtract", mode="count"),
    )
    path = to_nir(network, tmp_path / "n.nir", reset="subtract")
    again, given = back(network, path, 1.0, reset="subtract"), images(network)
    assert np.array_equal(spikes(network, given)["n"], spikes(again, given)["n"])
    assert np.array_equal(float_logits(network, given), float_logits(again, given))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (neuron(reset="once"), "node 'n': reset 'once'"),
        (neuron(delay=1), "node 'n': delay"),
        (neuron(synapse="ramp", leak=0.5), "node 'n': a synapse or a membrane"),
        (neuron(bias=np.ones((STEPS, 6))), "node 'n': a bias that differs from step to step"),
        (maps("or"), "node 'p': a pool of mode 'or'"),
        (pooled_sums("max"), "node 'p': a pool of mode 'max'"),
        (
            vectors(
                FloatNeuron("n0", ("a",), reset="zero"),
                FloatLinear("a2", "x", trits(6, 8)),
                FloatNeuron("n1", ("a2",), reset="zero"),
                FloatMerge("n", ("n0", "n1"), "concat"),
                last=12,
            ),
            "node 'n': a merge 'concat'",
        ),
        (
            vectors(
                FloatNeuron("n", ("a",), reset="zero"),
                out=FloatReadout("r", ("b",), mode="first_spike"),
            ),
            "node 'r': a readout of first spikes",
        ),
        (
            vectors(
                FloatNeuron("n", ("a",), reset="zero"), out=FloatReadout("r", ("b",), v_init=1.0)
            ),
            "node 'r': a membrane that is read and does not begin at 0",
        ),
        (
            FloatNetwork(
                2,
                [
                    FloatInput("x", (1, 4, 4), "rate"),
                    FloatLinear("f", "x", trits(3, 16)),
                    FloatReadout("r", ("f",)),
                ],
            ),
            "node 'x': rate coding",
        ),
        (
            FloatNetwork(
                2,
                [
                    FloatInput("x", (1, 4, 4), "frames"),
                    FloatConv2d("c", "x", trits(2, 1, 2, 2), padding=(0, 1, 0, 1)),
                    FloatNeuron("n", ("c",), reset="zero"),
                    FloatLinear("f", "n", trits(3, 32)),
                    FloatReadout("r", ("f",)),
                ],
            ),
            r"node 'c': padding \(0, 1, 0, 1\)",
        ),
    ],
)
def test_what_nir_cannot_say_is_refused(
    network: FloatNetwork, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(NetworkError, match=f"{sentence}.*, which NIR has no word for"):
        to_nir(network, tmp_path / "n.nir")
    assert not (tmp_path / "n.nir").exists()


def test_how_images_enter_is_noted_and_told(tmp_path: Path) -> None:
    network = direct(True)
    path = to_nir(network, tmp_path / "n.nir")
    found = from_nir(path, dt=1.0, steps=STEPS)
    assert found.network.input.coding == "direct" and found.network.input.scale == 1 / 64
    assert "as the file says" in found.report.verdicts[0].detail
    told = from_nir(path, dt=1.0, steps=STEPS, input="frames").network.input
    assert told.coding == "frames" and told.mean is None and told.std is None
    graph = nir.read(path)
    again = from_nir(graph, dt=1.0, steps=STEPS).network.input
    assert np.array_equal(again.mean, [0.25, 0.5]) and again.std == 0.5 and again.scale == 1 / 64
    graph.nodes["x"].metadata = {}
    found = from_nir(graph, dt=1.0, steps=STEPS)
    assert found.network.input.coding == "frames"
    assert "give input='direct'" in found.report.verdicts[0].detail
    for key, value in (("sterna_input", "rate"), ("sterna_scale", np.ones((2, 2)))):
        graph.nodes["x"].metadata = {key: value}
        nir.write(str(tmp_path / "wrong.nir"), graph)
        for source in (graph, tmp_path / "wrong.nir"):
            with pytest.raises(NetworkError, match=f"node 'x': {key} .* is not what to_nir notes"):
                from_nir(source, dt=1.0, steps=STEPS)


@pytest.mark.parametrize("reset", [None, "subtract"])
def test_resets_that_nir_cannot_say_are_named(reset: str | None, tmp_path: Path) -> None:
    never = vectors(
        FloatNeuron("n", ("a",), reset="zero"),
        out=FloatReadout("r", ("b",), reset="subtract", reset_by=0.0, mode="count"),
    )
    with pytest.raises(NetworkError, match="node 'r': a neuron that fires and is never reset"):
        to_nir(never, tmp_path / "n.nir", reset=reset)
    late = vectors(FloatNeuron("n", ("a",), leak=0.5, reset_by=2.0))
    sentence = "node 'n': a reset that takes off 2 at a threshold of 1 .of snnTorch threshold/beta"
    with pytest.raises(NetworkError, match=sentence):
        to_nir(late, tmp_path / "n.nir", reset=reset)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (to_nir(NETS["maps, sum"], tmp_path / n).read_bytes() for n in ("a.nir", "b.nir"))
    assert one == two


def test_wrong_arguments_have_their_sentence(tmp_path: Path) -> None:
    for given in ({"dt": 0}, {"reset": "zero"}):
        with pytest.raises(UsageError, match=min(given)):
            to_nir(NETS["lif"], tmp_path / "n.nir", **given)
    with pytest.raises(UsageError, match="is no FloatNetwork"):
        to_nir(3, tmp_path / "n.nir")
