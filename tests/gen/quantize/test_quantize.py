"""quantize: what is folded, how exactly, and what is refused with a sentence."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from floatcase import SIDE, chain, make_images, make_norm, make_weight, swap
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatReadout,
)
from sterna.gen.quantize.neuron_rules import decay_of
from sterna.gen.quantize.quantize import MISMATCH, quantize
from sterna.gen.quantize.reference import float_logits, real_drive, scan_real, walk
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.network import Conv2d, Network, Neuron, Pool
from sterna.golden.rule import Decay, NeuronRule


def _rule(network: Network, name: str) -> NeuronRule:
    node = network[name]
    assert isinstance(node, Neuron)
    return node.rule


def _float_spikes(network: FloatNetwork, images: np.ndarray, name: str) -> np.ndarray:
    for node, streams in walk(network, images):
        if node.name == name:
            return scan_real(real_drive(network, node, streams), node, network.steps)[0]
    raise AssertionError(name)


@given(
    seed=st.integers(0, 10**6),
    steps=st.integers(1, 6),
    kind=st.sampled_from(["ternary", "binary"]),
    reset=st.sampled_from(["subtract", "zero"]),
    leak=st.sampled_from([1.0, 0.5, 0.75, 0.9375]),
    pool=st.sampled_from(["sum", "avg", "or"]),
    strict=st.booleans(),
    coding=st.sampled_from(["direct", "rate", "latency"]),
    mode=st.sampled_from(["membrane", "count"]),
    floor=st.sampled_from([None, 0.0, -0.3]),
)
@settings(max_examples=30)
def test_integer_network_follows_float(
    seed: int,
    steps: int,
    kind: str,
    reset: str,
    leak: float,
    pool: str,
    strict: bool,
    coding: str,
    mode: str,
    floor: float | None,
) -> None:
    """On images it has not seen, spikes differ at few sites and logits by little."""
    neuron = {"reset": reset, "leak": leak, "strict": strict, "floor": floor}
    net = chain(steps, kind, seed, pool, coding, mode, **neuron, v_init=0.25)
    images = make_images(30, seed)
    network, report = quantize(net, make_images(40, seed + 1))
    result = run(network, images, trace=("spike1",))
    differ = np.mean(result.spikes["spike1"] != _float_spikes(net, images, "spike1"))
    assert report.layers[0].mismatch <= MISMATCH
    assert differ <= 4 * MISMATCH + 2 / result.spikes["spike1"].size
    if mode == "membrane" and differ == 0:
        real = float_logits(net, images)
        unit = np.abs(net.by_name["full3"].weight).max() * net.amplitude["pool2"]  # type: ignore[union-attr]
        np.testing.assert_allclose(result.logits * network.readout.scale, real, atol=0.51 * unit)


def test_one_step_is_exact_for_every_image() -> None:
    """T = 1: bias and v_init move into the threshold, F = 0, and not one spike differs."""
    for seed in range(20):
        net = chain(1, seed=seed, strict=bool(seed % 2), v_init=0.5, leak=0.5)
        network, report = quantize(net, make_images(8))
        images = make_images(60, seed + 100)
        got = run(network, images, trace=("spike1",)).spikes["spike1"]
        assert np.array_equal(got, _float_spikes(net, images, "spike1"))
        assert report.layers[0].fraction_bits == 0
        rule = _rule(network, "spike1")
        assert not np.any(rule.bias) and not np.any(rule.v_init)


def test_negative_gain_flips_the_channel() -> None:
    net = chain()
    conv = net.by_name["conv1"]
    assert isinstance(conv, FloatConv2d) and conv.norm is not None
    network, _ = quantize(net, make_images())
    built = network["conv1"]
    assert isinstance(built, Conv2d)
    sign = np.sign(conv.norm.gamma).reshape(-1, 1, 1, 1)
    assert (sign < 0).any() and np.array_equal(built.weight, np.sign(conv.weight) * sign)


@pytest.mark.parametrize(("strict", "threshold"), [(False, 3), (True, 4)])
def test_ties_at_the_threshold(strict: bool, threshold: int) -> None:
    """A whole threshold: '>=' keeps it, '>' is one more; reset zero without leak needs no F."""
    net = _plain(threshold=3.0, strict=strict, reset="zero")
    network, report = quantize(net, make_images())
    assert _rule(network, "spike1").threshold.tolist() == [threshold]
    assert report.layers[0].fraction_bits == 0
    net = _plain(threshold=2.5, strict=strict, reset="zero")
    assert _rule(quantize(net, make_images())[0], "spike1").threshold.tolist() == [3]


def _plain(
    steps: int = 3,
    kind: str = "ternary",
    norm: BatchNorm | None = None,
    weight: Any = ((((1.0, -1.0),),),),
    scale: float = 1.0,
    **neuron: Any,
) -> FloatNetwork:
    """One channel, one neuron layer, pixels of value 0..255 times ``scale``."""
    w = np.asarray(weight, np.float32)
    out = len(w) * SIDE * (SIDE - 1)
    last = np.ones((2, out), np.float32)
    last[1] = -1
    return FloatNetwork(
        steps,
        [
            FloatInput("image", (1, SIDE, SIDE), scale=scale),
            FloatConv2d("conv1", "image", w, kind=kind, norm=norm),
            FloatNeuron("spike1", ("conv1",), **neuron),
            FloatLinear("full3", "spike1", last, kind),
            FloatReadout("readout", ("full3",)),
        ],
    )


def test_whole_subtraction_needs_no_fraction() -> None:
    network, report = quantize(_plain(threshold=7.0), make_images())
    assert report.layers[0].fraction_bits == 0
    assert _rule(network, "spike1").reset_by.tolist() == [7]  # type: ignore[union-attr]


def test_fraction_is_the_smallest_that_is_good() -> None:
    net = _plain(steps=8, threshold=100 / 3, scale=0.1)
    _, report = quantize(net, make_images())
    chosen = report.layers[0].fraction_bits
    assert 2 <= chosen <= 10 and report.layers[0].mismatch <= MISMATCH
    if chosen > 2:
        _, worse = quantize(net, make_images(), fraction_bits={"spike1": chosen - 1})
        assert worse.layers[0].mismatch > MISMATCH
    _, fixed = quantize(net, make_images(), fraction_bits={"spike1": 9})
    assert fixed.layers[0].fraction_bits == 9


def test_unreachable_threshold_is_clamped_to_maximum_plus_one() -> None:
    network, report = quantize(_plain(threshold=1e9, reset="zero"), make_images())
    assert _rule(network, "spike1").threshold.tolist() == [3 * 255 + 1]
    assert report.layers[0].silent == 1
    network, report = quantize(_plain(threshold=3.0 * 255, reset="zero"), make_images())
    assert _rule(network, "spike1").threshold.tolist() == [3 * 255] and not report.layers[0].silent


@pytest.mark.parametrize("beta", [-1.0, 0.4, 0.6, 5.0])
def test_zero_gain_is_a_constant_neuron(beta: float) -> None:
    zero = np.zeros(1, np.float32)
    norm = BatchNorm(zero, zero + np.float32(beta), zero, zero + 1)
    net = _plain(steps=4, norm=norm)
    images = make_images()
    network, report = quantize(net, images)
    got = run(network, images, trace=("spike1",)).spikes["spike1"]
    assert np.array_equal(got, _float_spikes(net, images, "spike1"))
    assert report.layers[0].constant == 1
    assert not network["conv1"].weight.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("beta", [-1.0, 5.0])
def test_zero_gain_of_binary_weights(beta: float) -> None:
    zero = np.zeros(1, np.float32)
    net = _plain(
        steps=4, kind="binary", norm=BatchNorm(zero, zero + np.float32(beta), zero, zero + 1)
    )
    images = make_images()
    got = run(quantize(net, images)[0], images, trace=("spike1",)).spikes["spike1"]
    assert np.array_equal(got, _float_spikes(net, images, "spike1"))
    assert got.all() == (beta > 0) and got.any() == (beta > 0)


def test_zero_gain_of_binary_weights_that_fires_sometimes() -> None:
    zero = np.zeros(1, np.float32)
    norm = BatchNorm(zero, zero + np.float32(0.4), zero, zero + 1)
    with pytest.raises(NetworkError, match="'spike1': channel 0 has zero gain .*use ternary"):
        quantize(_plain(steps=4, kind="binary", norm=norm), make_images())


def test_average_pool_becomes_a_sum_with_its_divisor_folded() -> None:
    net = chain(pool="avg")
    network, _ = quantize(net, make_images())
    pool = network["pool2"]
    assert isinstance(pool, Pool) and pool.mode == "sum"
    other, _ = quantize(chain(pool="sum"), make_images())
    assert network.readout.scale == pytest.approx(other.readout.scale / 4)


def test_membrane_bias_is_a_start_value() -> None:
    net = chain()
    network, _ = quantize(net, make_images())
    full = net.by_name["full3"]
    assert isinstance(full, FloatLinear) and full.bias is not None
    assert not np.any(network.readout.rule.bias)
    want = np.floor(full.bias * 4 / network.readout.scale + 0.5)
    assert np.array_equal(network.readout.rule.v_init, want)  # type: ignore[arg-type]


def test_report_and_accuracy() -> None:
    net, images = chain(), make_images(60)
    labels = float_logits(net, images).argmax(1)
    network, report = quantize(net, images, evaluate=(images, labels), name="small")
    assert network.name == "small" and report.accuracy_float == 1.0
    assert report.accuracy_integer is not None and report.accuracy_integer > 0.9
    assert [r.name for r in report.layers] == ["spike1", "readout"]
    assert "spike1" in report.table() and "accuracy on 60 images" in report.table()
    assert report.as_dict()["layers"][0]["width"] >= 10


def test_two_weighted_inputs_meet_by_a_shift() -> None:
    net = _two(8.0)
    images = make_images()
    network, _ = quantize(net, images)
    assert _rule(network, "spike1").shifts == (0, 3)
    got = run(network, images, trace=("spike1",)).spikes["spike1"]
    assert np.mean(got != _float_spikes(net, images, "spike1")) <= MISMATCH
    assert _rule(quantize(_two(0.25), images)[0], "spike1").shifts == (2, 0)


def _two(ratio: float, bias: float = 0.3) -> FloatNetwork:
    rng = np.random.default_rng(2)
    w = np.sign(make_weight(rng, (3, 1, 3, 3))).astype(np.float32)
    wide = np.full(3, bias, np.float32)
    last = np.sign(make_weight(rng, (2, 48))).astype(np.float32)
    return FloatNetwork(
        4,
        [
            FloatInput("image", (1, SIDE, SIDE)),
            FloatConv2d("a", "image", w, bias=wide),
            FloatConv2d("b", "image", -w * np.float32(ratio)),
            FloatNeuron("spike1", ("a", "b"), threshold=1.7),
            FloatLinear("full3", "spike1", last),
            FloatReadout("readout", ("full3",)),
        ],
    )


# -- what is refused ------------------------------------------------------------------------------


def _refused(network: FloatNetwork, message: str, **how: Any) -> None:
    with pytest.raises(NetworkError, match=message):
        quantize(network, make_images(), **how)


def _unmade(name: str, message: str, **change: Any) -> None:
    """The chain with one node changed is refused when it is made."""
    net = chain()
    with pytest.raises(NetworkError, match=message):
        swap(net, name, **change)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(value: float) -> None:
    net = chain()
    conv = net.by_name["conv1"]
    assert isinstance(conv, FloatConv2d) and conv.norm is not None
    weight = conv.weight.copy()
    weight[2, 0, 1, 1] = value
    _unmade("conv1", "'conv1': weight holds NaN or infinity; .*lower", weight=weight)
    gamma = conv.norm.gamma.copy()
    gamma[0] = value
    norm = replace(conv.norm, gamma=gamma)
    _unmade("conv1", "'conv1': norm.gamma holds", norm=norm)
    _unmade("spike1", "'spike1': threshold holds NaN", threshold=value)
    _unmade("full3", "'full3': bias holds NaN", bias=np.full(4, value))


def test_negative_variance() -> None:
    net = chain()
    norm = net.by_name["conv1"].norm  # type: ignore[union-attr]
    assert norm is not None
    bad = replace(norm, var=-norm.var)
    _unmade("conv1", "'conv1': a variance is negative", norm=bad)


def test_input_mean_and_deviation() -> None:
    net = chain()
    three = net.by_name["conv1"].weight.repeat(3, axis=1)  # type: ignore[union-attr]
    colour = {"image": {"shape": (3, SIDE, SIDE)}, "conv1": {"weight": three}}
    for what in ("mean", "std"):
        colour["image"][what] = [0.1, 0.2, 0.3]
        nodes = [replace(n, **colour.get(n.name, {})) for n in net.nodes]
        with pytest.raises(NetworkError, match=f"'image': a {what} for each channel .*first b"):
            quantize(FloatNetwork(net.steps, nodes), make_images().repeat(3, axis=1))
        colour["image"][what] = None
    _unmade("image", r"'image': mean has shape \(3,\), which fits no 1 channels", mean=[1, 2, 3])
    _refused(swap(net, "image", mean=0.13), "'image': a mean of 0.13 moves pixels below zero")
    _refused(swap(net, "image", std=0.0), "'image': std 0.0 is not positive")


def test_one_deviation_is_folded() -> None:
    net = swap(chain(), "image", std=0.5, mean=0.0)
    images = make_images()
    network, _ = quantize(net, images)
    same = swap(chain(), "image", scale=2 / 255)
    got = run(network, images).logits
    assert np.array_equal(got, run(quantize(same, images)[0], images).logits)


def test_scales_of_the_readout() -> None:
    net = chain()
    full = net.by_name["full3"]
    assert isinstance(full, FloatLinear)
    each = full.weight * np.array([[1], [1], [2], [1]], np.float32)
    _refused(swap(net, "full3", weight=each), "'readout': its classes have different scales .*ONE")
    each = full.weight * np.array([[1], [1], [0], [1]], np.float32)
    _refused(swap(net, "full3", weight=each), "'readout': a class has zero weights")
    norm = make_norm(np.random.default_rng(0), 4)
    _refused(swap(net, "full3", norm=norm), "'readout': its classes have different scales")


def test_weights_that_are_not_ternary_or_binary() -> None:
    net = chain()
    conv = net.by_name["conv1"]
    assert isinstance(conv, FloatConv2d)
    weight = conv.weight.copy()
    weight[1, 0, 0, 0] *= 0.5
    _refused(
        swap(net, "conv1", weight=weight), "'conv1': weight .* of channel 1 is not one of -a, 0"
    )
    _refused(
        swap(net, "conv1", kind="binary"), "'conv1': weight 0 of channel .* is not one of -a, .a"
    )
    _unmade("conv1", "'conv1': weight kind 'int4' is not one of ternary, binary, real", kind="int4")


def test_amplitudes_that_do_not_meet() -> None:
    _refused(_two(3.0), "'spike1': inputs 'a' and 'b' meet with amplitudes 1 : 3, .*tie")
    rng = np.random.default_rng(0)
    net = chain()
    nodes = [n for n in net.nodes if n.name not in ("pool2", "full3", "readout")]
    nodes += [
        FloatNeuron("spike2", ("conv1",), amplitude=0.3),
        FloatMerge("both", ("spike1", "spike2"), "add"),
        FloatLinear("full3", "both", make_weight(rng, (4, 180), one=True)),
        FloatReadout("readout", ("full3",)),
    ]
    _refused(FloatNetwork(4, nodes), "'both': inputs 'spike2' and 'spike1' .* 1 : 3.33333")


def test_leaks_that_are_not_shifts() -> None:
    net = chain(leak=0.9)
    network, report = quantize(net, make_images())
    assert _rule(network, "spike1").leak == Decay(ratio=(3686, 12))
    said = "leak 0.9 is approximated by 1843/2048 = 0.899902"
    assert report.layers[0].approximated == (said,) and f"spike1: {said}" in report.table()
    network, _ = quantize(net, make_images(), leak_tolerance=0.01)
    assert _rule(network, "spike1").leak == decay_of("n", "leak", 0.90625, 0)
    assert decay_of("n", "leak", 0.5, 0) == Decay(1) and decay_of("n", "leak", 1.0, 0) is None
    network, _ = quantize(chain(synapse=0.3), make_images())
    assert _rule(network, "spike1").synapse == Decay(ratio=(1229, 12))


def test_gain_that_is_almost_zero() -> None:
    tiny = np.full(1, 1e-12, np.float32)
    norm = BatchNorm(tiny, np.ones(1, np.float32), 0 * tiny, tiny * 0 + 1)
    _refused(
        _plain(norm=norm), "'spike1': bias is .* units, more than 32 bits; .*set that gain to 0"
    )


def test_no_calibration() -> None:
    with pytest.raises(NetworkError, match="no calibration images"):
        quantize(chain(), np.zeros((0, 1, SIDE, SIDE), np.uint8))
