"""The token model: every clock is the RTL's, and its units do what their hardware does."""

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fuzzrun import clocks_differ

from sterna.gen.design.top_spec import top_spec
from sterna.gen.fold.fold import fold
from sterna.gen.model.token_graph import KINDS, TokenGraph
from sterna.gen.model.tokens import ENDLESS, TokenModel, settled
from sterna.gen.tools.native_cpp import library
from sterna.gen.tools.programs import ToolFailed
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.golden.coding import image_bits
from sterna.golden.errors import FileError, ToolMissing
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule
from sterna.sim.batch import BatchModel
from sterna.sim.taps import Tap


def ones(*shape):
    return np.ones(shape, np.int8)


def rule(channels, shifts=(0,), coef=0, **settings):
    coefs = tuple(np.ones(channels, int) for _ in range(coef))
    return NeuronRule(threshold=np.full(channels, 2), shifts=shifts, coef=coefs, **settings)


def graph(side=6):
    """A shortcut, two sums, a concat, an add, a pool: a unit of each kind."""
    same = {"padding": (1, 1, 1, 1)}
    return Network(
        4,
        [
            Input("x", (2, side, side)),
            Conv2d("c1", "x", ones(6, 2, 3, 3), **same),
            Neuron("n1", ("c1",), rule(6)),
            Conv2d("c2", "n1", ones(6, 6, 3, 3), **same),
            Neuron("n2", ("c2", "n1"), rule(6, coef=1)),
            Conv2d("c3", "n2", ones(6, 6, 3, 3), **same),
            Conv2d("d3", "n1", ones(6, 6, 1, 1)),
            Neuron("n3", ("c3", "d3"), rule(6, shifts=(0, 1))),
            Merge("m", ("n2", "n3"), "add"),
            Merge("k", ("m", "n1"), "concat"),
            Pool("p", "k", "sum", (2, 2)),
            Linear("f", "p", ones(3, 12 * (side // 2) ** 2)),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="graph",
    )


FOLDING = {
    "c1": {"pe": 2, "simd": 2, "tp": 8},
    "c2": {"pe": 3, "simd": 3, "tp": 2},
    "c3": {"pe": 2, "simd": 6, "tp": 1},
    "d3": {"pe": 2, "simd": 3, "tp": 4},
    "f": {"pe": 1, "simd": 4, "tp": 2},
}


def run_rtl(network, design, images=5):
    """Everything timed, from reset on."""
    text = verilog_text(elaborate(network, design, taps=True), network.name)
    taps = [Tap.from_json(t) for t in design.taps]
    words = network.shape[network.readout.name][0] + 1
    model = BatchModel.build(
        text, network.name, taps, design.axis_width // 8, words, optimize="none"
    )
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (images, *network.input.shape)).astype(np.uint8)
    return model.run(image_bits(network.input, pixels, network.steps), timed=True)


def positions(graph, kind):
    """Where the parameters of units of this kind stand in the graph's text."""
    at, text = 0, graph.text
    while at < len(text):
        name, count, start = text[at], text[at + 1], at + 2
        if name == KINDS[kind]:
            yield start, count
        at = start + count
        for _ in range(2):
            at += 1 + text[at]


def test_every_clock_is_that_of_the_rtl():
    network = graph()
    design = fold(network, FOLDING, family="ecp5")
    done = run_rtl(network, design)
    model = TokenModel(top_spec(network, design))
    assert clocks_differ(model, done) is None
    assert model.run(5).latency == design.latency == done.latency[0]
    # Not by chance: any other number of a core, buffer, queue or gearbox is seen in the RTL.
    seen = 0
    for kind in ("core", "fifo", "shortcut", "gather", "split", "concat", "join", "cut"):
        for start, count in positions(model.graph, kind):
            for at in range(start, start + count):
                model._text[at] += 1
                try:
                    seen += clocks_differ(model, done) is not None
                finally:
                    model._text[at] -= 1
    assert seen > 60
    assert clocks_differ(model, done) is None


def test_windows_below_the_image_take_back_rows_that_were_free():
    network = Network(
        1,
        [
            Input("x", (1, 3, 2), "latency"),
            Pool("p", "x", "first", (1, 2)),
            Conv2d("c", "p", ones(2, 1, 4, 1), padding=(3, 3, 0, 0)),
            Neuron("n", ("c",), rule(2)),
            Linear("f", "n", ones(2, 12)),
            Readout("r", ("f",), rule(2), "count"),
        ],
        name="below",
    )
    folding = {"c": {"pe": 2, "simd": 1, "tp": 1}, "f": {"pe": 1, "simd": 2, "tp": 1}}
    design = fold(network, folding)
    model = TokenModel(top_spec(network, design))
    assert clocks_differ(model, run_rtl(network, design)) is None


def line(*steps, words=40):
    """A source, units of one input and output, and a sink; returns the clocks of the output."""
    graph = TokenGraph(words=words, packet=words)
    at, flags = graph.channel(), graph.channel()
    graph.images = graph.unit("source", [1, words, 16], [], [at, flags])
    graph.unit("sink", [1, 0], [flags], [])
    graph.input = at
    for kind, *numbers in steps:
        at = graph.step(kind, numbers, at)
    graph.output = at
    graph.limit = graph.unit("sink", [words, 0], [at], []) + 1
    return clocks(graph)


def clocks(graph):
    """Of the beats at the graph's output."""
    graph.taps["out"] = graph.output
    return TokenModel(graph).run(1, taps=True).beats["out"]


@pytest.mark.parametrize(
    ("depth", "latency", "every"),
    [
        (1, 1, 2),
        (2, 1, 1),
        (1, 3, 4),
        (2, 3, 2),
        (4, 3, 1),
        (ENDLESS, 3, 1),
    ],
)
def test_a_fifo_passes_depth_beats_in_latency_plus_one_clocks(depth, latency, every):
    out = line(("fifo", depth, latency))
    assert out[0] == 1 + latency
    assert len(out) == 40 and np.diff(out[::depth] if depth > 0 else out).max() == max(
        every * max(depth, 1), 1
    ), out


def test_no_fifo_at_all_is_wires():
    assert (line(("fifo", 0, 1)) == np.arange(1, 41)).all()


def test_cutting_and_joining_take_the_clocks_of_the_narrow_side():
    cut = line(("cut", 3, 2, 2), ("fifo", 2, 1))  # 3 slices and 2 in turns
    assert len(cut) == 100 and (np.diff(cut) == 1).all() and cut[0] == 1 + 2
    join = line(("join", 4, 4, 1, 2, 1, 1))
    assert len(join) == 10 and (np.diff(join) == 4).all() and join[0] == 1 + 3 + 2


@pytest.mark.parametrize("fifos", [(4, 2), (2, 4, 2), (7,)])
def test_the_fifos_in_a_join_are_those_in_front_of_it(fifos):
    """A slow one before and behind, so that they are empty and full."""
    slow = ("fifo", 1, 4)
    for around in ([slow], [("cut", 3, 2, 2), ("fifo", 2, 1)]):
        chain = [("fifo", depth, 1) for depth in fifos]
        alone = ("join", 4, 3, 2, 2, 1, 1)
        one = ("join", 4, 3, 2, 2 + sum(fifos), 1 + len(fifos), 1 + len(fifos))
        apart = line(*around, *chain, alone, slow)
        assert (line(*around, one, slow) == apart).all()
        assert (
            line(*around, one, ("fifo", 1, 30)) == line(*around, *chain, alone, ("fifo", 1, 30))
        ).all()


@pytest.mark.parametrize(("depth", "stuck"), [(1, True), (2, False), (ENDLESS, False)])
def test_a_concat_stands_still_without_room_for_its_second_input(depth, stuck):
    # Five beats of input 0 first: the fork goes on to beat 4 when branch 1 has taken beats 0 to
    # 3, and two of those fit into the merge's own buffer.
    graph = TokenGraph(words=20, packet=20)
    at, flags, one, two, out = (graph.channel() for _ in range(5))
    graph.images = graph.unit("source", [1, 20, 16], [], [at, flags])
    graph.unit("sink", [1, 0], [flags], [])
    graph.input, graph.output = at, out
    graph.unit("fork", [], [graph.buffer(at)], [one, two])
    waiting = graph.buffer(graph.fifo(two, depth))
    graph.unit("concat", [5, 5], [graph.buffer(one), waiting], [out])
    graph.limit = graph.unit("sink", [20, 0], [out], []) + 1
    assert (len(clocks(graph)) < 40) is stuck


def test_without_a_compiler_the_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    source = Path(sys.modules["sterna.gen.model.tokens"].__file__ or "").with_name("tokens.cpp")
    with pytest.raises(ToolMissing, match="apt install g"):
        library(source, ("-O0", "-DANOTHER"))


def test_compiled_code_is_kept_and_bad_code_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "cache"))
    good, bad = tmp_path / "good.cpp", tmp_path / "bad.cpp"
    good.write_text('extern "C" int answer() { return 42; }\n')
    bad.write_text("int answer( {\n")
    assert library(good, ("-O0",)).answer() == 42
    native = tmp_path / "cache" / "native"
    kept = sorted(native.glob("*/*.so"))
    assert [k.name for k in kept] == ["good.so"]
    library.cache_clear()
    before = kept[0].stat().st_mtime_ns
    assert library(good, ("-O0",)).answer() == 42 and kept[0].stat().st_mtime_ns == before
    with pytest.raises(ToolFailed, match="error"):
        library(bad, ("-O0",))
    assert sorted(native.glob("*/*.so")) == kept and not list(native.glob("*.new"))
    monkeypatch.setenv("STERNA_CACHE", str(good))  # a file
    library.cache_clear()
    with pytest.raises(FileError, match="STERNA_CACHE"):
        library(good, ("-O0",))


def test_the_settled_mean_is_exact_where_intervals_repeat():
    assert settled(np.cumsum([0, 90, 9, 7, 8, 7, 8, 7, 8, 7])) == Fraction(15, 2)
    assert settled(np.cumsum([0, *([8] * 15), 243, *([20] * 16)])) == 20
    assert settled(np.cumsum([0, 1, 2, 3, 4, 5, 6])) == 5  # the second half, whatever it is


def test_a_growing_buffer_ends_at_the_least_depth_that_does_not_stand_still():
    network = graph(4)
    design = fold(network, FOLDING)
    model = TokenModel(top_spec(network, design))
    depths = [b.buffer.depth for b in design.buffers if b.buffer]
    assert len(depths) > 1
    for n, branch in enumerate(design.buffers):
        found = model.run(2, depths=[*depths[:n], 1, *depths[n + 1 :]], grow=n)
        assert not found.deadlock and branch.buffer
        assert found.grown == max(1, branch.buffer.min_no_deadlock)


def test_images_in_flight_throttle_a_network_that_holds_more():
    network = graph(4)
    model = TokenModel(top_spec(network, fold(network, FOLDING)))
    free = model.run(12, in_flight=ENDLESS).interval
    alone = model.run(1).latency - 4  # the packet has 4 words
    assert model.run(12, in_flight=16).interval == free
    assert model.run(12, in_flight=1).interval == alone > free


def test_a_run_stops_at_its_limit():
    network = graph(4)
    design = fold(network, FOLDING)
    model = TokenModel(top_spec(network, design))
    interval = model.run(5).interval
    assert not model.run(5, limit=interval).deadlock
    assert model.run(5, limit=interval - 1).deadlock
    bare = replace(design, branches=[replace(b, buffer=None) for b in design.branches])
    assert TokenModel(top_spec(network, bare)).run(5).deadlock
