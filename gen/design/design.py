"""design.json: every decision that turns a network into hardware, and what it costs in clocks."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sterna.gen.design.folding import KEYS, Folding
from sterna.golden.device.clocks import LAW
from sterna.golden.device.fabric import fabric_of
from sterna.golden.errors import DesignError, FileError
from sterna.golden.files.disk import parse_json
from sterna.golden.words.shown import Shown
from sterna.hw.stream.axis import COMPACT_IN_FLIGHT, IN_FLIGHT
from sterna.hw.stream.edge import Edge

__all__ = [
    "BranchDesign",
    "BufferDesign",
    "CoreDesign",
    "Design",
    "EdgeDesign",
    "FORMAT",
    "VERSION",
]

FORMAT = "sterna-design"
VERSION = 2
MAX_DEPTH = 1 << 24  # beats of a buffer
MAX_IN_FLIGHT = 1 << 16


@dataclass(frozen=True)
class EdgeDesign:
    """A stream between cores: lanes, planes and pb of its beats (see ``hw.stream.edge.Edge``)."""

    channels: int
    lanes: int
    planes: int
    pb: int
    code: str = "planes"

    @property
    def edge(self) -> Edge:
        return Edge(self.channels, self.lanes, self.planes, self.pb, self.code)

    @classmethod
    def of(cls, edge: Edge) -> "EdgeDesign":
        return cls(edge.channels, edge.lanes, edge.planes, edge.pb, edge.code)


@dataclass(frozen=True, kw_only=True)
class CoreDesign(Folding):
    """One core and its folding (pools and merges: 1, 1, 1).

    input: the stream at its line buffer (of a merge: its first); output: the stream it makes, None
    for logits and where not ``main`` (the further weighted inputs of a neuron, which belongs to the
    main one).
    law: the terms of the initiation interval (compute, input, output, gearbox), clocks an image.
    patchable: fixed weights, but sized for all whose parameters are in the ranges.
    widths: bits that a fixed core owes to the weights it was folded with
    (`gen.design.fixed_widths`).
    spare_rows: rows of its line buffer beyond the needed ones, where input is as slow as computing.
    ranges: declared (lowest, highest) of the parameters of a 'ram' or patchable core.
    regions: numbers of weight and parameter memory in the daisy chain ('ram').
    constants: what names the weights of a core that has them in its logic.
    """

    name: str
    op: str
    sources: list[str]
    target: str
    main: bool
    input: EdgeDesign
    output: EdgeDesign | None
    lanes: int
    law: dict[str, int]
    ranges: dict[str, list[int]] | None = None
    regions: list[int] | None = None
    spare_rows: int = 0
    widths: dict[str, int] | None = None
    patchable: bool = False
    constants: str | None = None

    @property
    def interval(self) -> int:
        return max(self.law.values())


@dataclass(frozen=True)
class BufferDesign:
    """The FIFO in which a branch waits. kind: registers, lutram or block; depth: beats as built;
    bits of it. min_no_deadlock and min_full_rate are the token model's smallest depths (beats);
    margin: beats added to the second before rounding up to the memory's grain."""

    kind: str
    depth: int
    bits: int
    min_no_deadlock: int
    min_full_rate: int
    margin: int

    def __post_init__(self) -> None:
        numbers = (self.depth, self.bits, self.min_no_deadlock, self.min_full_rate, self.margin)
        if any(type(n) is not int or n < 0 for n in numbers):
            raise DesignError(f"a buffer with {numbers} is not whole numbers; run `sterna fold`")
        if not max(1, self.min_no_deadlock) <= self.depth <= MAX_DEPTH:
            raise DesignError(
                f"a buffer of {self.depth} beats is outside {max(1, self.min_no_deadlock)} .. "
                f"{MAX_DEPTH}; run `sterna fold`"
            )


@dataclass(frozen=True)
class BranchDesign:
    """One reading of a stream: input ``port`` of node ``reader`` reads the stream of ``source``.

    given: the producer's beats, in channels as the reader counts them; taken: the beats at the
    reader (a gearbox stands between unlike ones); buffer: the FIFO before the gearbox, or None.
    ahead: beats for which there is room behind the gearbox, so that it works while a concatenation
    has its other inputs' turns; 0 where that would not help (:mod:`sterna.gen.design.room`).
    """

    source: str
    reader: str
    port: int
    given: EdgeDesign
    taken: EdgeDesign
    buffer: BufferDesign | None = None
    ahead: int = 0

    def __post_init__(self) -> None:
        if type(self.ahead) is not int or not 0 <= self.ahead <= MAX_DEPTH:
            raise DesignError(
                f"room for {self.ahead!r} beats behind a gearbox is outside 0 .. {MAX_DEPTH}; run "
                "`sterna fold`"
            )


@dataclass(frozen=True, repr=False)
class Design(Shown):
    """A folded network. ``interval`` is the bound of the whole network, clocks an image;
    ``latency`` and ``modelled_interval`` are the token model's clocks of one image alone, and of
    one among others, the settled mean (``gen.model.tokens``); None before buffers are sized.
    ``in_flight``: images that may be on their way, None: as many as usual (``flight``)."""

    network: str
    family: str
    clock_mhz: float
    axis_width: int
    input: EdgeDesign
    cores: list[CoreDesign]
    branches: list[BranchDesign] = field(default_factory=list)
    taps: list[dict[str, Any]] = field(default_factory=list)
    latency: int | None = None
    modelled_interval: int | float | None = None
    in_flight: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.network} for {self.family} at {self.clock_mhz:g} MHz: {len(self.cores)} cores, "
            f"{self.interval:,} clocks an image ({self.bottleneck})"
        )

    def __post_init__(self) -> None:
        n = self.in_flight
        if n is not None and (type(n) is not int or not 2 <= n <= MAX_IN_FLIGHT):
            raise DesignError(
                f"{n!r} images in flight; a design has 2 to {MAX_IN_FLIGHT}; run `sterna fold`"
            )

    @property
    def flight(self) -> int:
        """Images that may be between the input and the start of their result packet, on iCE40 in
        the tops of boards."""
        usual = COMPACT_IN_FLIGHT if fabric_of(self.family).compact else IN_FLIGHT
        return usual if self.in_flight is None else self.in_flight

    @property
    def interval(self) -> int:
        """Initiation interval by the law: the largest of all cores, of the AXI4-Stream ends and of
        the images in flight."""
        return max(self.bounds.values())

    @property
    def bounds(self) -> dict[str, int]:
        return {c.name: c.interval for c in self.cores} | dict(self.end_intervals)

    end_intervals: dict[str, int] = field(default_factory=dict)

    @property
    def bottleneck(self) -> str:
        return max(self.bounds, key=lambda n: self.bounds[n])

    @property
    def warning(self) -> str | None:
        """A sentence where the network is slower than its slowest part, for reasons that no buffer
        can help: cores of a few clocks a row."""
        took = self.modelled_interval
        if took is None or took <= LAW * self.interval:
            return None
        return (
            f"the network takes {took} clocks an image, its slowest part alone "
            f"({self.bottleneck}) {self.interval}; deeper buffers would not help"
        )

    @property
    def region_count(self) -> int:
        """Memories in the daisy chain: their regions are 0 .. region_count - 1."""
        return sum(len(core.regions) for core in self.cores if core.regions)

    @property
    def constants(self) -> list[str]:
        """Cores that have their weights in the logic and not in a memory."""
        return [core.name for core in self.cores if core.constants is not None]

    @property
    def reloadable(self) -> bool:
        return any(c.memory == "ram" for c in self.cores)

    def core(self, name: str) -> CoreDesign:
        for c in self.cores:
            if c.name == name:
                return c
        raise DesignError(
            f"design: no core '{name}'; the cores are {', '.join(c.name for c in self.cores)}"
        )

    def branch(self, reader: str, port: int = 0) -> BranchDesign:
        """The branch at input ``port`` of node ``reader``."""
        for b in self.branches:
            if (b.reader, b.port) == (reader, port):
                return b
        raise DesignError(f"design: nothing feeds input {port} of '{reader}'; run `sterna fold`")

    @property
    def buffers(self) -> list[BranchDesign]:
        """The branches that wait in a FIFO."""
        return [b for b in self.branches if b.buffer is not None]

    @property
    def folding(self) -> dict[str, dict[str, Any]]:
        """The editable, reusable block: core -> its entry of a folding file."""
        return {c.name: c.entry() for c in self.cores if c.op == "conv"}

    def to_json(self) -> str:
        """Canonical text: sorted keys, same design same bytes."""
        body = asdict(self)
        ends = body.pop("end_intervals")
        if self.in_flight is None:  # designs from before keep their structure_id
            del body["in_flight"]
        for c, d in zip(self.cores, body["cores"], strict=True):
            d["interval"] = c.interval
            for key in (
                set(KEYS) - set(c.entry()) - {"ram_style"}
            ):  # designs from before keep theirs
                del d[key]
        for branch in body["branches"]:
            if not branch["ahead"]:
                del branch["ahead"]
        body |= {
            "format": FORMAT,
            "version": VERSION,
            "ends": ends,
            "folding": self.folding,
            "interval": self.interval,
            "bottleneck": self.bottleneck,
        }
        return json.dumps(body, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "design.json") -> "Design":
        body = parse_json(text.encode("utf-8", "replace"), where, "run `sterna fold` again")
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise FileError(f"{where}: is not a {FORMAT} file; run `sterna fold` again")
        if body.get("version") != VERSION:
            raise FileError(
                f"{where}: has version {body.get('version')!r}, this Sterna reads {VERSION}; run "
                "`sterna fold` again"
            )
        for derived in ("format", "version", "folding", "interval", "bottleneck"):
            body.pop(derived, None)
        try:
            body["end_intervals"] = body.pop("ends")
            body["input"] = EdgeDesign(**body["input"])
            for c in body["cores"]:
                c.pop("interval")
                c["input"] = EdgeDesign(**c["input"])
                c["output"] = None if c["output"] is None else EdgeDesign(**c["output"])
            body["cores"] = [CoreDesign(**c) for c in body["cores"]]
            body["branches"] = [_branch(b) for b in body["branches"]]
            known = {f.name for f in fields(cls)}
            if unknown := set(body) - known:
                raise KeyError(", ".join(sorted(unknown)))
            return cls(**body)
        except (KeyError, TypeError, AttributeError) as e:
            raise FileError(f"{where}: has wrong fields ({e}); run `sterna fold` again") from None


def _branch(b: dict[str, Any]) -> BranchDesign:
    b["given"], b["taken"] = EdgeDesign(**b["given"]), EdgeDesign(**b["taken"])
    b["buffer"] = None if b["buffer"] is None else BufferDesign(**b["buffer"])
    return BranchDesign(**b)
