"""Depths of the FIFOs in which the branches of a graph wait, and the clocks of the whole network.

Where a stream has several readers, or a core several inputs, the branch that is ahead must wait for
the one that takes longer. If it has no room for that, the network is slower than its cores or
stands still. The depths are found by running the token model, which is exact: one beat less than
``min_full_rate`` is measurably slower, one less than ``min_no_deadlock`` gets stuck.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from sterna.gen.design.design import BufferDesign, Design
from sterna.gen.design.graph import unit_of
from sterna.gen.design.room import with_room
from sterna.gen.design.top_spec import top_spec
from sterna.gen.device.storage import storage_bits, storage_depth, storage_kind
from sterna.gen.model.flight import flight_clocks, horizon, with_flight
from sterna.gen.model.tokens import ENDLESS, Limit, Timing, TokenModel
from sterna.golden.network import Network

__all__ = ["IMAGES", "MANY", "MARGIN", "size_buffers"]

IMAGES = 6
"""Images of the shortest runs. What shows only later is looked for in longer ones."""
MARGIN = 2
"""Beats built beyond the smallest full-rate depth. The model is exact for ends that never wait."""
MANY = 40
"""Of more branches than this that may wait, depths are enough, and those behind a fork are lowered
together: a proof for each that a beat less is slower would take most of the time."""
_LITTLE = 8  # beats
_PARTS = 64
"""Depths behind a fork are lowered by so manieth parts of them."""
_WORTH = 0.01
"""Of all beats: where less is behind a fork, they are not lowered."""


@dataclass
class _Candidate:
    """A branch that may need a FIFO: its place in the design, its stream and present depth."""

    branch: int
    source: str
    width: int
    bits: int  # of an image
    kind: str = "registers"
    depth: int = ENDLESS
    small: bool = False  # was in block RAM without need


def size_buffers(network: Network, design: Design, *, margin: int = MARGIN) -> Design:
    """Give every branch that must wait a FIFO as deep as the full rate needs, and no other one, and
    let as many images be on their way as it needs.

    Full rate is the mean interval that endless FIFOs give. All depths are smallest together:
    lowering any one of them by a beat, the others at theirs, is slower (not so of more than
    ``MANY``, of which some may be lowered a little). Seconds for 20 layers.

    Raises:
        ToolMissing: there is no g++.
    """
    bare = [replace(b, buffer=None) for b in design.branches]
    design = replace(design, branches=bare, in_flight=None)

    sizer = _Sizer(network, design, _candidates(network, design))

    def rate(tried: Design) -> Fraction:
        nonlocal sizer
        if tried is not sizer.design:
            sizer = _Sizer(network, tried, _candidates(network, tried))
        return sizer.rate()

    design = with_room(network, design, rate)
    if sizer.design is not design:
        sizer = _Sizer(network, design, _candidates(network, design))
    found, sizer.in_flight = sizer.found, None
    design = with_flight(design, sizer.model, [ENDLESS] * len(found))
    if found:
        sizer.in_flight = design.in_flight
        design = _with_buffers(design, sizer, margin)
    return _result(network, design)


def _with_buffers(design: Design, sizer: "_Sizer", margin: int) -> Design:
    found = sizer.found
    for c, beats in zip(found, sizer.first_fill(), strict=True):
        c.kind = storage_kind(c.width, beats + margin, design.family)
    settled, tight = False, False
    while not (settled and tight):
        tight = settled  # the last beats only where the kinds are known
        sizer.full_rate(tight)
        # A FIFO in block RAM takes longer, so depths follow kinds as kinds do depths. One guessed
        # to be deep may turn out not to be; from then on FIFOs only move into block RAM.
        now = [_kind(c, design, margin) for c in found]
        wrong = [
            (c, kind)
            for c, kind in zip(found, now, strict=True)
            if c.depth
            and (c.kind == "block") != (kind == "block")
            and not (c.kind == "block" and c.small)
        ]
        settled = not wrong
        for c, kind in wrong:
            c.small |= c.kind == "block"
            c.kind = kind
    branches = list(design.branches)
    for c, alive in zip(found, sizer.no_deadlock(), strict=True):
        if c.depth == 0:
            continue
        kind = c.kind if c.kind == "block" else _kind(c, design, margin)
        buffer = BufferDesign(
            kind=kind,
            depth=storage_depth(kind, c.width, c.depth + margin),
            bits=storage_bits(kind, c.width, c.depth + margin),
            min_no_deadlock=alive,
            min_full_rate=c.depth,
            margin=margin,
        )
        branches[c.branch] = replace(branches[c.branch], buffer=buffer)
    return replace(design, branches=branches)


def _candidates(network: Network, design: Design) -> list[_Candidate]:
    """Branches of forks and branches that meet others, the largest streams first."""
    sources = [b.source for b in design.branches]
    cores = [unit_of(network, b.reader) for b in design.branches]
    out = []
    for n, b in enumerate(design.branches):
        if sources.count(b.source) > 1 or cores.count(cores[n]) > 1:
            edge, (_, height, width) = b.given.edge, network.shape[b.source]
            bits = height * width * edge.channels * edge.planes
            out.append(_Candidate(n, b.source, edge.width, bits))
    return sorted(out, key=lambda c: -c.bits)


def _kind(c: _Candidate, design: Design, margin: int) -> str:
    return storage_kind(c.width, c.depth + margin, design.family) if c.depth else "registers"


def _result(network: Network, design: Design) -> Design:
    """With the clocks of the whole network, its buffers and images in flight as they are built."""
    spec = top_spec(network, design)
    model = TokenModel(spec)
    depths = [b.buffer[1] for b in spec.buffers if b.buffer is not None]
    design = with_flight(design, model, depths)
    latency = model.run(1).latency
    images = horizon(latency, design.interval)[1]
    interval = model.run(images, in_flight=design.flight).interval
    whole = interval.denominator == 1
    alone = flight_clocks(latency, spec.classes)
    return replace(
        design,
        latency=latency,
        modelled_interval=int(interval) if whole else round(float(interval), 3),
        end_intervals=design.end_intervals | {"flight": ceil(alone / design.flight)},
    )


class _Sizer:
    """Runs of the model with the candidates' present depths and kinds."""

    def __init__(self, network: Network, design: Design, found: list[_Candidate]) -> None:
        self.found, self.design = found, design
        branches = list(design.branches)
        for c in found:
            some = BufferDesign(c.kind, 1, 0, 0, 0, 0)
            branches[c.branch] = replace(branches[c.branch], buffer=some)
        spec = top_spec(network, replace(design, branches=branches))
        # The design's branches stand in the order of the top's.
        self.order = sorted(range(len(found)), key=lambda n: found[n].branch)
        self.place = [self.order.index(n) for n in range(len(found))]
        self.model = TokenModel(spec)
        self.bound = design.interval
        self.target = Fraction(0)  # clocks an image with endless FIFOs, once known
        self.images = 0 if len(found) > MANY else IMAGES  # of the runs, unless loss shows later
        self.in_flight: int | None = None
        self.filled: list[int] = []  # in the last run that was fast

    def run(
        self,
        images: int,
        limit: Limit | None = None,
        fill: bool = False,
        grow: int | None = None,
        pace: Fraction | None = None,
    ) -> Timing:
        now = [self.found[n] for n in self.order]
        return self.model.run(
            images,
            depths=[c.depth for c in now],
            kinds=[c.kind for c in now],
            limit=limit or 0,
            fill=fill,
            in_flight=self.in_flight,
            grow=grow,
            pace=pace,
        )

    def rate(self) -> Fraction:
        """Clocks an image with as many images on their way as may be, and endless FIFOs."""
        images = horizon(self.run(1).latency, self.bound)[1]
        if (usual := self.run(images).interval) <= self.bound:
            return usual
        self.in_flight = ENDLESS
        return self.run(images).interval

    def fill(self, images: int, pace: Fraction | None = None) -> list[int]:
        """Depths that would change nothing, by candidate."""
        fill = self.run(images, fill=True, pace=pace).fill
        return [fill[at] for at in self.place]

    def first_fill(self) -> list[int]:
        """Of endless FIFOs whose kinds are not known yet."""
        if len(self.found) <= MANY:
            return self.fill(IMAGES)
        flying, long = horizon(self.run(1).latency, self.bound)
        self.target = self.run(long).interval
        return self.fill(flying + 2, self.target)

    def full_rate(self, tight: bool) -> None:
        """Take all depths from endless to the smallest that keep the rate; not ``tight``: some may
        be a little more."""
        before = [c.depth for c in self.found]
        self._set([ENDLESS] * len(before))
        flying, long = horizon(self.run(1).latency, self.bound)
        many = len(before) > MANY
        long = long if many else max(long, 3 * IMAGES)
        # A run of fewer images than are on their way at once shows too little.
        steps = {flying + 2, long} if many else {max(IMAGES, flying + 4), long}
        for images in sorted(steps):
            if images < self.images:
                continue
            self.images = images
            if many:
                target = self.target
                self._together(images, flying, before)
            else:
                self._set([ENDLESS] * len(before))
                best = self.run(long)
                target = best.interval
                limit = _limit(best, target, images, 2 if images < long else flying + 2)
                self._settle(images, before, limit, tight)
            before = [c.depth for c in self.found]
            if self.run(long).interval <= target:
                return  # no loss that shows late
        if many:
            self._set([ENDLESS] * len(before))
            self._set(self.fill(long))  # never full in that run

    def no_deadlock(self) -> list[int]:
        """Of each FIFO the smallest depth with which images come out, the others as they are."""
        now = [self.found[n] for n in self.order]
        depths, kinds = [c.depth for c in now], [c.kind for c in now]
        needs = self.model.needs(2, depths=depths, kinds=kinds, in_flight=self.in_flight)
        out: list[int] = []
        for n, c in enumerate(self.found):
            depth = c.depth
            if depth:
                c.depth = needs[self.place[n]]
                if c.depth < 0:  # not behind a fork
                    c.depth = 1
                    c.depth = self.run(2, grow=self.place[n]).grown
                if c.depth <= 1:  # what needs two beats will not do with none
                    c.depth = 0
                    c.depth = int(self.run(2).deadlock)
            out.append(c.depth)
            c.depth = depth
        return out

    def _set(self, depths: list[int]) -> None:
        for c, depth in zip(self.found, depths, strict=True):
            c.depth = depth

    def _holds(self, images: int, limit: Limit, pace: Fraction | None = None) -> Callable[[], bool]:
        """Asks of the depths as they are whether so many images keep within ``limit``, sent at
        ``pace`` or one behind the other; notes what the FIFOs held where they do."""

        def fast() -> bool:
            timing = self.run(images, limit, fill=True, pace=pace)
            if timing.deadlock:
                return False
            self.filled = [timing.fill[at] for at in self.place]
            return True

        return fast

    def _together(self, images: int, flying: int, before: list[int]) -> None:
        """Depths of many FIFOs from few runs. Words are sent at the pace of the whole network, so
        that an endless FIFO holds no more than it must for that; then those behind each fork are
        lowered together, which keeps their core from running ahead. The runs of these ``images``
        show whether results fall behind. ``before``: as in :meth:`_settle`."""
        pace = self.target
        fast = self._holds(images, Limit(pace, max(1, flying)), pace)

        if ENDLESS not in before:
            self._set(before)
            if fast():
                return
            self._set([ENDLESS] * len(before))
        self._set(self.fill(images, pace))
        self._without([c for c in self.found if c.depth <= _LITTLE], fast)
        parts = 1
        in_order = sorted(self.found, key=lambda c: c.branch)
        for source in dict.fromkeys(c.source for c in in_order):
            group = [c for c in self.found if c.source == source and c.depth > 1]
            if sum(c.depth for c in group) > _WORTH * sum(c.depth for c in self.found):
                parts = self._lower_group(group, fast, max(1, parts))

    def _settle(self, images: int, before: list[int], limit: Limit, tighten: bool) -> None:
        """Large streams first, so that small ones wait where either could. ``before``: depths that
        were found in another run, to begin with if they are known."""
        fast = self._holds(images, limit)

        if ENDLESS not in before:
            self._set(before)
        if ENDLESS in before or not fast():
            self._set([ENDLESS] * len(before))
            self.filled = self.fill(images)
            self._one_by_one(fast, before)
        # Those settled early were so beside endless ones: with less around, they may need less.
        tight, n = 0, 0
        while tighten and tight < len(self.found):
            tight = 0 if self._lower(self.found[n], fast) else tight + 1
            n = (n + 1) % len(self.found)

    def _one_by_one(self, fast: Callable[[], bool], before: list[int]) -> None:
        little = [c for c, beats in zip(self.found, self.filled, strict=True) if beats <= _LITTLE]
        self._without(little, fast)
        less: dict[int, int] = {}
        for n, c in enumerate(self.found):
            if c.depth != ENDLESS:
                continue
            enough = self.filled[n]
            # Blocks of a network are alike: what was too much in the most similar one.
            like = min(less, key=lambda beats: abs(beats - enough), default=None)
            guess = enough - less[like] if like is not None else ENDLESS
            known = before[n] if before[n] >= 0 else guess
            self._smallest(c, enough, fast, known)
            if c.depth:
                less[enough] = enough - c.depth

    def _lower_group(self, group: list[_Candidate], fast: Callable[[], bool], guess: int) -> int:
        """Lower all of the group by the same share, the largest that does; returns its parts.
        ``guess``: of parts, that of a similar group."""
        full = [c.depth for c in group]

        def lower(parts: int) -> None:
            for c, depth in zip(group, full, strict=True):
                c.depth = depth - depth * parts // _PARTS

        good, bad, parts = 0, _PARTS, guess
        while bad - good > max(1, good // 3):
            lower(parts)
            if fast():
                good = parts
            else:
                bad = parts
            parts = min(2 * parts, (good + _PARTS) // 2) if bad == _PARTS else (good + bad) // 2
        lower(good)
        return good

    def _without(self, group: list[_Candidate], fast: Callable[[], bool]) -> None:
        """No FIFO for the whole group, or else for those halves of it that need none."""
        full = [c.depth for c in group]
        for c in group:
            c.depth = 0
        if not group or fast():
            return
        for c, depth in zip(group, full, strict=True):
            c.depth = depth
        if len(group) > 1:
            self._without(group[: len(group) // 2], fast)
            self._without(group[len(group) // 2 :], fast)

    def _smallest(self, c: _Candidate, enough: int, good: Callable[[], bool], guess: int) -> None:
        """Set the smallest good depth up to ``enough``, which is good. ``guess``: tried first."""

        def try_out(depth: int) -> bool:
            nonlocal bad, enough
            if not bad < depth < enough:
                return False
            c.depth = depth
            if good():
                enough = min(depth, self.filled[at])  # what was never used changes nothing
                return True
            bad = depth
            return False

        bad, step, at = -1, 1, self.found.index(c)
        try_out(max(0, guess))
        # At full rate the bound is near: in steps that double, then by halves.
        while try_out(enough - step):
            step *= 2
        while enough - bad > 1:
            try_out((bad + enough) // 2)
        c.depth = enough

    def _lower(self, c: _Candidate, fast: Callable[[], bool]) -> bool:
        if c.depth == 0:
            return False
        c.depth -= 1
        if fast():
            return True
        c.depth += 1
        return False


def _limit(best: Timing, target: Fraction, images: int, first: int) -> Limit:
    """What only runs of ``images`` images are within that are as fast as the ``best``."""
    ends = best.ends[first - 1 : images]
    late = max(int(end - ends[0]) - n * target for n, end in enumerate(ends))
    return Limit(target, first, max(0, ceil(late)))
