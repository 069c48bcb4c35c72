"""Whatever a board sends, every call ends within its stated time, right or with one sentence.

The stated time (docs/board.md): ``timeout``, a tenth of it (at least half a second) more for each
frame that was executed, ``timeout`` for each image; and it is never more than 2 s late.
"""

import numpy as np
import pytest
from hostile import MAD, Line, absurd, broken, many_cores, moving_counters, moving_crc, never_new

from sterna.golden.device.link import LinkError
from sterna.golden.device.weights_image import pack_weights_image
from sterna.golden.errors import SternaError
from sterna.host.board import Board

TIMEOUT = 3.0
FRAME = 0.5
WEIGHTS = pack_weights_image(
    f"{0x1122334455667788:016x}" * 4,
    "2" * 64,
    {0: np.arange(400, dtype=np.uint32)},
)
# Frames that a call has executed at most, images; CRC and repetitions have parts of their own.
CALLS = {
    "identify": (lambda b: b.identify(), 2, 0),
    "counters": (lambda b: b.counters(clear=True), 8, 0),
    "infer": (lambda b: b.infer(np.zeros((3, 1, 3, 4), np.uint8)), 1200, 4),
    "load": (lambda b: b.load(WEIGHTS), 40, 64),
    "repeat": (lambda b: b.repeat(10), 20, 11),
    "reset": (lambda b: b.reset(), 0, 0),
    "write": (lambda b: b.write("control", 0), 2, 0),
}


def trial(line: Line, name: str) -> str:
    """'right', or the sentence; AssertionError where it takes too long."""
    call, frames, images = CALLS[name]
    start = line.now
    try:
        board = Board(line, shape=(1, 3, 4), timeout=TIMEOUT)
    except LinkError as error:
        assert line.now - start <= TIMEOUT + 3 * FRAME + 2, (name, line.now)
        return str(error)
    start, said = line.now, "right"
    try:
        call(board)
    except SternaError as error:
        said = str(error)
    most = (1 + images) * TIMEOUT + frames * FRAME + 2
    assert line.now - start <= most, (name, line.now - start, most)
    assert said.count("\n") == 0
    return said


@pytest.mark.parametrize("mad", MAD)
def test_every_call_to_a_mad_board_ends(mad: str) -> None:
    for name in CALLS:
        trial(MAD[mad](), name)


@pytest.mark.parametrize("seed", range(6))
def test_frames_of_nonsense_end(seed: int) -> None:
    for make in (absurd, broken):
        for name in CALLS:
            trial(make(seed), name)


@pytest.mark.parametrize(
    "make, name, sentence",
    [
        (
            never_new,
            "identify",
            "says of every new session that it is under way already; reset the",
        ),
        (
            moving_counters,
            "repeat",
            "of 10 repetitions; reset the network, and report this mistake",
        ),
        (moving_crc, "load", "the CRC pass over region 0 has .* words to go after .*; reset the"),
        (
            many_cores,
            "counters",
            "has 65535 cores, more than the 16320 whose counters have an address",
        ),
    ],
)
def test_cases_of_boards_have_their_sentence(make, name: str, sentence: str) -> None:
    import re

    assert re.search(sentence, trial(make(), name))
