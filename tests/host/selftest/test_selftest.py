"""A selftest of a board that is right, and of boards with faults put in: each is called by name."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from fakeboard import FakeBoard
from hostile import MAD, Line
from selfboard import SelfNetwork, bitstream_facts, board_of, line_of, small_build, small_network

from sterna.golden.device.link import LinkError
from sterna.golden.device.weights_image import read_weights_image
from sterna.golden.errors import FileError, UsageError
from sterna.golden.numpyrun import run_arrays
from sterna.host.board import Board
from sterna.host.selftest import known
from sterna.host.selftest.report import STAGES, Selftest, sealed
from sterna.host.selftest.selftest import run_stages, selftest
from sterna.host.selftest.verify import read_report
from sterna.sim.badcable import BadCable, Faults

PINGS = 60  # enough to see 1% of bad frames, and quicker than as many as a board gets


@pytest.fixture(autouse=True)
def _fewer_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "PINGS", PINGS)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return small_build(tmp_path)


def net_of(board: FakeBoard) -> SelfNetwork:
    assert isinstance(board.network, SelfNetwork)
    return board.network


def of_board(line: Line, build: Path | None, **options: Any) -> Selftest:
    with Board(line, timeout=3.0) as board:
        report = selftest(board, build, **options)
    with TemporaryDirectory() as folder:  # whatever was found, the report is one
        report.save(path := Path(folder) / "r.json")
        assert read_report(path) == report
    return report


def outcomes(report: Selftest) -> dict[str, str]:
    return {name: stage["outcome"] for name, stage in report["stages"].items()}


def failed(report: Selftest, name: str) -> str:
    """The reason of the one stage that failed."""
    found = outcomes(report)
    assert [n for n, o in found.items() if o == "failed"] == [name], found
    assert report["verdict"] == "failed" and not report.passed
    assert f"failed: {name}" in str(report) and report.line() == f"failed: {name}"
    return report["stages"][name]["reason"]


def test_a_board_that_is_right_passes_every_stage(build: Path) -> None:
    bitstream_facts(build)
    images = np.random.default_rng(5).integers(0, 256, (9, 1, 3, 4), np.uint8)
    labels = run_arrays(small_network(), images).classes
    path = build / "out" / "r.json"
    report = of_board(line_of(board_of(build)), build, images=images, labels=labels, report=path)
    assert report.passed and set(outcomes(report).values()) == {"passed"}
    assert list(report["stages"]) == list(STAGES)
    figures = {name: stage["figures"] for name, stage in report["stages"].items()}
    assert figures["identify"]["weights_id"] is None and figures["identify"]["regions"] == 2
    assert figures["cable"]["reads"] == PINGS and figures["cable"]["wrong"] == 0
    assert 0.001 < figures["cable"]["round_trip_seconds"]["median"] < 0.02
    assert (figures["load"]["regions"], figures["load"]["words"]) == (2, 35)
    random, own = figures["images"]["sets"]
    assert (random["images"], own["images"], own["right"]) == (32, 9, 9)
    assert random["results_sha256"] == random["golden_sha256"]
    assert figures["reload"]["found"] == ["region 1 (parameters of full)"]
    assert figures["counters"]["images"] == 32
    assert figures["counters"]["clocks_per_image"] == figures["counters"]["law"] == 100
    assert figures["speed"]["clock_mhz"] == pytest.approx(25, rel=0.01)
    assert figures["speed"]["images_per_second_without_the_link"] == pytest.approx(250e3, rel=0.01)
    assert figures["robustness"]["sent_bytes"] == 6
    assert report["board"]["name"] == "ulx3s-85f"
    assert report["board"]["named_by"] == "bitstream.json"
    assert report["board"]["kind"] == "unknown"  # an object in Python is no silicon
    assert set(report["design"]["sha256"]) == {
        "design.json",
        "network.json",
        "weights.sterna",
        "little.bit",
    }
    assert json.loads(path.read_text()) == report
    assert "all 164 logits equal golden" in str(report)


def test_fixed_weights_have_nothing_to_load(tmp_path: Path) -> None:
    build = small_build(tmp_path, reloadable=False)
    report = of_board(line_of(board_of(build)), build, name="mine")
    assert report.passed and report["board"]["name"] == "mine"
    assert [n for n, o in outcomes(report).items() if o == "skipped"] == ["load", "reload"]
    assert "fixed weights" in report["stages"]["load"]["reason"]


def test_without_a_build_nothing_is_called_passed(build: Path) -> None:
    report = of_board(line_of(board_of(build)), None)
    assert report["verdict"] == "incomplete" and "did not run to the end" in str(report)
    found = outcomes(report)
    assert found["identify"] == found["cable"] == "passed" and found["images"] == "skipped"


@pytest.mark.parametrize("there", [True, False])
def test_a_serial_port_is_silicon_only_where_a_board_says_what_it_is(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    from sterna.host.selftest import selftest as module

    facts = module.line_facts
    told = {"kind": "serial port", "port": "ttyS0", "baud": 3_000_000}  # of the line in Python
    monkeypatch.setattr(module, "line_facts", lambda *g: facts(*g) | told)
    line = line_of(board_of(build)) if there else Line(FakeBoard(), lambda line, data: b"")
    path = tmp_path / "r.json"
    report = run_stages(line, lambda: Board(line, timeout=3.0), None, [], report=path)
    assert report["board"]["kind"] == ("silicon" if there else "unknown")
    assert there or "unknown: serial port, behind which no board said" in str(report)
    assert read_report(path) == report
    if not there:
        board = report["board"] | {"kind": "silicon", "why": "behind a serial port"}
        path.write_text(json.dumps(sealed(dict(report) | {"board": board})))
        with pytest.raises(
            FileError, match="'silicon' .* is behind a 'serial port', and did not say"
        ):
            read_report(path)


# --- faults ---------------------------------------------------------------------------------------


def test_another_design_is_named_by_both_ids(build: Path) -> None:
    report = of_board(line_of(board_of(build, structure=0x1234)), build)
    reason = failed(report, "identify")
    assert "0000000000001234" in reason and report["design"]["structure_id"][:16] in reason
    assert "program the build's bitstream" in reason
    rest = list(outcomes(report).values())[1:]
    assert rest == ["skipped"] * 7
    assert report["stages"]["images"]["reason"] == "not run: stage identify failed"


def test_fixed_weights_of_another_network_are_named(tmp_path: Path) -> None:
    build = small_build(tmp_path, reloadable=False)
    reason = failed(of_board(line_of(board_of(build, weights=0xABC)), build), "identify")
    assert "0000000000000abc" in reason and "sterna patch" in reason


def test_a_memory_bit_that_does_not_stay_is_named(build: Path) -> None:
    board = board_of(build)
    net, write = net_of(board), net_of(board).write

    def weak(address: int, value: int) -> bool:
        done = write(address, value)
        if address == 0x44 and net.at == 8:
            net.memories[0][7] ^= 1 << 3
        return done

    net.write = weak
    reason = failed(of_board(line_of(board), build), "load")
    assert reason.startswith("region 0 (weights of full): region 0 reads back with CRC")


def after_images(board: FakeBoard, count: int, change: Callable[[], None]) -> None:
    """Do something when so many images are computed."""
    net, compute, seen = net_of(board), net_of(board).compute, [0]

    def counted(image: bytes, weights: int) -> list[int]:
        seen[0] += 1
        if seen[0] == count:
            change()
        return compute(image, weights)

    net.compute = counted


def test_a_weight_that_flips_while_images_are_computed_is_named(build: Path) -> None:
    board = board_of(build)

    def flip() -> None:
        net_of(board).memories[0][11] ^= 1 << 30

    after_images(board, 20, flip)
    report = of_board(line_of(board), build)
    found = outcomes(report)
    assert found["images"] == "failed"
    reason = report["stages"]["images"]["reason"]
    assert "13 of 32 images" in reason and "first difference in the logits at image 19" in reason
    assert "region 0 (weights of full) no longer has the CRC of its file" in reason
    assert report["stages"]["images"]["figures"]["changed_memories"] == [
        "region 0 (weights of full)"
    ]
    assert "region 0 (weights of full) changed" in report["stages"]["reload"]["reason"]


def test_a_flipped_weight_of_a_bitstream_is_found_by_its_images(tmp_path: Path) -> None:
    build = small_build(tmp_path, reloadable=False)
    board = board_of(build)
    net_of(board).broken = 1
    report = of_board(line_of(board), build)
    reason = failed(report, "images")
    assert "32 of 32 images" in reason and "sterna verify-bitstream" in reason
    # The others go on: the clocks are those of the design all the same.
    assert outcomes(report)["counters"] == outcomes(report)["robustness"] == "passed"


def test_wrong_logic_is_told_from_wrong_weights(build: Path) -> None:
    board = board_of(build)
    net_of(board).broken = 1
    report = of_board(line_of(board), build)
    assert "so the logic is at fault: lower the clock" in report["stages"]["images"]["reason"]


def test_damage_that_is_not_found_is_a_fault_of_the_design(build: Path) -> None:
    board = board_of(build)
    net, write = net_of(board), net_of(board).write

    def lies(address: int, value: int) -> bool:
        done = write(address, value)
        if address == 0x48:
            words = net.image.regions[net.at >> 24]
            import zlib

            net.words["crc_result"] = zlib.crc32(words.tobytes())
        return done

    net.write = lies
    report = of_board(line_of(board), build)
    assert "the board's CRC passes find nothing" in failed(report, "reload")


def test_a_board_that_vouches_for_damaged_weights_is_found_out(build: Path) -> None:
    board = board_of(build)
    net, write = net_of(board), net_of(board).write

    def vouches(address: int, value: int) -> bool:
        before = {k: net.words[k] for k in ("weights_id_lo", "weights_id_hi")}
        done = write(address, value)
        if address == 0x44:
            net.words |= before
        return done

    net.write = vouches
    assert "still vouches for weights" in failed(of_board(line_of(board), build), "reload")


@pytest.mark.parametrize("clocks", [97, 103, 200])
def test_clocks_that_are_not_the_laws(build: Path, clocks: int) -> None:
    reason = failed(of_board(line_of(board_of(build, clocks=clocks)), build), "counters")
    assert f"an image takes {clocks} clocks, by design.json 100" in reason


def test_the_models_clocks_are_allowed_too(tmp_path: Path) -> None:
    build = small_build(tmp_path, modelled_interval=121.5)
    assert of_board(line_of(board_of(build, clocks=120)), build).passed
    assert of_board(line_of(board_of(build, clocks=99)), build).passed
    failed(of_board(line_of(board_of(build, clocks=125)), build), "counters")


def test_another_clock_than_the_bitstreams(build: Path) -> None:
    bitstream_facts(build)
    board = board_of(build)
    net_of(board).hz = 20e6
    reason = failed(of_board(line_of(board), build), "speed")
    assert "the board's clock is 20 MHz, that of its bitstream 25" in reason
    bitstream_facts(build, structure_id="0" * 64)  # of another design: says nothing
    assert of_board(line_of(board), build).passed


def test_a_slow_line(build: Path) -> None:
    line = line_of(board_of(build))
    read = line.read

    def late(wait: float) -> bytes:
        line.now += 0.15
        return read(wait)

    line.read = late  # type: ignore[method-assign]
    report = of_board(line, build)
    assert "a slow line: a read takes 0." in report["stages"]["cable"]["reason"]
    assert report["verdict"] == "failed" and outcomes(report)["images"] == "passed"


@pytest.mark.parametrize("rate", [0.01, 0.02])
def test_a_bad_cable(build: Path, rate: float) -> None:
    up, down = (BadCable(Faults.each(rate), seed) for seed in (1, 2))
    line = line_of(board_of(build))
    write, line.mutate = line.write, lambda line, data: down(data)
    line.write = lambda data: write(up(data))  # type: ignore[method-assign]
    report = of_board(line, build)
    assert "a bad cable or baud rate: of " in failed(report, "cable")
    assert outcomes(report)["images"] == "passed"  # what arrives is right all the same


def test_losses_of_a_simulation_are_told_and_not_judged(build: Path) -> None:
    up, down = (BadCable(Faults.each(0.02), seed) for seed in (1, 2))
    line = line_of(board_of(build))
    line.simulated = {"board": "ulx3s-85f"}  # type: ignore[attr-defined]
    write, line.mutate = line.write, lambda line, data: down(data)
    line.write = lambda data: write(up(data))  # type: ignore[method-assign]
    report = of_board(line, build)
    assert report.passed and report["board"]["kind"] == "simulated"
    said = report["stages"]["cable"]["said"]
    assert "frames again or damaged (" in said and "arrived damaged; not judged, either)" in said


@pytest.mark.parametrize("what", ["hangs", "resets"])
def test_a_board_that_ends_in_the_middle(build: Path, tmp_path: Path, what: str) -> None:
    board = board_of(build)
    line = line_of(board)

    def hang() -> None:
        line.mutate = lambda line, data: b""

    after_images(board, 20, hang if what == "hangs" else lambda: board._open(0))
    path = tmp_path / "r.json"
    report = of_board(line, build, report=path)
    reason = failed(report, "images")
    assert "the board fell silent for 1 s while computing" in reason
    assert json.loads(path.read_text())["verdict"] == "failed"
    assert [report["stages"][n]["reason"] for n in ("reload", "robustness")] == [
        "not run: stage images failed"
    ] * 2


def test_images_that_are_not_counted(build: Path) -> None:
    board = board_of(build)
    net, compute = net_of(board), net_of(board).compute

    def uncounted(image: bytes, weights: int) -> list[int]:
        words = compute(image, weights)
        net.words["images"] -= net.words["images"] > 5
        return words

    net.compute = uncounted
    reason = failed(of_board(line_of(board), build), "counters")
    assert reason == "32 images were computed, the board counts 5"


def test_a_board_that_keeps_half_an_image(build: Path) -> None:
    board = board_of(build)
    open_ = board._open

    def keeps(session: int) -> None:
        half = bytes(board.image) if session and hasattr(board, "image") else b""
        open_(session)
        board.image += half

    board._open = keeps
    reason = failed(of_board(line_of(board), build), "robustness")
    assert "the image after one that was cut short is computed otherwise" in reason


@pytest.mark.parametrize("mad", MAD)
def test_whatever_a_board_answers_there_is_a_report(mad: str) -> None:
    line = MAD[mad]()
    report = run_stages(line, lambda: Board(line, timeout=3.0), None, [])
    assert report["verdict"] in ("failed", "incomplete") and "\n" in str(report)
    assert all("\n" not in (s["reason"] or "") for s in report["stages"].values())


@pytest.mark.parametrize("cores", ["[]", "{}", '[{"regions": 7}]', "3", '[{"regions": [0, 1, 2]}]'])
def test_a_design_that_says_other_memories(tmp_path: Path, cores: str) -> None:
    build = small_build(tmp_path)
    board = board_of(build)
    changed = small_build(tmp_path / "other", cores=json.loads(cores))
    line = line_of(board)
    structure = read_weights_image(changed / "weights.sterna").structure_id
    board.identity = replace(board.identity, structure_id=int(structure[:16], 16))
    reason = failed(of_board(line, changed), "identify")
    assert "the board says regions 2, its build" in reason


# --- interruptions and mistakes -------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_in_any_stage_leaves_a_report_and_a_board(
    build: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    from sterna.host.selftest import selftest as module

    line = line_of(board_of(build))
    own, read = module._STAGES[stage], line.read

    def interrupted(trial: Any) -> None:
        reads = [0]

        def stops(wait: float) -> bytes:
            reads[0] += 1
            if reads[0] == 2:
                line.read = read  # type: ignore[method-assign]
                raise KeyboardInterrupt
            return read(wait)

        line.read = stops  # type: ignore[method-assign]
        return own(trial)

    monkeypatch.setitem(module._STAGES, stage, interrupted)
    path = build / "r.json"
    with Board(line, timeout=3.0) as board:
        with pytest.raises(KeyboardInterrupt):
            selftest(board, build, report=path)
        report = json.loads(path.read_text())
        assert report["stages"][stage]["outcome"] == "interrupted"
        assert report["verdict"] == "incomplete"
        assert not board.identify().held
        board.use(build)
        board.load()
        images = np.zeros((3, 1, 3, 4), np.uint8)
        found = board.infer(images)
        assert (found.logits == run_arrays(small_network(), images).logits).all()


def test_mistakes_are_sentences(build: Path) -> None:
    with Board(line_of(board_of(build))) as board:
        with pytest.raises(UsageError, match="images need a build"):
            selftest(board, images=np.zeros((1, 1, 3, 4), np.uint8))
        with pytest.raises(UsageError, match="count 0 must be"):
            selftest(board, build, count=0)
        with pytest.raises(UsageError, match="name 7 must be a text"):
            selftest(board, build, name=7)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="is no Board; open one"):
            selftest("/dev/ttyUSB0", build)  # type: ignore[arg-type]
        (build / "design.json").write_text("[]")
        with pytest.raises(FileError):
            selftest(board, build)
    with pytest.raises(LinkError):
        Board(Line(FakeBoard(), lambda line, data: b""), timeout=0.5)
