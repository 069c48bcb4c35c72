"""quantize at its doors: shared weights, sparse layers, leaks of 0, pools that are none: right, or
refused with one sentence.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from floatcase import SIDE, make_images, make_trits, plain

from sterna.gen.quantize.float_network import (
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
from sterna.gen.quantize.neuron_rules import decay_of, nearest_decay
from sterna.gen.quantize.quantize import MISMATCH, quantize
from sterna.gen.quantize.reference import walk
from sterna.golden.bounds import highest_membrane
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.network import Conv2d, Neuron
from sterna.golden.rule import Decay, NeuronRule

F = np.float32


# -- one weighted node, several readers ------------------------------------------------------------


def _norm(gains: Any) -> BatchNorm:
    gains = np.asarray(gains, F)
    one = np.ones(len(gains), F)
    return BatchNorm(gains, 0 * one, 0.05 * one, one, 0.0)


def _shared(first: Any, second: Any, kind: str = "ternary", third: Any = None) -> FloatNetwork:
    """One convolution read by neurons with the given gains, whose spikes are added."""
    gains = [first, second] + ([] if third is None else [third])
    weight = make_trits(1, 3, 1, 3, 3)
    weight = np.where(weight == 0, F(1), weight) if kind == "binary" else weight
    names = tuple("abc"[: len(gains)])
    return FloatNetwork(
        3,
        [
            FloatInput("image", (1, SIDE, SIDE)),
            FloatConv2d("conv", "image", weight * F(0.3), kind=kind),
            *(
                FloatNeuron(n, ("conv",), 0.2, norm=_norm(g))
                for n, g in zip(names, gains, strict=True)
            ),
            FloatMerge("both", names, "add"),
            FloatLinear("full", "both", make_trits(2, 2, 48)),
            FloatReadout("readout", ("full",)),
        ],
    )


def _same_spikes(net: FloatNetwork, names: str, images: np.ndarray) -> None:
    network, report = quantize(net, images)
    got = run(network, images, trace=tuple(names)).spikes
    for node, streams in walk(net, images):
        if isinstance(node, FloatReadout):
            for n in names:
                differ = np.count_nonzero(got[n] != streams[n])
                assert differ <= MISMATCH * streams[n].sum(), n
    assert all(r.mismatch <= MISMATCH for r in report.layers)


@pytest.mark.parametrize(
    "gains",
    [
        ([1, 2, 0.5], [2, 1, 1]),
        ([-1, 2, -1], [-2, 1, -0.3]),
        ([-1, 0, 1], [-1, 0, 1]),
    ],
)
def test_case_shared_weights_are_turned_once(gains: tuple[Any, Any]) -> None:
    """Two negative gains turned them twice: not at all."""
    _same_spikes(_shared(*gains), "ab", make_images(30))
    _same_spikes(_shared(*gains, third=gains[1]), "abc", make_images(30))


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        (
            ([1, 1, 1], [1, -1, 1]),
            "'a' with a positive gain .* 'b' with a negative gain .channel 1",
        ),
        (([1, 1, 1], [1, 1, 0]), "'a' with a positive gain .* 'b' with a zero gain .channel 2"),
        (([0, 1, 1], [-1, 1, 1]), "'a' with a zero gain .* 'b' with a negative gain .channel 0"),
    ],
)
def test_case_shared_weights_of_gains_of_other_signs_are_refused(gains: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=f"'conv': its weights are read by {said}.*a copy"):
        quantize(_shared(*gains), make_images(30))


def test_case_the_third_reader_is_looked_at_too() -> None:
    with pytest.raises(NetworkError, match="'conv': .* by 'a' with a positive .*'c' with a neg"):
        quantize(_shared([1, 1, 1], [2, 2, 2], third=[1, 1, -1]), make_images(30))


def test_case_shared_binary_weights_need_no_sign_where_a_reader_has_no_gain() -> None:
    for first, second in (([1, 0, 1], [1, -1, 1]), ([1, -1, 1], [1, 0, 1])):
        _same_spikes(_shared(first, second, "binary"), "ab", make_images(30))
    with pytest.raises(NetworkError, match="'conv': its weights are read by 'a' with a positive"):
        quantize(_shared([1, 1, 1], [1, -1, 1], "binary"), make_images(30))
    with pytest.raises(NetworkError, match="by 'b' with a negative gain and by 'c' with a pos"):
        quantize(_shared([1, 0, 1], [1, -1, 1], "binary", [1, 1, 1]), make_images(30))


def test_case_a_residual_and_a_plain_reader_of_one_convolution() -> None:
    """The sum with another convolution has a negative gain, the plain reader has none."""

    def network(gain: float) -> FloatNetwork:
        net = _shared([1, 1, 1], [1, 1, 1])
        nodes = [
            replace(n, inputs=("conv", "side"), norm=_norm([1, gain, 1])) if n.name == "b" else n
            for n in net.nodes
        ]
        side = FloatConv2d("side", "image", make_trits(7, 3, 1, 3, 3) * F(0.6))
        return FloatNetwork(net.steps, [*nodes[:2], side, *nodes[2:]])

    _same_spikes(network(1), "ab", make_images(30))
    with pytest.raises(NetworkError, match="'conv': .*'a' with a positive gain .*'b' with a neg"):
        quantize(network(-1), make_images(30))


def test_case_channels_without_weights_have_no_sign() -> None:
    net = _shared([1, 1, 1], [1, -1, 1])
    weight = net.by_name["conv"].weight.copy()  # type: ignore[union-attr]
    weight[1] = 0
    nodes = [replace(n, weight=weight) if n.name == "conv" else n for n in net.nodes]
    _same_spikes(FloatNetwork(net.steps, nodes), "ab", make_images(30))


# -- F and mismatch --------------------------------------------------------------------------------


def test_case_mismatch_is_of_spikes_not_of_sites() -> None:
    """T = 100, spikes at 1% of the sites: 1e-3 of the sites is a third of the spikes."""
    rng = np.random.default_rng(0)
    w = rng.choice([-1, 0, 1], (8, 64)).astype(F) * F(0.17)
    net = FloatNetwork(
        100,
        [
            FloatInput("image", (1, 8, 8), "frames"),
            FloatLinear("one", "image", w),
            FloatNeuron("a", ("one",), 0.6, leak=0.9375),
            FloatLinear("two", "a", rng.choice([-1, 0, 1], (8, 8)).astype(F) * F(0.23)),
            FloatNeuron("b", ("two",), 0.6, leak=0.9375),
            FloatLinear("full", "b", make_trits(1, 2, 8)),
            FloatReadout("readout", ("full",)),
        ],
    )
    images = (rng.random((100, 40, 1, 8, 8)) < 0.01).astype(np.uint8)
    network, report = quantize(net, images)
    traced = run(network, images, trace=("a", "b")).spikes
    a = next(r for r in report.layers if r.name == "a")
    for node, streams in walk(net, images):
        if node.name == "b":  # 'a' reads the images: its inputs are the float network's
            differ = np.count_nonzero(traced["a"] != streams["a"])
            assert a.mismatch == differ / streams["a"].sum()
            assert 0 < streams["a"].mean() < 0.05
    assert all(r.mismatch <= MISMATCH and r.fraction_bits >= 6 for r in report.layers[:2])
    coarse, report = quantize(net, images, fraction_bits={"a": 4, "b": 4})
    assert report.layers[1].mismatch > 10 * MISMATCH
    assert "b: at no F that fits does less than 0.001 of it differ" in report.table()


def test_case_a_float_layer_without_spikes() -> None:
    net = _shared([1, 1, 1], [1, 1, 1])
    nodes = [replace(n, threshold=1e6) if n.name == "a" else n for n in net.nodes]
    _, report = quantize(FloatNetwork(net.steps, nodes), make_images(30))
    assert report.layers[0].mismatch == 0 and report.layers[0].silent == 3


def test_case_fraction_bits_end_where_registers_do() -> None:
    """2**17 units a step for 100 steps leave room for 8 fraction bits: no more are tried."""
    rng = np.random.default_rng(0)
    net = FloatNetwork(
        100,
        [
            FloatInput("image", (1, 24, 24)),
            FloatLinear("one", "image", np.ones((1, 576), F)),
            FloatNeuron("a", ("one",), 4321.77 / 255, leak=0.9, bias=0.123, reset="subtract"),
            FloatLinear("full", "a", F([[1], [-1]])),
            FloatReadout("readout", ("full",)),
        ],
    )
    images = rng.integers(0, 5, (20, 1, 24, 24)).astype(np.uint8)
    network, report = quantize(net, images, leak_tolerance=0.01)
    assert report.layers[0].width <= 32
    assert report.layers[0].fraction_bits < 16


def test_case_a_layer_without_room_for_two_fraction_bits_has_fewer() -> None:
    """2**28 units a step: F = 2 passed 32 bits, and it was refused."""
    net = FloatNetwork(
        4,
        [
            FloatInput("image", (1, 64, 64), "frames"),
            FloatPool("p1", "image", "sum", (64, 64), (64, 64)),
            FloatMerge("m1", ("p1",) * 16, "add"),
            FloatMerge("m2", ("m1",) * 16, "add"),
            FloatMerge("m3", ("m2",) * 16, "concat"),
            FloatMerge("m4", ("m3",) * 16, "concat"),
            FloatLinear("one", "m4", np.ones((1, 256), F)),
            FloatNeuron("a", ("one",), 6e8 + 0.3, leak=0.75, reset="zero"),
            FloatLinear("full", "a", F([[1], [-1]])),
            FloatReadout("readout", ("full",)),
        ],
    )
    frames = np.ones((4, 2, 1, 64, 64), np.uint8)
    _, report = quantize(net, frames)
    assert report.layers[0].fraction_bits == 1 and report.layers[0].width == 32


# -- leaks -----------------------------------------------------------------------------------------


def _leaky(steps: int = 5, **neuron: Any) -> FloatNetwork:
    rng = np.random.default_rng(2)
    return FloatNetwork(
        steps,
        [
            FloatInput("image", (1, SIDE, SIDE), "rate"),
            FloatLinear(
                "one",
                "image",
                rng.choice([-0.3, 0, 0.3], (7, 36)).astype(F),
                bias=rng.normal(0, 0.2, 7).astype(F),
            ),
            FloatNeuron("a", ("one",), **neuron),
            FloatLinear("full", "a", make_trits(1, 3, 7)),
            FloatReadout("readout", ("full",)),
        ],
    )


@pytest.mark.parametrize("reset", ["zero", "subtract", "once"])
@pytest.mark.parametrize("what", [{"leak": 0.0}, {"synapse": 0.0}, {"leak": 0, "synapse": 0}])
def test_case_leak_and_synapse_of_zero(reset: str, what: dict[str, float]) -> None:
    net = _leaky(reset=reset, v_init=0.4, **what)
    images = make_images(60)
    network, report = quantize(net, images)
    node = network["a"]
    assert isinstance(node, Neuron) and node.rule.synapse is None
    assert node.rule.leak == (Decay(1, 1) if "leak" in what else None)
    if "leak" in what:  # no step hears of another: exact, whatever the bias
        assert report.layers[0].fraction_bits == 0 and report.layers[0].mismatch == 0
    _same_spikes(net, "a", images)


def test_case_leak_zero_is_snntorchs_beta_zero() -> None:
    snntorch = pytest.importorskip("snntorch")
    net = _leaky(reset="zero", leak=0.0, strict=True)
    images = make_images(50, 4)
    network, _ = quantize(net, images)
    got = run(network, images, trace=("a",)).spikes["a"]
    leaky = snntorch.Leaky(beta=0.0, threshold=1.0, reset_mechanism="zero")
    mem = leaky.init_leaky()
    one = net.by_name["one"]
    assert isinstance(one, FloatLinear) and one.bias is not None
    for node, streams in walk(net, images):
        if node.name == "a":
            for t in range(5):
                s = torch.from_numpy(streams["image"][t].reshape(50, -1)).float()
                x = s @ torch.from_numpy(one.weight).T + torch.from_numpy(one.bias)
                spikes, mem = leaky(x, mem)
                assert np.array_equal(spikes.numpy(), got[t, :, :, 0, 0])
            break


def test_case_a_membrane_readout_without_memory() -> None:
    net = plain()
    nodes = [replace(n, leak=0.0) if isinstance(n, FloatReadout) else n for n in net.nodes]
    once = FloatNetwork(net.steps, nodes)
    images = make_images(30)
    got = run(quantize(once, images)[0], images).logits
    assert np.array_equal(got * 2, run(quantize(net, images)[0], images).logits)


@pytest.mark.parametrize("factor", [1.2, -0.5, 1.0001, -1e-6, 7.0])
def test_case_leaks_outside_0_to_1_are_no_matter_of_tolerance(factor: float) -> None:
    for tolerance in (0.0, 0.5):
        with pytest.raises(
            NetworkError,
            match=f"node 'a': leak {factor} is not from 0 to 1: .*; "
            "train with a leak between them$",
        ):
            quantize(_leaky(leak=factor), make_images(30), leak_tolerance=tolerance)
    with pytest.raises(NetworkError, match="node 'n': synapse 1.2 is not from 0 to 1"):
        decay_of("n", "synapse", 1.2, 0.0)


def test_case_a_leak_is_the_nearest_of_4096() -> None:
    for factor in (0.1, 0.9, 0.123456, 1 / 3, 0.9995):
        found = decay_of("n", "leak", factor, 0.0)
        assert found is not None and abs(found.factor - factor) <= 1 / 8192
    assert decay_of("n", "leak", 0.9, 0.0) == Decay(ratio=(3686, 12))
    assert decay_of("n", "leak", 0.9, 0.01) == Decay(4, 5)  # nearer 0.90625, and cheaper
    assert decay_of("n", "leak", 0.99999, 0.0) is None
    assert nearest_decay(0.0) == Decay(1, 1) and Decay(1, 1)(12345) == Decay(1, 1)(-12345) == 0
    assert decay_of("n", "leak", 1.0 + 1e-12, 0.0) is None


# -- pools -----------------------------------------------------------------------------------------


def _pooled(mode: str, add: bool) -> FloatNetwork:
    net = _shared([1, 1, 1], [2, 2, 2])
    pool = FloatPool("pool", "both" if add else "a", mode)
    end = [FloatLinear("full", "pool", make_trits(2, 2, 12)), FloatReadout("readout", ("full",))]
    keep = 5 if add else 3
    return FloatNetwork(net.steps, [*net.nodes[:keep], pool, *end])


@pytest.mark.parametrize("mode", ["or", "first"])
def test_case_a_maximum_of_sums_is_refused_with_its_way_out(mode: str) -> None:
    with pytest.raises(NetworkError) as e:
        quantize(_pooled(mode, True), make_images(30))
    assert str(e.value) == (
        f"node 'pool': a pool '{mode}' of values up to 2 cannot be built; use 'max', or pool "
        "single spikes"
    )
    quantize(_pooled(mode, False), make_images(30))


def test_case_the_way_out_of_a_padded_maximum_is_torchs() -> None:
    """Max pool 3 x 3, stride 2, padding 1 of spikes, as a depthwise convolution of ones."""
    ones = np.ones((3, 1, 3, 3), F)
    net = _shared([1, 1, 1], [2, 2, 2])
    net = FloatNetwork(
        net.steps,
        [
            *net.nodes[:3],
            FloatConv2d("any", "a", ones, (2, 2), (1, 1, 1, 1), 3),
            FloatNeuron("pooled", ("any",), 1.0, reset="zero"),
            FloatLinear("full", "pooled", make_trits(2, 2, 12)),
            FloatReadout("readout", ("full",)),
        ],
    )
    images = make_images(30)
    network, report = quantize(net, images)
    got = run(network, images, trace=("a", "pooled")).spikes
    for t in range(net.steps):
        spikes = torch.from_numpy(got["a"][t]).float()
        want = torch.nn.functional.max_pool2d(spikes, 3, 2, 1)
        assert np.array_equal(got["pooled"][t], want.numpy())
    assert isinstance(network["any"], Conv2d) and report.layers[1].fraction_bits == 0


# -- what has no room ------------------------------------------------------------------------------


def test_case_the_highest_membrane_does_not_wrap() -> None:
    one = np.ones(1, np.int64)
    for synapse in ("ramp", Decay(12), None):
        rule = NeuronRule([0], leak=Decay(12), synapse=synapse, fraction_bits=16)
        assert highest_membrane(rule, one * 2**39, 1024).tolist() == [2**40]
    assert highest_membrane(NeuronRule([0], fraction_bits=2), -one, 3).tolist() == [-4]


def test_case_a_constant_binary_channel_stays_so_behind_a_ramp() -> None:
    """A ramp adds 1 + 2 + .. + T times its weights: T times them was no threshold out of reach."""
    zero = np.zeros(1, F)
    for beta in (-1.0, 3.0):
        norm = BatchNorm(zero, zero + F(beta), zero, zero + 1)
        net = FloatNetwork(
            8,
            [
                FloatInput("image", (1, 1, 4), "frames"),
                FloatLinear("one", "image", np.ones((1, 4), F), "binary", norm=norm),
                FloatNeuron("a", ("one",), 2.0, synapse="ramp", reset="zero"),
                FloatLinear("full", "a", F([[1], [-1]])),
                FloatReadout("readout", ("full",)),
            ],
        )
        images = np.ones((8, 3, 1, 1, 4), np.uint8)
        network, _ = quantize(net, images)
        assert (run(network, images, trace=("a",)).spikes["a"] == (beta > 0)).all()


def test_case_a_reset_that_no_register_holds_is_refused() -> None:
    """It was replaced by the threshold, and nobody told."""
    net = _leaky(reset_by=1e12, leak=1.0)
    with pytest.raises(NetworkError, match="node 'a': reset_by is 3.33e.12 units, more than 32"):
        quantize(net, make_images(30))
    network, _ = quantize(_leaky(reset_by=1e12, reset="zero"), make_images(30))
    node = network["a"]
    assert isinstance(node, Neuron) and isinstance(node.rule, NeuronRule)


@pytest.mark.parametrize("amplitude", [1e-37, 1e38])
def test_case_amplitudes_a_world_apart_are_no_overflow(amplitude: float) -> None:
    nodes = [
        FloatInput("image", (1, 4, 4)),
        FloatLinear("one", "image", np.ones((4, 16), F)),
        FloatNeuron("a", ("one",), 100.0),
        FloatNeuron("b", ("one",), 200.0, amplitude=amplitude),
        FloatMerge("m", ("a", "b"), "add"),
        FloatLinear("full", "m", np.ones((2, 4), F)),
        FloatReadout("readout", ("full",)),
    ]
    with pytest.raises(NetworkError, match="node 'm': inputs .* not a power of two up to"):
        quantize(FloatNetwork(2, nodes), np.zeros((3, 1, 4, 4), np.uint8))
