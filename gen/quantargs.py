"""What `quantize` may be asked, checked before any layer is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sterna.gen.floatnet import FloatNetwork, FloatNeuron, FloatReadout
from sterna.golden.coding import check_images
from sterna.golden.errors import UsageError
from sterna.golden.names import check_name, show
from sterna.golden.network import Input
from sterna.golden.rule import MAX_FRACTION
from sterna.golden.values import integer, number, plain

__all__ = ["check_arguments"]


def check_arguments(
    network: Any, calibration: Any, name: Any, fraction_bits: Any, evaluate: Any,
    leak_tolerance: Any,
) -> tuple[np.ndarray, dict[str, int], tuple[Any, Any] | None, float]:  # fmt: skip
    """(calibration images as an array, fraction bits, (images, labels) or None, leak tolerance).

    UsageError where one is not meant, NetworkError for a name that is none. Images are checked as
    `golden.exact.run` checks them; an empty batch is left to the caller.
    """
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
        pair = evaluate if isinstance(evaluate, tuple | list) else ()
        if len(pair) != 2:
            raise UsageError(f"quantize: evaluate {show(evaluate)} must be (images, labels)")
        evaluate = _images(network, pair[0]), _labels(pair[1])
    return _images(network, calibration), bits, evaluate, tolerance


def _images(network: FloatNetwork, images: Any) -> np.ndarray:
    node = network.input
    coded = Input(node.name, node.shape, node.coding, node.bits, node.seed)
    if isinstance(images, np.ndarray) and not images.size:
        return images
    return check_images(coded, images, network.steps)


def _labels(labels: Any) -> np.ndarray:
    try:
        a = np.asarray(plain(labels))
    except Exception:  # ragged lists, foreign objects
        a = np.zeros((0, 0))
    if a.ndim != 1 or a.dtype.kind not in "iu" or not a.size:
        raise UsageError(
            f"labels: {show(labels)} is not one whole number an image; give an array of them"
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


