"""Room that lets a network keep to its law, where the clocks between two cores would cost rate.

The law looks at one core at a time. Two things it does not see, both cured by a little memory:

- A row of few beats that come one by one keeps its slot of the line buffer longer than one whose
  beats come together, so a core of short rows may wait for a slot: it gets rows to spare.
- While a concatenation has another input's turn, the gearbox before an input can go on only as far
  as there is room behind it; if it needs more clocks than its own turn has, the concatenation waits
  for it each time. With room for the beats of a turn it works all the time.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from sterna.gen.design.design import Design
from sterna.gen.design.specs import front_spec
from sterna.gen.design.stream_cores import stream_core
from sterna.golden.network import Merge, Network, Node

__all__ = ["with_room"]

_NEAR = Fraction(101, 100)
"""Of the law: what is as fast as this gets no more memory."""
_STEPS = 4
"""Strides of spare rows at most."""

_Option = tuple[str, int]  # a core, or a reader and its port (below 0: the core's rows)


def with_room(network: Network, design: Design, rate: Callable[[Design], Fraction]) -> Design:
    """The design with the least room, at few places, with which it is as fast as its law; as it is
    where it is so already, or where room does not help.

    rate: the settled clocks an image of a design whose skips have endless buffers.
    """
    took = rate(design)
    if took <= _NEAR * design.interval:
        return design
    options: list[_Option] = [(c.name, -1) for c in design.cores if _has_rows(network[c.name])]
    options += [
        (b.reader, b.port)
        for b in design.branches
        if b.given != b.taken and _turns(network, b.reader) and not b.ahead
    ]
    best, steps = took, 0
    for step in range(1, _STEPS + 1):
        now = rate(_built(network, design, options, step))
        if now < best:
            best, steps = now, step
        if best <= _NEAR * design.interval:
            break
    if best * _NEAR > took:
        return design  # it is something else
    enough = max(best, _NEAR * design.interval)
    kept = _needed(options, [], lambda o: rate(_built(network, design, o, steps)) <= enough)
    return _built(network, design, kept, steps)


def _needed(
    group: list[_Option], others: list[_Option], fast: Callable[[list[_Option]], bool]
) -> list[_Option]:
    """Those of the group that it needs beside the others, by halves."""
    if not group or fast(others):
        return []
    if len(group) == 1:
        return group
    left, right = group[: len(group) // 2], group[len(group) // 2 :]
    kept = _needed(left, others + right, fast)
    return kept + _needed(right, others + kept, fast)


def _has_rows(node: Node) -> bool:
    kind = stream_core(node)
    return kind is None or kind.windowed


def _turns(network: Network, reader: str) -> bool:
    node = network[reader]
    return isinstance(node, Merge) and node.mode == "concat"


def _built(network: Network, design: Design, options: list[_Option], steps: int) -> Design:
    """With ``steps`` strides of rows more, or room for the beats of a pixel, at the options."""
    cores = [
        replace(c, spare_rows=c.spare_rows + steps * _stride(network, design, c.name))
        if (c.name, -1) in options
        else c
        for c in design.cores
    ]
    branches = [
        replace(b, ahead=b.taken.edge.beats_per_pixel) if (b.reader, b.port) in options else b
        for b in design.branches
    ]
    return replace(design, cores=cores, branches=branches)


def _stride(network: Network, design: Design, name: str) -> int:
    core = design.core(name)
    if kind := stream_core(network[name]):
        return kind.spec(network, name, [core.input.edge]).geometries[0].stride[0]
    front = front_spec(network, core, design.family)
    if front.arrives:  # the words of a row of the map
        channels, _, width = network.shape[core.sources[0]]
        return -(-channels * width // core.input.lanes)
    return front.geometry.advance[0]
