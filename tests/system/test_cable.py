"""Host, cable, and the RTL of a whole board with its UART pins, in the board's own time."""

from fractions import Fraction

import pytest
from tinyboard import network, packed, pictures, tiny_build

from sterna.golden.device.link import LinkError
from sterna.golden.exact import run
from sterna.golden.result import compare
from sterna.host.board import Board
from sterna.sim.badcable import BadCable, Faults
from sterna.sim.boardbuild import simulated_board
from sterna.sim.boardline import SimulatedLine


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return tiny_build(tmp_path_factory.mktemp("tiny"))


class Cable(BadCable):
    """Breaks when so many frames have passed; a negative number: never."""

    def __init__(self, faults: Faults | None = None, seed: int = 0):
        super().__init__(faults or Faults(), seed)
        self.left = -1

    def __call__(self, data: bytes) -> bytes:
        before = self.frames
        out = super().__call__(data)
        if self.left >= 0:
            self.left -= self.frames - before
            self.broken = self.left <= 0
        return out


def connected(build, up=None, down=None, timeout: float = 1.0, **options) -> Board:
    board = simulated_board(build, **options)
    return Board(SimulatedLine(board, up, down), build=build.folder, timeout=timeout)


def test_streaming_keeps_the_line_busy_with_payload(build):
    with connected(build) as host:
        host.load()
        images = pictures(300)
        line = host._link.transport
        line.write(b"\0")
        line.read(0.02)  # what was under way is over
        start = line.monotonic()
        assert compare(run(build.network, images), host.infer(images)) is None
        took = (line.monotonic() - start) * 1e5  # bytes that the line could have carried
        assert 0.9 < images.nbytes / took < 1.0


@pytest.mark.parametrize("ratio, drift", [(1, 0.02), (Fraction(13, 4), -0.02), (7, 0.0)])
def test_every_ratio_of_clocks_and_a_computer_off_its_rate(build, ratio, drift):
    from sterna.sim.boardbuild import board_text
    from sterna.sim.boardsim import SimulatedBoard

    board = SimulatedBoard.build(board_text(build, 8), "tiny_board", 8, ratio=ratio, drift=drift)
    with Board(SimulatedLine(board), build=build.folder) as host:
        host.load()
        images = pictures(6)
        assert compare(run(build.network, images), host.infer(images)) is None
        assert host.stats.damaged == 0 and host.stats.frames_resent == 0


def damaged(build, frames: int, rate: float, seed: int) -> None:
    """Loads and images over a cable that is never good; every result is compared."""
    faults = Faults.each(rate)
    up, down = Cable(faults, seed), Cable(faults, seed + 1)
    host = None
    calls = failures = loads = 0
    while host is None:
        try:
            host = connected(build, up, down, seed=seed)
        except LinkError:
            failures += 1
    with host:
        while up.frames + down.frames < frames:
            weights = loads % 5
            golden = network(weights)
            try:
                host.load(packed(build, weights))
                loads += 1
                for k in range(4):
                    images = pictures(120, seed=calls + k)
                    result = host.infer(images)
                    assert compare(run(golden, images), result) is None
            except LinkError:  # the link may fail, but only with a sentence, and goes on
                failures += 1
            calls += 1
        board = host._link.transport.board
        board.exchange(b"", 1 << 20)  # the LED flickers while frames pass
        assert board.led  # a session is open
    assert loads > 1 and failures <= calls // 4
    for cable in (up, down):
        assert (
            min(cable.counts[f] for f in ("flip", "drop", "duplicate", "truncate", "garbage")) > 0
        )


def test_nothing_wrong_comes_over_a_bad_cable(build):
    damaged(build, 4000, 0.005, seed=11)


@pytest.mark.slow
@pytest.mark.parametrize("rate, seed", [(0.001, 1), (0.005, 2), (0.01, 3), (0.02, 4)])
def test_nothing_wrong_in_a_hundred_thousand_frames(build, rate, seed):
    damaged(build, 25_000, rate, seed)


@pytest.mark.parametrize("after", [1, 3, 4, 6])
def test_a_cut_in_mid_load_leaves_no_half_loaded_weights(build, after):
    up, down = Cable(), Cable()
    images = pictures(20)
    with connected(build, up, down, timeout=0.3) as host:
        assert host.identify().weights_id is None
        with pytest.raises(LinkError, match="load the weights again"):
            host.infer(images)
        host.load()
        assert compare(run(network(0), images), host.infer(images)) is None
        up.left = after
        with pytest.raises(LinkError, match="no answer|not|cable"):
            host.load(packed(build, 1))
        up.left, up.broken = -1, False
        # What came first is known by the board alone: all of the old weights, or none.
        if host.identify().weights_id is None:
            with pytest.raises(LinkError, match="load the weights again"):
                host.infer(images)
        else:
            host.write("control", 0)
            assert compare(run(network(0), images), host.infer(images)) is None
        host.load(packed(build, 1))
        assert compare(run(network(1), images), host.infer(images)) is None
