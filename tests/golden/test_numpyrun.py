"""The exact model in numpy alone gives what golden.exact gives."""

import numpy as np
import pytest
from fuzz import Limits, Seeded, describe, random_images, random_network
from fuzzdag import random_graph

from sterna.golden.errors import UsageError
from sterna.golden.exact import run
from sterna.golden.numpyrun import run_arrays


@pytest.mark.parametrize("seed", range(16))
def test_arrays_give_what_the_exact_model_gives(seed: int) -> None:
    draw = Seeded(seed)
    network = (
        random_graph(draw) if seed % 2 else random_network(draw, Limits(pools=60 * (seed % 4 == 0)))
    )
    images = random_images(draw, network, 3)
    found, right = run_arrays(network, images), run(network, images, exact=True)
    assert (found.logits == right.logits).all(), describe(network)
    assert (found.classes == right.classes).all()
    assert (found.logits.dtype, found.classes.dtype) == (right.logits.dtype, right.classes.dtype)
    with pytest.raises(UsageError, match="images"):
        run_arrays(network, images.astype(np.float32))
