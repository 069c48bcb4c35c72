"""What `quantize` may be asked, checked before any layer is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sterna.gen.quantize.float_network import FloatNetwork, FloatNeuron, FloatReadout
from sterna.gen.quantize.reference import raw_images
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.rule import MAX_FRACTION
from sterna.golden.words.given import images_of
from sterna.golden.words.names import check_name, show
from sterna.golden.words.values import integer, number, plain

__all__ = ["CALIBRATION", "batch_axis", "check_arguments", "labels_of"]

CALIBRATION = 256
"""Images of the calibration that are looked at."""


def check_arguments(
    network: Any,
    calibration: Any,
    name: Any,
    fraction_bits: Any,
    evaluate: Any,
    leak_tolerance: Any,
) -> tuple[FloatNetwork, np.ndarray, dict[str, int], tuple[np.ndarray, np.ndarray] | None, float]:
    """(the network, the first images to calibrate on, F by neuron, (images, labels) or None, leak
    tolerance).

    UsageError where one is not meant, NetworkError for a name that is none, or no images. All
    images are checked, as `golden.exact.run` checks them.
    """
    if not isinstance(network, FloatNetwork):  # Imported, Run
        network = getattr(network, "network", network)
    if not isinstance(network, FloatNetwork):
        raise UsageError(
            f"quantize: {show(network)} is not a FloatNetwork; make one, or give "
            "sterna.FloatNetwork.load(FOLDER)"
        )
    check_name(name, f"network: name {show(name)}")
    bits = _bits(network, fraction_bits)
    refusal = f"quantize: leak_tolerance {show(leak_tolerance)} must be a number from 0 to below 1"
    tolerance = number(refusal, leak_tolerance, error=UsageError)
    if not 0 <= tolerance < 1:
        raise UsageError(refusal)
    if evaluate is not None:
        two = isinstance(evaluate, tuple | list) and len(evaluate) == 2  # whatever the second is
        pair = tuple(evaluate) if two else images_of(evaluate)
        if pair[1] is None:
            raise UsageError(f"quantize: evaluate {show(evaluate)} must be (images, labels)")
        images = raw_images(network.input, pair[0], network.steps)
        evaluate = images, labels_of(network, pair[1], images.shape[batch_axis(network)])
    calibration, _ = images_of(calibration, "train")
    if isinstance(calibration, np.ndarray) and not calibration.size:
        raise NetworkError("quantize: no calibration images; give at least one, better 256")
    images, axis = raw_images(network.input, calibration, network.steps), batch_axis(network)
    first = np.take(images, range(min(CALIBRATION, images.shape[axis])), axis)
    return network, first, bits, evaluate, tolerance


def batch_axis(network: FloatNetwork) -> int:
    """The axis of images along which there are several."""
    return 1 if network.input.coding == "frames" else 0


def labels_of(network: Any, labels: Any, count: int) -> np.ndarray:
    """Whole numbers [count] that are classes of a Network or FloatNetwork; else UsageError."""
    try:
        a = np.asarray(plain(labels))
    except Exception:  # ragged lists, foreign objects
        a = np.zeros((0, 0))
    if a.shape != (count,) or a.dtype.kind not in "iu":
        raise UsageError(
            f"labels: {show(labels)} is not one whole number an image, of which there are {count}; "
            "give an array of them"
        )
    classes = network.shape[network.readout.name][0]
    if count and (a.min() < 0 or a.max() >= classes):
        raise UsageError(
            f"labels: from {a.min()} to {a.max()}, but the network has classes 0 to {classes - 1}; "
            "give the labels of its data set"
        )
    return a


def _bits(network: FloatNetwork, given: Any) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(n, str) for n in given):
        raise UsageError(f"quantize: fraction_bits {show(given)} must be neuron -> F")
    out = {}
    known = [n.name for n in network.nodes if isinstance(n, FloatNeuron | FloatReadout)]
    for name, value in given.items():
        if name not in known:
            raise UsageError(
                f"quantize: fraction_bits of {show(name)}, which is no neuron and no readout; they "
                f"are {', '.join(known)}"
            )
        refusal = (
            f"node '{name}': fraction_bits {show(value)} not in 0..{MAX_FRACTION}; give a whole "
            "number of them"
        )
        out[name] = integer(refusal, value, 0, MAX_FRACTION, UsageError)
    return out
