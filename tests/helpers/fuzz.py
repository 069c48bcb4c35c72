"""Random networks, images and foldings: the most valuable rung of the ladder.

One generator, two sources of chance: ``Seeded`` (fast, for hundreds of networks) and
``Hypothesis`` (which shrinks to the smallest failing network).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fuzzdraw import Hypothesis, Seeded, TooLarge

from sterna.golden.bounds import node_bounds, weighted_interval
from sterna.golden.errors import NetworkError
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
    WeightedNode,
)
from sterna.golden.rule import Decay, NeuronRule

__all__ = [
    "Builder",
    "Hypothesis",
    "Limits",
    "Seeded",
    "TooLarge",
    "describe",
    "network_by",
    "random_images",
    "random_network",
]


@dataclass(frozen=True)
class Limits:
    """How large a random network may get. ``work``: most weight reads of one image."""

    channels: int = 8
    side: int = 9
    layers: int = 3
    steps: int = 32
    planes: int = 64
    classes: int = 6
    work: int = 60_000
    graphs: bool = False  # merges, skips, several inputs: not only chains
    pools: int = 0  # percent of convolutions with a pool of their sums; 0 draws nothing
    counts: int = 0  # percent of frames of several bits; 0 draws nothing
    padded: bool = False  # pools by sum of sums, too


Shape = tuple[int, int, int]
KINDS = ("ternary", "ternary", "binary")
KERNELS = ((1, 1), (3, 3), (3, 3), (2, 2), (5, 5), (1, 3), (3, 1), (2, 5), (4, 1))
STEPS = (1, 2, 3, 4, 4, 5, 7, 8, 16, 32)


def random_images(draw: Seeded, network: Network, count: int) -> np.ndarray:
    """Images of every style: empty, full, sparse, random, one pixel."""
    node = network.input
    frames = node.coding == "frames"
    shape = (network.steps, count, *node.shape) if frames else (count, *node.shape)
    top = (1 << node.bits) - 1
    rng = draw.rng()
    images = rng.integers(0, top + 1, shape)
    for b in range(count):
        one = images[:, b] if frames else images[b]
        style = draw.pick(("random", "random", "sparse", "full", "empty"))
        if style == "sparse":
            one[rng.random(one.shape) < 0.8] = 0
        elif style != "random":
            one[...] = 0 if style == "empty" else top
    return images.astype(np.uint8)


def _weights(draw: Seeded, shape: tuple[int, ...], kind: str) -> np.ndarray:
    rng, style = (
        draw.rng(),
        draw.pick(("random", "random", "random", "sparse", "ones", "minus", "zero")),
    )
    w = rng.choice([-1, 1], shape)
    if kind == "ternary":
        w[rng.random(shape) < {"sparse": 0.85, "zero": 1.0}.get(style, 0.35)] = 0
    if style in ("ones", "minus"):
        w[...] = 1 if style == "ones" else -1
    if draw.chance(15):  # one extreme channel among ordinary ones
        w[draw.integer(0, shape[0] - 1)] = draw.pick((-1, 1))
    return w.astype(np.int8)


def _decay(draw: Seeded) -> Decay:
    k1 = draw.integer(1, 5)
    if not draw.chance(40):
        return Decay(k1)
    k2 = draw.integer(k1 + 1, 8)
    if (k1 + k2) % 2:  # any num/2**shift, without another draw: seeds keep their networks
        return Decay(ratio=((397 * k2 + 101 * k1) % (1 << (k2 + 4)), k2 + 4))
    return Decay(k1, k2)


def _rule(
    draw: Seeded,
    channels: int,
    steps: int,
    reach: np.ndarray,
    resets: Sequence[str],
    weighted: int = 1,
    spikes: int = 0,
    delay: bool = True,
) -> NeuronRule:
    """A rule whose threshold is near what the inputs can reach (int (O,), before the shift F)."""
    rng = draw.rng()
    fraction = draw.pick((0, 0, 1, 2, 4, 6, 10))
    unit = 1 << fraction
    style = draw.pick(("low",) * 6 + ("mixed", "mixed", "high", "negative", "never"))
    never = (3.0 * steps, 4.0 * steps)
    low, high = {
        "low": (0.0, 0.12),
        "mixed": (0.0, 0.6),
        "high": (0.5, 1.2),
        "negative": (-0.3, 0.1),
        "never": never,
    }[style]
    scale = np.maximum(reach, 1) * unit
    threshold = np.floor(scale * rng.uniform(low, high, channels)).astype(np.int64)
    if style in ("low", "mixed"):
        threshold = np.maximum(threshold, 1)
    small = lambda *s: rng.integers(-unit * 3, unit * 3 + 1, s)  # noqa: E731
    synapse = draw.pick((None, None, None, "ramp", "decay"))
    return NeuronRule(
        threshold=threshold,
        reset=draw.pick(tuple(resets)),
        reset_by=threshold + small(channels) if draw.chance(25) else None,
        bias=(small(steps, channels) if draw.chance(40) else small(channels))
        if draw.chance(50)
        else None,
        v_init=small(channels) if draw.chance(30) else None,
        leak=_decay(draw) if draw.chance(50) else None,
        synapse=_decay(draw) if synapse == "decay" else synapse,
        delay=int(delay and draw.chance(20)),
        fraction_bits=fraction,
        shifts=tuple(draw.pick((0, 0, 0, 1, 2)) for _ in range(weighted)),
        coef=tuple(small(channels) for _ in range(spikes)),
        # no draw of its own, and the rng's last: seeds keep their networks
        floor=-np.floor(scale * rng.uniform(0, 0.3, channels)) if rng.random() < 0.25 else None,
    )


def padded(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> tuple[int, int]:
    """Height and width of what a window makes of a padded map."""
    high, wide = size[0] + sum(padding[:2]), size[1] + sum(padding[2:])
    return (high - kernel[0]) // stride[0] + 1, (wide - kernel[1]) // stride[1] + 1


class Builder:
    """Grows a chain (or graph) node by node, keeping track of shapes and maxima."""

    def __init__(self, draw: Seeded, limits: Limits) -> None:
        self.draw, self.limits = draw, limits
        self.steps = min(draw.pick(STEPS), limits.steps)
        self.nodes: list[Node] = []
        self.shape: dict[str, Shape] = {}
        self.maximum: dict[str, int] = {}
        self.work = 0

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def add(self, node: Node, shape: Shape, maximum: int = 1) -> str:
        self.nodes.append(node)
        self.shape[node.name], self.maximum[node.name] = shape, maximum
        return node.name

    def input(self) -> str:
        d, side = self.draw, self.limits.side
        coding = d.pick(("direct", "direct", "frames", "rate", "latency"))
        shape = (d.integer(1, 3), d.integer(1, side), d.integer(1, side))
        bits = d.integer(1, 8) if coding == "direct" else 8
        bits = self.count_bits() if coding == "frames" else bits
        seed = d.integer(0, 1000) if coding == "rate" else 0
        top = (1 << bits) - 1 if coding in ("direct", "frames") else 1
        return self.add(Input("x", shape, coding, bits, seed), shape, top)

    def count_bits(self) -> int:
        """Of a value in frames, of no more planes than the limits have."""
        most = min(8, self.limits.planes // self.steps)
        if most < 2 or not self.limits.counts or not self.draw.chance(self.limits.counts):
            return 1
        return self.draw.integer(2, most)

    def planes(self, name: str) -> int:
        node = self.nodes[0]
        pixels = name == "x" and isinstance(node, Input) and node.coding == "direct"
        return self.maximum[name].bit_length() * (1 if pixels else self.steps)

    def too_wide(self, top: int) -> bool:
        """A stream of values up to ``top`` would have too many planes, or be refused."""
        return top.bit_length() * self.steps > self.limits.planes or top.bit_length() > 24

    def put_weighted(self, node: WeightedNode, out: Shape) -> str:
        fan_in = node.weight[0].size
        self.work += int(np.prod(out)) * fan_in * self.planes(node.input)
        if self.work > self.limits.work:
            raise TooLarge
        return self.add(node, out)

    def linear(self, source: str, outputs: int) -> str:
        kind = self.draw.pick(KINDS)
        w = _weights(self.draw, (outputs, int(np.prod(self.shape[source]))), kind)
        return self.put_weighted(Linear(self.name("lin"), source, w, kind), (outputs, 1, 1))

    def conv_to(self, source: str, outputs: int, kernel: tuple[int, int], pad: int) -> str:
        """A plain stride-1 convolution with a padding that keeps (odd kernels) or reduces."""
        kind, (c, h, w) = self.draw.pick(KINDS), self.shape[source]
        weight = _weights(self.draw, (outputs, c, *kernel), kind)
        node = Conv2d(self.name("conv"), source, weight, (1, 1), (pad,) * 4, 1, kind)
        out = (outputs, h + 2 * pad - kernel[0] + 1, w + 2 * pad - kernel[1] + 1)
        return self.put_weighted(node, out)

    def conv(self, source: str) -> str:
        """A convolution of any legal kernel, four paddings, stride and groups."""
        d, most, (c, h, w) = self.draw, self.limits.channels, self.shape[source]
        kernel, stride, padding, out = d.pick(KERNELS), [1, 1], [0] * 4, [0, 0]
        kernel = [min(k, 2 * size - 1) for k, size in zip(kernel, (h, w))]
        same = d.chance(40)
        for axis, (k, size) in enumerate(zip(kernel, (h, w))):
            before = (k - 1) // 2 if same else d.integer(max(0, k - size - (k - 1)), k - 1)
            after = k // 2 if same else d.integer(max(0, k - size - before), k - 1)
            padding[2 * axis : 2 * axis + 2] = before, after
            stride[axis] = d.pick((1, 1, 1, 2, 3))
            out[axis] = (size + before + after - k) // stride[axis] + 1
        style = d.pick(("full", "full", "full", "groups", "depthwise"))
        outputs, groups = d.integer(1, most), 1
        if style == "depthwise":
            groups = outputs = c
        elif style == "groups":
            groups = d.pick([g for g in range(1, c + 1) if c % g == 0][-2:])
            outputs = groups * d.integer(1, max(1, most // groups))
        kind = d.pick(KINDS)
        weight = _weights(d, (outputs, c // groups, *kernel), kind)
        wide = [1, 1]  # dilation, where the limits have pools of sums and it fits
        if self.limits.pools and d.chance(25):
            for axis, (k, size) in enumerate(zip(kernel, (h, w))):
                room = size + sum(padding[2 * axis : 2 * axis + 2])
                wide[axis] = d.pick((1, 2, 3)) if 3 * (k - 1) < room else 1
                out[axis] = (room - wide[axis] * (k - 1) - 1) // stride[axis] + 1
        node = Conv2d(
            self.name("conv"),
            source,
            weight,
            tuple(stride),
            tuple(padding),
            groups,
            kind,
            dilation=tuple(wide),
        )
        return self.put_weighted(node, (outputs, *out))

    def rule(self, sources: Sequence[str], resets: Sequence[str], delay: bool = True) -> NeuronRule:
        by = {n.name: n for n in self.nodes}
        weighted = [s for s in sources if self.sums(s)]
        reach = sum(self.reach_of(by[s]) for s in weighted)
        shape, spikes = self.shape[sources[0]], len(sources) - len(weighted)
        return _rule(self.draw, shape[0], self.steps, reach, resets, len(weighted), spikes, delay)

    def sums(self, name: str) -> bool:
        """Whether a node makes weighted sums."""
        node = next(n for n in self.nodes if n.name == name)
        return isinstance(node, WeightedNode) or (isinstance(node, Pool) and self.sums(node.input))

    def reach_of(self, node: Node) -> np.ndarray:
        """The largest sums of a node."""
        if isinstance(node, Pool):
            inner = self.reach_of(next(n for n in self.nodes if n.name == node.input))
            return inner * (int(np.prod(node.kernel)) if node.mode == "sum" else 1)
        assert isinstance(node, WeightedNode)
        return weighted_interval(node, self.maximum[node.input])[1]

    def pooled(self, source: str) -> str:
        """Now and then a pool of the sums of ``source``, overlapping or with gaps, too."""
        d, (c, h, w) = self.draw, self.shape[source]
        if not self.limits.pools or not d.chance(self.limits.pools):
            return source
        kernel = min(h, d.pick((1, 2, 2, 2, 3))), min(w, d.pick((1, 2, 2, 2, 3)))
        stride = kernel if d.chance(60) else (d.integer(1, 3), d.integer(1, 3))
        mode = d.pick(("max", "max", "sum"))
        padding = self.padding(kernel) if mode == "max" or self.limits.padded else (0, 0, 0, 0)
        out = padded((h, w), kernel, stride, padding)
        return self.add(
            Pool(self.name("pool"), source, mode, kernel, stride, padding=padding), (c, *out)
        )

    def padding(self, kernel: tuple[int, int]) -> tuple[int, int, int, int]:
        """Of a pool, now and then, where the limits have pools of sums."""
        if not self.limits.pools or not self.draw.chance(40):
            return (0, 0, 0, 0)
        t, b, left, r = (self.draw.integer(0, kernel[k // 2] - 1) for k in range(4))
        return t, b, left, r

    def neuron(self, *sources: str) -> str:
        rule = self.rule(sources, ("subtract", "subtract", "zero", "once"))
        return self.add(Neuron(self.name("n"), sources, rule), self.shape[sources[0]])

    def once(self, name: str) -> bool:
        """Whether single spikes come from there: a pool lets 'first' through only."""
        node = next(n for n in self.nodes if n.name == name)
        many = {"first": 1, "andnot": 1, "concat": 9, "and": 9}.get(getattr(node, "mode", ""), 0)
        spikes = isinstance(node, Neuron) and node.rule.reset == "once"
        return spikes or any(map(self.once, node.inputs[:many]))

    def pool(self, source: str) -> str:
        d, (c, h, w), top = self.draw, self.shape[source], self.maximum[source]
        once = self.once(source)
        modes = ["sum"] + ["first"] * (top == 1) + ["or"] * (top == 1 and not once)
        mode = d.pick(modes + ["max"] * (bool(self.limits.pools) and not once))
        kernel = (min(h, d.integer(1, 3)), min(w, d.integer(1, 3)))
        if d.chance(10) and h * w <= 16:
            kernel = (h, w)
        stride = kernel if d.chance(60) else (d.integer(1, 3), d.integer(1, 3))
        top *= kernel[0] * kernel[1] if mode == "sum" else 1
        if self.too_wide(top):
            return source
        padding = self.padding(kernel)
        out = padded((h, w), kernel, stride, padding)
        node = Pool(self.name("pool"), source, mode, kernel, stride, padding=padding)
        return self.add(node, (c, *out), top)

    def join(self, source: str) -> str:
        """A branch of the same shape, and one of the ways in which branches meet."""
        c, h, w = self.shape[source]
        branch = self.conv_to(source, c, (3, 3) if min(h, w) > 1 else (1, 1), int(min(h, w) > 1))
        way = self.draw.pick(("shortcut", "two sums", "concat", "add", "or", "and", "andnot"))
        if way == "shortcut":
            return self.neuron(branch, source)
        if way == "two sums":
            return self.neuron(branch, self.conv_to(source, c, (1, 1), 0))
        other = self.neuron(branch)
        tops = self.maximum[source], 1
        if way not in ("concat", "add") and max(tops) > 1:
            way = "add"
        shifts = (0, 0)
        if way in ("concat", "add"):
            shifts = self.draw.pick(((0, 0), (0, 0), (0, 1), (1, 0), (2, 0)))
            tops = tops[0] << shifts[0], tops[1] << shifts[1]
            if self.too_wide(sum(tops)):
                shifts, tops = (0, 0), (self.maximum[source], 1)
        top = {"add": sum(tops), "concat": max(tops)}.get(way, 1)
        node = Merge(self.name("merge"), (source, other), way, shifts)
        return self.add(node, (2 * c if way == "concat" else c, h, w), top)

    def readout(self, source: str) -> None:
        d, (_, h, w) = self.draw, self.shape[source]
        classes = d.integer(2, self.limits.classes)
        if max(h, w) <= 5 and d.chance(40):
            last = self.conv_to(source, classes, (h, w), 0)
        else:
            last = self.linear(source, classes)
        mode = d.pick(("membrane", "membrane", "count", "first_spike"))
        resets = ("subtract", "zero", "once") if mode == "count" else ("none",)
        rule = self.rule([last], resets, delay=False)
        self.add(Readout("out", last, rule, mode), self.shape[last])

    def build(self) -> Network:
        at, most = self.input(), self.limits
        pixels = self.nodes[0].coding == "direct"  # type: ignore[union-attr]
        if not pixels and self.draw.chance(20):
            at = self.pool(at)
        for _ in range(self.draw.integer(1, most.layers)):
            at = (
                self.linear(at, self.draw.integer(1, most.channels))
                if self.draw.chance(10)
                else self.conv(at)
            )
            at = self.neuron(self.pooled(at))
            if most.graphs and self.draw.chance(60):
                at = self.join(at)
            if self.draw.chance(40):
                at = self.pool(at)
        self.readout(at)
        return Network(self.steps, self.nodes, "fuzz")


def random_network(draw: Seeded, limits: Limits | None = None) -> Network:
    """A random network within the limits, every neuron of which fits 32 bits."""
    return network_by(Builder, draw, limits or Limits())


def network_by(builder: type["Builder"], draw: Seeded, limits: Limits) -> Network:
    """As ``random_network``, by another builder."""
    while True:
        try:
            network = builder(draw, limits).build()
        except TooLarge:
            network = None
        if network is not None and fits(network):
            return network
        limits = replace(
            limits,
            side=max(1, limits.side - 1),
            channels=max(2, limits.channels - 1),
            steps=max(1, limits.steps * 3 // 4),
        )


def fits(network: Network) -> bool:
    try:  # registers too wide: the one refusal that a random network may meet
        for n in network.nodes:
            if isinstance(n, (Neuron, Readout)):
                node_bounds(network, n.name)
    except NetworkError:
        return False
    return True


def describe(network: Network) -> str:
    """A network in a few lines, for the report of a failure."""
    lines = [f"steps {network.steps}"]
    for n in network.nodes:
        fields = {k: v for k, v in vars(n).items() if k not in ("name", "weight", "rule")}
        extra = f" weight {n.weight.shape}" if isinstance(n, (Conv2d, Linear)) else ""
        lines.append(f"{n.op} {n.name} {fields}{extra} -> {network.shape[n.name]}")
        if isinstance(n, (Neuron, Readout)):
            lines.append(f"    {n.rule}")
    return "\n".join(lines)
