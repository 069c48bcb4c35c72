"""Ties of float32 numbers, and what a readout's classes are worth: quantize and its reference."""

from typing import Any

import numpy as np
import pytest
import torch

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatInput,
    FloatLinear,
    FloatNetwork,
    FloatNeuron,
    FloatReadout,
)
from sterna.gen.quantize.quantize import MISMATCH, quantize
from sterna.gen.quantize.reference import float_classes, float_logits, walk
from sterna.gen.quantize.ties import ranks, snap
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.network import Network, Neuron, Readout
from sterna.golden.rule import NeuronRule

WIDTH = 10
STAIRS = np.tri(WIDTH + 1, WIDTH, -1, np.uint8)[:, None, None]  # image k has k ones


def _frames(images: np.ndarray, steps: int) -> np.ndarray:
    return np.repeat(images[None], steps, 0)


def _one(
    weight: float, steps: int = 1, norm: BatchNorm | None = None, bias: float = 0.0, **neuron: Any
) -> FloatNetwork:
    """Ten inputs of one weight, one neuron."""
    return FloatNetwork(
        steps,
        [
            FloatInput("image", (1, 1, WIDTH), "frames"),
            FloatLinear(
                "sum",
                "image",
                np.full((1, WIDTH), weight, np.float32),
                norm=norm,
                bias=np.float32([bias]) if bias else None,
            ),
            FloatNeuron("spike", ("sum",), **neuron),
            FloatLinear("full", "spike", np.float32([[1], [-1]])),
            FloatReadout("readout", ("full",)),
        ],
    )


def _fires_from(network: Network, steps: int = 1) -> int:
    """The least number of ones at which the neuron fires in step 0."""
    found = run(network, _frames(STAIRS, steps), trace=("spike",)).spikes["spike"][0].ravel()
    assert np.array_equal(found, np.sort(found))
    return int(len(found) - found.sum())


def _rule(network: Network, name: str = "spike") -> NeuronRule:
    node = network[name]
    assert isinstance(node, Neuron | Readout)
    return node.rule


@pytest.mark.parametrize("weight", [0.1, 0.2, 0.3, 0.7, 0.05, 1 / 3, 1.1, 0.011])
def test_case_a_whole_number_of_float32_weights_is_on_the_tie(weight: float) -> None:
    """'>' needs one more, '>=' does not: by the numbers that were meant."""
    for times in range(1, WIDTH):
        for strict in (False, True):
            threshold = times * weight
            network, report = quantize(
                _one(weight, threshold=threshold, strict=strict), _frames(STAIRS, 1)
            )
            assert _fires_from(network) == times + strict, (weight, times, strict)
            assert report.layers[0].mismatch == 0  # the reference knows of the tie, too


def test_case_five_times_a_fifth_is_what_torch_and_snntorch_say() -> None:
    """The combination of the list: float32 sums of five .2 are not above 1."""
    x = torch.from_numpy(STAIRS.reshape(-1, WIDTH)).float()
    sums = torch.nn.functional.linear(x, torch.full((1, WIDTH), 0.2)).ravel()
    assert int((sums <= 1.0).sum()) == 6
    network, _ = quantize(_one(0.2, threshold=1.0, strict=True), _frames(STAIRS, 1))
    assert _fires_from(network) == 6
    snntorch = pytest.importorskip("snntorch")
    leaky = snntorch.Leaky(beta=0.5, threshold=1.0, reset_mechanism="zero")
    mem, want = leaky.init_leaky(), []
    for _ in range(3):
        spikes, mem = leaky(sums, mem)
        want.append(spikes.numpy())
    deep = _one(0.2, 3, threshold=1.0, strict=True, reset="zero", leak=0.5)
    network, _ = quantize(deep, _frames(STAIRS, 3))
    got = run(network, _frames(STAIRS, 3), trace=("spike",)).spikes["spike"]
    assert np.array_equal(got.reshape(3, -1), np.array(want))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("off", "on"), [(5e-7, True), (-5e-7, True), (3e-6, False), (-3e-6, False), (2e-4, False)]
)
def test_case_how_near_a_tie_is(strict: bool, off: float, on: bool) -> None:
    whole = 5 * (1 + off)
    network, _ = quantize(_one(1.0, threshold=whole, strict=strict), _frames(STAIRS, 1))
    want = 5 + strict if on else 5 + (off > 0)
    assert _fires_from(network) == want


def test_case_a_tie_is_never_more_than_a_thousandth_of_a_unit() -> None:
    """Relative to 50,000 units, 1e-6 is a twentieth of one."""
    assert snap(np.array([50000.0009, 50000.004, 0.0, -3.0000001])).tolist() == [
        50000.0,
        50000.004,
        0.0,
        -3.0,
    ]


@pytest.mark.parametrize("scale", [0.3, 1.7, 1e-3, 40.0])
@pytest.mark.parametrize("steps", [1, 4])
def test_case_thresholds_behind_many_scales(scale: float, steps: int) -> None:
    """Weight, gain and deviation of a batch norm divide the threshold; the sum is on it."""
    f = np.float32
    norm = BatchNorm(f([0.7 * scale]), f([0.2 * scale]), f([0.0]), f([2.0]), 0.0)
    for times in range(1, WIDTH):
        threshold = float(f(0.3 * 0.7 * scale * times / np.sqrt(2.0) + 0.2 * scale))
        for strict in (False, True):
            net = _one(0.3, steps, norm, threshold=threshold, strict=strict, reset="once")
            network, report = quantize(net, _frames(STAIRS, steps))
            if steps == 1:
                assert _fires_from(network) == times + strict, (times, strict)
            assert report.layers[0].mismatch == 0


def test_case_a_tie_at_zero_is_judged_by_what_was_subtracted() -> None:
    """T = 1: a bias of 0.6 moves a threshold of 0.6 to -2e-8; 0 > 0 does not fire."""
    for strict in (False, True):
        net = _one(0.2, threshold=0.6, bias=0.6, strict=strict)
        network, report = quantize(net, _frames(STAIRS, 1))
        assert _fires_from(network) == strict and report.layers[0].mismatch == 0


def test_case_whole_subtraction_of_float32_weights_needs_no_fraction() -> None:
    net = _one(0.2, 8, threshold=1.0, strict=True)
    images = _frames(STAIRS, 8)
    network, report = quantize(net, images)
    assert _rule(network).threshold.tolist() == [6]
    assert _rule(network).reset_by.tolist() == [5]  # type: ignore[union-attr]
    assert (report.layers[0].fraction_bits, report.layers[0].mismatch) == (0, 0)


# -- readouts ------------------------------------------------------------------------------------


def _head(weight: Any, bias: Any, steps: int = 1, **readout: Any) -> FloatNetwork:
    w = np.asarray(weight, np.float32)
    return FloatNetwork(
        steps,
        [
            FloatInput("image", (1, 1, w.shape[1]), "frames"),
            FloatLinear("full", "image", w, bias=None if bias is None else np.float32(bias)),
            FloatReadout("readout", ("full",), **readout),
        ],
    )


def test_case_a_bias_between_units_decides_the_class() -> None:
    net = _head([[1, 0, 0, 0], [0, 1, 0, 0]], [0.1, 0.4])
    image = np.ones((1, 1, 1, 1, 4), np.uint8)
    assert torch.tensor([1.1, 1.4]).argmax() == 1
    network, report = quantize(net, image)
    assert run(network, image).classes.tolist() == [1]
    assert report.layers[0].fraction_bits > 0 and report.layers[0].mismatch == 0


@pytest.mark.parametrize(
    ("bias", "start", "lossless"),
    [
        (None, 0.0, True),
        ([0.5, 1.0], 0.0, False),
        ([0.5, 1.0], 0.25, False),
        ([0.4, -0.8], 0.2, True),
        ([0.4, -0.8], 0.1, False),
        (None, 0.3, False),
    ],
)
def test_case_no_fraction_only_where_bias_and_start_are_whole(
    bias: Any, start: float, lossless: bool
) -> None:
    """Units of 0.2, float32: 0.4 is two of them, 0.5 is none."""
    net = _head(np.array([[1, 0, 1], [0, 1, 1]]) * 0.2, bias, v_init=start)
    _, report = quantize(net, np.zeros((1, 1, 1, 1, 3), np.uint8))
    assert (report.layers[0].fraction_bits == 0) == lossless


@pytest.mark.parametrize("steps", [1, 3])
def test_case_classes_of_random_heads_are_torchs(steps: int) -> None:
    """At F = 0 13 to 18% of the classes of such heads differed."""
    rng = np.random.default_rng(3)
    weight = rng.choice([-0.1, 0, 0.1], (10, 40)).astype(np.float32)
    weight[:, 0] = 0.1
    bias = rng.normal(0, 0.1, 10).astype(np.float32)
    images = rng.integers(0, 2, (steps, 2000, 1, 1, 40)).astype(np.uint8)
    network, report = quantize(_head(weight, bias, steps), images[:, :256])
    sums = torch.from_numpy(images.reshape(steps, 2000, 40)).float() @ torch.tensor(weight.T)
    want = (sums + torch.tensor(bias)).sum(0).argmax(1).numpy()
    assert report.layers[0].mismatch <= MISMATCH
    assert np.mean(run(network, images).classes != want) <= 0.01


def test_case_logits_that_tie_are_the_lowest_class() -> None:
    """3 * 0.3 + 0.1 and 2 * 0.3 + 0.4 are one number: float32 noise does not choose."""
    net = _head(np.array([[1, 1, 0], [1, 1, 1]]) * 0.3, [0.4, 0.1])
    image = np.ones((1, 1, 1, 1, 3), np.uint8)
    network, report = quantize(net, image)
    assert float_classes(net, image).tolist() == run(network, image).classes.tolist() == [0]
    assert report.layers[0].mismatch == 0
    v = np.array([[1.0, 1.0000005, 0.999, 0.9990002]])
    assert ranks(v).tolist() == [[1, 1, 0, 0]]
    assert ranks(v, exact=True).tolist() == [[2, 3, 0, 1]]


def test_case_first_spike_reference_is_exact_for_large_membranes() -> None:
    """Membranes of 40 to 43, all fired at once: a logistic made them one number."""
    net = _head(_rows([41, 40, 43, 42]), None, mode="first_spike", threshold=30.0)
    image = np.ones((1, 1, 1, 1, 43), np.uint8)
    network, report = quantize(net, image, evaluate=(image, np.array([2])))
    assert report.accuracy_float == report.accuracy_integer == 1.0
    assert float_logits(net, image).argmax(1).tolist() == run(network, image).classes.tolist()
    assert report.layers[0].mismatch == 0


def _rows(counts: list[int]) -> np.ndarray:
    return np.array([[1.0] * n + [0.0] * (max(counts) - n) for n in counts])


@pytest.mark.parametrize(
    ("steps", "leak", "floor"),
    [
        (5, 1.0, None),
        (5, 0.75, None),
        (1, 1.0, None),
        (1, 0.5, None),
        (3, 0.0, None),
        (2, 1.0, 0.0),
    ],
)
def test_case_first_spike_order_is_time_then_membrane_then_index(
    steps: int, leak: float, floor: float | None
) -> None:
    """Random trains: classes of the reference are those of plain Python numbers, and of golden."""
    rng = np.random.default_rng(5)
    weight = rng.choice([-1, 0, 1], (6, 12)).astype(np.float32)
    weight[:, 0] = 1
    images = rng.integers(0, 2, (steps, 300, 1, 1, 12)).astype(np.uint8)
    bias = np.float32([0.31, -1.27, 0.58, 0, 2.23, -0.4])
    net = _head(weight, bias, steps, mode="first_spike", threshold=4.0, leak=leak, floor=floor)
    sums = images.reshape(steps, 300, 12) @ weight.T.astype(np.float64) + bias
    want = []
    for b in range(300):
        keys = []
        for c in range(6):
            v, at = 0.0, steps
            for t in range(steps):
                v = leak * v + sums[t, b, c]
                fires = v >= 4
                v = v if floor is None else max(v, floor)
                if fires:
                    at = t
                    break
            keys.append((at, -v, c))
        want.append(min(keys)[2])
    assert float_classes(net, images).tolist() == want
    network, report = quantize(net, images[:, :200])
    assert report.layers[0].mismatch <= MISMATCH
    assert np.mean(run(network, images).classes != want) <= 0.01


@pytest.mark.parametrize("kind", ["scale", "norm", "zero"])
def test_case_counts_need_no_common_scale(kind: str) -> None:
    """A scale or a batch norm for each class, a class of zero weights: counts keep their order."""
    rng = np.random.default_rng(4)
    f = np.float32
    weight = rng.choice([-1, 0, 1], (5, 30)).astype(f)
    weight[:, 0] = 1
    norm = None
    if kind == "scale":
        weight *= f([[0.1], [0.3], [1], [2.5], [0.7]])
    elif kind == "zero":
        weight[3] = 0
    else:
        norm = BatchNorm(
            f([1, -0.5, 0.3, 2, 0]),
            f([0.2, -0.1, 0.4, 0, 1.5]),
            f([1, 2, 0, -1, 3]),
            f([4, 1, 2, 9, 1]),
        )
    net = FloatNetwork(
        6,
        [
            FloatInput("image", (1, 1, 30), "frames"),
            FloatLinear("full", "image", weight, norm=norm, bias=f([0.13, 0.21, -0.37, 0.74, 0])),
            FloatReadout("readout", ("full",), "count", 0.8, reset="subtract"),
        ],
    )
    images = rng.integers(0, 2, (6, 200, 1, 1, 30)).astype(np.uint8)
    x = torch.from_numpy(images.reshape(6, 200, 30)).double() @ torch.from_numpy(weight.T).double()
    x += torch.tensor([0.13, 0.21, -0.37, 0.74, 0])
    if norm is not None:
        gain, offset = norm.affine()
        x = x * torch.from_numpy(gain) + torch.from_numpy(offset)
    v, count = torch.zeros(200, 5).double(), torch.zeros(200, 5)
    for t in range(6):
        v = v + x[t]
        fired = v >= 0.8
        v, count = v - 0.8 * fired, count + fired
    network, report = quantize(net, images)
    result = run(network, images)
    assert report.layers[0].mismatch <= MISMATCH
    assert np.mean(result.classes != count.numpy().argmax(1)) <= 0.01
    assert np.mean(result.logits != count.numpy()) <= 0.005
    assert len(set(result.classes.tolist())) > 2


@pytest.mark.parametrize("mode", ["membrane", "first_spike"])
def test_case_other_readouts_need_one_scale(mode: str) -> None:
    weight = np.array([[1, 1], [2, 0]], np.float32)
    with pytest.raises(NetworkError, match="'readout': its classes have different scales"):
        quantize(_head(weight, None, 2, mode=mode), np.ones((2, 1, 1, 1, 2), np.uint8))


def test_case_the_reference_walks_in_float64() -> None:
    """Ten weights of 0.1f add up to 1.0000001192 in one order of float32, and to 1 in another."""
    net = _one(0.1, threshold=1.0, strict=True)
    for node, streams in walk(net, _frames(STAIRS, 1)):
        if isinstance(node, FloatReadout):
            assert not streams["spike"].any()
