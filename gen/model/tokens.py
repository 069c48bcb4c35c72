"""Cycle-exact clocks of a network's hardware without its data: rate, latency, deadlock, fill.

Data never decides timing: a beat moves when its source has it and its sink has room. tokens.cpp
computes when that is for every beat of some images, in a fraction of a second.
"""

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sterna.gen.model.token_graph import TokenGraph, token_graph
from sterna.gen.tools.native_cpp import library
from sterna.hw.stream.skip_fifo import latency_of
from sterna.hw.top.network_top import TopSpec

__all__ = ["ENDLESS", "Limit", "TokenModel", "Timing", "settled"]

ENDLESS = -1
"""The depth of a buffer that is never full, and images in flight without a limit."""

_KEPT = 16  # runs of a model that are not done again


def settled(ends: NDArray[np.int64] | Sequence[int]) -> Fraction:
    """Clocks an image in the long run, of images sent back to back: the mean over the second half
    of them. Where its intervals repeat, over whole repetitions, so it is exact.

    ``ends``: clocks in which results were complete, 3 or more.
    """
    gaps = np.diff(np.asarray(ends, np.int64))
    half = gaps[len(gaps) // 2 :]
    for period in range(1, len(half) // 2 + 1):
        if (half[period:] == half[:-period]).all():
            half = half[-period:]
            break
    return Fraction(int(half.sum()), len(half))


@dataclass(frozen=True)
class Limit:
    """A run stops, as if nothing moved any more, once it is slower: from image ``first`` on, more
    than ``interval`` clocks an image and ``grace`` clocks once."""

    interval: Fraction
    first: int = 2
    grace: int = 0


@dataclass(frozen=True, eq=False)
class Timing:
    """What a run gave. Clock 0 is the first one after reset; input and output never wait.

    Attributes:
        images: that were sent.
        begins: int64, clock in which the first word of each image was taken.
        ends: int64, clock in which the last word of each result was given; shorter than
            ``images`` in a deadlock.
        beats: int64 [beats] for each tapped node, the clock of each beat of its stream.
        fill: for each buffer the depth from which it would never have refused a beat, if wanted.
        grown: the depth of the buffer that was to grow.
    """

    images: int
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    beats: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    fill: list[int] = field(default_factory=list)
    grown: int = 0

    @property
    def deadlock(self) -> bool:
        """Some images never came out, and nothing moves any more."""
        return len(self.ends) < self.images

    @property
    def latency(self) -> int:
        """Clocks of the first image, its first word in to its last word out."""
        return int(self.ends[0] - self.begins[0]) + 1

    @property
    def interval(self) -> Fraction:
        """Clocks an image in the settled part, see :func:`settled`. Images must be enough that it
        is: about twice as many as are on their way at once."""
        return settled(self.ends)


class TokenModel:
    """The timing of everything in ``NetworkTop(spec)``; a million beats take some 20 ms.

    The buffers are those of ``spec.buffers``, in order; ``depths`` and ``kinds`` of a run replace
    the built ones. A bare :class:`TokenGraph` will do, too.

    Raises:
        ToolMissing: there is no g++.
    """

    def __init__(self, spec: TopSpec | TokenGraph):
        self.graph = spec if isinstance(spec, TokenGraph) else token_graph(spec)
        self.buffers = [] if isinstance(spec, TokenGraph) else spec.buffers
        self._text = np.array(self.graph.text, np.int64)
        self._known: dict[tuple[bytes, int, bool], Timing] = {}  # the last runs
        self._lib = _library()
        self._model = self._lib.sterna_tokens_new(self.graph.channels)

    def __del__(self) -> None:
        if hasattr(self, "_model"):
            self._lib.sterna_tokens_free(self._model)

    def run(
        self,
        images: int = 5,
        *,
        depths: list[int] | None = None,
        kinds: list[str] | None = None,
        taps: bool = False,
        fill: bool = False,
        limit: int | Limit = 0,
        in_flight: int | None = None,
        grow: int | None = None,
        pace: Fraction | None = None,
    ) -> Timing:
        """Send images back to back until all results are out or nothing moves.

        Args:
            depths: beats of each buffer; 0 is none at all, :data:`ENDLESS`. None: as built.
            kinds: storage of each buffer, which decides its latency. None: as built.
            taps: whether to return the clocks of all beats of every node's stream.
            fill: whether to return what each buffer would have needed.
            limit: not 0: stop as soon as the interval is above it, as if it were a deadlock.
            in_flight: images that may be on their way, or :data:`ENDLESS`. None: as built.
            grow: number of a buffer that gets a beat deeper whenever nothing moves any more: from
                depth 1 on, to the smallest with which all images come out.
            pace: clocks an image that words are sent with, evenly. None: as fast as they are taken.
        """
        graph = self.graph
        text = self._set(images, depths, kinds, in_flight)
        if limit:
            limit = limit if isinstance(limit, Limit) else Limit(Fraction(limit))
            numbers = *limit.interval.as_integer_ratio(), limit.first, limit.grace
            text[graph.limit : graph.limit + 4] = numbers
        if pace is not None:
            text[graph.images + 3 : graph.images + 5] = pace.as_integer_ratio()
        at = -1 if grow is None else graph.depths[grow]
        if taps:  # large, and asked for once
            return self._timing(text, at, images, taps, fill)
        asked = (text.tobytes(), at, fill)
        if asked not in self._known:
            self._known[asked] = self._timing(text, at, images, taps, fill)
            while len(self._known) > _KEPT:
                self._known.pop(next(iter(self._known)))
        return self._known[asked]

    def _set(
        self,
        images: int,
        depths: list[int] | None,
        kinds: list[str] | None,
        in_flight: int | None,
    ) -> NDArray[np.int64]:
        """The graph's text with these, see :meth:`run`."""
        text, graph = self._text.copy(), self.graph
        text[graph.images] = images
        if in_flight is not None:
            text[graph.images + 2] = in_flight
        for k, at in enumerate(graph.depths):
            if depths is not None:
                text[at] = depths[k]
            if kinds is not None:
                text[at + 1] = latency_of(kinds[k])
        return text

    def needs(
        self, images: int, *, depths: list[int], kinds: list[str], in_flight: int | None = None
    ) -> list[int]:
        """Of each buffer the smallest depth with which all images come out, the others as they are;
        of one that is not behind a fork -1. One run for seven forks. See :meth:`run`."""
        text, graph, lib = self._set(images, depths, kinds, in_flight), self.graph, _library(True)
        out = [-1] * len(depths)
        model = lib.sterna_tokens_new(graph.channels)
        for first in range(0, graph.forks, lib.sterna_tokens_marks()):
            done = lib.sterna_tokens_run(model, text.ctypes.data, len(text), -1, first)
            assert done, "tokens.cpp and token_graph.py differ"
            here = [int(lib.sterna_tokens_needs(model, i, o)) for i, o in graph.entries]
            out = [max(pair) for pair in zip(out, here, strict=True)]
        lib.sterna_tokens_free(model)
        return out

    def _timing(
        self, text: NDArray[np.int64], at: int, images: int, taps: bool, fill: bool
    ) -> Timing:
        """A run in C++. ``at``: of the depth that grows, in ``text``, or -1."""
        graph = self.graph
        done = self._lib.sterna_tokens_run(self._model, text.ctypes.data, len(text), at, 0)
        assert done, "tokens.cpp and token_graph.py differ"
        words, results = self._beats(graph.input), self._beats(graph.output)
        need = self._lib.sterna_tokens_fill
        return Timing(
            images,
            words[:: graph.words],
            results[graph.packet - 1 :: graph.packet],
            {node: self._beats(channel) for node, channel in graph.taps.items()} if taps else {},
            [int(need(self._model, i, o)) for i, o in graph.entries] if fill else [],
            int(self._lib.sterna_tokens_grown(self._model)),
        )

    def _beats(self, channel: int) -> NDArray[np.int64]:
        clocks = ctypes.POINTER(ctypes.c_int64)()
        count = self._lib.sterna_tokens_beats(self._model, channel, ctypes.byref(clocks))
        return np.ctypeslib.as_array(clocks, (count,)).copy() if count else np.zeros(0, np.int64)


@functools.cache
def _library(needs: bool = False) -> ctypes.CDLL:
    """``needs``: the one that marks the beats of forks."""
    flags = ("-O2", "-DSTERNA_NEEDS") if needs else ("-O2",)
    lib = library(Path(__file__).with_name("tokens.cpp"), flags)
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    both = [
        ("new", pointer, [number]),
        ("free", None, [pointer]),
        ("run", ctypes.c_int, [pointer, pointer, number, number, number]),
        ("grown", number, [pointer]),
    ]
    clocks = [
        ("beats", number, [pointer, number, pointer]),
        ("fill", number, [pointer, number, number]),
    ]
    marks = [("marks", number, []), ("needs", number, [pointer, number, number])]
    for name, result, arguments in both + (marks if needs else clocks):
        function = getattr(lib, f"sterna_tokens_{name}")
        function.restype, function.argtypes = result, arguments
    return lib
