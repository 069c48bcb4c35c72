"""Storage of beats: the cheapest there is in a family."""

import pytest

from sterna.gen.device.storage import memory_prices, storage_bits, storage_depth, storage_kind
from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError
from sterna.hw.stream.skip_fifo import KINDS


def test_storage():
    assert [storage_depth(kind, 8, 17) for kind in KINDS] == [17, 32, 512]
    assert [storage_depth(kind, 8, 512) for kind in KINDS] == [512, 512, 512]
    assert [storage_bits(kind, 8, 17) for kind in KINDS] == [136, 256, 4096]
    assert storage_kind(4, 1, "ecp5") == "registers"
    assert storage_kind(8, 16, "ecp5") == "lutram"
    assert storage_kind(36, 512, "ecp5") == "block"
    assert storage_kind(8, 16, "ice40") == "registers"  # no LUT RAM there
    assert storage_kind(16, 200, "ice40") == "block"
    assert storage_kind(2, 4100, "ecp5") == "block"  # one of 8192 x 2, not nine of 512 x 36
    for family in FABRICS:
        kinds = [storage_kind(16, depth, family) for depth in (1, 2, 8, 16, 64, 256, 1024)]
        assert kinds == sorted(kinds, key=KINDS.index)  # deeper is never a smaller kind
    with pytest.raises(DesignError, match="of at least 1, not 4 and 0"):
        storage_kind(4, 0, "ecp5")


def test_prices_are_those_of_storage_that_the_family_has():
    """iCE40 has no LUT RAM: a line buffer there was planned with its price."""
    assert memory_prices(8, 16, "ecp5") == {"lutram": 12, "block": 200}
    assert memory_prices(8, 16, "ice40") == {"block": 176}
    assert memory_prices(2, 4100, "xilinx7")["block"] == 200
    assert memory_prices(8, 1024, "ecp5")["block"] == 200
    assert memory_prices(8, 1024, "ecp5", wide=True)["block"] == 400
    assert memory_prices(8, 1024, "ice40", wide=True)["block"] == 4 * 176
