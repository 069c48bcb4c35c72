"""What quantize may be asked: images as `run` takes them, labels of classes, F of neurons."""

from typing import Any

import numpy as np
import pytest
from floatcase import SIDE, make_images, make_trits, plain

from sterna.gen.quantize.float_network import (
    FloatInput,
    FloatLinear,
    FloatNetwork,
    FloatNeuron,
    FloatReadout,
)
from sterna.gen.quantize.quantize import quantize
from sterna.gen.quantize.reference import float_logits
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import run
from sterna.golden.rule import Decay, NeuronRule

IMAGES = {
    "floats": make_images(30) / 255.0,
    "float32 pixels": make_images(30).astype(np.float32),
    "negative": make_images(30).astype(np.int64) - 200,
    "above the bits": np.full((3, 1, SIDE, SIDE), 300, np.int32),
    "channels last": np.moveaxis(make_images(30), 1, -1),
    "no channels": make_images(30)[:, 0],
    "one image": make_images(30)[0],
    "frames": make_images(30)[None],
    "nan": np.full((3, 1, SIDE, SIDE), np.nan),
    "complex": make_images(30).astype(np.complex64),
    "text": make_images(30).astype(str),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_case_calibration_images_are_checked_as_run_checks_them(kind: str) -> None:
    network, _ = quantize(plain(), make_images(30))
    with pytest.raises((UsageError, NetworkError)) as wanted:
        run(network, IMAGES[kind])
    for call in (
        lambda: quantize(plain(), IMAGES[kind]),
        lambda: quantize(plain(), make_images(30), evaluate=(IMAGES[kind], np.zeros(30, int))),
        lambda: float_logits(plain(), IMAGES[kind]),
    ):
        with pytest.raises(type(wanted.value)) as found:
            call()
        assert str(found.value) == str(wanted.value)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int64", "bool", "list"])
def test_case_any_integers_in_range_calibrate(kind: str) -> None:
    net = FloatNetwork(
        2,
        [
            FloatInput("image", (1, SIDE, SIDE), bits=1),
            FloatLinear("one", "image", make_trits(3, 5, 36)),
            FloatNeuron("a", ("one",), 0.0101, leak=0.75),
            FloatLinear("full", "a", make_trits(3, 3, 5)),
            FloatReadout("readout", ("full",)),
        ],
    )
    images = (make_images(30) > 99).astype(np.uint8)
    want, report = quantize(net, images)
    given: Any = images.tolist() if kind == "list" else images.astype(kind)
    network, again = quantize(net, given)
    assert report.as_dict() == again.as_dict()
    assert np.array_equal(run(network, images).logits, run(want, images).logits)
    with pytest.raises(NetworkError, match="node 'image': image value 2 is outside 0 .. 1; resc"):
        quantize(net, images * 2)


def test_case_frames_of_another_number_of_steps() -> None:
    frames = np.zeros((3, 4, 1, SIDE, SIDE), np.uint8)
    with pytest.raises(UsageError, match=r"images: shape \(3, 4, 1, 6, 6\) is not .* with T = 2"):
        quantize(plain(coding="frames"), frames)


@pytest.mark.parametrize("labels", [np.zeros(29, int), np.zeros((30, 3)), np.zeros(30), ["a"] * 30])
def test_case_labels_that_do_not_fit(labels: Any) -> None:
    with pytest.raises(UsageError, match="labels: .* one whole number an image"):
        quantize(plain(), make_images(30), evaluate=(make_images(30), labels))


@pytest.mark.parametrize("wrong", [-1, 3, 99])
def test_case_labels_of_no_class(wrong: int) -> None:
    with pytest.raises(UsageError, match="the network has classes 0 to 2; give the labels of its"):
        quantize(plain(), make_images(30), evaluate=(make_images(30), np.full(30, wrong)))


@pytest.mark.parametrize("name", ["nosuch", "full", "image", ""])
def test_case_fraction_bits_of_no_neuron(name: str) -> None:
    with pytest.raises(UsageError, match="is no neuron and no readout; they are .*readout"):
        quantize(plain(), make_images(30), fraction_bits={name: 2})


@pytest.mark.parametrize("bits", [17, -1, 2.0, True, "2", np.float32(2), None])
def test_case_fraction_bits_that_are_none(bits: Any) -> None:
    with pytest.raises(UsageError, match="node 'readout': fraction_bits .* not in 0..16; give a"):
        quantize(plain(), make_images(30), fraction_bits={"readout": bits})


def test_case_numpys_integers_are_numbers() -> None:
    rule = NeuronRule(
        [1],
        fraction_bits=np.int64(2),
        delay=np.int8(1),
        shifts=(np.uint8(3),),
        leak=Decay(np.int64(1), np.int32(2)),
    )
    kept = (rule.fraction_bits, rule.delay, *rule.shifts, rule.leak.k1, rule.leak.k2)  # type: ignore
    assert kept == (2, 1, 3, 1, 2) and all(type(k) is int for k in kept)
    _, report = quantize(plain(), make_images(30), fraction_bits={"readout": np.int64(3)})
    assert report.layers[0].fraction_bits == 3
    for wrong in ({"delay": True}, {"fraction_bits": True}, {"shifts": (True,)}):
        with pytest.raises(NetworkError, match="rule: "):
            NeuronRule([1], **wrong)  # type: ignore[arg-type]
