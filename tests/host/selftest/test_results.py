"""Every result that a selftest fetches is looked at."""

from pathlib import Path

import pytest
from selfboard import SelfNetwork, board_of, line_of, small_build

from sterna.host.board import Board
from sterna.host.selftest import known
from sterna.host.selftest.selftest import selftest


@pytest.mark.parametrize(
    "number, stage, said",
    [
        (40, "reload", "images in front of the same weights are computed otherwise"),
        (70, "reload", "images behind the same weights, loaded again, are computed otherwise"),
        (110, "counters", "images that are counted are computed otherwise"),
        (0, "robustness", "the image after one that was cut short is computed otherwise"),
    ],
)
def test_one_result_that_is_wrong_is_found_wherever_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, stage: str, said: str
) -> None:
    """Its class is right all the same, and its frame undamaged."""
    monkeypatch.setattr(known, "PINGS", 20)
    board = board_of(build := small_build(tmp_path))
    net = board.network
    assert isinstance(net, SelfNetwork)
    compute, seen = net.compute, [0]

    def lies(image: bytes, weights: int) -> list[int]:
        seen[0] += 1
        words = compute(image, weights)
        if seen[0] == number or not number and net.words["dropped"]:
            least = min(range(1, 5), key=lambda k: words[k] - (words[k] >> 31 << 32))
            words[least] -= 1
        return words

    net.compute = lies
    if not number:
        begin = board._open

        def opened(session: int) -> None:
            net.words["dropped"] += hasattr(board, "image") and bool(board.image)
            begin(session)

        board._open = opened
    with Board(line_of(board), timeout=3.0) as host:
        report = selftest(host, build)
    assert report.line() == f"failed: {stage}" and said in report["stages"][stage]["reason"]
