"""The engine against a fake board in virtual time: every request, order, credits, refusals."""

import random

import pytest
from fakeboard import AT, FakeBoard, FakeNetwork, result_of
from wire import Wire

from sterna.golden.device import csr
from sterna.golden.device.link import FRAME_COST, MAX_BODY, LinkError, ToBoard
from sterna.host.engine import Engine


def opened(board: FakeBoard, **options) -> Wire:
    wire = Wire(Engine(seed=1), board, **options)
    assert wire.run(wire.engine.open()) == board.identity
    return wire


def pictures(count: int, size: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(size) for _ in range(count)]


def expected(images: list[bytes], board: FakeBoard) -> list[tuple[int, ...]]:
    weights = board.network.weights
    flags = 0 if weights else csr.FLAG_UNLOADED
    return [tuple(result_of(i, board.network.classes, weights, flags)) for i in images]


def test_registers() -> None:
    board = FakeBoard(FakeNetwork(regions=(100,)))
    wire = opened(board)
    assert wire.run(wire.engine.read(AT["id"])) == (csr.ID,)
    words = list(range(150))
    wire.engine.write(AT["chain_address"], [0])
    wire.run(wire.engine.write(AT["chain_data"], words[:100], same=True))
    assert board.network.memories[0] == words[:100]
    wire.run(wire.engine.write(AT["weights_id_lo"], [5, 6]))
    assert wire.run(wire.engine.read(AT["weights_id_lo"], 2)) == (5, 6)


@pytest.mark.parametrize(
    "size, slots, classes", [(64, 16, 10), (7, 2, 3), (784, 4, 10), (300, 1, 1), (16, 64, 200)]
)
def test_images(size: int, slots: int, classes: int) -> None:
    board = FakeBoard(FakeNetwork(classes=classes), size, slots=slots, image_time=0.0003)
    wire = opened(board)
    images = pictures(300, size)
    request = wire.engine.images(b"".join(images))
    assert wire.run(request) == expected(images, board)
    assert request.images == len(images)
    assert board.refused == 0 and wire.engine.stats.frames_resent == 0


def test_the_smallest_buffer_is_never_overrun() -> None:
    board = FakeBoard(buffer=MAX_BODY + FRAME_COST, image_time=0.01)
    wire = opened(board)
    images = pictures(40, 64)
    assert wire.run(wire.engine.images(b"".join(images))) == expected(images, board)
    assert board.refused == 0 and board.most_used <= board.identity.buffer


def test_requests_keep_their_order() -> None:
    board = FakeBoard(FakeNetwork(regions=(8,)))
    wire = opened(board)
    board.executed = []
    images = pictures(20, 64)
    first = wire.engine.images(b"".join(images))
    reads = [wire.engine.read(AT["images"]) for _ in range(3)]
    mode = wire.engine.mode()
    last = wire.engine.write(AT["weights_id_lo"], [1, 2])
    wire.run(last)
    assert first.done and mode.done and all(read.done for read in reads)
    kinds = [kind for kind, _ in board.executed]
    assert kinds == [ToBoard.IMAGE] * 6 + [ToBoard.READ] * 3 + [ToBoard.MODE, ToBoard.WRITE]


def test_streaming_fills_nine_tenths_of_the_line() -> None:
    board = FakeBoard(image_bytes=784, slots=16, image_time=0.001)
    wire = opened(board)
    images = pictures(500, 784)
    start = wire.bytes_up, wire.now
    wire.run(wire.engine.images(b"".join(images)))
    sent, seconds = wire.bytes_up - start[0], wire.now - start[1]
    payload = 500 * 784
    assert payload >= 0.95 * sent  # what is sent is payload
    assert payload >= 0.95 * seconds * 100_000  # and the line is never idle


def test_a_refused_write_fails_and_later_ones_too_until_mode() -> None:
    board = FakeBoard(FakeNetwork(regions=(8,)))
    wire = opened(board)
    wrong = wire.engine.write(AT["id"], [1])
    skipped = wire.engine.write(AT["weights_id_lo"], [1, 2])
    for request in (wrong, skipped):
        with pytest.raises(LinkError, match="SLVERR"):
            wire.run(request)
    assert board.network.weights == 0
    wire.run(wire.engine.mode())
    wire.run(wire.engine.write(AT["weights_id_lo"], [1, 2]))
    assert board.network.weights == 2 << 32 | 1


def test_mode_waits_until_a_fault_has_been_seen() -> None:
    board = FakeBoard()
    wire = opened(board)
    wrong, mode = wire.engine.write(AT["id"], [1]), wire.engine.mode()
    wire.run(mode)
    with pytest.raises(LinkError, match="writing register 0x00"):
        wrong.result()


def test_a_refused_read_says_which() -> None:
    wire = opened(FakeBoard())
    with pytest.raises(LinkError, match="reading register 0x40.*SLVERR"):
        wire.run(wire.engine.read(AT["chain_address"]))


def test_muted_results_are_dropped() -> None:
    board = FakeBoard()
    wire = opened(board)
    images = pictures(3, 64)
    wire.run(wire.engine.images(b"".join(images)))
    wire.run(wire.engine.mode(mute=True))
    with pytest.raises(ValueError, match="muted"):
        wire.engine.images(images[0])
    wire.run(wire.engine.mode())
    assert wire.run(wire.engine.images(images[0])) == expected(images[:1], board)


def test_nobody_answers() -> None:
    wire = Wire(Engine(timeout=3, seed=1), FakeBoard(), up=lambda data: b"")
    with pytest.raises(LinkError, match="no answer from a board within 1 s"):
        wire.run(wire.engine.open(), 1.1)


def test_noise_is_named() -> None:
    wire = Wire(Engine(timeout=3, seed=1), FakeBoard(), down=lambda data: data[::2])
    with pytest.raises(LinkError, match="baud rate"):
        wire.run(wire.engine.open(), 1.1)


def test_another_version_is_named() -> None:
    wire = Wire(Engine(timeout=3, seed=1), FakeBoard(version=2))
    with pytest.raises(LinkError, match="version 2 of the link, this Sterna speaks 1"):
        wire.run(wire.engine.open(), 1.1)


def test_another_session_is_named() -> None:
    board = FakeBoard()
    send = board.transmit

    def of_another_session() -> bytes:
        board.session = 0x4321
        return send()

    board.transmit = of_another_session
    wire = Wire(Engine(timeout=3, seed=1), board)
    with pytest.raises(LinkError, match="another program"):
        wire.run(wire.engine.open(), 1.1)


def test_a_board_that_falls_silent() -> None:
    broken = []
    wire = Wire(Engine(timeout=3, seed=1), FakeBoard(), up=lambda d: b"" if broken else d)
    wire.run(wire.engine.open())
    broken.append(True)
    with pytest.raises(LinkError, match="fell silent for 1 s while reading register 0x00"):
        wire.run(wire.engine.read(0), 1.1)
    # All that is asked later fails with the same sentence, at once.
    with pytest.raises(LinkError, match="fell silent"):
        wire.engine.read(0).result()


@pytest.mark.parametrize("noise", [b"\xa5" * 40, bytes(40), bytes(range(40))])
def test_a_line_that_pours_is_not_called_silent(noise: bytes) -> None:
    board, broken = FakeBoard(), []
    send = board.transmit
    board.transmit = lambda: noise if broken else send()
    wire = Wire(Engine(timeout=3, seed=1), board)
    wire.run(wire.engine.open())
    broken.append(True)
    with pytest.raises(LinkError, match="bytes came in 1 s but no frame of the board while readi"):
        wire.run(wire.engine.read(0), 1.1)


def test_a_caller_that_was_away_does_not_blame_the_board() -> None:
    board = FakeBoard()
    wire = opened(board)
    request = wire.engine.read(AT["id"])
    for _ in range(3):
        wire.engine.transmit(wire.now)  # lost: nobody read the port meanwhile
        wire.now += 100.0
    assert wire.run(request, 1.0) == (csr.ID,)


def test_a_full_buffer_is_named() -> None:
    board = FakeBoard(FakeNetwork(regions=(1,)))
    wire = Wire(Engine(timeout=3, seed=1), board)
    wire.run(wire.engine.open())
    board.network.words["control"] = 2  # hold: no image starts
    images = b"".join(pictures(200, 64))
    with pytest.raises(LinkError, match="computing 200 images has not gone on for 3 s.* bytes not"):
        wire.run(wire.engine.images(images), 3.1)


def test_a_session_number_that_the_board_has_is_changed() -> None:
    board = FakeBoard()
    engine = Engine(seed=1)
    board._open(engine.session)
    board.next = board.done = 3
    wire = Wire(engine, board)
    wire.run(engine.open())
    assert board.next == 0 and board.session == engine.session


def test_an_old_answer_with_the_same_number_is_not_taken() -> None:
    """The READ 256 frames later has the number of the last answer, which RESEND brings again."""
    board = FakeBoard(FakeNetwork(regions=(8,)), image_time=0.5)
    wire = opened(board)
    wire.engine.write(AT["weights_id_lo"], [77, 0])  # frame 0
    images = wire.engine.images(bytes(64 * 8))  # frames 1 to 3
    assert wire.run(wire.engine.read(AT["id"])) == (csr.ID,)  # frame 4
    wire.run(images)
    for k in range(252):
        wire.run(wire.engine.write(AT["weights_id_lo"], [k, 0]))  # up to frame 256
    images = wire.engine.images(bytes(64 * 8))  # up to 259: not executed before some are computed
    read = wire.engine.read(AT["weights_id_lo"])  # frame 260
    before = wire.engine.stats.polls
    assert wire.run(read) == (251,)
    assert wire.engine.stats.polls > before  # it was asked for again meanwhile


def test_a_reset_goes_with_hello() -> None:
    board = FakeBoard()
    board.network.words["control"] = 2
    wire = Wire(Engine(seed=1), board)
    wire.run(wire.engine.open(reset=True))
    assert not board.network.held
