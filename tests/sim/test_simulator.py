"""A small real network through the engines: the same Result as golden, and faults found."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sterna.gen.build.stages import ensure
from sterna.golden.coding import image_bits
from sterna.golden.device.weights_image import write_weights_image
from sterna.golden.errors import FileError, SternaError, UsageError
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.result import compare
from sterna.golden.rule import NeuronRule
from sterna.sim.simulator import Simulator
from sterna.sim.verify import verify, verify_text


def network(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)

    def trits(*shape: int) -> np.ndarray:
        return rng.choice([-1, 0, 1], shape).astype(np.int8)

    nodes = [
        Input("image", (1, 6, 6), bits=3),
        Conv2d("conv", "image", trits(3, 1, 3, 3), padding=(1, 1, 1, 1)),
        Neuron("spikes", ("conv",), NeuronRule(threshold=np.full(3, 4, np.int32))),
        Pool("pool", "spikes", "sum", (2, 2), (2, 2)),
        Linear("full", "pool", trits(4, 27)),
        Readout("out", ("full",), NeuronRule(np.zeros(4, np.int32), reset="none"), "membrane", 1.0),
    ]
    return Network(3, nodes, "tiny")


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 8, (count, 1, 6, 6), dtype=np.uint8)


@pytest.fixture(scope="module", params=["rom", "ram"])
def build(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    files.save(network(), folder)
    memory = {"memory": request.param}
    (folder / "folding.json").write_text(json.dumps({"conv": memory, "full": memory}))
    return ensure(folder, "verilog", output=folder)


@pytest.fixture(scope="module")
def simulator(build):
    return Simulator(build)


def test_same_result_as_golden_however_it_is_run(build, simulator):
    images = pictures(40)
    golden = run(build.network, images, trace="all")
    assert golden.spikes["spikes"].any() and golden.spikes["pool"].max() > 1
    for stalls in ((0.0, 0.0), (0.6, 0.3)):
        found = simulator.run(images, in_stall=stalls[0], out_stall=stalls[1])
        assert compare(golden, found) is None
    alone = Simulator(build, workers=1, seed=77)
    assert compare(golden, alone.run(images)) is None
    assert alone.stats["clocks"] < 41 * build.design.interval + 2 * alone.stats["latency"][0]


def test_intervals_are_those_of_the_law(build, simulator):
    simulator.run(pictures(50), trace=())
    stats = simulator.stats
    assert len(stats["latency"]) == 50 and stats["seconds"] > 0
    steady = stats["intervals"][1:]
    assert steady.min() == steady.max()
    assert steady.max() <= build.design.interval * 1.02


def test_verify_counts_and_names_what_differs(build, monkeypatch):
    images = pictures(20)
    labels = run(build.network, images).classes
    answer = verify(build, images, labels)
    assert answer["mismatches"] == 0 and answer["accuracy"] == 1.0
    assert answer["spikes_compared"] == 20 * 3 * (3 * 36 + 3 * 9)
    assert "bit-exact" in verify_text(answer)

    conv = build.network["conv"]
    weight = conv.weight.copy()
    weight[1, 0, 1, 1] = -1 if weight[1, 0, 1, 1] >= 0 else 1
    flipped = [replace(n, weight=weight) if n is conv else n for n in build.network.nodes]
    other = Network(3, flipped, "tiny")
    monkeypatch.setattr(
        "sterna.sim.verify.run", lambda _, images, trace: run(other, images, trace=trace)
    )
    answer = verify(build, images, labels)
    assert answer["mismatches"] > 0
    assert "node 'spikes' at image 0" in answer["first_difference"]
    assert "bit-exact" not in verify_text(answer)


def test_weights_are_written_at_run_time(build, simulator, tmp_path):
    other = network(seed=9)
    files.save(other, tmp_path)
    shutil.copy(build.folder / "design.json", tmp_path)
    structure = files.structure_id(other, build.design.to_json())
    if not build.design.reloadable:
        with pytest.raises(UsageError, match="fold it with memory 'ram'"):
            simulator.load(build.folder / "weights.sterna")
        return
    from sterna.gen.verilog.memory_images import memory_images, region_words

    regions = {i.number: region_words(i) for i in memory_images(other, build.design)}
    write_weights_image(tmp_path / "w", structure, files.weights_id(other), regions)
    images = pictures(10)
    simulator.load(tmp_path / "w")
    assert compare(run(other, images, trace="all"), simulator.run(images)) is None
    simulator.load(build.folder / "weights.sterna")
    assert compare(run(build.network, images, trace="all"), simulator.run(images)) is None
    _, former = files.structure_ids(other, build.design.to_json())
    write_weights_image(tmp_path / "w", former, files.weights_id(other), regions)
    assert former != structure
    simulator.load(tmp_path / "w")
    write_weights_image(tmp_path / "w", "0" * 64, files.weights_id(other), regions)
    with pytest.raises(FileError, match="the weights are for structure 0000000000000000"):
        simulator.load(tmp_path / "w")
    simulator.load(build.folder / "weights.sterna")  # the tests after this one share it


def test_reset_in_mid_image(build, simulator):
    images = pictures(5)
    rows = image_bits(build.network.input, images, 3)
    model = simulator._models[0]
    model.feed(rows[0, :5].reshape(-1, model.word_bytes), [False] * (5 // model.word_bytes))
    model.reset()
    found = model.run(rows)
    golden = run(build.network, images, trace="all")
    np.testing.assert_array_equal(found.words[:, 1:].view(np.int32), golden.logits)
    np.testing.assert_array_equal(found.spikes("pool"), golden.spikes["pool"])


def test_cocotb_engine(build):
    images = pictures(4)
    bench = Simulator(build, "cocotb")
    golden = run(build.network, images, trace="all")
    assert compare(golden, bench.run(images)) is None
    assert compare(golden, bench.run(images, in_stall=0.4, out_stall=0.4)) is None


@pytest.mark.slow
@pytest.mark.yosys
def test_netlist_engine(build):
    try:
        answer = verify(build, pictures(10), engine="netlist")
    except SternaError as error:
        pytest.fail(str(error))
    assert answer["mismatches"] == 0 and answer["spikes_compared"] == 0
    assert answer["clocks_per_image"] <= build.design.interval * 1.02


def test_a_trace_is_all_or_one_name_or_several(simulator):
    images = pictures(2)
    every = simulator.run(images, trace="all")
    assert list(every.spikes) == [tap.node for tap in simulator.taps]
    name = simulator.taps[-1].node
    for trace in (name, [name, name], {name}):
        found = simulator.run(images, trace=trace).spikes
        assert list(found) == [name]
        np.testing.assert_array_equal(found[name], every.spikes[name])
    turned = simulator.run(images[::-1], trace=())
    np.testing.assert_array_equal(turned.logits, every.logits[::-1])
    assert turned.spikes == {}


def test_wrong_use_is_one_sentence(build, simulator):
    with pytest.raises(UsageError, match="no engine 'fast'; use one of batch, cocotb, netlist"):
        Simulator(build, "fast")
    for trace in ("conv", ["conv"], {"conv"}):
        with pytest.raises(UsageError, match="no spikes of 'conv' can be traced; this build taps"):
            simulator.run(pictures(2), trace=trace)
    with pytest.raises(UsageError, match="trace 5 must be 'all' or names of nodes"):
        simulator.run(pictures(2), trace=5)
    for stall in ({"in_stall": 1.0}, {"out_stall": -0.1}, {"in_stall": "x"}):
        with pytest.raises(UsageError, match="must be a number from 0 to below 1"):
            simulator.run(pictures(2), **stall)
    for seed in (-1, True, 2**31, None):
        with pytest.raises(UsageError, match="seed .* must be an integer"):
            simulator.run(pictures(2), seed=seed)
    with pytest.raises(UsageError, match="workers 0 must be an integer, 1 to 1024"):
        Simulator(build, workers=0)
    with pytest.raises(UsageError, match="does not exist; give a build folder"):
        Simulator(build.folder / "nowhere")
