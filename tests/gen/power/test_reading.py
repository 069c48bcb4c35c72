"""A meter's reading, an image's share of it."""

import pytest

from sterna.gen.power.reading import reading
from sterna.golden.errors import UsageError


def test_energy_of_an_image():
    found = reading(200.0, 150.0, 1000.0, "a clock")
    assert found["mj_per_image"] == 0.2
    assert found["above_idle_mj_per_image"] == pytest.approx(0.05)
    assert found["images_per_second_per_watt"] == pytest.approx(5000)
    assert found["rate_from"] == "a clock"
    assert reading(200.0, None, 1000.0, "")["above_idle_mj_per_image"] is None
    assert reading(200.0, 200.0, 1000.0, "")["above_idle_mj_per_image"] == 0


def test_idle_is_not_more_than_busy():
    with pytest.raises(UsageError, match="201 mW idle are more than 200 mW busy; read both from"):
        reading(200.0, 201.0, 1000.0, "")
