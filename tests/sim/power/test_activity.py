"""Toggles of a run: equal to those of a VCD of the same run, added up by parts and by cells."""

import gc
import random
from collections import Counter

import numpy as np
import pytest
from tinyboard import network, pictures, tiny_build
from vcdfile import toggles

from sterna.gen.build.stages import Options, ensure
from sterna.golden.coding import image_bits
from sterna.golden.device.weights_image import read_weights_image
from sterna.golden.exact import run
from sterna.golden.result import compare
from sterna.shipped import example_folder
from sterna.sim.batch import BatchModel
from sterna.sim.power.activity import PATH, Activity, record
from sterna.sim.power.saif import Saif
from sterna.sim.simulator import Simulator, weight_writes
from sterna.sim.verilate import batch_library
from sterna.train.data import datasets


def vcd_of(build, images, path):
    """The same run as `record` has, with another tracer."""
    text = build.made("verilog", build.verilog.name).decode()
    library = batch_library(text, build.name, (), optimize="none", wave="vcd")
    net = build.network
    words = 1 + net.shape[net.readout.name][0]
    model = BatchModel(library, (), build.design.axis_width // 8, words)
    if build.design.reloadable:
        image = read_weights_image(build.folder / "weights.sterna")
        for address, value in weight_writes(image, build.design.region_count):
            model.write(address, value)
    model.open_wave(path, 1 << 40)
    done = model.run(image_bits(net.input, images, net.steps), (), drain=0)
    model.close_wave()
    return done


def of_saif(found):
    """Toggles by the names that a VCD has, of nets of one bit and of several."""
    return {
        (".".join([*bit.scope, bit.name]), bit.index or 0): bit.toggles
        for bit in Saif.of(found.saif).bits()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    build = tiny_build(tmp_path_factory.mktemp("power"))
    return build, record(build, pictures(4), "rtl", "ecp5", 40.0)


def test_toggles_are_those_of_a_vcd_of_the_same_run(tiny, tmp_path):
    build, found = tiny
    done = vcd_of(build, pictures(4), tmp_path / "d.vcd")
    assert done.clocks_run == found.clocks
    saif, vcd = of_saif(found), toggles(tmp_path / "d.vcd")
    both = [place for place in saif if place[0] in vcd]
    # A VCD is to be looked at: it has no intermediate results, whose names begin so.
    named = [name for name, _ in saif if not name.rpartition(".")[2].startswith("_")]
    assert len(both) > 0.95 * len(named) and len(both) > 1000
    assert {p: saif[p] for p in both} == {(name, k): vcd[name][k] for name, k in both}
    assert len(Counter(saif[p] for p in both)) > 20  # they are not all alike


@pytest.mark.slow
def test_waves_of_a_simulation_differ_by_what_it_starts_with_and_by_collisions_only(
    tmp_path, monkeypatch
):
    """docs/power.md names the reasons: without them all toggles are those of the SAIF."""
    build = tiny_build(tmp_path / "tiny", "rom")
    saif = of_saif(record(build, pictures(3), "rtl", "ecp5", 40.0))
    clocks = saif[".".join([*PATH, "clk"]), 0] // 2

    def differing(seed):
        wave = tmp_path / "w.vcd"
        Simulator(build, seed=seed, wave=wave).run(pictures(3))
        gc.collect()  # closes it
        whole, end = wave.read_text(), f"\n#{10 * clocks + 5}\n"
        wave.write_text(whole[: whole.index(end)])
        found = toggles(wave)
        own, theirs = ".".join(PATH), ".".join([*PATH, "DESIGN"])
        pairs = {
            place: (count, found[name][place[1]])
            for place, count in saif.items()
            if (name := place[0].replace(own, theirs, 1)) in found
        }
        assert len(pairs) > 1000
        # The wave ends a moment earlier: the clock and who takes the last word are left out.
        late = ("clk", "tready", "o__ready")
        return {p: b - a for p, (a, b) in pairs.items() if a != b and not p[0].endswith(late)}

    few = differing(0)
    assert {p: d for p, d in few.items() if d != 2} == {} and few  # collisions
    assert set(differing(1).values()) <= {-1, 1, 2, 3}  # random ones, too
    monkeypatch.setattr("sterna.sim.simulator.poison_collisions", lambda text: text)
    assert differing(0) == {}


def test_it_is_of_these_images_only_at_the_clock_that_is_said(tiny):
    build, found = tiny
    assert found.saif == build.folder / "power" / "tiny.saif"
    head = Saif.of(found.saif)
    assert (head.unit, head.duration) == ("1ps", found.clocks * 25_000)
    assert of_saif(found)[".".join([*PATH, "clk"]), 0] == 2 * found.clocks
    assert compare(run(build.network, pictures(4), ()), found.result) is None
    assert found.interval is not None and found.interval <= found.clocks / 4
    assert [p.name for p in found.saif.parent.iterdir()] == ["tiny.saif"]


def test_parts_are_the_cores_and_all_else_without_the_clock(tiny):
    build, found = tiny
    activity = Activity.of(found, "ecp5", [core.name for core in build.design.cores])
    names = [part.name for part in activity.parts]
    assert names[:3] == ["conv", "pool", "full"] and "control" in names and names[-1] == ""
    bits = [
        bit for bit in Saif.of(found.saif).bits() if bit.scope[:3] == PATH and bit.name != "clk"
    ]
    assert activity.whole.bits == len(bits) and activity.cells == ()
    assert activity.whole.toggles == sum(bit.toggles for bit in bits) > 0
    conv = [bit for bit in bits if bit.scope[3:4] == ("conv",)]
    assert activity.parts[0].toggles == sum(bit.toggles for bit in conv)


def test_weights_in_memories_are_those_of_the_network(tiny):
    """A reloadable design has none before it is loaded: its logits would be others."""
    assert tiny[0].design.reloadable and (network(0)["full"].weight != 0).any()
    assert len(np.unique(tiny[1].result.logits)) > 4


@pytest.mark.slow
def test_ten_nets_of_digits(tmp_path):
    build = ensure(example_folder("digits"), "verilog", output=tmp_path / "digits")
    images = datasets.load("digits").test[0][:2]
    found = record(build, images, "rtl", "ecp5", 100.0)
    vcd_of(build, images, tmp_path / "d.vcd")
    saif, vcd = of_saif(found), toggles(tmp_path / "d.vcd")
    busy = [p for p in saif if p[0] in vcd and saif[p] > 100 and p[0].startswith(".".join(PATH))]
    for name, k in random.Random(0).sample(busy, 10):
        assert saif[name, k] == vcd[name][k], name


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ice40", "ecp5", "xilinx7"])
def test_a_netlist_computes_the_same_and_says_what_its_cells_drive(target, tmp_path):
    build = tiny_build(tmp_path / "tiny", "rom", target)
    build = ensure(build, "verilog", Options(family=target))
    found = record(build, pictures(3), "netlist", target, 20.0)
    assert compare(run(build.network, pictures(3), ()), found.result) is None
    names = {p.name for p in found.saif.parent.iterdir()}
    assert names == {f"tiny_{target}.saif", f"tiny_{target}.v"}
    activity = Activity.of(found, target, [core.name for core in build.design.cores])
    kinds = {part.name: part for part in activity.cells}
    assert {"logic", "ff"} <= set(kinds)
    text = (build.folder / "power" / f"tiny_{target}.v").read_text()
    assert activity.whole.bits == sum(part.bits for part in activity.cells)
    flops = {"ice40": "SB_DFF", "ecp5": "TRELLIS_FF", "xilinx7": "FD"}[target]
    assert kinds["ff"].bits == text.count(f"\n  {flops}")
    assert [part.name for part in activity.parts][:3] == ["conv", "pool", "full"]
    assert all(0 < part.toggles < part.bits * 2 * found.clocks for part in activity.parts[:3])
