"""Folding: what is refused and how, the smallest folding, the law's terms, design.json."""

import json
from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from fuzz import Limits, Seeded, random_network
from fuzzrun import random_folding

from sterna.gen.design.design import BufferDesign, Design
from sterna.gen.design.graph import ports, walk
from sterna.gen.fold.fold import fold, legal_folding
from sterna.gen.verilog.elaborate import elaborate
from sterna.golden.errors import DesignError, FileError, SternaError
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule


def ones(*shape):
    return np.ones(shape, np.int8)


def fires(channels, **settings):
    return NeuronRule(threshold=np.full(channels, 2), **settings)


def last(channels):
    return NeuronRule(threshold=np.zeros(channels, int), reset="none")


def chain(channels=12, side=8, steps=4, pixels=True):
    """8x8 pixels -> 3x3 conv -> pool -> grouped conv -> classes."""
    half = side // 2
    return Network(
        steps,
        [
            Input("x", (2, side, side), "direct" if pixels else "frames"),
            Conv2d("c1", "x", ones(channels, 2, 3, 3), padding=(1, 1, 1, 1)),
            Neuron("n1", ("c1",), fires(channels)),
            Pool("p", "n1", "sum"),
            Conv2d("c2", "p", ones(6, channels // 3, 3, 3), groups=3),
            Neuron("n2", ("c2",), fires(6)),
            Linear("f", "n2", ones(5, 6 * (half - 2) ** 2)),
            Readout("r", ("f",), last(5)),
        ],
        name="chain",
    )


def refused(*arguments, **settings) -> str:
    with pytest.raises(DesignError) as e:
        fold(*arguments, **settings)
    return str(e.value)


NET = chain()


@pytest.mark.parametrize(
    ("folding", "sentence"),
    [
        ({"c1": {"pe": 5}}, "node 'c1': pe 5 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": 0}}, "node 'c1': pe 0 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": -1}}, "node 'c1': pe -1 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": 2.0}}, "node 'c1': pe 2.0 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": True}}, "node 'c1': pe True is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": "2"}}, "node 'c1': pe '2' is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"simd": 4}}, "node 'c1': simd 4 is not legal; use one of 1, 2, 6, 18"),
        ({"c1": {"tp": 3}}, "node 'c1': tp 3 is not legal; use one of 1, 2, 4, 8"),
        ({"c2": {"pe": 3}}, "node 'c2': pe 3 is not legal; use one of 1, 2"),
        ({"c2": {"simd": 8}}, "node 'c2': simd 8 is not legal; use one of 1, 2, 4, 12, 36"),
        ({"c2": {"tp": 2}}, "node 'c2': tp 2 is not legal; use one of 1, 3, 6, 9, 12"),
        ({"f": {"pe": 2}}, "node 'f': pe 2 is not legal; use one of 1, 5"),
        ({"c9": {}}, "folding: there is no core 'c9'; the cores are c1, c2, f"),
        ({"p": {"pe": 1}}, "folding: there is no core 'p'; the cores are c1, c2, f"),
        (
            {"c1": {"lanes": 2, "PE": 1}},
            "folding of 'c1': unknown PE, lanes; use pe, simd, tp, memory, engine, ram_style, "
            "banks, reads",
        ),
        ({"c1": {"memory": "flash"}}, "folding of 'c1': memory 'flash' is not rom or ram"),
        (
            {"c1": 3},
            "folding of 'c1': is not an object with pe, simd, tp, memory, engine, ram_style, "
            "banks, reads",
        ),
    ],
)
def test_illegal_foldings_are_refused_with_the_legal_values(folding, sentence):
    assert refused(NET, folding) == sentence


def test_other_refusals():
    assert refused(NET, family="asic") == (
        "family 'asic' is not one of generic, ecp5, xilinx7, ice40"
    )
    nan, inf = float("nan"), float("inf")
    for clock, fps in (
        (0, None),
        (-1, None),
        (nan, None),
        ("x", None),
        (100, 0),
        (100, -5.0),
        (100, nan),
        (inf, 30.0),
        (100, 1e-320),
    ):
        assert "must be a number above" in refused(NET, clock_mhz=clock, fps=fps)
    for width in (0, 7, 12, 1024, -8):
        assert "AXI4-Stream" in refused(NET, axis_width=width)
    wide = Network(
        64,
        [
            Input("x", (16, 3, 3), "frames"),
            Conv2d("c", "x", ones(2, 16, 1, 1)),
            Neuron("n", ("c",), fires(2)),
            Linear("f", "n", ones(2, 18)),
            Readout("r", ("f",), last(2)),
        ],
    )
    assert refused(wide, {"c": {"pe": 1, "simd": 16, "tp": 64}}) == (
        "node 'c': a window word of simd 16 x tp 64 is wider than 512 bits; use a smaller simd or "
        "tp"
    )


def test_an_fps_out_of_reach_is_refused_with_the_node_and_the_numbers():
    text = refused(NET, fps=1e6, clock_mhz=10)
    assert text.startswith("node '") and "10 are left at 1e+06 fps" in text
    assert text.endswith("lower the fps or raise the clock")
    # A given folding that is too slow is named as well.
    slow = {"c1": {"pe": 1, "simd": 1, "tp": 1}}
    text = refused(NET, slow, fps=20_000, clock_mhz=100)
    assert "node 'c1': takes 110592 clocks an image, 5000 are left at 20000 fps" in text


def graph(*nodes, name="f"):
    ends = [Linear("f", name, ones(2, 18)), Readout("r", ("f",), last(2))]
    return Network(2, [Input("x", (2, 3, 3), "frames"), *nodes, *ends])


TWO_SUMS = graph(
    Conv2d("c", "x", ones(2, 2, 1, 1)),
    Conv2d("d", "x", ones(2, 2, 1, 1)),
    Neuron("n", ("c", "d"), fires(2, shifts=(0, 0))),
    name="n",
)
SHORTCUT = graph(
    Conv2d("c", "x", ones(2, 2, 1, 1)),
    Neuron("n", ("c",), fires(2)),
    Conv2d("d", "n", ones(2, 2, 1, 1)),
    Neuron("m", ("d", "n"), fires(2, coef=(np.array([1, 2]),))),
    name="m",
)


def test_sums_that_feed_two_neurons_are_refused():
    net = graph(
        Conv2d("c", "x", ones(2, 2, 1, 1)),
        Neuron("n", ("c",), fires(2)),
        Neuron("m", ("c",), fires(2)),
        Merge("a", ("n", "m"), "add"),
        name="a",
    )
    assert refused(net) == (
        "node 'c': its sums feed 'n', 'm' in several places; a core has one neuron, so duplicate "
        "the node"
    )


def test_the_weighted_inputs_of_a_neuron_share_pe_and_memory():
    folding = {"c": {"pe": 1, "simd": 1, "tp": 1}, "d": {"pe": 2, "simd": 1, "tp": 1}}
    assert refused(TWO_SUMS, folding) == (
        "node 'd': pe 2 differs from the pe 1 of 'c', which feeds the same neuron; give both the "
        "same"
    )
    lanes = {"pe": 1, "simd": 1, "tp": 1}
    for given in ({}, lanes):  # also where nothing else is open
        design = fold(TWO_SUMS, {"c": given, "d": given | {"memory": "ram"}})
        assert [c.memory for c in design.cores[:2]] == ["ram", "ram"]
    assert refused(TWO_SUMS, {"c": {"memory": "rom"}, "d": {"memory": "ram"}}) == (
        "node 'd': memory ram differs from the rom of 'c', which feeds the same neuron; give both "
        "the same"
    )
    assert {c.pe for c in fold(TWO_SUMS, {"d": {"pe": 1}}).cores if c.target == "n"} == {1}


def test_spikes_too_wide_to_be_added_are_refused():
    big = Merge("big", ("x", "x"), "add", (8, 8))  # 0 .. 512: 10 bits
    c = Conv2d("c", "x", ones(64, 64, 1, 1))
    coef = (np.ones(64, np.int64),)
    net = Network(
        2,
        [
            Input("x", (64, 3, 3), "frames"),
            big,
            c,
            Neuron("n", ("c", "big"), fires(64, coef=coef)),
            Linear("f", "n", ones(2, 576)),
            Readout("r", ("f",), last(2)),
        ],
    )
    assert refused(net, {"c": {"pe": 64, "simd": 64, "tp": 1}}) == (
        "node 'c': pe 64 is not legal, because a step of 64 lanes x 10 bits at 'big' is wider than "
        "512 bits; use one of 1, 2, 4, 8, 16, 32"
    )


def test_walk_of_graphs():
    assert [(c.name, c.target, c.main) for c in walk(TWO_SUMS)] == [
        ("c", "n", True),
        ("d", "n", False),
        ("f", "r", True),
    ]
    assert [(p.source, p.reader, p.port) for p in ports(SHORTCUT)] == [
        ("x", "c", 0),
        ("n", "d", 0),
        ("n", "m", 1),
        ("m", "f", 0),
    ]


def test_a_merge_gets_equal_lanes_and_whole_steps():
    net = Network(
        4,
        [
            Input("x", (4, 3, 3), "frames"),
            Conv2d("c", "x", ones(6, 4, 1, 1)),
            Neuron("n", ("c",), fires(6)),
            Merge("a", ("x", "x"), "add", (0, 1)),
            Merge("m", ("n", "a"), "concat"),
            Linear("f", "m", ones(2, 90)),
            Readout("r", ("f",), last(2)),
        ],
    )
    design = fold(net, {"c": {"pe": 6, "simd": 4, "tp": 4}})
    n, a = design.branch("m", 0).taken, design.branch("m", 1).taken
    assert n.lanes == a.lanes and 2 * n.pb == a.pb and n.planes == 4 and a.planes == 8
    assert 6 % n.lanes == 0 and 4 % n.lanes == 0
    assert design.core("m").output.channels == 10 and design.core("m").output.planes == 8


def test_walk_of_a_chain():
    assert [(c.name, c.op, c.sources[0], c.target) for c in walk(NET)] == [
        ("c1", "conv", "x", "n1"),
        ("p", "pool", "n1", "p"),
        ("c2", "conv", "p", "n2"),
        ("f", "conv", "n2", "r"),
    ]


@pytest.mark.parametrize("fps", [500, 3000, 12_000, 60_000])
def test_the_smallest_folding_that_reaches_the_fps(fps):
    design = fold(NET, fps=fps, clock_mhz=100)
    target = int(100e6 / fps)
    assert design.interval <= target
    for name, entry in design.folding.items():
        legal = legal_folding(NET, name)
        for key in ("pe", "simd", "tp"):
            # One notch less of any of the three, all else equal, is too slow.
            at = legal[key].index(entry[key])
            if at:
                less = {name: {**entry, key: legal[key][at - 1]}}
                slower = fold(NET, {**design.folding, **less}, clock_mhz=100)
                assert slower.core(name).law["compute"] > target, f"{name} {key} of {entry}"


def test_more_fps_take_more_lanes():
    lanes = [sum(c.lanes for c in fold(NET, fps=fps).cores) for fps in (100, 1000, 10_000, 60_000)]
    assert lanes == sorted(lanes) and lanes[0] < lanes[-1]


def test_a_given_core_is_kept_and_the_rest_keep_up():
    design = fold(NET, {"c1": {"pe": 12, "simd": 18, "tp": 4, "memory": "ram"}})
    given = design.core("c1")
    assert (given.pe, given.simd, given.tp, given.memory) == (12, 18, 4, "ram")
    assert design.interval == given.interval or design.interval <= 1.1 * given.interval
    partly = fold(NET, {"c2": {"memory": "ram", "pe": 2}})
    assert partly.core("c2").memory == "ram" and partly.core("c2").pe == 2


def expected_law(net, core):
    """docs/design.md#folding, from the network and the folding alone."""
    node = net[core.name]
    c, ih, iw = net.shape[node.input]
    o, oh, ow = net.shape[core.target]
    if core.op == "pool":
        beats = ceil(c / core.input.lanes) * ceil(core.input.planes / core.input.pb)
        out = ceil(o / core.output.lanes) * ceil(core.output.planes / core.output.pb)
        kh, kw = node.kernel
        return {
            "compute": oh * ow * beats * kh * kw,
            "input": ih * iw * beats,
            "output": oh * ow * out,
        }
    window = node.weight[0].size
    if isinstance(node, Linear):
        c, ih, iw = c * ih * iw, 1, 1
    visits = oh * ow * ceil(o / core.pe)
    folds = ceil(window / core.simd)
    planes = net.planes(node.input)
    # P counts the pad planes of a last, part-filled beat.
    groups = ceil(planes / core.input.pb) * (core.input.pb // core.tp)
    beats = ceil(c / core.input.lanes) * ceil(planes / core.input.pb)
    out = core.pe if core.output is None else ceil(net.steps / core.output.pb)
    scan = ceil(net.steps / core.banks)
    return {
        "compute": visits * max(folds * groups, scan),
        "input": ih * iw * beats,
        "output": visits * out,
    }


def random_design(seed):
    draw = Seeded(seed)
    net = random_network(draw, Limits(channels=6, side=7, layers=3, steps=16))
    try:
        return net, fold(net, random_folding(net, draw))
    except DesignError as e:
        assert "wider than" in str(e)
        return None, None


@pytest.mark.parametrize("seed", range(40))
def test_law_terms_are_those_of_the_formula(seed):
    net, design = random_design(seed)
    if net is None:
        return
    for core in design.cores:
        law = {k: v for k, v in core.law.items() if k != "gearbox"}
        assert law == expected_law(net, core), f"{core}"
        assert core.interval == max(core.law.values())
    assert design.interval == max(design.bounds.values()) >= max(c.interval for c in design.cores)
    assert design.bounds[design.bottleneck] == design.interval


@pytest.mark.parametrize("seed", range(12))
def test_design_json_round_trip(seed):
    net, design = random_design(seed)
    if net is None:
        return
    text = design.to_json()
    again = Design.from_json(text)
    assert again == design and again.to_json() == text
    body = json.loads(text)
    assert body["interval"] == design.interval and body["bottleneck"] == design.bottleneck
    # Its folding block gives the same design again.
    assert fold(net, body["folding"], axis_width=body["axis_width"]).folding == design.folding


def test_same_folding_same_text():
    assert fold(chain()).to_json() == fold(chain()).to_json()


def altered(change):
    body = json.loads(fold(NET).to_json())
    change(body)
    return json.dumps(body)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "is not a sterna-design file"),
        ("3", "is not a sterna-design file"),
        ('{"format": "sterna-network"}', "is not a sterna-design file"),
        (altered(lambda b: b.update(version=1)), "has version 1, this Sterna reads 2"),
        (altered(lambda b: b.update(extra=1)), "has wrong fields ('extra')"),
        (altered(lambda b: b.pop("cores")), "has wrong fields ('cores')"),
        (altered(lambda b: b["cores"][0].pop("pe")), "has wrong fields"),
        (altered(lambda b: b["cores"][0].update(area=1)), "has wrong fields"),
        (altered(lambda b: b["cores"][0]["input"].pop("pb")), "has wrong fields"),
        (altered(lambda b: b.update(cores=[3])), "has wrong fields"),
        (altered(lambda b: b.update(cores=3)), "has wrong fields"),
        (altered(lambda b: b.update(cores=["c1"])), "has wrong fields"),
        (altered(lambda b: b.update(input=None)), "has wrong fields"),
        (altered(lambda b: b["cores"][0].update(input=[1])), "has wrong fields"),
    ],
)
def test_altered_design_json_is_refused(text, sentence):
    with pytest.raises(FileError) as e:
        Design.from_json(text, "build/design.json")
    assert str(e.value).startswith("build/design.json: ") and sentence in str(e.value)
    assert str(e.value).endswith("run `sterna fold` again")


def test_no_altered_value_gets_past_as_another_exception():
    """Each value of the file replaced by one of another type: one sentence, or a design."""
    body = json.loads(fold(NET).to_json())

    def places(value, path=()):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield (*path, key)
            if isinstance(inner, dict | list):
                yield from places(inner, (*path, key))

    for path in list(places(body)):
        for wrong in (None, "x", [], {}, -1):
            copy = json.loads(json.dumps(body))
            at = copy
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = wrong
            try:
                Design.from_json(json.dumps(copy))
            except SternaError:
                pass


def test_core_by_name_and_replace():
    design = fold(NET)
    assert design.core("p").op == "pool" and not design.reloadable
    with pytest.raises(DesignError, match="no core 'q'; the cores are c1, p, c2, f"):
        design.core("q")
    assert replace(design, clock_mhz=50.0).interval == design.interval


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"depth": 1}, "a buffer of 1 beats is outside"),
        ({"depth": 1.5}, "is not whole numbers"),
        ({"depth": 10**9}, "a buffer of 1000000000 beats is outside"),
        ({"min_full_rate": -5}, "is not whole numbers"),
    ],
)
def test_buffers_that_cannot_work_are_refused(change, sentence):
    design = fold(SHORTCUT, {"c": {"pe": 1, "simd": 1, "tp": 1}})
    buffer = BufferDesign("lutram", 16, 32, 4, 6, 2)
    branches = [replace(b, buffer=buffer) if b.port else b for b in design.branches]
    body = json.loads(replace(design, branches=branches).to_json())
    found = next(b for b in body["branches"] if b["buffer"])
    found["buffer"] |= change
    with pytest.raises(DesignError, match=sentence):
        Design.from_json(json.dumps(body))
    with pytest.raises(DesignError, match="nothing feeds input 0 of 'c'"):
        elaborate(SHORTCUT, replace(design, branches=design.branches[1:]))


def test_no_layer_is_folded_to_window_words_that_no_beat_holds():
    """Three planes a step behind a sum pool: 64 channels of all twelve planes are 768 bits."""
    ones = lambda n, **more: NeuronRule(np.ones(n, np.int32), **more)  # noqa: E731
    network = Network(
        steps=4,
        nodes=[
            Input("image", shape=(64, 8, 8), coding="frames"),
            Pool("pool", "image", "sum", (2, 2)),
            Conv2d(
                "conv",
                "pool",
                np.ones((256, 64, 3, 3), np.int8),
                (1, 1),
                (1, 1, 1, 1),
                kind="binary",
            ),
            Neuron("spikes", ["conv"], ones(256)),
            Linear("fc", "spikes", np.ones((10, 4096), np.int8), kind="binary"),
            Readout("out", ["fc"], ones(10, reset="none"), "membrane", scale=1.0),
        ],
    )
    for fps in (500, 1000, 3000, 10_000):
        for core in fold(network, fps=fps).cores:
            assert core.input.lanes * core.input.pb <= 512
