"""Beats of taps to spikes: against a loop that reads the contract of streams literally."""

import numpy as np
import pytest

from sterna.golden.errors import DesignError
from sterna.hw.stream.edge import Edge
from sterna.sim.taps import Tap, decode


def beats_of(tap: Tap, spikes: np.ndarray) -> np.ndarray:
    """Spikes [T,B,C,H,W] -> beats, bit by bit."""
    count = spikes.shape[1]
    out = np.zeros((count, tap.beats, tap.beat_bytes), np.uint8)
    for b in range(count):
        beat = 0
        for y in range(tap.height):
            for x in range(tap.width):
                for group in range(tap.groups):
                    for plane_beat in range(tap.plane_beats):
                        value = 0
                        for p in range(tap.pb):
                            plane = plane_beat * tap.pb + p
                            t, k = divmod(plane, tap.bits_per_step)
                            for lane in range(tap.lanes):
                                c = group * tap.lanes + lane
                                if c < tap.channels and plane < tap.planes:
                                    bit = int(spikes[t, b, c, y, x]) >> k & 1
                                    value |= bit << (p * tap.lanes + lane)
                        raw = value.to_bytes(tap.beat_bytes, "little")
                        out[b, beat] = np.frombuffer(raw, np.uint8)
                        beat += 1
    return out


@pytest.mark.parametrize(
    "channels, lanes, steps, bits, pb",
    [(1, 1, 1, 1, 1), (5, 2, 4, 1, 4), (6, 3, 3, 2, 4), (7, 8, 2, 3, 5), (4, 4, 2, 9, 3)],
)
def test_decode(channels, lanes, steps, bits, pb):
    tap = Tap("n", channels, 3, 2, lanes, steps * bits, pb, bits)
    edge = Edge(channels, lanes, steps * bits, pb)
    assert (tap.beat_bits, tap.groups, tap.plane_beats) == (
        edge.width,
        edge.groups,
        edge.plane_beats,
    )
    spikes = np.random.default_rng(1).integers(0, 1 << bits, (steps, 4, channels, 3, 2))
    found = decode(tap, beats_of(tap, spikes))
    assert found.dtype == (np.uint8 if bits <= 8 else np.uint16)
    np.testing.assert_array_equal(found, spikes)


@pytest.mark.parametrize("bit, message", [(5, "bits above its width"), (1, "pad lane")])
def test_what_must_be_zero_is_checked(bit, message):
    tap = Tap("n", 1, 1, 1, 2, 2, 2, 1)  # lanes 2 of 1 channel: bits 1 and 3 are padding
    beats = np.full((1, 1, 1), 1 << bit, np.uint8)
    with pytest.raises(DesignError, match=f"node 'n': .*{message}"):
        decode(tap, beats)


def test_incomplete_description_is_refused():
    with pytest.raises(DesignError, match="lacks .planes.; fold the network again"):
        Tap.from_json({"node": "n", "channels": 1, "height": 1, "width": 1, "lanes": 1})
