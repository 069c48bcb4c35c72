"""Training folds as quantize does: the same whole steps for ties, and sums that hold 16 bits of
fraction.
"""

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
    FloatReadout,
)
from sterna.gen.quantize.neuron_rules import whole_threshold
from sterna.gen.quantize.quantize import quantize
from sterna.gen.quantize.reference import float_logits
from sterna.gen.quantize.ties import in_units, snap
from sterna.golden.exact import run
from sterna.train.module.module import SpikingModule
from sterna.train.module.rounding import least_threshold, nearest_step

SIDE = 6


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("steps", [1, 4])
def test_case_least_thresholds_are_quantizes(strict: bool, steps: int) -> None:
    """Whole, nearly whole and other thresholds, in units and in parts of them."""
    rng = np.random.default_rng(steps)
    size = rng.uniform(0.01, 3, 4000).astype(np.float32).astype(np.float64)
    units = np.round(rng.uniform(-40, 40, 4000) * 4) / 4
    real = (units * size * (1 + rng.choice([0, 1e-7, -4e-7, 3e-6, 1e-3], 4000))).astype(np.float32)
    node = FloatNeuron("n", ("c",), real, strict, leak=0.5)
    for fraction in (0, 2, 10, 16):
        c = in_units(node, size, np.zeros(4000), steps)
        want = whole_threshold(node, c, fraction)
        exact = torch.tensor(real).double() * (2.0**fraction / torch.tensor(size))
        got = least_threshold(exact, exact, 2.0**fraction, strict)
        assert np.array_equal(got.numpy(), want)
        rounded = np.floor(snap(real * (1 / size)) * 2.0**fraction + 0.5)
        assert np.array_equal(nearest_step(exact, 2.0**fraction).numpy(), rounded)


def test_gradients_pass_straight_through() -> None:
    x = torch.tensor([4.99999999, 5.3], dtype=torch.float64, requires_grad=True)
    (least_threshold(x, x, 1.0, True).sum() + 2 * nearest_step(x, 1.0).sum()).backward()
    assert x.grad is not None and x.grad.tolist() == [3.0, 3.0]
    assert least_threshold(x, x, 1.0, True).tolist() == [6.0, 6.0]


@pytest.mark.parametrize(
    "neuron",
    [
        {"leak": 0.9375},
        {"leak": 0.0, "threshold": 0.1},
        {"leak": 0.0, "reset": "zero", "strict": True, "threshold": 0.1},
        {"leak": 0.75, "reset": "zero", "strict": True},
        {"threshold": 0.5, "v_init": 0.25},
        {"leak": 0.9375, "floor": -0.1},
    ],
)
@pytest.mark.parametrize("bits", [0, 6, 16])
def test_case_folded_sums_hold_every_fraction(neuron: dict[str, Any], bits: int) -> None:
    """Spikes and classes of the module's folded pass are golden's, of 16 fraction bits too."""
    rng = np.random.default_rng(bits)
    f = np.float32
    norm = BatchNorm(
        rng.uniform(-2, 2, 6).astype(f),
        rng.normal(0, 0.3, 6).astype(f),
        rng.normal(0, 2, 6).astype(f),
        rng.uniform(1, 9, 6).astype(f),
    )
    net = FloatNetwork(
        7,
        [
            FloatInput("image", (1, SIDE, SIDE)),
            FloatConv2d("conv", "image", rng.normal(0, 1, (6, 1, 3, 3)).astype(f), norm=norm),
            FloatNeuron("spike", ("conv",), **neuron),
            FloatLinear(
                "full",
                "spike",
                rng.normal(0, 1, (5, 96)).astype(f),
                bias=rng.normal(0, 0.2, 5).astype(f),
            ),
            FloatReadout("readout", ("full",)),
        ],
    )
    module = SpikingModule(net).eval()
    images = rng.integers(0, 256, (40, 1, SIDE, SIDE)).astype(np.uint8)
    chosen = {"spike": bits, "readout": bits}
    network, _ = quantize(module.export(), images, fraction_bits=chosen)
    module.fraction_bits = chosen
    logits, streams = module.trace(torch.tensor(images), ("spike",))
    result = run(network, images, trace=("spike",))
    assert 0 < result.spikes["spike"].mean() < 1
    assert np.array_equal(streams["spike"].numpy(), result.spikes["spike"])
    assert logits.dtype == torch.float32
    assert np.array_equal(logits.argmax(1).numpy(), result.classes)


def test_case_a_membrane_one_step_below_its_threshold_does_not_fire() -> None:
    """1800 * 2**16 - 1 is no float32: that rounds it up to the threshold."""
    net = FloatNetwork(
        2,
        [
            FloatInput("image", (1, 3, 3), scale=1.0),
            FloatConv2d("conv", "image", np.ones((1, 1, 3, 3), np.float32)),
            FloatNeuron("spike", ("conv",), 1800.0, reset="zero", bias=-(2.0**-16), leak=0.5),
            FloatLinear("full", "spike", np.float32([[1], [-1]])),
            FloatReadout("readout", ("full",)),
        ],
    )
    module = SpikingModule(net).eval()
    images = np.stack([np.full((1, 3, 3), p, np.uint8) for p in (199, 200, 201)])
    chosen = {"spike": 16, "readout": 0}
    network, _ = quantize(module.export(), images, fraction_bits=chosen)
    module.fraction_bits = chosen
    _, streams = module.trace(torch.tensor(images), ("spike",))
    got = run(network, images, trace=("spike",)).spikes["spike"]
    assert got[0].ravel().tolist() == [0, 0, 1]
    assert np.array_equal(streams["spike"].numpy(), got)


@pytest.mark.parametrize(("bits", "scale"), [(1, 1.0), (3, 0.25), (8, 1 / 255)])
def test_frames_of_counts_are_trained_as_they_are_built(bits: int, scale: float) -> None:
    rng = np.random.default_rng(bits)
    top, trits = 2**bits - 1, lambda *s: rng.choice([-1.0, 0.0, 1.0, 1.0], s).astype(np.float32)
    net = FloatNetwork(
        5,
        [
            FloatInput("image", (2, 6, 6), "frames", bits, scale=scale),
            FloatConv2d("conv", "image", trits(4, 2, 3, 3)),
            FloatNeuron("spike", ("conv",), 0.9 * top * scale, leak=0.5),
            FloatLinear("full", "spike", trits(3, 64)),
            FloatReadout("readout", ("full",)),
        ],
    )
    frames = rng.integers(0, top + 1, (5, 30, 2, 6, 6)).astype(np.uint8)
    module = SpikingModule(net).eval()
    logits, streams = module.trace(torch.tensor(frames), ("spike",))
    exported = module.export()
    # Equal logits are equal but for rounding, which differs from processor to processor.
    np.testing.assert_allclose(logits.numpy(), float_logits(exported, frames), rtol=1e-5, atol=1e-4)
    chosen = {"spike": 12, "readout": 0}
    network, _ = quantize(exported, frames, fraction_bits=chosen)
    got = run(network, frames, trace=("spike",))
    assert 0.05 < got.spikes["spike"].mean() < 0.95
    assert np.mean(streams["spike"].numpy() != got.spikes["spike"]) < 1e-3
    module.fraction_bits = chosen
    _, streams = module.trace(torch.tensor(frames), ("spike",))
    assert np.array_equal(streams["spike"].numpy(), got.spikes["spike"])
