"""sterna.build of a network in memory, a folder, a design; other folders stay as they were."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sterna
from sterna.building import build


def network(seed: int = 0, name: str = "tiny") -> sterna.Network:
    rng = np.random.default_rng(seed)
    trits = lambda *shape: rng.choice([-1, 1], shape)  # noqa: E731
    return sterna.Network(
        2,
        [
            sterna.Input("x", (1, 4, 4), bits=4),
            sterna.Conv2d("c", "x", trits(2, 1, 3, 3)),
            sterna.Neuron("n", ("c",), sterna.NeuronRule(np.ones(2) * 20)),
            sterna.Linear("f", "n", trits(3, 8)),
            sterna.Readout("r", ("f",), sterna.NeuronRule(np.zeros(3), "none")),
        ],
        name,
    )


def test_a_network_becomes_the_build_of_its_folder(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    made = build(network(), upto="fold")
    assert made.folder == Path("build/tiny") and made.network.digest == network().digest
    saved = network().save(tmp_path / "saved")
    other = build(saved, tmp_path / "other", upto="fold")
    assert other.design.to_json() == made.design.to_json()
    assert sorted(p.name for p in saved.iterdir()) == ["network.json", "network.safetensors"]


def test_another_network_takes_its_folding_and_recipe_with_it(tmp_path: Path) -> None:
    out = tmp_path / "b"
    build(network(), out, folding={"c": {"pe": 2, "simd": 1}}, upto="fold")
    (out / "folding.json").write_text('{"c": {"pe": 2}}')
    (out / "recipe.toml").write_text('name = "old"\ndata = "digits"\n')
    assert build(network(), out, upto="fold").data == "digits"  # the same: all stays
    made = build(network(1), out, upto="fold")
    assert made.network.digest == network(1).digest and made.data is None
    assert not (out / "folding.json").exists()


def test_a_saved_network_is_not_replaced_by_another(tmp_path: Path) -> None:
    network(1).save(tmp_path)
    with pytest.raises(sterna.UsageError, match="holds another network, and no build"):
        build(network(), tmp_path, upto="fold")
    assert sterna.load(tmp_path).digest == network(1).digest


@pytest.mark.parametrize("form", ["dict", "design", "file"])
def test_a_folding_comes_by_every_form(form: str, tmp_path: Path) -> None:
    wanted = sterna.fold(network(), {"c": {"pe": 2, "simd": 3}}, family="ecp5", clock_mhz=50.0)
    given: Any = wanted
    if form == "dict":
        given = wanted.folding
    elif form == "file":
        given = tmp_path / "f.json"
        given.write_text(wanted.to_json())
    made = build(network(), tmp_path / "b", folding=given, upto="fold")
    assert made.design.folding == wanted.folding
    if form != "dict":
        assert (made.design.family, made.design.clock_mhz) == ("ecp5", 50.0)


def test_goals_and_families_reach_the_solver(tmp_path: Path) -> None:
    made = build(network(), tmp_path / "b", family="ecp5", fps=1_000_000, upto="fold")
    assert made.design.family == "ecp5" and made.design.interval <= 100
    assert (made.folder / "solution.json").is_file()
    again = build(made, upto="fold")  # what was said stays said
    assert again.design.to_json() == made.design.to_json()


@pytest.mark.parametrize(
    ("out", "sentence"),
    [("file", "is a file where a folder"), ("file/x", "is below a file"), ("/proc/x", "be made")],
)
def test_a_folder_that_cannot_be_made_is_a_sentence(
    out: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    network().save("saved")
    for given in (network(), "saved"):
        with pytest.raises(sterna.FileError, match=sentence):
            build(given, out, upto="fold")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"fps": -1}, "fps -1 must be a number above 0"),
        ({"luts": 1.5}, "luts 1.5 must be a whole number"),
        ({"board": 3}, "board 3 must be a name"),
        ({"patchable": "yes"}, "patchable 'yes' must be True or False"),
        ({"upto": "bitstream"}, "stage 'bitstream' is not one of"),
        ({"progress": 1}, "progress 1 must be a Progress"),
        ({"folding": 5}, "folding: 5 is no path"),
    ],
)
def test_wrong_arguments_have_their_sentence(given: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(sterna.UsageError, match=sentence):
        build(network(), tmp_path / "b", **given)


def test_memories_are_in_the_verilog_or_in_files(tmp_path: Path) -> None:
    made = sterna.build(network(), tmp_path / "b", memories="files", memory="rom")
    assert "$readmemh" in made.verilog.read_text()
    assert "$readmemh" in sterna.build(made).verilog.read_text()
    assert "$readmemh" not in sterna.build(made, memories="inline").verilog.read_text()
    for wrong in (3, "both", []):
        with pytest.raises(sterna.UsageError, match="memories"):
            sterna.build(made, memories=wrong)  # type: ignore[arg-type]
