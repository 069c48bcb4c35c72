"""Codings and the bits of the input stream against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_input

from sterna.golden.coding import bit_reverse8, encode, image_bits, image_bytes, site_hash
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.network import Input

CODINGS = ("direct", "frames", "rate", "latency")


@settings(max_examples=60)
@given(st.data())
def test_stream_bits_are_those_of_the_plain_walk(data):
    coding = data.draw(st.sampled_from(CODINGS))
    shape = tuple(data.draw(st.integers(1, 4)) for _ in range(3))
    steps = data.draw(st.integers(1, 9))
    bits = data.draw(st.integers(1, 8)) if coding in ("direct", "frames") else 8
    node = Input("x", shape, coding, bits, seed=data.draw(st.integers(0, 2**32 - 1)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    images = rng.integers(0, 2**bits, (steps, 2, *shape) if coding == "frames" else (2, *shape))
    rows = image_bits(node, images, steps)
    assert rows.dtype == np.uint8 and rows.shape == (2, image_bytes(node, steps))
    coded = encode(node, images, steps)
    assert coded.dtype == np.uint8
    assert coded.shape == (1 if coding == "direct" else steps, 2, *shape)
    for b in range(2):
        plain = plain_input(node, images[:, b] if coding == "frames" else images[b], steps)
        stream = []
        for y in range(shape[1]):
            for x in range(shape[2]):
                for c in range(shape[0]):
                    if coding == "direct":
                        stream += [plain[0, c, y, x] >> k & 1 for k in range(bits)]
                    else:
                        each = bits if coding == "frames" else 1
                        values = [plain[t, c, y, x] for t in range(steps)]
                        stream += [v >> k & 1 for v in values for k in range(each)]
        number = sum(bit << k for k, bit in enumerate(stream))
        assert int.from_bytes(rows[b].tobytes(), "little") == number
        for t, c, y, x in np.ndindex(coded.shape[0], *shape):
            assert coded[t, b, c, y, x] == plain[t, c, y, x]


def test_direct_8_bit_images_are_their_bytes():
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 5), np.uint8)
    rows = image_bits(Input("x", (2, 4, 5)), images, 7)
    assert (rows == images.transpose(0, 2, 3, 1).reshape(3, -1)).all()


def test_rate_fires_p_times_in_256_steps_and_sites_differ():
    node = Input("x", (1, 2, 3), "rate", seed=9)
    pixels = np.array([0, 1, 7, 128, 254, 255], np.uint8).reshape(1, 1, 2, 3)
    spikes = encode(node, pixels, 256)
    assert (spikes.sum(0) == pixels).all()
    even = encode(node, np.full((1, 1, 2, 3), 100, np.uint8), 16).reshape(16, 6)
    assert len({tuple(column) for column in even.T.tolist()}) > 1
    other = encode(Input("x", (1, 2, 3), "rate", seed=10), pixels, 256)
    assert (other != spikes).any()
    long = encode(node, pixels, 300)
    assert (long[256:] == spikes[:44]).all()  # t modulo 256


def test_rate_threshold_is_spread_from_the_first_steps():
    assert [bit_reverse8(t) for t in (0, 1, 2, 3, 255, 256)] == [0, 128, 64, 192, 255, 0]
    counts = np.bincount(site_hash(np.arange(1 << 16), 0), minlength=256)
    assert counts.min() > 150 and counts.max() < 400  # 256 expected


def test_latency_fires_once_bright_first_and_never_for_black():
    for steps in (1, 3, 16, 32):
        pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
        spikes = encode(Input("x", (1, 16, 16), "latency"), pixels, steps).reshape(steps, 256)
        assert spikes[:, 0].sum() == 0 and (spikes[:, 1:].sum(0) == 1).all()
        times = spikes[:, 1:].argmax(0)
        assert (np.diff(times) <= 0).all() and times[-1] == 0 and times[0] == 254 * steps // 256


@pytest.mark.parametrize("coding", ["rate", "latency"])
def test_spike_codings_read_8_bit_pixels_only(coding):
    with pytest.raises(NetworkError, match=f"node 'x': {coding} coding reads 8-bit pixels, not 4"):
        Input("x", (1, 2, 2), coding, bits=4)


def test_image_bits_checks_images_too():
    with pytest.raises(UsageError, match="not an integer type"):
        image_bits(Input("x", (1, 2, 2)), np.zeros((1, 1, 2, 2)), 4)
