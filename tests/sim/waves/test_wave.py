"""Waves read back: spikes and membranes at the places that the names say, equal to golden's."""

import json
import math
import re
import struct

import numpy as np
import pytest
from plain import plain_run
from vcdfile import names, samples

import sterna
import sterna.gen.tools.headers as headers
from sterna.gen.build.stages import ensure
from sterna.gen.tools.doctor import second_stage
from sterna.gen.tools.programs import ToolFailed
from sterna.golden.errors import ToolMissing, UsageError
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule
from sterna.sim.simulator import Simulator
from sterna.sim.waves.savefile import MARK, save_text, write_save
from sterna.sim.waves.wave import Wave

SCOPE = {"batch": "top.SternaWrapper.dut", "cocotb": "SternaWaves"}


def network():
    rng = np.random.default_rng(5)
    trits = lambda *shape: rng.choice([-1, 0, 1], shape)  # noqa: E731
    rule = lambda n, level: NeuronRule(np.full(n, level), "subtract")  # noqa: E731
    nodes = [
        Input("image", (1, 4, 5), bits=3),
        Conv2d("conv", "image", trits(4, 1, 3, 3), padding=(1, 1, 1, 1)),
        Neuron("always", "conv", rule(4, 3)),  # a word of Verilog's
        Conv2d("more", "always", trits(4, 4, 1, 1)),
        Neuron("first", "more", rule(4, 1)),
        Merge("both", ("always", "first"), "add"),
        Pool("pool", "both", "sum", (2, 2)),
        Linear("full", "pool", trits(3, 16)),
        Readout("out", "full", NeuronRule(np.zeros(3, int), "none")),
    ]
    return Network(3, nodes, "wavy")


FOLDINGS = {
    "whole beats": {"conv": {"pe": 2, "simd": 3, "tp": 3}, "more": {"pe": 4, "simd": 4, "tp": 3}},
    "parts": {"conv": {"pe": 1, "simd": 1, "tp": 1}, "more": {"pe": 2, "simd": 1, "tp": 1}},
}


@pytest.fixture(scope="module", params=FOLDINGS)
def build(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavy")
    files.save(network(), folder)
    (folder / "folding.json").write_text(json.dumps(FOLDINGS[request.param]))
    return ensure(folder, "verilog", output=folder)


def images(count=2):
    return np.random.default_rng(2).integers(0, 8, (count, 1, 4, 5), dtype=np.uint8)


def spikes_of(path, scope, tap, like):
    """The spikes of a stream by what the wave says of each beat; -1 where it says nothing."""
    names_of = ["valid", "ready", "image", "y", "x", "channel", "t"]
    shown = sorted(n.rpartition(".")[2] for n in names(path) if n.startswith(f"{scope}.spikes_"))
    found = np.full(like.shape, -1)
    for now in samples(path, scope, names_of + shown):
        if not now["valid"] & now["ready"]:
            continue
        for name in shown:
            what = re.fullmatch(r"spikes_t(_now|_plus_(\d+)|\d+)(?:_(\d+))?", name)
            offset = what[1].removeprefix("_plus_")
            t = now["t"] + (0 if offset == "_now" else int(offset))
            lanes = (
                {int(what[3]): now[name]}
                if what[3]
                else {k: now[name] >> k & 1 for k in range(tap["lanes"])}
            )
            for lane, value in lanes.items():
                c = now["channel"] + lane
                if c < like.shape[2]:
                    at = t, now["image"], c, now["y"], now["x"]
                    assert found[at] == -1
                    found[at] = value
    return found


@pytest.mark.parametrize(
    ("build", "engine"),
    [("whole beats", "batch"), ("parts", "batch"), ("whole beats", "cocotb")],
    indirect=["build"],
)
def test_spikes_in_the_wave_are_goldens_at_the_places_it_names(build, engine, tmp_path):
    wave = tmp_path / "d.vcd"
    result = sterna.simulate(build, images(), engine=engine, trace="all", wave=wave)
    golden = run(build.network, images(), trace="all")
    assert sterna.compare(golden, result) is None and golden.spikes["both"].max() > 1
    for tap in build.design.taps:
        found = spikes_of(wave, f"{SCOPE[engine]}.{tap['node']}", tap, golden.spikes[tap["node"]])
        assert (found == golden.spikes[tap["node"]]).all(), tap
    saved = wave.with_suffix(".gtkw").read_text()
    there = names(wave)
    lines = [line.rpartition(" ")[2] for line in saved.splitlines()]
    shown = [n for n in lines if n.startswith(SCOPE[engine]) and not n.endswith(".")]
    assert len(shown) > 40
    for line in shown:
        name, _, rest = line.partition("[")
        size = int(rest.partition(":")[0]) + 1 if rest else 1
        assert there[name][1] == size, line
    assert f'"{wave}"' in saved and "{first membrane_0}" in saved
    assert [line for line in saved.splitlines() if line == "-both"] == ["-both"] * 2


def test_fst_is_the_same_wave(build, tmp_path):
    """Skipped where g++ finds no lz4.h or zlib.h. The head of the file says what is in it."""
    vcd, fst = tmp_path / "d.vcd", tmp_path / "d.fst"
    plain = sterna.simulate(build, images(), wave=vcd)
    packed = sterna.simulate(build, images(), wave=fst)
    assert sterna.compare(plain, packed) is None
    kind, size, start, end, e, _, scopes, variables = struct.unpack(
        ">BQQQ8sQQQ", fst.read_bytes()[:57]
    )
    assert (kind, size) == (0, 329) and math.e in struct.unpack("<d", e) + struct.unpack(">d", e)
    text = vcd.read_text()
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert (start, end) == (times[0], times[-1])
    assert scopes > 20 and variables == text.count("$var ")
    assert fst.stat().st_size < vcd.stat().st_size / 4
    assert (tmp_path / "d.gtkw").is_file()


def test_membranes_in_the_wave_are_those_of_plain_integers(build, tmp_path):
    wave = tmp_path / "d.vcd"
    sterna.simulate(build, images(), wave=wave)
    for b, image in enumerate(images()):
        histories = plain_run(build.network, image)[3]
        for node in ("always", "first", "out"):
            channels, height, width = build.network.shape[node]
            scope = f"{SCOPE['batch']}.{node}"
            there = names(wave)
            lanes = sorted(n for n in there if n.startswith(f"{scope}.membrane_"))
            lanes = [n.rpartition(".")[2] for n in lanes]
            places = [f"neuron_{k}" for k in ("valid", "image", "y", "x", "channel", "t")]
            seen = 0
            for now in samples(wave, scope, places + lanes):
                valid, at, y, x, c, t = (now[p] for p in places)
                if not valid or at != b:
                    continue
                for p, lane in enumerate(lanes):
                    bits = there[f"{scope}.{lane}"][1]
                    u = now[lane] - (now[lane] >> (bits - 1) << bits)
                    neuron = histories[node][((c + p) * height + y) * width + x]
                    assert u == neuron[t]["u"], (node, b, t, c + p, y, x)
                    seen += 1
            assert seen == 3 * channels * height * width


def test_what_cannot_be_written_is_refused_before_anything_is_built(tmp_path, monkeypatch):
    files.save(network(), tmp_path / "n")
    for wave, engine, sentence in (
        ("d.txt", "batch", "must end in .vcd or .fst"),
        ("no/d.vcd", "batch", "there is no folder no; make it"),
        ("d.vcd", "netlist", "the netlist engine writes no waves; use one of batch, cocotb"),
        (3, "batch", "wave"),
    ):
        with pytest.raises(UsageError, match=sentence):
            sterna.simulate(tmp_path / "n", images(), engine=engine, wave=wave)
    assert sorted(p.name for p in (tmp_path / "n").iterdir()) == [
        "network.json",
        "network.safetensors",
    ]

    def no_headers(tool, arguments, folder):
        raise ToolFailed("no such file")

    monkeypatch.setattr(headers, "run_tool", no_headers)
    with pytest.raises(ToolMissing, match="waves as .fst need lz4.h.*apt install liblz4-dev"):
        sterna.simulate(tmp_path / "n", images(), wave=tmp_path / "d.fst")
    absent = {c.name: c for c in second_stage() if c.purpose == "waves as .fst"}
    assert [(c.fix, c.needed) for c in absent.values()] == [
        ("apt install liblz4-dev", False),
        ("apt install zlib1g-dev", False),
    ]


def test_a_save_file_that_somebody_arranged_stays(tmp_path):
    path = tmp_path / "d.gtkw"
    one, two = (save_text(tmp_path / f"{k}.vcd", "top", {}) for k in (1, 2))
    assert one.startswith(MARK) and write_save(path, one) and write_save(path, two)
    assert path.read_text() == two
    for kept in ("[*] GTKWave Analyzer\n", two + "top.mine\n", two.replace("clk", "rst"), MARK):
        path.write_text(kept)
        assert not write_save(path, one) and path.read_text() == kept


def test_a_save_file_edited_by_hand_is_said_to_be_kept(tmp_path, capsys):
    wave = Wave(tmp_path / "d.vcd", "batch")
    wave.describe("top")
    assert not wave.files["save_file_kept"] and "kept" not in capsys.readouterr().err
    wave.save.write_text(mine := wave.save.read_text() + "top.mine\n")
    wave.describe("top")
    assert wave.files["save_file_kept"] and wave.save.read_text() == mine
    said = f"{wave.save}: was edited by hand and is kept; for a new one, rename or remove it"
    assert said in capsys.readouterr().err


def test_a_wave_may_be_spelled_in_capitals(tmp_path):
    assert (Wave(tmp_path / "d.VCD", "batch").kind, Wave(tmp_path / "d.Vcd", "batch").few) == (
        "vcd",
        2,
    )


def test_a_wave_that_grows_too_large_ends_and_says_so(build, tmp_path, monkeypatch):
    monkeypatch.setattr("sterna.sim.simulator.LIMIT", 1 << 14)
    simulator = Simulator(build, wave=tmp_path / "d.vcd")
    with pytest.raises(sterna.SternaError, match="the rest of the run is not in it"):
        simulator.run(images(40))
    assert (tmp_path / "d.vcd").stat().st_size < 1 << 24
