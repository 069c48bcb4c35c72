"""A selftest of the whole board in Verilator, behind a serial port: right, and with a fault."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tinyboard import network, pictures, tiny_build

from sterna import cli
from sterna.gen.build.stages import Build
from sterna.gen.verilog.elaborate import filled_spec, verilog_text
from sterna.golden.network import Linear, Network
from sterna.golden.numpyrun import run_arrays
from sterna.host.board import Board
from sterna.host.selftest import board_stages, known, selftest
from sterna.host.selftest.against import check_against
from sterna.host.selftest.facts import facts_of
from sterna.host.selftest.pictures import random_pictures
from sterna.host.selftest.selftest import RANDOM_IMAGES
from sterna.host.selftest.trial import Trial
from sterna.host.selftest.verify import read_report
from sterna.hw.top.board_top import BoardTop, link_spec
from sterna.sim.boardbuild import grace_of, simulated_board
from sterna.sim.boardline import SimulatedLine
from sterna.sim.boardpty import PtyBoard
from sterna.sim.boardsim import SimulatedBoard


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(known, "PINGS", 20)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return tiny_build(tmp_path_factory.mktemp("tested"))


def test_the_simulated_board_passes_and_says_that_it_is_none(build: Build, capsys) -> None:
    words = ["selftest", str(build.folder), "--timeout", "60"]
    facts = {"board": "ulx3s-85f"}
    with PtyBoard(simulated_board(build), grace_of(build), facts) as port:
        assert cli.main([*words, "--port", port.path]) == 0
    assert "passed, in simulation: no silicon was tested" in capsys.readouterr().out
    report = read_report("tiny_selftest.json")
    assert report["board"]["kind"] == "simulated" and report["board"]["name"] == "ulx3s-85f"
    assert report["board"]["simulation"] == {"divisor": 4, "ratio": "1/4"}
    assert {s["outcome"] for s in report["stages"].values()} == {"passed"}
    figures = report["stages"]["robustness"]["figures"]
    assert figures["dropped"] == 1  # the network had begun it, and the link ended it
    assert len(check_against(report, facts_of(build.folder))) >= 7


def test_a_bit_that_flips_behind_the_load_is_named_by_its_layer(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cosmic rays do: weights_id stays what it is."""
    own = selftest._STAGES["images"]

    def flipped(trial: Trial) -> None:
        low, high = trial.link.read("weights_id_lo", 2)
        board_stages._damage(trial, 3)
        trial.link.write("weights_id_lo", low, high)
        return own(trial)

    monkeypatch.setitem(selftest._STAGES, "images", flipped)
    with Board(SimulatedLine(simulated_board(build))) as board:
        report = selftest.selftest(board, build.folder, images=pictures(20))
    assert report["verdict"] == "failed" and report["board"]["kind"] == "simulated"
    assert "region 3 (parameters of full)" in report["stages"]["images"]["reason"]


@pytest.mark.slow
def test_a_weight_that_is_flipped_in_the_bitstream(tmp_path: Path) -> None:
    """A ROM design whose memory has one weight of another sign, all its ids as they should be."""
    build = tiny_build(tmp_path / "rom", memory="rom")
    good = filled_spec(build.network, build.design)
    bad = replace(filled_spec(_turned(), build.design), weights_id=good.weights_id)
    spec = replace(bad, rom_crc=good.rom_crc)
    text = verilog_text(BoardTop(spec, link_spec(spec, "ecp5", 4)), "tiny_board")
    board = SimulatedBoard.build(text, "tiny_board", 4)
    with Board(SimulatedLine(board)) as host:
        report = selftest.selftest(host, build.folder, report="r.json")
    assert report.line() == "failed: images"
    assert "sterna verify-bitstream" in report["stages"]["images"]["reason"]
    assert json.loads(Path("r.json").read_text())["verdict"] == "failed"


def _turned() -> Network:
    """The tiny network with one weight turned: the first that its random images depend on."""
    own = network(0)
    full = own["full"]
    assert isinstance(full, Linear)
    given = random_pictures(own, RANDOM_IMAGES)
    for at in range(full.weight.shape[1]):
        weight = full.weight.copy()
        weight[1, at] = -1 if weight[1, at] == 1 else 1
        nodes = [replace(full, weight=weight) if n == "full" else own[n] for n in own.order]
        made = Network(own.steps, nodes, own.name)
        if (run_arrays(made, given.images).logits != given.expected.logits).any():
            return made
    raise AssertionError("no image depends on any weight")
