"""quantize where streams meet: merges, several inputs of a neuron, one batch norm after the sum."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
from sterna.gen.quantize.quantize import MISMATCH, quantize
from sterna.gen.quantize.reference import float_logits, walk
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.network import Merge, Network, Neuron
from sterna.golden.rule import NeuronRule

SIDE, CHANNELS = 6, 5


def _images(count: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, SIDE, SIDE)).astype(np.uint8)


def _trits(rng: np.random.Generator, *shape: int) -> np.ndarray:
    w = rng.choice([-1, 0, 1], shape).astype(np.float32)
    w.reshape(shape[0], -1)[:, 0] = 1
    return w


def _residual(
    short: bool = True,
    gamma: Any = None,
    unit: float = 0.25,
    ratio: float = 2.0,
    amplitude: float = 1.0,
    **main: Any,
) -> FloatNetwork:
    """image - conv - spike1 - conv2 (+ spike1, + 1x1 of spike1) - norm - spike2 - full."""
    rng = np.random.default_rng(5)
    gamma = rng.uniform(0.5, 2, CHANNELS) if gamma is None else np.asarray(gamma)
    one = np.ones(CHANNELS, np.float32)
    norm = BatchNorm(
        gamma.astype(np.float32),
        rng.normal(0, 0.3, CHANNELS).astype(np.float32),
        one * 0.2,
        one * 2,
    )
    inputs = ("conv2", "spike1", "short") if short else ("conv2", "spike1")
    weight = _trits(rng, CHANNELS, CHANNELS, 3, 3) * np.float32(unit)
    conv2 = FloatConv2d("conv2", "spike1", weight, padding=(1, 1, 1, 1))
    side = FloatConv2d("short", "spike1", _trits(rng, CHANNELS, CHANNELS, 1, 1) * unit * ratio)
    return FloatNetwork(
        4,
        [
            FloatInput("image", (1, SIDE, SIDE)),
            FloatConv2d("conv1", "image", _trits(rng, CHANNELS, 1, 3, 3), padding=(1, 1, 1, 1)),
            FloatNeuron("spike1", ("conv1",), threshold=1.5, amplitude=amplitude),
            replace(conv2, **main),
            *([side] if short else []),
            FloatNeuron("spike2", inputs, norm=norm),
            FloatLinear("full", "spike2", _trits(rng, 3, CHANNELS * SIDE * SIDE)),
            FloatReadout("readout", ("full",)),
        ],
    )


def _rule(network: Network, name: str) -> NeuronRule:
    node = network[name]
    assert isinstance(node, Neuron)
    return node.rule


def _check_spikes(net: FloatNetwork, network: Network, images: np.ndarray, name: str) -> None:
    """Golden's spikes are the float network's; they are neither all 0 nor all 1."""
    got = run(network, images, trace=(name,)).spikes[name]
    streams: dict[str, np.ndarray] = {}
    for _, found in walk(net, images):
        streams = found
    assert 0.02 < got.mean() < 0.9
    assert np.mean(got != streams[name]) <= 3 * MISMATCH


def test_one_norm_after_the_sum_keeps_ratios() -> None:
    """Gains of the norm differ in every channel; shift and coefficient do not."""
    net, images = _residual(), _images()
    network, _ = quantize(net, images)
    rule = _rule(network, "spike2")
    assert rule.shifts == (0, 1) and [c.tolist() for c in rule.coef] == [[4] * CHANNELS]
    assert len(set(rule.threshold.tolist())) > 1
    _check_spikes(net, network, _images(20, 3), "spike2")


def test_a_negative_norm_turns_weights_and_shortcuts_around() -> None:
    net = _residual(gamma=[1, -1, 0.7, -0.3, 2])
    network, _ = quantize(net, _images())
    rule = _rule(network, "spike2")
    assert rule.coef[0].tolist() == [4, -4, 4, -4, 4]
    plain, _ = quantize(_residual(gamma=[1, 1, 0.7, 0.3, 2]), _images())
    for name in ("conv2", "short"):
        w, p = network[name].weight, plain[name].weight  # type: ignore[union-attr]
        assert np.array_equal(w[1], -p[1]) and np.array_equal(w[0], p[0])
    _check_spikes(net, network, _images(20, 3), "spike2")


def test_zero_gain_is_a_constant_channel_for_shortcuts_too() -> None:
    net = _residual(gamma=[1, 0, 1, 1, 1])
    network, report = quantize(net, _images())
    rule = _rule(network, "spike2")
    assert rule.coef[0].tolist() == [4, 0, 4, 4, 4]
    assert not np.any(network["conv2"].weight[1])  # type: ignore[union-attr]
    assert {r.name: r.constant for r in report.layers}["spike2"] == 1
    _check_spikes(net, network, _images(20, 3), "spike2")


def test_a_channel_without_weights_still_hears_its_shortcut() -> None:
    net = _residual(short=False)
    weight = net.by_name["conv2"].weight.copy()  # type: ignore[union-attr]
    weight[2] = 0
    net = _residual(short=False, weight=weight)
    network, report = quantize(net, _images())
    assert _rule(network, "spike2").coef[0].tolist() == [4, 4, 1, 4, 4]
    assert {r.name: r.constant for r in report.layers}["spike2"] == 0
    got = run(network, _images(20, 3), trace=("spike2",)).spikes["spike2"][:, :, 2]
    assert 0 < got.mean() < 1
    _check_spikes(net, network, _images(20, 3), "spike2")


def test_a_channel_with_weights_on_one_side_only() -> None:
    net = _residual()
    weight = net.by_name["conv2"].weight.copy()  # type: ignore[union-attr]
    weight[2] = 0
    net = _residual(weight=weight)
    network, _ = quantize(net, _images())
    assert _rule(network, "spike2").shifts == (0, 1)
    _check_spikes(net, network, _images(20, 3), "spike2")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"ratio": 3.0},
            "inputs 'conv2' and 'short' meet with amplitudes 1 : 3, .*tie their gains",
        ),
        (
            {"ratio": 1024.0},
            "inputs 'conv2' and 'short' .* 1 : 1024, not one power of two up to 2..8",
        ),
        ({"unit": 0.3}, "a spike of 'spike1' is worth 3.33333 units of channel 0, .*tie"),
        (
            {"norm": BatchNorm(*np.ones((4, CHANNELS), np.float32) * [[1.0], [0], [0], [3]])},
            "inputs 'conv2' and 'short' meet with amplitudes 1 : 3.4641",
        ),
    ],
)
def test_what_does_not_meet_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match="'spike2': " + message):
        quantize(_residual(**how), _images())


def _merged(mode: str, amplitudes: tuple[float, float]) -> FloatNetwork:
    rng = np.random.default_rng(8)
    width = 2 * CHANNELS if mode == "concat" else CHANNELS
    nodes: list[Any] = [FloatInput("image", (1, SIDE, SIDE))]
    for k, amplitude in enumerate(amplitudes):
        weight = _trits(rng, CHANNELS, 1, 3, 3)
        nodes.append(FloatConv2d(f"conv{k}", "image", weight, padding=(1, 1, 1, 1)))
        nodes.append(FloatNeuron(f"spike{k}", (f"conv{k}",), 1.0 + k, amplitude=amplitude))
    return FloatNetwork(
        3,
        [
            *nodes,
            FloatMerge("both", ("spike0", "spike1"), mode),
            FloatConv2d("conv", "both", _trits(rng, 4, width, 3, 3)),
            FloatNeuron("spike", ("conv",), threshold=2.0),
            FloatLinear("full", "spike", _trits(rng, 3, 64)),
            FloatReadout("readout", ("full",)),
        ],
    )


@pytest.mark.parametrize("mode", ["add", "concat"])
@pytest.mark.parametrize(
    ("amplitudes", "shifts"),
    [
        ((1.0, 1.0), (0, 0)),
        ((1.0, 0.25), (2, 0)),
        ((0.5, 4.0), (0, 3)),
    ],
)
def test_merges_shift_to_the_smallest_amplitude(
    mode: str, amplitudes: tuple[float, float], shifts: tuple[int, int]
) -> None:
    net, images = _merged(mode, amplitudes), _images()
    network, _ = quantize(net, images)
    node = network["both"]
    assert isinstance(node, Merge) and node.shifts == shifts
    tops = [1 << s for s in shifts]
    assert network.maximum["both"] == (sum(tops) if mode == "add" else max(tops))
    _check_spikes(net, network, images, "spike")


@pytest.mark.parametrize("mode", ["or", "and", "andnot"])
def test_boolean_merges(mode: str) -> None:
    net, images = _merged(mode, (0.5, 0.5)), _images()
    network, _ = quantize(net, images)
    got = run(network, images, trace=("both", "spike0", "spike1")).spikes
    a, b = got["spike0"] > 0, got["spike1"] > 0
    want = {"or": a | b, "and": a & b, "andnot": a & ~b}[mode]
    assert 0 < want.mean() < 1 and np.array_equal(got["both"] > 0, want)
    with pytest.raises(NetworkError, match="'both': .*1 : 4.*needs 1 : 1"):
        quantize(_merged(mode, (2.0, 0.5)), images)


def test_norm_and_unit_are_kept_in_files(tmp_path: Path) -> None:
    net = _residual(unit=0.25)
    nodes = [replace(n, unit=0.25) if n.name == "conv2" else n for n in net.nodes]
    net = FloatNetwork(net.steps, nodes)
    net.save(tmp_path)
    again = FloatNetwork.load(tmp_path)
    assert again.by_name["conv2"].unit == 0.25  # type: ignore[union-attr]
    assert again.by_name["short"].unit is None  # type: ignore[union-attr]
    assert np.array_equal(float_logits(again, _images()), float_logits(net, _images()))


def test_float_graphs_that_cannot_be_are_refused_with_the_node():
    w = np.ones((2, 1, 3, 3), np.float32)
    x = FloatInput("x", (1, 6, 6), "frames")
    c = FloatConv2d("c", "x", w, (2, 2), (1, 1, 1, 1))
    n = FloatNeuron("n", ("c",))

    def refused(*nodes: Any) -> str:
        end = FloatReadout("out", (nodes[-1].name,))
        with pytest.raises(NetworkError) as e:
            FloatNetwork(2, [x, c, n, *nodes, end])
        return str(e.value)

    assert "node 'm': inputs 'x' (1, 6, 6) and 'n' (2, 3, 3) cannot be concatenated" in refused(
        FloatMerge("m", ("x", "n"), "concat")
    )
    assert "node 'm': has no inputs" in refused(FloatMerge("m", (), "add"))
    assert "node 'm': reads the weighted sums of 'c'" in refused(FloatMerge("m", ("c", "n"), "add"))
    wide = FloatConv2d("d", "c", np.ones((2, 2, 1, 1), np.float32))
    assert "node 'd': reads the weighted sums of 'c'" in refused(wide)
