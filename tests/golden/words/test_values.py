"""numpy's numbers, single names and tensors are taken as meant, in every node and rule."""

# Arguments of other types than declared are what is tested.
# pyright: reportArgumentType=false, reportCallIssue=false

import numpy as np
import pytest

from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.result import compare
from sterna.golden.rule import Decay, NeuronRule
from sterna.golden.words.values import MAX_SIZE

ONE = np.ones
WHOLE = [np.int8, np.int64, np.uint16, lambda v: np.array(v, np.int32)]


@pytest.mark.parametrize("of", WHOLE)
def test_numpys_integers_are_integers(of, tmp_path) -> None:
    rule = NeuronRule(
        ONE(2) * 9,
        fraction_bits=of(2),
        delay=of(1),
        shifts=(of(1), 0),
        leak=Decay(of(1), of(3)),
        coef=(ONE(2),),
    )
    network = Network(
        of(3),
        [
            Input("x", (of(1), of(6), 6), "rate", bits=of(8), seed=of(3)),
            Conv2d("c", "x", ONE((2, 1, 3, 3)), stride=of(1), padding=of(1), groups=of(1)),
            Neuron("n", "c", NeuronRule(ONE(2))),
            Conv2d("d", "n", ONE((2, 2, 1, 1)), stride=(of(1), of(1)), padding=(of(0), of(0))),
            Conv2d("e", "n", ONE((2, 2, 1, 1))),
            Neuron("m", ["d", "e", "n"], rule),
            Merge("a", ("n", "m"), "add", shifts=(of(1), of(0))),
            Pool("p", "a", "sum", kernel=of(2)),
            Linear("f", "p", ONE((3, 18))),
            Readout("r", "f", NeuronRule(ONE(3), "none"), scale=np.float32(1)),
        ],
    )
    for node in network.nodes:
        for value in vars(node).values():
            assert not isinstance(value, np.generic)
            assert not isinstance(value, tuple) or not any(isinstance(v, np.generic) for v in value)
    files.save(network, tmp_path)
    again = files.load(tmp_path)
    assert files.structure_text(again) == files.structure_text(network)
    images = np.arange(72, dtype=np.uint8).reshape(2, 1, 6, 6)
    assert compare(run(network, images, "all"), run(again, images, "all")) is None


REFUSED = {
    "groups": lambda: Conv2d("c", "x", ONE((1, 1, 1, 1)), groups=True),
    "stride": lambda: Conv2d("c", "x", ONE((1, 1, 1, 1)), stride=True),
    "padding": lambda: Conv2d("c", "x", ONE((1, 1, 3, 3)), padding=(1, True)),
    "seed": lambda: Input("x", (1, 1, 1), seed=True),
    "bits": lambda: Input("x", (1, 1, 1), bits=np.True_),  # type: ignore[arg-type]
    "shape": lambda: Input("x", (True, 1, 1)),
    "kernel": lambda: Pool("p", "x", "sum", kernel=True),  # type: ignore[arg-type]
    "shifts": lambda: Merge("m", ("a", "b"), "add", (True, False)),
    "delay": lambda: NeuronRule([1], delay=True),
    "fraction_bits": lambda: NeuronRule([1], fraction_bits=False),
    "decay": lambda: Decay(True),
    "threshold": lambda: NeuronRule([True]),
    "steps": lambda: Network(True, []),
    "weight": lambda: Linear("l", "x", np.array([[True]])),
    "strings": lambda: Pool("p", "x", "sum", kernel="22"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", REFUSED)
def test_true_is_no_number(what: str) -> None:
    with pytest.raises(NetworkError, match="kernel" if what == "strings" else what):
        REFUSED[what]()


def test_padding_is_also_torchs_two() -> None:
    assert Conv2d("c", "x", ONE((1, 1, 3, 5)), padding=(1, 2)).padding == (1, 1, 2, 2)
    assert Conv2d("c", "x", ONE((1, 1, 3, 3)), padding=2).padding == (2, 2, 2, 2)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 7, int(4.4e18)),
        (1, 2**32, 2**32),
        (1, 1, 10**5000),
        (1, 4097, 4096),
        (65536, 1, 1),
        (np.int64(3), 7, np.int64(2**62)),
    ],
    ids=range(6),
)
def test_an_absurd_input_is_refused(shape) -> None:
    with pytest.raises(NetworkError, match=f"larger than {MAX_SIZE} values or 65535 a side; cut "):
        Input("x", shape)


def test_an_absurd_layer_is_refused() -> None:
    with pytest.raises(NetworkError, match="node 'c': a map of 5 x 4096 x 2048 is larger than"):
        Network(
            1,
            [
                Input("x", (1, 4096, 2048)),
                Conv2d("c", "x", ONE((5, 1, 1, 1))),
                Neuron("n", "c", NeuronRule(ONE(5))),
                Linear("f", "n", ONE((1, 1))),
                Readout("r", "f", NeuronRule([1], "none")),
            ],
        )
    assert Input("x", (1, 4096, 4096)).shape == (1, 4096, 4096)


def small() -> Network:
    return Network(
        2,
        [
            Input("x", (1, 4, 4)),
            Conv2d("c", "x", ONE((2, 1, 3, 3))),
            Neuron("all", "c", NeuronRule(ONE(2) * 900)),
            Linear("f", "all", ONE((3, 8))),
            Readout("r", ["f"], NeuronRule(ONE(3), "none")),
        ],
    )


def test_one_string_is_one_name() -> None:
    network, images = small(), np.zeros((1, 1, 4, 4), int)
    assert network["all"].inputs == ("c",) and network["r"].inputs == ("f",)
    for trace in ("all", ["all"], {"all"}, iter(["all"])):
        assert list(run(network, images, trace).spikes) == ["all"]
    with pytest.raises(UsageError, match="cannot trace 'c'; nodes with spikes are all"):
        run(network, images, "c")
    result = run(network, images, "all")
    assert compare(result, result, nodes="all") is None
    with pytest.raises(NetworkError, match="node 'c': reads one node, not 2; join them"):
        Conv2d("c", ("x", "y"), ONE((1, 1, 1, 1)))  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="node 'n': inputs {'c'} must be the names of nodes"):
        Neuron("n", {"c"}, NeuronRule([1]))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("coding", ["direct", "rate", "frames"])
def test_images_may_be_any_view(coding: str) -> None:
    nodes = [Input("x", (1, 4, 4), coding), *small().nodes[1:]]
    network = Network(2, nodes)
    shape = (2, 3, 1, 4, 4) if coding == "frames" else (3, 1, 4, 4)
    images = np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8)
    axis = len(shape) - 4
    wanted = run(network, images, "all")

    def same(view, order=slice(None)) -> None:
        got = run(network, view, "all")
        assert np.array_equal(got.logits, wanted.logits[order])
        assert np.array_equal(got.spikes["all"], wanted.spikes["all"][:, order])

    same(np.flip(images, axis), slice(None, None, -1))
    locked = images.copy()
    locked.setflags(write=False)
    same(locked)
    same(np.asfortranarray(images))
    same(images.astype(">i8"))
    same(images.tolist())
    same(np.repeat(images, 2, -1)[..., ::2])
    first = np.take(images, [0], axis)
    same(np.broadcast_to(first, shape), [0, 0, 0])
