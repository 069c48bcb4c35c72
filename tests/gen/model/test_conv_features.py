"""What the cost model knows of every engine of the dot product."""

from sterna.gen.model.conv_features import ENGINE_COSTS
from sterna.hw.dot.engines import ENGINES


def test_every_engine_has_its_costs():
    assert list(ENGINE_COSTS) == list(ENGINES)
