"""Numbers of a float network that are too large or too small to be computed with."""

from typing import Any

import numpy as np
import pytest
from floatcase import chain, make_images, swap

from sterna.gen.quantize.float_network import BatchNorm
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import NetworkError


def _normed(**given: float) -> dict[str, Any]:
    parts = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "var": 1.0} | given
    return {"norm": BatchNorm(**{k: np.full(5, v) for k, v in parts.items()})}  # type: ignore


@pytest.mark.parametrize(
    ("who", "given", "said"),
    [
        ("image", {"scale": 1e308}, "image': scale 1e.308 is beyond the range of float32"),
        ("image", {"scale": 1e-320}, "image': scale 9.99989e-321 is beyond"),
        ("image", {"std": 1e-320}, "image': std 9.99989e-321 is beyond"),
        ("image", {"mean": [1e308]}, "image': mean 1e.308 is beyond"),
        ("conv1", {"weight": np.full((5, 1, 3, 3), -1e200)}, "conv1': weight 1e.200 is beyond"),
        ("conv1", {"weight": np.full((5, 1, 3, 3), 1e-320), "norm": None}, "spike1': .* make .*e-"),
        ("conv1", _normed(gamma=1e308), "conv1': norm.gamma 1e.308 is beyond"),
        ("conv1", _normed(mean=1e308), "conv1': norm.mean 1e.308 is beyond"),
        ("conv1", _normed(gamma=1e-310), "spike1': .* make 2.*e-313 of one unit of channel 4; set"),
        ("conv1", _normed(mean=1e37), "spike1': bias is .* 32 bits"),
        ("spike1", {"threshold": 1e308}, "spike1': threshold 1e.308 is beyond"),
        ("spike1", {"bias": np.full((4, 5), 1e308)}, "spike1': bias 1e.308 is beyond"),
        ("spike1", {"leak": 1e308}, "spike1': leak 1e.308 is beyond"),
        ("spike1", {"leak": 1e30}, "spike1': leak 1e.30 is not from 0 to 1"),
        ("spike1", {"synapse": 1e30}, "spike1': synapse 1e.30 is not from 0 to 1"),
        ("spike1", {"amplitude": 1e-320}, "spike1': amplitude 9.99989e-321 is beyond"),
        ("full3", {"bias": np.full(4, 1e308)}, "full3': bias 1e.308 is beyond"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_case_numbers_of_no_ordinary_size_are_refused_by_name(
    who: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(NetworkError, match=f"node '{said}"):
        quantize(swap(chain(), who, **given), make_images(3))


@pytest.mark.filterwarnings("error")
def test_case_numbers_at_the_ends_of_float32_are_computed_with() -> None:
    """Products of them are no float32, and are refused, or right, without a warning."""
    for who, given in (
        ("image", {"scale": 1e38}),
        ("conv1", _normed(gamma=1e38, var=0.0)),
        ("conv1", _normed(gamma=1e-44)),
        ("spike1", {"amplitude": 1e38}),
        ("spike1", {"threshold": 1e38}),
    ):
        quantize(swap(chain(), who, **given), make_images(3))
