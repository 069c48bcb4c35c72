"""The parts of the engine alone: numbers and credits, results in order, waiting, cutting bytes."""

import struct

import pytest

from sterna.golden.device.link import (
    FRAME_COST,
    MAX_BODY,
    BoardFrame,
    Identity,
    ToBoard,
    ToHost,
)
from sterna.golden.errors import UsageError
from sterna.host.images import ImageStream, Taken
from sterna.host.patience import Allowance, Countdown, Pace, Patience, check_timeout
from sterna.host.reader import FrameReader, LinkStats
from sterna.host.requests import ImageRequest, Request
from sterna.host.window import MOST, Window


def sent(count: int, buffer: int = 1 << 16) -> Window:
    window = Window(buffer)
    for k in range(count):
        window.add(ToBoard.WRITE, bytes(10), None)
        assert window.take(float(k)) is window.frames[-1]
    return window


def test_old_counts_are_known_from_new_ones() -> None:
    window = sent(60)
    assert [f.number for f in window.update(50, 40, 9.0) or []] == list(range(40))
    assert (window.accepted, window.done) == (50, 40)
    # A frame sent before that one, come late: each of its counts is behind what is known.
    for next_, done in ((49, 40), (45, 30), (50, 39), (0, 0), (61, 40), (40, 41)):
        assert window.update(next_, done, 9.0) is None
    assert (window.accepted, window.done) == (50, 40)
    assert window.update(60, 60, 9.0) and not window.frames


def test_counts_wrap() -> None:
    window = Window(1 << 16)
    for k in range(1000):
        window.add(ToBoard.WRITE, b"", None)
        window.take(1.0)
        assert [f.number for f in window.update((k + 1) & 255, (k + 1) & 255, 1.0) or []] == [k]
    assert window.done == window.accepted == window.top == 1000


def test_rewinding_skips_what_was_accepted_meanwhile() -> None:
    window = sent(10)
    window.update(4, 2, 1.0)
    assert window.missing
    window.rewind()
    taken = window.take(2.0)
    assert taken is not None and taken.number == 4 and taken.again
    window.update(8, 2, 3.0)
    taken = window.take(4.0)
    assert taken is not None and taken.number == 8
    assert [f.number for f in window.frames] == list(range(2, 10))


def test_a_repeated_frame_gives_no_round_trip() -> None:
    window = sent(2)
    window.update(1, 1, 0.5)
    assert window.round_trip == 0.5
    window.round_trip = None
    window.rewind()
    window.take(3.0)
    window.update(2, 2, 3.5)
    assert window.round_trip is None


def test_room() -> None:
    window = Window(3 * (10 + FRAME_COST))
    for _ in range(3):
        assert window.has_room(10)
        window.add(ToBoard.WRITE, bytes(10), None)
        window.take(0.0)
    assert not window.has_room(0)
    window.update(3, 0, 0.0)  # accepted is not executed
    assert not window.has_room(0)
    window.update(3, 1, 0.0)
    assert window.has_room(10) and not window.has_room(11)
    many = sent(MOST)
    assert not many.has_room(0)


def result(number: int, first: int, words: list[int]) -> BoardFrame:
    body = struct.pack(f"<BBH{len(words)}I", number & 255, 0, first, *words)
    return BoardFrame(ToHost.RESULT, 1, body=body)


def test_results_are_taken_in_order_only() -> None:
    stream = ImageStream(Identity(0, 8, 99, 4096, 4))
    request = ImageRequest(bytes(16), 8)
    assert stream.take(result(0, 0, [1])) is Taken.PART  # words may come early, whole results not
    stream = ImageStream(Identity(0, 8, 99, 4096, 4))
    stream.cut(request, stream.credit(request))
    head, tail = list(range(56)), list(range(56, 100))
    assert stream.take(result(0, 56, tail)) is Taken.GAP
    assert stream.take(result(1, 0, head)) is Taken.GAP
    assert stream.take(result(0, 0, head)) is Taken.NEW
    assert stream.take(result(0, 0, head)) is Taken.OLD
    assert stream.take(result(0, 56, tail)) is Taken.NEW
    assert stream.take(result(0, 56, tail)) is Taken.OLD
    assert stream.take(result(-1, 0, head)) is Taken.OLD
    assert request.results == [tuple(range(100))] and not request.done
    assert stream.take(result(1, 0, head)) is Taken.NEW
    assert stream.take(result(1, 56, [*tail, 100])) is Taken.WRONG
    assert not request.done


def test_a_result_that_nobody_asked_for() -> None:
    stream = ImageStream(Identity(0, 8, 1, 4096, 4))
    assert stream.take(result(0, 0, [1, 2])) is Taken.WRONG


def test_at_most_slots_images_go_before_their_results() -> None:
    stream = ImageStream(Identity(0, 100, 1, 4096, 3))
    request = ImageRequest(bytes(1000), 100)
    sizes = []
    while size := stream.credit(request):
        sizes.append(size)
        stream.cut(request, size)
    assert sizes == [MAX_BODY] and stream.out == 2  # 60 bytes more would make a small frame
    for k in range(2):
        stream.take(result(k, 0, [0, 0]))
    assert stream.credit(request) == MAX_BODY
    stream.cut(request, MAX_BODY)
    assert stream.sent <= (stream.got + 3) * 100


@pytest.mark.parametrize("timeout", [0.3, 3.0, 30.0])
def test_waits_grow_to_a_limit_that_leaves_several_tries(timeout: float) -> None:
    patience = Patience(timeout, 0.01)
    patience.begin(5.0)
    for _ in range(20):
        patience.tried()
    assert patience.wait <= timeout / 3 / 8 + 1e-9
    patience.progress(6.0)
    patience.sample(100.0)  # even where the line seems slow
    assert patience.wait <= timeout / 3 / 8 + 1e-9
    assert not patience.silent(5.0 + timeout / 3 - 0.01) and patience.silent(5.0 + timeout / 3)
    assert patience.stalled(6.0 + timeout) and not patience.stalled(5.9 + timeout)
    patience.end()
    assert patience.next is None and not patience.silent(1e9)


def test_bytes_are_cut_at_zeros_in_any_pieces() -> None:
    frames = [BoardFrame(ToHost.ACK, 7, next=k, body=b"") for k in range(5)]
    data = b"".join(
        [
            b"\0\0" + frames[0].pack(),
            b"noise\0",
            frames[1].pack(),
            b"\1" * 300 + frames[2].pack(),
            frames[3].pack()[:-3] + b"\0",
            frames[4].pack(),
        ]
    )
    for size in (1, 2, 7, 100, len(data)):
        stats = LinkStats()
        reader = FrameReader(stats)
        got = [f for at in range(0, len(data), size) for f in reader.feed(data[at : at + size])]
        assert got == [frames[0], frames[1], frames[4]]
        assert (stats.frames_received, stats.damaged, stats.bytes_received) == (3, 3, len(data))


def test_a_request_has_one_outcome() -> None:
    request = Request(ToBoard.READ, "reading")
    with pytest.raises(RuntimeError, match="reading is not done"):
        request.result()
    request.finish(3)
    request.finish(error=ValueError())
    assert request.result() == 3


def test_a_countdown_goes_one_way_and_a_part_of_it_in_each_timeout() -> None:
    count = Countdown(6400, 1.0, 0.0, parts=64)
    assert count.look(6400, 0.9) is Pace.ON and count.look(6300, 0.9) is Pace.ON
    assert count.look(6201, 1.8) is Pace.ON  # not yet a part more
    assert count.look(6201, 1.9) is Pace.LATE and count.look(6200, 1.9) is Pace.ON
    for wrong in (6201, -1, 1 << 32):
        assert count.look(wrong, 2.0) is Pace.BACK
    # However it goes down, it ends within a timeout for each part.
    count, now, left = Countdown(6400, 1.0, 0.0), 0.0, 6400
    while count.look(left, now) is Pace.ON and left:
        now, left = now + 0.02, left - 1
    assert now < 65


def test_an_allowance_is_bounded_and_forgives_a_caller_that_was_away_a_few_times() -> None:
    allowance = Allowance(3.0, 10.0)
    looks = [allowance.over(10 + k * 0.4) for k in range(9)]
    assert looks == [False] * 8 + [True] and allowance.taken(13.5) == 3.5
    allowance.earn(4)  # half a second each, as a tenth of 3 s is less
    now = 13.6
    assert not allowance.over(now)
    while not allowance.over(now):
        now += 1.0  # away again and again
        assert now < 25
    allowance.earn(0, 1)
    assert not allowance.over(now)


@pytest.mark.parametrize(
    "wrong",
    [
        0,
        -1,
        float("nan"),
        float("inf"),
        1e300,
        10**400,
        "10",
        None,
        [1.0],
        86_401,
        b"1",
    ],
)
def test_a_timeout_is_a_number_of_seconds(wrong: object) -> None:
    with pytest.raises(UsageError, match="give some seconds, at most 86,400"):
        check_timeout(wrong)
    assert check_timeout(1) == 1.0
