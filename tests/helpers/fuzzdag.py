"""Random directed acyclic graphs: layers with skips of every kind, nested and crossing, over
strides and pools, with forks of three and more."""

from dataclasses import dataclass

import numpy as np
from fuzz import KINDS, Builder, Limits, Seeded, TooLarge, network_by

from sterna.golden.network import Conv2d, Merge, Network, Neuron, Pool

__all__ = ["GraphLimits", "GRAPH", "BIG_GRAPH", "random_graph"]

WAYS = (
    "add",
    "add",
    "concat",
    "concat",
    "or",
    "and",
    "andnot",
    "shortcut",
    "shortcut",
    "sums",
    "sums",
)


@dataclass(frozen=True)
class GraphLimits(Limits):
    """Also: most skips. ``layers`` are those of the longest way."""

    skips: int = 6


GRAPH = GraphLimits(channels=4, side=7, layers=6, steps=8, planes=24, classes=4, work=25_000)
BIG_GRAPH = GraphLimits(channels=6, side=9, layers=10, steps=8, planes=48, classes=5, work=90_000)


def random_graph(draw: Seeded, limits: GraphLimits = GRAPH) -> Network:
    """A network of 2 to ``limits.layers`` layers and 0 to ``limits.skips`` skips."""
    return network_by(_GraphBuilder, draw, limits)


class _GraphBuilder(Builder):
    """Grows the longest way layer by layer; each may be joined by streams made before."""

    limits: GraphLimits

    def build(self) -> Network:
        d = self.draw
        at = self.input()
        layers, skips = d.integer(2, self.limits.layers), d.integer(0, self.limits.skips)
        past: list[str] = [] if self.nodes[0].coding == "direct" else ["x"]  # type: ignore[union-attr]
        for layer in range(layers):
            some = min(skips, d.integer(0, 2) if layers - layer > skips else 2)
            skips -= some
            at = self.layer(at, past, some)
            past.append(at)
            if d.chance(20):
                at = self.pool(at)
                past = [*past, at] if at not in past else past
        self.readout(at)
        return Network(self.steps, self.nodes, "graph")

    def layer(self, source: str, past: list[str], skips: int) -> str:
        """A convolution and its neuron, joined by ``skips`` earlier streams where they fit."""
        d = self.draw
        sums = self.pooled(self.small_conv(source))
        inputs, late = [sums], []
        for _ in range(skips):
            if past:
                way, other = d.pick(WAYS), d.pick(past)
                late.append((way, other)) if way not in ("shortcut", "sums") else inputs.append(
                    self.reach(other, self.shape[sums], way == "sums") or sums
                )
        weighted = [i for i in dict.fromkeys(inputs) if self.sums(i)]
        spikes = [i for i in dict.fromkeys(inputs) if not self.sums(i)]
        at = self.neuron(*weighted, *spikes)
        for way, other in late:
            at = self.merge(at, other, way)
        return at

    def small_conv(self, source: str) -> str:
        """A convolution that seldom shrinks the map, so that later layers still have one."""
        d, (_, h, w) = self.draw, self.shape[source]
        if d.chance(25):
            return self.conv(source)
        k = 3 if min(h, w) > 1 and d.chance(70) else 1
        return self.conv_to(source, d.integer(1, self.limits.channels), (k, k), k // 2)

    def reach(self, source: str, shape: tuple[int, int, int], weighted: bool) -> str | None:
        """``source`` brought to ``shape``: itself, or behind a strided convolution (``weighted``:
        its sums), or a pool; None where neither leads there."""
        c, h, w = shape
        if self.shape[source] == shape and not weighted:
            return source
        d, (cs, hs, ws) = self.draw, self.shape[source]
        if weighted and self.limits.pools and hs % h == ws % w == 0 and d.chance(50):
            # A pool of sums beside other sums: a convolution of the map's size, then its pool.
            sums = self.conv_to(source, c, (1, 1), 0)
            kernel = hs // h, ws // w
            return self.add(Pool(self.name("pool"), sums, d.pick(("max", "sum")), kernel), shape)
        fits = [
            (k, s, p)
            for k, p in ((1, 0), (3, 1), (2, 0), (3, 0))
            for s in (1, 2, 3, 4)
            if hs + 2 * p >= k <= ws + 2 * p
            and ((hs + 2 * p - k) // s + 1, (ws + 2 * p - k) // s + 1) == (h, w)
        ]
        if not fits:
            return None
        k, s, p = d.pick(fits)
        top = self.maximum[source] * k * k
        if not weighted and cs == c and p == 0 and (d.chance(50) and not self.too_wide(top)):
            node = Pool(self.name("pool"), source, "sum", (k, k), (s, s))
            return self.add(node, shape, top)
        kind = d.pick(KINDS)
        weight = d.rng().choice((-1, 1), (c, cs, k, k)).astype(np.int8)
        node = Conv2d(self.name("conv"), source, weight, (s, s), (p,) * 4, 1, kind)
        sums = self.put_weighted(node, shape)
        return sums if weighted else self.neuron(sums)

    def merge(self, at: str, other: str, way: str) -> str:
        """``at`` and ``other`` (sometimes twice, sometimes swapped) in one stream."""
        c, h, w = self.shape[at]
        d = self.draw
        shape = (self.shape[other][0] if way == "concat" else c, h, w)
        found = self.reach(other, shape, False)
        if found is None:
            return at
        inputs = [at, found]
        if way != "andnot" and d.chance(15):
            inputs.append(found)
        if d.chance(50):
            inputs.reverse()
        tops = [self.maximum[i] for i in inputs]
        if way in ("or", "and", "andnot") and max(tops) > 1:
            way = "add"
        if way == "add" and len({self.shape[i] for i in inputs}) > 1:
            way = "concat"
        shifts = (0,) * len(inputs)
        if way in ("add", "concat") and d.chance(30):
            shifts = tuple(d.pick((0, 0, 1, 2)) for _ in inputs)
        tops = [t << s for t, s in zip(tops, shifts)]
        top = {"add": sum(tops), "concat": max(tops)}.get(way, 1)
        channels = sum(self.shape[i][0] for i in inputs) if way == "concat" else c
        if self.too_wide(top) or channels > 16:
            self.unread(found, at)
            return at
        node = Merge(self.name("merge"), tuple(inputs), way, shifts)
        return self.add(node, (channels, h, w), top)

    def unread(self, found: str, at: str) -> None:
        """A branch made for a merge that came to nothing makes the network too large."""
        if found != at and not any(found in n.inputs for n in self.nodes):
            raise TooLarge

    def neuron(self, *sources: str) -> str:
        rule = self.rule(sources, ("subtract", "subtract", "zero", "once"))
        return self.add(Neuron(self.name("n"), sources, rule), self.shape[sources[0]])
