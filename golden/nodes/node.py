"""What every node of an integer network says of itself. numpy only.

A kind is one class: its fields, which network.json keeps as they are; the ranges of these; what it
reads and makes, with which shape and maximum; where it works on streams alone, its arithmetic.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from sterna.golden.errors import NetworkError
from sterna.golden.words import values
from sterna.golden.words.names import check_name, not_one_of, show
from sterna.golden.words.shown import Fields

__all__ = ["Made", "Node", "Shape", "StreamNode"]

Shape = tuple[int, int, int]


class Made(NamedTuple):
    """What a node makes: its map (C, H, W); the largest value of a stream (None: sums and logits
    have none); whether it is weighted sums; whether it passes on, in some of its channels, spikes
    of neurons that fire once; whether it is a pool of sums."""

    shape: Shape
    maximum: int | None = None
    sums: bool = False
    once: bool = False
    pooled: bool = False


class Node(Fields, ABC):
    """Base of all kinds.

    Attributes
    ----------
    op : str
        Its word in network.json.
    makes : str
        'spikes', 'pixels', 'sums' (weighted) or 'logits'; of what it made, `Made.sums` comes first.
    reads : tuple of str
        Which of these it can read.
    """

    op: ClassVar[str]
    makes: ClassVar[str] = "spikes"
    reads: ClassVar[tuple[str, ...]] = ("spikes",)
    name: str
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")

    @abstractmethod
    def made(self, given: Sequence[Made], steps: int) -> Made:
        """What it makes of what its inputs make, over ``steps``; NetworkError where they do not
        fit."""

    def _put(self, **fields: Any) -> None:
        """Set fields while it is being made."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _choice(self, field: str, what: str, words: tuple[str, ...]) -> None:
        value = getattr(self, field)
        refusal = f"node '{self.name}': {what} {not_one_of(value, words)}"
        self._put(**{field: values.choice(refusal, value, words)})

    def _names(self) -> tuple[str, ...]:
        return values.node_names(self.name, "inputs", self.inputs)

    def _source(self, given: Any) -> str:
        first, *more = values.node_names(self.name, "input", given)
        if more:
            raise NetworkError(
                f"node '{self.name}': reads one node, not {1 + len(more)}; join them in a Merge or "
                "a Neuron"
            )
        return first

    def _positive(self, what: str) -> float:
        value = getattr(self, what)
        refusal = f"node '{self.name}': {what} {show(value)} must be a positive real number"
        return values.number(refusal, value, positive=True)


class StreamNode(Node):
    """A node whose stream is made of streams alone (or its sums of sums), without weights or
    neurons."""

    @abstractmethod
    def compute(self, xp: Any, inputs: Sequence[Any]) -> Any:
        """Its stream [T,B,C,H,W], or where it is true, of those that it reads: integers of one
        type, which holds its maximum. ``xp``: the library of the arrays, numpy or torch."""
