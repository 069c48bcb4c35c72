"""No folding is chosen that a later check refuses, and what is given and cannot be is named."""

import random
from math import gcd

import numpy as np
import pytest

from sterna.gen.design.design import Design
from sterna.gen.design.folding import Folding, Given, refusal
from sterna.gen.design.graph import walk
from sterna.gen.design.instances import core_instances
from sterna.gen.design.legal import legal_folding, step_bound
from sterna.gen.design.plan import plan
from sterna.gen.fold.candidates import candidates
from sterna.gen.fold.complete import neuron_groups, smallest
from sterna.gen.fold.fold import fold
from sterna.gen.fold.solve import solve
from sterna.gen.model.cost import Cost
from sterna.golden.errors import DesignError, NetworkError
from sterna.golden.network import (
    Conv2d,
    Input,
    Linear,
    Merge,
    Network,
    Neuron,
    Node,
    Pool,
    Readout,
)
from sterna.golden.rule import NeuronRule

FAMILIES = ("generic", "ecp5", "xilinx7", "ice40")


def ones(*shape):
    return np.ones(shape, np.int8)


def fires(channels, spikes=0):
    coef = tuple(np.ones(channels, np.int64) for _ in range(spikes))
    return NeuronRule(threshold=np.full(channels, 2), coef=coef)


def last(channels):
    return NeuronRule(threshold=np.zeros(channels, int), reset="none")


def mlp(inputs=2, wide=2048, steps=4):
    return Network(
        steps,
        [
            Input("x", (inputs, 1, 1), "direct"),
            Linear("l", "x", ones(wide, inputs)),
            Neuron("n", ("l",), fires(wide)),
            Linear("f", "n", ones(10, wide)),
            Readout("r", ("f",), last(10)),
        ],
    )


def pooled(channels=(64, 256), side=32, mode="sum", steps=4):
    """Convolutions, each with a pool behind it, and a classifier."""
    nodes: list[Node] = [Input("x", (3, side, side), "direct")]
    at, before = "x", 3
    for k, c in enumerate(channels, 1):
        nodes += [
            Conv2d(f"c{k}", at, ones(c, before, 3, 3), padding=(1,) * 4),
            Neuron(f"n{k}", (f"c{k}",), fires(c)),
            Pool(at := f"p{k}", f"n{k}", mode),
        ]
        before, side = c, side // 2
    nodes += [Linear("f", at, ones(10, before * side**2)), Readout("r", ("f",), last(10))]
    return Network(steps, nodes)


def widths(design: Design) -> int:
    """Of the widest beat there is."""
    edges = [e for b in design.branches for e in (b.given.edge, b.taken.edge)]
    return max(e.width for e in edges)


@pytest.mark.parametrize("family", FAMILIES)
def test_case_r4_default_foldings_fit_all_that_read_them(family):
    assert widths(fold(mlp(), family=family)) <= 512
    assert widths(fold(pooled((512, 512), 8, "or"), family=family)) <= 512
    assert widths(fold(pooled((256, 512), 4, "sum", 16), family=family)) <= 512


def test_case_r4_the_solver_chooses_what_its_readers_can_take():
    design = solve(pooled((8, 256), 4), luts=200_000, family="xilinx7").design
    assert widths(design) <= 512
    assert design.folding["c2"]["pe"] <= 170  # of 3 bits behind the pool


def test_bounds_run_through_pools_and_end_at_what_computes():
    net = pooled((8, 8), 16)
    assert (step_bound(net, "n1").bits, step_bound(net, "n1").at) == (3, "p1")
    twice = Network(
        2,
        [
            Input("x", (256, 8, 8), "frames"),
            Conv2d("c", "x", ones(256, 1, 1, 1), groups=256),
            Neuron("n", ("c",), fires(256)),
            Pool("p", "n", "sum"),
            Pool("q", "p", "sum"),
            Linear("f", "q", ones(4, 1024)),
            Readout("r", ("f",), last(4)),
        ],
    )
    assert (step_bound(twice, "n").bits, step_bound(twice, "n").at) == (5, "q")
    assert legal_folding(twice, "c")["pe"] == [1, 2, 4, 8, 16, 32, 64]
    assert legal_folding(twice, "f")["pe"] == [1, 2, 4]


def test_a_readout_has_any_pe():
    net = Network(
        1,
        [
            Input("x", (2, 1, 1), "frames"),
            Linear("f", "x", ones(1000, 2)),
            Readout("r", ("f",), last(1000)),
        ],
    )
    assert legal_folding(net, "f")["pe"][-1] == 1000
    assert fold(net, {"f": {"pe": 1000}}).folding["f"]["pe"] == 1000


@pytest.mark.parametrize(
    ("network", "folding", "sentence"),
    [
        (
            pooled,
            {"c2": {"pe": 256}},
            "node 'c2': pe 256 is not legal, because a step of 256 lanes x 3 bits at 'p2' is wider "
            "than 512 bits; use one of 1, 2, 4, 8, 16, 32, 64, 128",
        ),
        (
            mlp,
            {"l": {"pe": 2048, "simd": 2, "tp": 8}},
            "node 'l': pe 2048 is not legal, because a step of 2048 lanes x 1 bit at 'n' is wider "
            "than 512 bits; use one of 1, 2, 4, 8, 16, 32, 64, 128, 256, 512",
        ),
        (
            mlp,
            {"f": {"simd": 1024}},
            "node 'f': a window word of simd 1024 x tp 1 is wider than 512 bits; use a smaller "
            "simd or tp",
        ),
        (
            mlp,
            {"f": {"simd": 256, "tp": 4}},
            "node 'f': a window word of simd 256 x tp 4 is wider than 512 bits; use a smaller simd "
            "or tp",
        ),
        (
            mlp,
            {"f": {"engine": "constant"}},
            "node 'f': a window word of simd 2048 x tp 1 is wider than 512 bits; engine 'constant' "
            "has all weights at work in every clock, so use engine 'compress'",
        ),
    ],
)
@pytest.mark.parametrize("chosen_by", [fold, lambda n, f: solve(n, f, luts=10**6, family="ecp5")])
def test_case_r4_what_is_given_and_too_wide_is_refused_by_its_key(
    network, folding, sentence, chosen_by
):
    with pytest.raises(DesignError) as e:
        chosen_by(network(), folding)
    assert str(e.value) == sentence


def test_reloadable_memories_get_foldings_that_have_addresses():
    """Words of 32 bits: narrower rows waste them, and a region has 2**20."""
    net = Network(
        1,
        [
            Input("x", (1024, 64, 64), "frames"),
            Conv2d("c", "x", ones(1280, 1024, 1, 1)),
            Neuron("n", ("c",), fires(1280)),
            Pool("p", "n", "or", (64, 64)),
            Linear("f", "p", ones(2, 1280)),
            Readout("r", ("f",), last(2)),
        ],
    )
    assert refusal(net, "c", Folding(1, 1, 1)) == ""
    assert refusal(net, "c", Folding(1, 1, 1, memory="ram")) == (
        "node 'c': its weights take 1310720 chain addresses at pe 1 and simd 1, and a reloadable "
        "memory has at most 1048576; use memory rom, or another pe or simd"
    )
    assert refusal(net, "c", Folding(1, 2, 1, memory="ram")) == ""


def test_a_pool_takes_narrower_lanes_of_pixels_and_merges():
    net = Network(
        2,
        [
            Input("x", (512, 4, 4), "frames"),
            Conv2d("c", "x", ones(8, 512, 1, 1)),
            Neuron("n", ("c",), fires(8)),
            Pool("p", "x", "sum"),
            Conv2d("d", "p", ones(8, 512, 1, 1)),
            Neuron("m", ("d",), fires(8)),
            Linear("e", "n", ones(2, 128)),
            Linear("f", "m", ones(2, 32)),
            Readout("r", ("e", "f"), NeuronRule(np.zeros(2, int), reset="none", shifts=(0, 0))),
        ],
    )
    design = fold(net, {"c": {"pe": 8, "simd": 512, "tp": 1}})
    assert widths(design) <= 512 and design.input.edge.lanes == 512
    assert design.branch("p").taken.edge.lanes == 128  # of 3 bits; 170 do not divide


# ---- random networks, wide ones above all ----

CHANNELS = (1, 3, 10, 16, 60, 64, 96, 128, 250, 256, 300, 512, 520, 768)
STEPS = (1, 2, 4, 5, 8, 16, 64, 300, 1024)


class _Wide:
    """Grows a network whose streams are as wide as they can be."""

    def __init__(self, seed: int, frame_bits: int = 1) -> None:
        self.random = random.Random(seed)
        self.steps = self.random.choice(STEPS)
        side = self.random.choice((1, 2, 4, 4, 6))
        channels = self.random.choice((1, 2, 3, 64, 128, 256))
        coding = self.random.choice(("direct", "frames"))
        bits = self.random.choice((1, 8)) if coding == "direct" else frame_bits
        self.nodes: list[Node] = [Input("x", (channels, side, side), coding, bits)]
        self.shape = {"x": (channels, side, side)}
        self.top = {"x": 2**bits - 1}

    def add(self, node: Node, shape: tuple[int, int, int], top: int = 1) -> str:
        self.nodes.append(node)
        self.shape[node.name], self.top[node.name] = shape, top
        return node.name

    def sums(self, source: str, outputs: int | None = None) -> str:
        """A convolution that keeps the map, of any groups, or a Linear."""
        (c, h, w), name = self.shape[source], f"c{len(self.nodes)}"
        out = outputs or self.random.choice(CHANNELS)
        if outputs is None and c * h * w <= 4096 and self.random.random() < 0.2:
            self.shape[name] = (self.random.choice((*CHANNELS, 1024, 2048)), 1, 1)
            return self.add(
                Linear(name, source, ones(self.shape[name][0], c * h * w)), self.shape[name]
            )
        kinds = [1, gcd(c, out), *[c] * (out == c)]
        groups = self.random.choice(kinds)
        k = 3 if h > 1 and c // groups * out <= 50_000 and self.random.random() < 0.6 else 1
        weight = ones(out, c // groups, k, k)
        kind = self.random.choice(("ternary", "binary"))
        node = Conv2d(name, source, weight, (1, 1), (k // 2,) * 4, groups, kind)
        return self.add(node, (out, h, w))

    def neuron(self, *inputs: str) -> str:
        spikes = sum(not i.startswith("c") for i in inputs)
        shape, name = self.shape[inputs[0]], f"n{len(self.nodes)}"
        return self.add(
            Neuron(
                name,
                inputs,
                NeuronRule(
                    threshold=np.full(shape[0], 2),
                    shifts=(0,) * (len(inputs) - spikes),
                    coef=tuple(np.ones(shape[0], np.int64) for _ in range(spikes)),
                ),
            ),
            shape,
        )

    def pool(self, source: str) -> str:
        c, h, w = self.shape[source]
        k = self.random.choice([n for n in (1, 2, 3) if n <= h])
        mode = self.random.choice(("sum", "sum", "or")) if self.top[source] == 1 else "sum"
        top = self.top[source] * k * k if mode == "sum" else 1
        if source == "x" and getattr(self.nodes[0], "coding", "") == "direct":
            return source
        if top >= 1 << 20:
            return source
        return self.add(Pool(f"p{len(self.nodes)}", source, mode, (k, k)), (c, h // k, w // k), top)

    def merge(self, source: str) -> str:
        c, h, w = self.shape[source]
        if source == "x":
            return source
        other = self.neuron(self.sums(source, c))
        way, shift = self.random.choice(("add", "concat")), self.random.choice((0, 0, 3, 7))
        tops = self.top[source], 1 << shift
        top = sum(tops) if way == "add" else max(tops)
        node = Merge(f"m{len(self.nodes)}", (source, other), way, (0, shift))
        return self.add(node, (2 * c if way == "concat" else c, h, w), top)

    def build(self) -> Network:
        at = "x"
        if self.random.random() < 0.3 and (p := self.pool(at)) != at:
            at = p
        for _ in range(self.random.randint(1, 3)):
            c = self.shape[at][0]
            sums, more = self.sums(at), []
            if not isinstance(self.nodes[-1], Linear):
                if at != "x" and self.shape[sums][0] == c and self.random.random() < 0.5:
                    more.append(at)
                if self.random.random() < 0.3:
                    more.insert(0, self.sums(at, self.shape[sums][0]))
            at = self.neuron(sums, *more)
            for step in self.random.sample((self.pool, self.pool, self.merge), 2):
                if self.random.random() < 0.5:
                    at = step(at)
        c, h, w = self.shape[at]
        classes = self.random.choice((2, 10, 100, 600))
        self.add(Linear("cf", at, ones(classes, c * h * w)), (classes, 1, 1))
        self.add(Readout("r", ("cf",), last(classes)), (classes, 1, 1))
        return Network(self.steps, self.nodes)


def wide_network(seed: int, frame_bits: int = 1) -> Network:
    """A random one that golden accepts, of at most a million weights."""
    for attempt in range(1000):
        made = _Wide(seed * 1000 + attempt, frame_bits)
        try:
            network = made.build()
        except NetworkError:
            continue
        if sum(getattr(n, "weight", np.zeros(0)).size for n in network.nodes) <= 1_000_000:
            return network
    raise AssertionError(seed)


def check(seed: int, frame_bits: int = 1) -> None:
    """One random network, folded by default for one family."""
    network, chance = wide_network(seed, frame_bits), random.Random(seed)
    family, memory = chance.choice(FAMILIES), chance.choice((None, None, "ram"))
    design = fold(network, family=family, memory=memory)
    assert widths(design) <= 512
    for name, entry in design.folding.items():
        assert refusal(network, name, Folding(**entry)) == ""
    assert Design.from_json(design.to_json(), "x").folding == design.folding


def check_choices(seed: int, tries: int = 6) -> None:
    """Whatever the solver may choose for one random network, neuron by neuron, can be planned and
    made, for any clocks an image."""
    network, chance = wide_network(seed), random.Random(seed)
    family, memory = chance.choice(FAMILIES[1:]), chance.choice(("rom", "rom", "ram"))
    cores = walk(network)
    groups = neuron_groups(network, cores)
    given = {n: Given.of({"memory": memory}) for group in groups for n in group}
    least: dict = {}
    for group in groups:
        least |= smallest(network, group, 1 << 40, given, None, family)
    base = plan(network, cores, least, 1 << 40, family, 100.0, None, False)
    options = candidates(network, base, groups, given, constants=True)
    for _ in range(tries):
        entries: dict = {}
        for found in options.values():
            entries |= chance.choice(found).entries
        for name, entry in entries.items():
            assert refusal(network, name, entry) == ""
        bound = chance.choice((1, 100, 10_000, 1 << 40))
        design = plan(network, cores, entries, bound, family, 100.0, None, False)
        assert widths(design) <= 512
        core_instances(network, design)


@pytest.fixture
def without_costs(monkeypatch):
    """Which cost what is another matter, and takes most of the time."""
    monkeypatch.setattr("sterna.gen.fold.candidates.estimate_core", lambda *_: Cost())


@pytest.mark.parametrize("seed", [*range(1, 9), *range(10, 15), *range(16, 23)])
def test_cases_of_r4_default_foldings_of_wide_networks(seed):
    check(seed)


@pytest.mark.parametrize("seed", range(1, 9))
def test_default_foldings_of_wide_networks_that_read_counts(seed):
    check(seed, 8)


@pytest.mark.parametrize("seed", [25, 26, 30, 32, 33, 35])
def test_cases_of_r4_choices_of_the_solver_for_wide_networks(seed, without_costs):
    check_choices(seed)


@pytest.mark.parametrize(("seed", "clocks"), [(14, 208), (54, 960)])
def test_a_rate_that_more_lanes_reach_is_not_refused(seed, clocks):
    """The fewest lanes for it have streams that are too slow: 520 clocks and 960."""
    network = wide_network(seed)
    fps = 100e6 / (fold(network).interval * (0.2 if seed == 14 else 1.0))
    design = fold(network, fps=fps)
    assert design.interval <= clocks and design.interval <= 100e6 / fps


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_cases_of_r4_default_foldings_of_many_wide_networks(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2300))
def test_cases_of_r4_choices_of_the_solver_for_many_wide_networks(seed, without_costs):
    check_choices(seed, 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000, 3020))
def test_cases_of_r4_solutions_of_wide_networks(seed):
    network = wide_network(seed)
    design = solve(network, luts=10**7, family=FAMILIES[1 + seed % 3]).design
    assert widths(design) <= 512
