"""quantize of pools of weighted sums: gains of both signs in front of the pool and behind it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from floatcase import SIDE, make_images, make_norm, make_trits, make_weight, swap

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
from sterna.gen.quantize.reference import float_classes, float_logits
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.network import Pool

CHANNELS = 6
WINDOWS = [((2, 2), (2, 2)), ((3, 2), (1, 2))]
PADDED = ((3, 3), (2, 2), 1)


def pooled(mode: str = "max", steps: int = 1, where: str = "front", **how) -> FloatNetwork:
    """image - conv - pool of its sums - spike - full; its batch norm of gains of both signs
    'front' of the pool, or 'behind' it."""
    kernel, stride, *pad = how.pop("window", WINDOWS[0])
    pad = pad[0] if pad else 0
    kind, sign, biased = how.pop("kind", "ternary"), how.pop("sign", None), how.pop("biased", True)
    rng = np.random.default_rng(3)
    norm = make_norm(rng, CHANNELS)
    if sign is not None:
        norm = replace(norm, gamma=np.abs(norm.gamma) * np.float32(sign))
    h, w = ((SIDE + 2 * pad - k) // s + 1 for k, s in zip(kernel, stride, strict=True))
    return FloatNetwork(
        steps,
        [
            FloatInput("image", (2, SIDE, SIDE)),
            FloatConv2d(
                "conv",
                "image",
                make_weight(rng, (CHANNELS, 2, 3, 3), kind),
                padding=(1, 1, 1, 1),
                kind=kind,
                bias=rng.normal(0, 1, CHANNELS) * biased,
                norm=norm if where == "front" else None,
            ),
            FloatPool("pool", "conv", mode, kernel, stride, padding=pad),
            FloatNeuron("spike", ("pool",), 0.25, norm=norm if where == "behind" else None, **how),
            FloatLinear("full", "spike", make_trits(4, 3, CHANNELS * h * w)),
            FloatReadout("readout", ("full",)),
        ],
    )


def torchs(network: FloatNetwork, images: np.ndarray) -> np.ndarray:
    """Spikes of one step in torch's own words, float64."""
    conv, pool, spike = (network.by_name[n] for n in ("conv", "pool", "spike"))
    assert isinstance(conv, FloatConv2d) and isinstance(pool, FloatPool)
    assert isinstance(spike, FloatNeuron)

    def normed(x: torch.Tensor, norm: BatchNorm | None) -> torch.Tensor:
        if norm is None:
            return x
        gamma, beta, mean, var = (
            torch.from_numpy(a.astype(np.float64))
            for a in (norm.gamma, norm.beta, norm.mean, norm.var)
        )
        return F.batch_norm(x, mean, var, gamma, beta, False, 0.0, norm.eps)

    x = torch.from_numpy(images / 255.0)
    w, b = (torch.from_numpy(np.asarray(a, np.float64)) for a in (conv.weight, conv.bias))
    x = normed(F.conv2d(x, w, b, padding=1), conv.norm)
    if pool.mode == "max":
        x = F.max_pool2d(x, pool.kernel, pool.stride, pool.padding[0])
    else:
        x = F.avg_pool2d(x, pool.kernel, pool.stride, pool.padding[0])
        x = x * (pool.kernel[0] * pool.kernel[1] if pool.mode == "sum" else 1)
    return (normed(x, spike.norm) >= float(spike.threshold)).numpy()


@pytest.mark.parametrize("window", [*WINDOWS, PADDED])
@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize(
    "mode, where, sign",
    [
        ("max", "front", None),
        ("max", "front", -1),
        ("max", "behind", 1),
        ("sum", "front", None),
        ("sum", "behind", None),
        ("avg", "front", None),
        ("avg", "behind", -1),
    ],
)
def test_one_step_is_torchs_for_gains_of_either_sign(mode, where, sign, kind, window):
    biased = window != PADDED or mode == "max"
    if not biased and where == "front":
        with pytest.raises(NetworkError, match="'pool': adds padding, and sums with the bias or"):
            pooled(mode, where=where, kind=kind, window=window, biased=False)
        return
    if not biased:
        with pytest.raises(NetworkError, match="norm of 'conv', which padding has not; put these"):
            pooled(mode, where=where, kind=kind, window=window)
    network = pooled(mode, where=where, sign=sign, kind=kind, window=window, biased=biased)
    images = make_images(60, channels=2)
    whole, report = quantize(network, images)
    spikes = run(whole, images, trace="spike").spikes["spike"][0]
    wanted = torchs(network, images)
    assert (spikes == wanted).all()
    assert wanted.any(axis=(0, 2, 3)).sum() > 2 and not wanted.all()
    assert report.layers[0].mismatch == 0 and report.layers[0].fraction_bits == 0
    pool = whole["pool"]
    assert isinstance(pool, Pool) and pool.mode == ("max" if mode == "max" else "sum")


@pytest.mark.parametrize("sign", [-1, None])
def test_a_negative_gain_behind_a_maximum_is_refused(sign):
    network = pooled("max", where="behind", sign=sign)
    channel = 0 if sign == -1 else int(np.argmax(network.by_name["spike"].norm.gamma < 0))
    with pytest.raises(NetworkError) as e:
        quantize(network, make_images(channels=2))
    assert str(e.value) == (
        f"node 'spike': its batch norm has a negative gain for channel {channel} behind the max "
        "pool 'pool', which would need the minimum; put the batch norm in front of the pool, or "
        "train its gain positive"
    )


def test_a_channel_of_zeros_may_have_any_gain_behind_a_maximum():
    network = pooled("max", where="behind", sign=1)
    conv, spike = network.by_name["conv"], network.by_name["spike"]
    weight, gamma = np.array(conv.weight), np.array(spike.norm.gamma)
    weight[2], gamma[2] = 0, -1
    network = swap(network, "conv", weight=weight)
    network = swap(network, "spike", norm=replace(spike.norm, gamma=gamma))
    images = make_images(channels=2)
    spikes = run(quantize(network, images)[0], images, trace="spike").spikes["spike"][0]
    assert (spikes == torchs(network, images)).all()


@pytest.mark.parametrize("mode", ["max", "sum", "avg"])
def test_several_steps_follow_the_float_network(mode):
    network = pooled(mode, 6, leak=0.75, reset="zero")
    images = make_images(80, channels=2)
    whole, report = quantize(network, images)
    assert all(layer.mismatch <= MISMATCH for layer in report.layers)
    assert (run(whole, images).classes == float_classes(network, images)).mean() > 0.95
    assert report.layers[0].silent < CHANNELS


def test_an_average_is_a_sum_of_a_smaller_amplitude():
    images = make_images(30, channels=2)
    network = pooled("avg", 3)
    summed = swap(network, "pool", mode="sum")
    conv = network.by_name["conv"]
    smaller = replace(conv.norm, gamma=conv.norm.gamma / 4, beta=conv.norm.beta / 4)
    summed = swap(summed, "conv", norm=smaller)
    assert np.allclose(float_logits(network, images), float_logits(summed, images))
    one, two = (run(quantize(n, images)[0], images).logits for n in (network, summed))
    assert (one == two).all()


def test_pools_of_sums_are_kept_in_files(tmp_path: Path):
    network = pooled("max", 2)
    again = FloatNetwork.load(network.save(tmp_path))
    assert again.sums("pool") == (again.by_name["conv"], again.by_name["pool"])
    images = make_images(10, channels=2)
    assert (float_logits(network, images) == float_logits(again, images)).all()


@pytest.mark.parametrize("mode", ["or", "first"])
def test_pools_of_single_spikes_are_not_of_sums(mode):
    with pytest.raises(NetworkError, match="is of single spikes, and 'conv' makes weighted sums"):
        pooled(mode)


def test_pools_of_pools_of_sums_are_refused():
    network = pooled("max")
    more = FloatPool("more", "pool", "max", (1, 1))
    nodes = [*network.nodes, more]
    nodes = [replace(n, inputs=("more",)) if n.name == "spike" else n for n in nodes]
    with pytest.raises(NetworkError, match="'pool', which is a pool already; make them one pool"):
        FloatNetwork(1, nodes)
