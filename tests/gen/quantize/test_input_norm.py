"""Mean and deviation of the pixels: folded exactly into what reads them, or refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
)
from sterna.gen.quantize.quantize import MISMATCH, quantize
from sterna.gen.quantize.reference import float_logits
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run

SIDE = 6
F = np.float32


def _images(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 2, SIDE, SIDE)).astype(np.uint8)


def _trits(seed: int, *shape: int) -> np.ndarray:
    w = np.random.default_rng(seed).choice([-1, 0, 1], shape).astype(F)
    w.reshape(shape[0], -1)[:, 0] = 1
    return w


def _swap(network: FloatNetwork, **change: Any) -> FloatNetwork:
    nodes = [replace(n, **change) if isinstance(n, FloatInput) else n for n in network.nodes]
    return FloatNetwork(network.steps, nodes)


def _normalised(
    mean: Any, std: Any, padding: int = 0, groups: int = 1, first: str = "conv", steps: int = 1
) -> FloatNetwork:
    rng = np.random.default_rng(9)
    w = rng.choice([-1, 0, 1], (4, 2 // groups, 3, 3)).astype(F)
    w[:, 0, 0, 0] = 1
    side = SIDE - 2 + 2 * padding
    norm = BatchNorm(F([1, -1, 0.5, 2]), np.zeros(4, F), np.full(4, 0.05, F), np.ones(4, F), 0.0)
    node: Any = FloatConv2d(
        "conv",
        "image",
        w * F(0.21),
        padding=(padding,) * 4,
        groups=groups,
        bias=rng.normal(0, 0.3, 4).astype(F),
        norm=norm,
    )
    if first == "linear":
        node, side = FloatLinear("conv", "image", _trits(4, 4, 72) * F(0.11)), 1
    return FloatNetwork(
        steps,
        [
            FloatInput("image", (2, SIDE, SIDE), mean=mean, std=std),
            node,
            FloatNeuron("a", ("conv",), 0.3333, reset="zero"),
            FloatLinear("full", "a", _trits(5, 3, 4 * side * side)),
            FloatReadout("readout", ("full",)),
        ],
    )


@pytest.mark.parametrize(
    "how",
    [
        {"mean": 0.1307, "std": 0.3081},
        {"mean": [0.2, 0.6], "std": [0.25, 0.25]},
        {"mean": [0.2, 0.6], "std": None, "groups": 2},
        {"mean": [0.45, 0.41], "std": 0.5, "first": "linear"},
        {"mean": [0.2, 0.6], "std": 0.5, "steps": 4},
    ],
)
def test_case_normalised_pixels_fold_into_the_bias(how: dict[str, Any]) -> None:
    net = _normalised(**how)
    images = _images(80)
    network, report = quantize(net, images, evaluate=(images, np.zeros(80, int)))
    got = run(network, images, trace=("a",)).spikes["a"]
    mean = torch.tensor(np.broadcast_to(np.ravel(how["mean"]), 2).copy()).float().view(2, 1, 1)
    std = 1.0 if how["std"] is None else float(np.ravel(how["std"])[0])
    x = (torch.from_numpy(images).float() / 255 - mean) / std
    node: Any = net.by_name["conv"]
    w = torch.from_numpy(node.weight)
    if isinstance(node, FloatConv2d):
        x = torch.nn.functional.conv2d(x, w, torch.from_numpy(node.bias), groups=node.groups)
        gain, offset = node.norm.affine()
        x = x * torch.tensor(gain).view(-1, 1, 1) + torch.tensor(offset).view(-1, 1, 1)
    else:
        x = (x.flatten(1) @ w.T)[..., None, None]
    v, differ, total = torch.zeros(x.shape).double(), 0, 0
    for t in range(net.steps):
        v = v + x
        fired = v >= 0.3333
        v = v * ~fired
        differ += int((fired.numpy() != got[t]).sum())
        total += int(fired.sum())
    assert 0.02 < got.mean() < 0.9 and differ <= (0 if net.steps == 1 else MISMATCH * total)
    plain = float_logits(net, images).argmax(1)
    assert report.accuracy_float == np.mean(plain == 0)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            {"mean": 0.13, "std": 0.3, "padding": 1},
            "a mean of 0.13 moves pixels below zero and away "
            "from the zero padding of 'conv'; feed raw pixels",
        ),
        (
            {"mean": [0.1, 0.2], "std": None, "padding": 1},
            "a mean for each channel cannot be built exactly in front of 'conv', which pads",
        ),
        ({"mean": [0.1, 0.2], "std": [0.3, 0.4]}, "a std for each channel cannot be built"),
        ({"mean": [0.1, 0.2, 0.3], "std": None}, r"mean has shape \(3,\), which fits no 2"),
        ({"mean": 0.1, "std": 0.0}, "std 0.0 is not positive"),
    ],
)
def test_case_normalised_pixels_that_do_not_fold(how: dict[str, Any], said: str) -> None:
    with pytest.raises(NetworkError, match=f"node 'image': {said}"):
        quantize(_normalised(**how), _images(5))


@pytest.mark.parametrize("how", [{"mean": None, "std": None}, {"mean": [0.2, 0.6], "std": 0.5}])
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_counts_are_scaled_and_normalised_as_pixels_are(bits: int, how: dict[str, Any]) -> None:
    """Frames that are the same at every step are what the pixels are."""
    steps, top = 3, 2**bits - 1
    pixels = _swap(_normalised(**how, steps=steps), bits=bits, scale=1 / top)
    frames = _swap(pixels, coding="frames")
    images = _images(40) & top
    film = np.repeat(images[None], steps, 0)
    assert np.array_equal(float_logits(pixels, images), float_logits(frames, film))
    (a, _), (b, _) = quantize(pixels, images), quantize(frames, film)
    assert a.weighted("conv").weight.tolist() == b.weighted("conv").weight.tolist()
    assert a.neuron("a").rule.threshold.tolist() == b.neuron("a").rule.threshold.tolist()
    assert np.array_equal(run(a, images).logits, run(b, film).logits)
    other = film.copy()
    other[1:] = 0  # a step is a step
    assert not np.array_equal(run(b, other).logits, run(b, film).logits)


def test_a_mean_of_counts_needs_a_layer_with_a_bias() -> None:
    net = _swap(_normalised(0.5, None), coding="frames")
    pooled = [FloatPool("pool", "image", "sum", (1, 1)), replace(net.by_name["conv"], input="pool")]
    nodes = [pooled[0], *[n for n in net.nodes if n.name != "conv"], pooled[1]]
    with pytest.raises(NetworkError, match="'image': a mean cannot be built in front of 'pool'"):
        quantize(FloatNetwork(1, nodes), _images(5)[None])


def test_case_spikes_have_no_mean() -> None:
    with pytest.raises(NetworkError, match="'image': mean and std are of pixels, but 'rate' car"):
        quantize(_swap(_normalised(0.5, None), coding="rate"), _images(5))
