"""Calibration: the mean and deviation of every channel's input, and training's own trits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sterna.front.calibrate import calibrate
from sterna.front.report import Report
from sterna.front.trits import discrete
from sterna.gen.quantize.float_network import (
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
)
from sterna.gen.quantize.quantize import quantize
from sterna.gen.quantize.reference import real_drive, walk
from sterna.golden.errors import UsageError
from sterna.train.module.weights import discretize

AXES = (0, 1, 3, 4)


def _network(join: bool = False) -> FloatNetwork:
    rng = np.random.default_rng(2)
    draw = lambda *shape: rng.normal(0, 0.4, shape)  # noqa: E731
    nodes = [
        FloatInput("image", (1, 6, 6)),
        FloatConv2d("c1", "image", draw(4, 1, 3, 3), padding=1, kind="real", bias=draw(4) / 4),
        FloatNeuron("n1", ("c1",), 0.3, leak=0.5),
        FloatConv2d("c2", "n1", draw(4, 4, 3, 3), padding=1, kind="real"),
        FloatNeuron("n2", ("c2", "n1") if join else ("c2",), 0.3, reset="zero"),
        FloatMerge("m", ("n1", "n2"), "add"),
        FloatLinear("full", "m", draw(3, 144), kind="real", bias=draw(3)),
        FloatReadout("readout", ("full",)),
    ]
    return FloatNetwork(4, nodes)


def _images(count: int = 40) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 1, 6, 6)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("join", [False, True])
def test_every_input_keeps_its_mean_and_deviation(kind: str, join: bool) -> None:
    network, images = _network(join), _images()
    found = calibrate(network, Report(), images, kind).network
    pairs = zip(walk(network, images), walk(found, images), strict=True)
    for (old, before), (new, after) in pairs:
        one, two = real_drive(network, old, before), real_drive(found, new, after)
        assert two.mean(AXES) == pytest.approx(one.mean(AXES), abs=1e-6), old.name
        if isinstance(old, FloatNeuron):
            # eps of the norm takes a little off what hardly varies
            assert two.std(AXES) == pytest.approx(one.std(AXES), rel=1e-2), old.name
    assert {n.kind for n in found.nodes if isinstance(n, FloatConv2d | FloatLinear)} == {kind}
    integers, _ = quantize(found, images)
    assert integers.steps == 4


@pytest.mark.parametrize("mode", ["max", "avg", "sum"])
def test_a_pool_of_sums_keeps_the_mean_and_deviation_behind_it(mode: str) -> None:
    network = _network()
    pool = FloatPool("p", "c1", mode, (2, 2), (1, 1))
    nodes = [pool, *network.nodes]
    first, last = network.by_name["n1"], network.by_name["full"]
    nodes = [replace(n, inputs=("p",)) if n is first else n for n in nodes]
    draw = np.random.default_rng(4).normal(0, 0.4, (3, 100))
    nodes = [replace(n, weight=draw) if n is last else n for n in nodes]
    network = FloatNetwork(4, nodes)
    images = _images()
    found = calibrate(network, Report(), images).network
    pairs = zip(walk(network, images), walk(found, images), strict=True)
    for (old, before), (new, after) in pairs:
        one, two = real_drive(network, old, before), real_drive(found, new, after)
        assert two.mean(AXES) == pytest.approx(one.mean(AXES), abs=1e-6), old.name
        if isinstance(old, FloatNeuron):
            assert two.std(AXES) == pytest.approx(one.std(AXES), rel=1e-2), old.name
    behind = found.by_name["n1"].norm is not None
    assert behind == (mode == "sum") and (found.by_name["c1"].norm is None) == behind
    quantize(found, images)


def test_labels_are_not_looked_at_and_it_is_deterministic() -> None:
    images = _images()
    one = calibrate(_network(), Report(), (images, np.zeros(40))).network
    two = calibrate(_network(), Report(), images).network
    assert one.digest == two.digest


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("one_scale", [False, True])
def test_trits_are_those_of_training(kind: str, one_scale: bool) -> None:
    weight = np.random.default_rng(4).normal(0, 1, (5, 3, 3, 3))
    q, a = discrete(weight, kind, one_scale)
    own_q, own_a = discretize(torch.tensor(weight), kind, one_scale)
    assert np.array_equal(q, own_q.numpy()) and np.allclose(a, own_a.numpy(), rtol=1e-12)


def test_what_is_ternary_already_stays() -> None:
    found = calibrate(_network(), Report(), _images()).network
    again = calibrate(found, Report(), _images()).network
    assert again.digest == found.digest


def test_wrong_kinds_and_no_images_are_refused() -> None:
    with pytest.raises(UsageError, match="calibrate: kind 'int8' is not one of ternary, binary"):
        calibrate(_network(), Report(), _images(), "int8")
    with pytest.raises(UsageError, match="the batch is empty"):
        calibrate(_network(), Report(), _images(0))
