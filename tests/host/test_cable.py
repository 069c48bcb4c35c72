"""The engine over bad cables: no wrong word ever, and no end but the right one."""

import random
from collections import Counter
from dataclasses import fields

import pytest
from fakeboard import AT, FakeBoard, FakeNetwork, result_of
from wire import Wire

from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.host.engine import Engine
from sterna.sim.badcable import BadCable, Faults


def bad_wire(board: FakeBoard, rate: float, seed: int, timeout: float = 10.0) -> Wire:
    wire = Wire(
        Engine(timeout, seed=seed),
        board,
        up=BadCable(Faults.each(rate), seed),
        down=BadCable(Faults.each(rate), seed + 1),
    )
    wire.run(wire.engine.open())
    return wire


def exchange(wire: Wire, board: FakeBoard, images: int, seed: int) -> None:
    """So many images, and registers and memories in between, in a random order; every word that
    comes back is checked. Several requests are under way at once wherever the design allows it."""
    rng = random.Random(seed)
    engine, size, classes = wire.engine, board.identity.image_bytes, board.network.classes
    memory: dict[int, int] = {}
    while images > 0:
        waiting = []
        for _ in range(rng.randint(1, 6)):
            count = min(images, rng.randint(1, 40))
            given = [rng.randbytes(size) for _ in range(count)]
            right = [tuple(result_of(i, classes, 1)) for i in given]
            if given:
                waiting.append((engine.images(b"".join(given)), right))
                images -= count
            waiting.append((engine.read(AT["id"], 1), (csr.ID,)))
        for request, right in waiting:
            assert wire.run(request) == right
        # Memories, now that no image is in flight.
        waiting = []
        for _ in range(rng.randint(0, 4)):
            at, words = rng.randrange(200), [rng.getrandbits(32) for _ in range(rng.randint(1, 90))]
            engine.write(AT["chain_address"], [at])
            engine.write(AT["chain_data"], words, same=True)
            memory |= {at + k: word for k, word in enumerate(words)}
            at = rng.choice(list(memory))
            engine.write(AT["chain_address"], [at])
            waiting.append((engine.read(AT["chain_data"] | 1), (memory[at],)))
        waiting.append((engine.write(AT["weights_id_lo"], [1, 0]), None))
        for request, right in waiting:
            assert wire.run(request) == right


def board_of(**options) -> FakeBoard:
    return FakeBoard(FakeNetwork(regions=(300,), weights=1), **options)


@pytest.mark.parametrize("rate, size", [(0.002, 784), (0.01, 64), (0.04, 16)])
def test_bad_cable(rate: float, size: int) -> None:
    """Each kind of fault at this rate in both directions, the line never repaired."""
    board = board_of(slots=16, image_bytes=size, image_time=0.0005)
    wire = bad_wire(board, rate, 3)
    exchange(wire, board, 1500, 3)
    stats = wire.engine.stats
    assert stats.damaged and stats.frames_resent and board.refused
    assert board.most_used <= board.identity.buffer


def test_a_hundred_thousand_frames() -> None:
    frames, seed = 0, 100
    faults: Counter[str] = Counter()
    while frames < 100_000:
        slots, buffer = random.Random(seed).choice([(1, 2048), (16, 4096), (64, 246), (5, 600)])
        board = board_of(slots=slots, buffer=buffer, image_bytes=64, image_time=0.0002)
        wire = bad_wire(board, 0.005, seed)
        exchange(wire, board, 3000, seed)
        assert isinstance(wire.up, BadCable) and isinstance(wire.down, BadCable)
        frames += wire.up.frames + wire.down.frames
        faults += wire.up.counts + wire.down.counts
        seed += 10
    assert all(faults[f.name] > 300 for f in fields(Faults))


def test_a_cable_pulled_and_put_back() -> None:
    """Shorter than the silence allowed, the work goes on; longer, it ends in one sentence, and the
    next connection finds the board usable without a reset."""
    board = board_of(image_bytes=64, image_time=0.0005)
    wire = bad_wire(board, 0.0, 5, timeout=3)
    given = [random.Random(5).randbytes(64) for _ in range(600)]
    right = [tuple(result_of(i, board.network.classes, 1)) for i in given]
    request = wire.engine.images(b"".join(given))
    for seconds in (0.6, 2.0):
        while len(request.results) < 100 * seconds:
            wire.step()
        wire.up.broken = wire.down.broken = True  # type: ignore[attr-defined]
        end = wire.now + seconds
        while wire.now < end and not request.done:
            wire.step()
        wire.up.broken = wire.down.broken = False  # type: ignore[attr-defined]
        if seconds < 1:
            assert not request.done
    with pytest.raises(LinkError, match="fell silent for 1 s while computing 600 images"):
        request.result()
    assert request.results == right[: len(request.results)]
    wire.engine = Engine(seed=6)
    wire.run(wire.engine.open())
    assert wire.run(wire.engine.images(b"".join(given))) == right
