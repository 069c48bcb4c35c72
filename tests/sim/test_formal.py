"""The prover at work: a claim that holds, one that must not, and what the runner says of both."""

from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Fragment

from sterna.golden.errors import SternaError
from sterna.hw.stream.fork import Fork
from sterna.sim import formal
from sterna.sim.proofs.buffers import PROOFS as BUFFERS
from sterna.sim.proofs.kit import Bench, Proof, mutant
from sterna.sim.proofs.skips import least_depth

FOLDER = Path("build") / "formal_test"  # not under /tmp, which the YoWASP programs do not see


def test_names_are_unique_and_every_kind_has_a_fault():
    proofs = formal.all_proofs()
    names = [proof.name for proof in proofs]
    assert len(set(names)) == len(names)
    assert all(proof.fails == proof.name.startswith("fault_") for proof in proofs)
    claims = " ".join(proof.claim for proof in proofs if proof.fails)
    for part in (
        "SkipFifo",
        "Fork",
        "SpikingMerge",
        "LaneSplit",
        "window",
        "AxiLiteSlave",
        "ChainMaster",
        "Credit",
        "BeatCollector",
        "WordSerializer",
        "StepFeeder",
        "WordAssembler",
        "LineBuffer",
        "NeuronScan",
        "decay_value",
        "reset",
        "CarryChain",
    ):
        assert part in claims
    assert {proof.mode for proof in proofs} == {"prove", "bmc"}


@pytest.mark.yosys
@pytest.mark.parametrize("proof", [p for p in formal.all_proofs() if p.quick], ids=lambda p: p.name)
def test_quick_proofs(proof):
    verdict = formal.run_proof(proof, FOLDER)
    assert verdict.good, verdict.log
    assert verdict.status == ("FAIL" if proof.fails else "PASS")


@pytest.mark.yosys
def test_a_false_claim_is_not_called_proven():
    def build():
        def body(b: Bench) -> None:
            b.check(~b.dut.o_0.valid)  # nothing ever leaves: wrong, and true of a design that rests

        return Bench(Fork(1, 2), ["i"], ["o_0", "o_1"], body)

    proof = Proof("false_claim", "a fork gives nothing", build, "prove", 4)
    verdict = formal.run_proof(proof, FOLDER)
    assert verdict.status == "FAIL" and not verdict.good and verdict.result == "REFUTED"
    refuted = Proof("false_claim", "", build, "prove", 4, fails=True)
    assert formal.Verdict(refuted, "PASS", 0, "").result == "NOT REFUTED"
    assert not formal.Verdict(refuted, "PASS", 0, "").good


def test_least_depth():
    # lead words must lie beside the window, two of them in the merge's buffer
    assert [least_depth(lead) for lead in (0, 1, 2, 3, 9)] == [0, 0, 0, 1, 7]


def test_a_fault_that_no_longer_fits_is_named():
    with pytest.raises(
        SternaError, match="passage 'no such text' is 0 times in sterna.hw.stream.fork"
    ):
        mutant(Fork, "no such text", "")


def test_an_invariant_of_a_changed_component_is_named():
    bench = BUFFERS[0].build()
    Fragment.get(bench, None)
    with pytest.raises(SternaError, match="looks for one signal 'gone_away' and finds 0"):
        bench.inside("gone_away")


@pytest.mark.yosys
def test_a_register_that_its_reset_leaves_alone_is_found_from_any_state_only():
    wild = next(p for p in formal.all_proofs() if p.name == "fault_reset")
    tame = replace(wild, name="tame_reset", wild=())
    assert wild.wild and formal.run_proof(tame, FOLDER).status == "PASS"


def test_the_command(capsys):
    assert formal.main(["--list", "fork"]) == 0
    assert "fork_2" in capsys.readouterr().out
    assert formal.main(["no_such"]) == 2
    assert capsys.readouterr().err == "sterna: no proof begins with no_such; see --list\n"


def test_a_missing_tool_ends_with_3(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(formal.sys, "executable", str(tmp_path / "python"))
    assert formal.main(["buffer"]) == 3
    assert capsys.readouterr().err == "sterna: z3 is not installed; run: pip install z3-solver\n"
