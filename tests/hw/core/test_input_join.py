"""Neurons with several inputs: the golden model's beats, at the law's rate, none lost."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from combpath import assert_no_comb_path
from convcase import rule
from corecase import CoreCase, core_cases, images_for, stream_core
from fuzz import Seeded
from fuzzrun import random_folding
from joincase import CASES, coefs, conv, network
from streamtest import refusal

import sterna.hw.core.conv_spec as core_spec
import sterna.hw.core.input_join as join
from sterna.gen.design.graph import weighted_inputs
from sterna.gen.design.instances import core_instances
from sterna.gen.design.specs import conv_spec
from sterna.gen.fold.fold import fold
from sterna.gen.verilog.memory_images import memory_images, region_words
from sterna.golden.network import Conv2d, Merge, Network, Neuron
from sterna.golden.rule import Decay
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.input_join import ShortcutSpec
from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.memory.chain import ChainOp
from sterna.hw.stream.edge import Edge
from sterna.sim.cocotb_runner import run_core


def joined(net: Network, cores: list[CoreCase]) -> CoreCase:
    """The core of the neuron ``n``."""
    target = net["n"]
    assert isinstance(target, Neuron)
    return next(c for c in cores if c.name == weighted_inputs(net, target)[0])


def case_of(name, count=2, memory="rom") -> CoreCase:
    net, folding = CASES[name]
    folding = {k: {**v, "memory": memory} for k, v in folding.items()}
    return joined(net, core_cases(net, folding, images_for(net, count, seed=4)))


def spec_of(case: CoreCase) -> ConvSpec:
    assert isinstance(case.spec, ConvSpec)
    return case.spec


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_core_gives_the_golden_beats(name, stalls):
    case = case_of(name)
    assert len(case.sent) == len(spec_of(case).fronts) + len(spec_of(case).shortcuts) > 1
    assert len(set(case.wanted)) > 1  # else silence would pass
    stream_core(case, stalls)


@pytest.mark.parametrize("name", CASES)
def test_an_output_that_hardly_moves(name):
    case = case_of(name, 2)
    stream_core(case, every=2 + 2 * spec_of(case).visit_interval // spec_of(case).out_beats)


@pytest.mark.parametrize("name", ["two sums", "pixels", "values", "in flight"])
def test_inputs_that_wait_for_one_another(name):
    """Each input in turn begins when all others have long stopped, then each is slow."""
    case = case_of(name, 2)
    for port in case.sent:
        stream_core(case, begin={port: 400})
        stream_core(case, {port: 0.9}, seed=3)


KERNELS = ((1, 1), (3, 3), (2, 3), (1, 5))


def random_case(seed: int) -> CoreCase:
    """A neuron of one to three weighted inputs and up to two shortcuts, folded at random."""
    rng = random.Random(seed)
    pick, steps, channels = rng.choice, rng.randint(1, 6), rng.choice((2, 4, 6))
    side, stride = (rng.randint(3, 5), rng.randint(3, 6)), rng.choice((1, 1, 2))
    coding = pick(("frames", "direct"))
    bits = rng.randint(1, 6)
    nodes, inputs = [], []
    image = rng.randint(1, 2)
    out = [-(-n // stride) for n in side]
    fronts = rng.randint(1, 3)
    for n in range(fronts):
        # The last one reads ``a``, which something must.
        source, reads = pick((("x", image), ("a", 4))) if n < fronts - 1 else ("a", 4)
        (kh, kw), kind = pick(KERNELS), pick(("ternary", "binary"))
        groups = pick([1, *(g for g in (1, 2, 4) if reads % g == 0 and channels % g == 0)])
        padding = ((kh - 1) // 2, kh // 2, (kw - 1) // 2, kw // 2)
        nodes.append(
            conv(
                f"w{n}",
                source,
                channels,
                reads // groups,
                kh,
                kw,
                kind=kind,
                stride=(stride, stride),
                padding=padding,
                groups=groups,
            )
        )
        inputs.append(f"w{n}")
    fewest = 1 if len(inputs) == 1 else 0
    if channels == 4:
        shortcut = "a"
        if stride == 2:
            nodes.append(conv("k", "a", 4, 4, 1, 1, stride=(2, 2)))
            nodes.append(Neuron("b", ("k",), rule(4, 1, 3)))
            shortcut = "b"
        if rng.random() < 0.6:
            nodes.append(Merge("m", (shortcut, shortcut), "add", (rng.randint(0, 1), 0)))
        names = [node.name for node in nodes if isinstance(node, Merge)] or [shortcut]
        for _ in range(rng.randint(fewest, 2)):
            inputs.insert(rng.randint(0, len(inputs)), pick((shortcut, names[0])))
        if "m" not in inputs and names == ["m"]:
            inputs.append("m")
        if shortcut == "b" and "b" not in inputs and "m" not in inputs:
            inputs.append("b")
    elif fewest:
        nodes.append(conv("w9", "a", channels, 4, 1, 1, stride=(stride, stride)))
        inputs.append("w9")
    weighted = sum(i[0] == "w" for i in inputs)
    numbers = np.random.default_rng(seed)
    neurons = rule(
        channels,
        1,
        9 if coding == "frames" else 9 << bits,
        shifts=tuple(rng.randint(0, 2) for _ in range(weighted)),
        coef=tuple(numbers.integers(-5, 9, channels) for _ in inputs[weighted:]),
        reset=pick(("subtract", "zero", "once")),
        delay=rng.randint(0, 1),
        leak=pick((None, Decay(2))),
        synapse=pick((None, None, "ramp", Decay(1))),
        bias=pick((None, numbers.integers(-3, 3, (steps, channels)))),
    )
    net = network(steps, (image, *side), nodes, tuple(inputs), neurons, coding, bits, out)
    folding = random_folding(net, Seeded(seed), work=400)
    return joined(net, core_cases(net, folding, images_for(net, 2, seed)))


@pytest.mark.parametrize("seed", range(12))
def test_random_neurons(seed):
    case = random_case(seed)
    rng = random.Random(seed)
    stream_core(case, {port: rng.choice((0.0, 0.3, 0.7)) for port in (*case.sent, "o")}, seed)


@pytest.mark.parametrize("name", ["shortcut", "two sums", "slow other", "in flight"])
def test_rate_is_that_of_the_slowest_front(name):
    """The third image on takes ``spec.interval`` clocks, which is that of the slowest part."""
    case = case_of(name, 5)
    spec = spec_of(case)
    slowest = max(spec.steps, *(f.folds * f.plane_groups for f in spec.fronts), spec.out_beats)
    assert spec.interval == spec.front.visits * slowest
    text = verilog.convert(case.component(), name="core", strip_internal_attrs=True)
    given = run_core(text, "core", case.sent, {"o": case.wanted}).given["o"]
    size = len(case.wanted) // 5
    for image in (2, 3, 4):
        interval = given[(image + 1) * size - 1] - given[image * size - 1]
        assert interval == spec.interval, f"image {image}: {interval}, law {spec.interval}"


def rate(case: CoreCase) -> int:
    taken = stream_core(case)
    size = len(case.wanted) // case.images
    return taken["o"][3 * size - 1][0] - taken["o"][2 * size - 1][0]


@pytest.mark.parametrize("name", ["sum_visits", "shortcut_visits"])
def test_queues_are_no_deeper_than_full_rate_needs(monkeypatch, name):
    case = case_of("in flight", 3)
    real = getattr(join, name)
    assert rate(case) == spec_of(case).interval
    monkeypatch.setattr(core_spec, name, lambda *a: real(*a) - 1)
    assert rate(case) > spec_of(case).interval


def test_more_credits_than_room_are_noticed(monkeypatch):
    case = case_of("two sums", 2)
    real = join.SumQueue.depth_of
    stream_core(case, begin={"i": 400})
    halved = staticmethod(lambda *a: max(2, real(*a) // 2))
    monkeypatch.setattr(join.SumQueue, "depth_of", halved)
    with pytest.raises(AssertionError):
        stream_core(case, begin={"i": 400})


@pytest.mark.parametrize("late", ["i_1", "s_0"])
def test_a_visit_begun_too_early_is_noticed(monkeypatch, late):
    case = case_of("in flight", 2)

    class Early(join.Credit):
        def __init__(self, count, start=None):
            super().__init__(count + 1, 1 if start == 0 else start)

    monkeypatch.setattr(join, "Credit", Early)
    with pytest.raises(AssertionError):
        stream_core(case, begin={late: 400})


@pytest.mark.parametrize(
    ("name", "memory"), [("pixels", "ram"), ("values", "rom"), ("depthwise and groups", "rom")]
)
def test_no_combinational_path(name, memory):
    assert_no_comb_path(case_of(name, 1, memory).component())


def test_declared_ranges_of_coefficients_hold_their_extremes():
    """A reloadable core built for one network computes another with all numbers at their ends."""
    net, folding = CASES["values"]
    folding = {"d": {**folding["d"], "memory": "ram"}}
    design = fold(net, folding)
    low, high = design.core("d").ranges["coef"]  # type: ignore[index]
    assert (low, high) == (-8, 7)
    for value, weight in ((low, -1), (high, 1)):
        nodes = list(net.nodes)
        for n, node in enumerate(nodes):
            if node.name == "d":
                nodes[n] = Conv2d("d", "a", np.full((4, 4, 2, 2), weight), stride=(2, 2))
            if isinstance(node, Neuron) and node.name == "n":
                nodes[n] = Neuron("n", node.inputs, rule(4, coef=(np.full(4, value),) * 2))
        extreme = Network(net.steps, nodes)
        cases = core_cases(extreme, None, images_for(extreme, 2), design)
        stream_core(next(c for c in cases if c.name == "d"))


class Loaded(wiring.Component):
    """A reloadable core behind a gate that opens when ``words`` have gone down its chain."""

    def __init__(self, core: SpikingConv, words: list[tuple[int, int, int]]):
        self.core, self.words = core, words
        self.inputs = [n for n in core.signature.members if n == "i" or n[:2] in ("i_", "s_")]
        super().__init__({n: core.signature.members[n] for n in (*self.inputs, "o")})

    def elaborate(self, platform: object):
        m = Module()
        m.submodules.core = core = self.core
        rows = [data << 32 | addr << 8 | region for region, addr, data in self.words]
        m.submodules.rows = memory = Memory(shape=unsigned(64), depth=len(rows), init=rows)
        port = memory.read_port(domain="comb")
        clock, done = Signal(range(16)), Signal()
        word = core.chain_i.word
        m.d.sync += clock.eq(clock + 1)
        m.d.comb += [
            word.valid.eq(~done & (clock == 0)),
            word.op.eq(ChainOp.WRITE),
            Cat(word.region, word.addr).eq(Cat(port.data[:8], port.data[8:28])),
            word.data.eq(port.data[32:]),
        ]
        with m.If((clock == 15) & ~done):
            m.d.sync += [port.addr.eq(port.addr + 1), done.eq(port.addr == len(rows) - 1)]
        for name in self.inputs:
            outside, inside = getattr(self, name), getattr(core, name)
            m.d.comb += [
                inside.payload.eq(outside.payload),
                inside.valid.eq(outside.valid & done),
                outside.ready.eq(inside.ready & done),
            ]
        wiring.connect(m, core.o, wiring.flipped(self.o))
        return m


@pytest.mark.parametrize("name", ["values", "two sums"])
def test_weights_and_parameters_come_down_the_chain(name):
    net, folding = CASES[name]
    design = fold(net, {k: {**v, "memory": "ram"} for k, v in folding.items()})
    empty = next(i.spec for i in core_instances(net, design) if i.target == "n")
    images = [i for i in memory_images(net, design) if i.region is not None]
    words = [(int(i.region or 0), n, int(w)) for i in images for n, w in enumerate(region_words(i))]
    case = joined(net, core_cases(net, None, images_for(net, 2), design))
    assert isinstance(empty, ConvSpec) and not any(f.weights for f in empty.fronts)
    assert len(images) == len(empty.fronts) + 1
    stream_core(case, component=Loaded(SpikingConv(empty), words))
    weights_only = [word for word in words if word[0] != images[-1].region]
    with pytest.raises(AssertionError):
        stream_core(case, component=Loaded(SpikingConv(empty), weights_only))


def test_absent_coefficients_and_rows():
    net, folding = CASES["pixels"]
    params = spec_of(case_of("pixels", 1)).params
    assert set(params.fields) >= {"coef0"} and params.fields["coef0"] == 6
    nodes = [
        Neuron("n", n.inputs, rule(4, 20, 90, coef=coefs([0] * 4), shifts=(0, 0)))
        if n.name == "n"
        else n
        for n in net.nodes
    ]
    silent = Network(net.steps, nodes)
    cases = core_cases(silent, folding, images_for(silent, 2))
    case = next(c for c in cases if c.name == "d")
    assert "coef0" not in spec_of(case).params.fields
    stream_core(case, 0.3)  # the shortcut is taken all the same


def test_what_is_refused():
    net, folding = CASES["two sums"]
    unlike = {**folding, "e": {**folding["e"], "pe": 4}}
    assert "'e': pe 4 differs from the pe 2 of 'd'" in refusal(lambda: fold(net, unlike))
    cores = {c.name: c for c in fold(net, folding).cores}
    other = replace(cores["e"], pe=1)
    said = refusal(lambda: conv_spec(net, cores["d"], "ecp5", others=[other]))
    assert "'e': pe 1 differs from the pe 2 of 'd'" in said
    spec = spec_of(case_of("two sums", 1))
    said = refusal(lambda: replace(spec, others=(replace(spec.front, pe=4),)))
    assert "(2, 3, 4, 40) and (4, 3, 4, 20)" in said
    spec = spec_of(case_of("shortcut", 1))
    narrow = ShortcutSpec("a", Edge(4, 1, 4, 1), 1)
    assert "node 'a': a shortcut of 1 lanes" in refusal(lambda: replace(spec, shortcuts=(narrow,)))
    assert "node 'a': pb 3" in refusal(lambda: ShortcutSpec("a", Edge(4, 2, 8, 3), 2))
