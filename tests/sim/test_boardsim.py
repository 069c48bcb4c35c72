"""The harness of a simulated board, on a small board that sends back what it receives."""

from fractions import Fraction

import numpy as np
import pytest
from echoboard import DIVISOR, ECHO, echo

from sterna.golden.errors import DesignError, UsageError
from sterna.sim.badcable import BadCable, Faults
from sterna.sim.batch import SimulationError
from sterna.sim.boardsim import SimulatedBoard, board_library


@pytest.fixture(scope="module")
def library(echo_library):
    return echo_library


@pytest.mark.parametrize("ratio", [Fraction(1, 4), Fraction(7, 3), 16])
@pytest.mark.parametrize("drift", [-0.02, 0.0, 0.02])
def test_bytes_pass_at_any_ratio_and_drift(library, ratio, drift):
    board = SimulatedBoard(library, DIVISOR, ratio=ratio, drift=drift)
    data = bytes(b for b in range(256) if b != 0x7F)
    start = board.clock
    quiet = int(10 * board.byte_clocks)
    found = board.exchange(data, 10**9, quiet=quiet)
    assert found == echo(data)
    assert board.framing_errors == 0 and board.queued == 0
    # A byte takes byte_clocks in both directions: the line was busy nearly all the time.
    line = len(data) * float(board.byte_clocks) * (1 + drift)
    assert 0.99 <= (board.clock - start - quiet) / line < 1.05


def test_time_passes_as_asked_and_bytes_wait(library):
    board = SimulatedBoard(library, DIVISOR, ratio=2)
    start = board.clock
    assert board.exchange(b"abcdefgh", int(2.5 * board.byte_clocks)) == echo(b"a")
    assert board.clock - start == int(2.5 * board.byte_clocks)
    assert board.queued == 6  # one of them is on the line
    assert board.exchange(b"ij", int(12 * board.byte_clocks)) == echo(b"bcdefghij")
    assert board.exchange(b"", 1000) == b""


def test_reset_forgets_the_line_and_led_is_seen(library):
    board = SimulatedBoard(library, DIVISOR, ratio=1)
    board.exchange(b"\0" * 20, 77)
    board.reset()
    assert board.queued == 0
    board.exchange(b"", 10)  # the board sees the end of reset a clock later
    changes = board.led_changes
    assert board.exchange(b"", 1600) == b""
    assert board.led_changes - changes == 100


def test_more_output_than_the_buffer_has_room_for(library, monkeypatch):
    monkeypatch.setattr("sterna.sim.boardsim._ROOM", 7)
    board = SimulatedBoard(library, DIVISOR)
    data = np.random.default_rng(1).integers(0, 127, 100, dtype=np.uint8).tobytes()
    start = board.clock
    assert board.exchange(data, 3000) == echo(data)
    assert board.clock - start == 3000


def test_mistakes_are_sentences(library):
    with pytest.raises(UsageError, match="a divisor of 3"):
        SimulatedBoard(library, 3)
    with pytest.raises(UsageError, match="a ratio of 0"):
        SimulatedBoard(library, 4, ratio=0)
    with pytest.raises(DesignError, match="'echo' is no board top: its ports are clk, rst"):
        board_library(ECHO.replace("led", "lamp"), "echo")
    board = SimulatedBoard(library, DIVISOR)
    with pytest.raises(SimulationError, match=r"the simulated board ended: \$finish"):
        board.exchange(b"\x7f", 1000)


# --- the bad cable ----------------------------------------------------------------------------


def frames(count: int) -> list[bytes]:
    rng = np.random.default_rng(3)
    return [
        rng.integers(1, 256, rng.integers(2, 40), dtype=np.uint8).tobytes() + b"\0"
        for _ in range(count)
    ]


def test_a_good_cable_changes_nothing_and_frames_arrive_whole():
    cable = BadCable()
    sent = frames(50)
    stream = b"".join(sent)
    assert cable(stream[:7]) + cable(stream[7:]) == stream
    assert cable.frames == 50 and not cable.counts
    assert cable(b"ab") == b"" and cable(b"\0") == b"ab\0"


@pytest.mark.parametrize("fault", ["flip", "drop", "duplicate", "truncate", "garbage"])
def test_each_fault_comes_as_often_as_asked(fault):
    cable = BadCable(Faults(**{fault: 0.25}), seed=5)
    changed = 0
    for frame in frames(2000):
        found = cable(frame)
        changed += found != frame
        if fault == "flip" and found != frame:
            pairs = zip(found, frame, strict=True)
            assert 1 <= sum((a ^ b).bit_count() for a, b in pairs) <= 3
        elif fault == "garbage":
            assert found.endswith(frame)
        elif fault == "truncate":
            assert len(found) <= len(frame)
            assert frame.startswith(found.removesuffix(b"\0"))
        elif fault == "drop":
            assert found in (frame, b"") or len(found) == len(frame) - 1
        elif fault == "duplicate":
            assert found in (frame, 2 * frame) or len(found) == len(frame) + 1
    assert cable.counts == {fault: cable.counts[fault]}
    assert 420 < cable.counts[fault] < 580  # 25% of 2000, 5 standard deviations
    # A truncation that takes away only the end mark's bit pattern may leave the frame as it was.
    assert cable.counts[fault] - 30 <= changed <= cable.counts[fault]


def test_a_cut_loses_frames_and_the_seed_repeats():
    faults = Faults.each(0.1)
    first, second = (BadCable(faults, seed=9) for _ in range(2))
    stream = b"".join(frames(300))
    assert first(stream) == second(stream) != stream
    assert set(first.counts) == {"flip", "drop", "duplicate", "truncate", "garbage"}
    first.broken = True
    assert first(stream) == b"" and first.counts["cut"] == 300
