"""Rules of neurons, drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from sterna.golden.rule import Decay, NeuronRule

__all__ = ["rules"]


def rules(draw, steps=8, channels=3, weighted=1, spikes=0):
    """Any neuron that the format can say; ``draw`` is that of hypothesis's ``data``."""
    small = st.integers(-300, 300)

    def array(*shape):
        size = int(np.prod(shape))
        return np.array(draw(st.lists(small, min_size=size, max_size=size))).reshape(shape)

    exponents = st.tuples(st.integers(1, 6), st.none() | st.integers(2, 8)).filter(
        lambda k: k[1] is None or k[1] > k[0]
    )
    ratios = st.integers(1, 12).flatmap(lambda s: st.tuples(st.integers(0, 2**s - 1), st.just(s)))
    decays = exponents.map(lambda k: Decay(*k)) | ratios.map(lambda r: Decay(ratio=r))
    maybe = lambda make: make() if draw(st.booleans()) else None  # noqa: E731
    return NeuronRule(
        threshold=array(channels),
        reset=draw(st.sampled_from(("subtract", "zero", "once", "none"))),
        reset_by=maybe(lambda: array(channels)),
        bias=maybe(lambda: array(steps, channels) if draw(st.booleans()) else array(channels)),
        v_init=maybe(lambda: array(channels)),
        leak=draw(st.none() | decays),
        synapse=draw(st.none() | st.just("ramp") | decays),
        delay=draw(st.integers(0, 1)),
        fraction_bits=draw(st.integers(0, 6)),
        shifts=tuple(draw(st.integers(0, 3)) for _ in range(weighted)),
        coef=tuple(array(channels) for _ in range(spikes)),
        floor=maybe(lambda: array(channels)),
    )
