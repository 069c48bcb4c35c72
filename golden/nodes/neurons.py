"""Nodes of neurons: what a rule says of all of a layer's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sterna.golden.errors import NetworkError
from sterna.golden.nodes.node import Made, Node, Shape
from sterna.golden.rule import NeuronRule
from sterna.golden.words import values
from sterna.golden.words.names import show

__all__ = ["Neuron", "NeuronNode", "Readout", "READOUT_MODES"]

READOUT_MODES = ("membrane", "count", "first_spike")


class NeuronNode(Node):
    """Base of the kinds with a rule."""

    reads: ClassVar[tuple[str, ...]] = ("spikes", "sums")
    rule: NeuronRule

    def __post_init__(self) -> None:
        super().__post_init__()
        self._put(inputs=self._names())
        if not isinstance(self.rule, NeuronRule):
            raise NetworkError(f"node '{self.name}': rule {show(self.rule)} must be a NeuronRule")

    def _shape(self, given: Sequence[Made], steps: int) -> Shape:
        """The one of all inputs, which the rule fits."""
        rule, shape, first = self.rule, given[0].shape, self.inputs[0]
        for name, g in zip(self.inputs, given, strict=True):
            if g.shape != shape:
                raise NetworkError(
                    f"node '{self.name}': inputs '{first}' {shape} and '{name}' {g.shape} "
                    "differ in shape; bring one to the other's by a strided 1x1 convolution"
                )
        sums = sum(g.sums for g in given)
        spikes = len(given) - sums
        if not sums:
            raise NetworkError(
                f"node '{self.name}': needs at least one weighted sum (Conv2d, Linear)"
            )
        if len(rule.shifts) != sums or len(rule.coef) != spikes:
            raise NetworkError(
                f"node '{self.name}': rule has {len(rule.shifts)} shifts and {len(rule.coef)} "
                f"coefficients for {sums} weighted and {spikes} spike inputs"
            )
        if rule.channels != shape[0]:
            raise NetworkError(
                f"node '{self.name}': rule has {rule.channels} channels, '{first}' has {shape[0]}"
            )
        if rule.bias is not None and rule.bias.ndim == 2 and len(rule.bias) != steps:
            raise NetworkError(
                f"node '{self.name}': bias has {len(rule.bias)} steps, the network {steps}; give "
                "all its nodes the same T"
            )
        return shape


@dataclass(frozen=True, eq=False, repr=False)
class Neuron(NeuronNode):
    """Spiking neurons fed by weighted sums and, with coefficients, by spikes (shortcuts).

    Parameters
    ----------
    name : str
    inputs : tuple of str
        Names of what is added: weighted nodes, and nodes of spikes.
    rule : NeuronRule
        Its ``shifts`` go with the weighted inputs, its ``coef`` with the others, in their order.
    amplitude : float
        Real value of a spike; metadata.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "neuron"
    name: str
    inputs: tuple[str, ...]
    rule: NeuronRule
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._put(amplitude=self._positive("amplitude"))

    def made(self, given: Sequence[Made], steps: int) -> Made:
        shape = self._shape(given, steps)
        if self.rule.reset == "none":
            raise NetworkError(f"node '{self.name}': reset 'none' is for readouts only")
        return Made(shape, 1, once=self.rule.reset == "once")


@dataclass(frozen=True, eq=False, repr=False)
class Readout(NeuronNode):
    """The classes: one neuron a class; logits are int32, the class is the largest one's index.

    Parameters
    ----------
    name : str
    inputs : tuple of str
        As a `Neuron`'s.
    rule : NeuronRule
        Without delay; with a reset for 'count', without for the others.
    mode : str
        'membrane' (v after the last step), 'count' (spikes), 'first_spike' (the earliest).
    scale : float
        Real value of one unit of a logit, one for all classes; metadata.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "readout"
    makes: ClassVar[str] = "logits"
    name: str
    inputs: tuple[str, ...]
    rule: NeuronRule
    mode: str = "membrane"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._choice("mode", "readout mode", READOUT_MODES)
        if len(values.items(self.scale) or ()) > 1:
            raise NetworkError(
                f"node '{self.name}': a scale per class would change the order of the classes; "
                "train the last layer with one scale"
            )
        self._put(scale=self._positive("scale"))
        if (self.mode == "count") == (self.rule.reset == "none"):
            raise NetworkError(
                f"node '{self.name}': readout '{self.mode}' cannot have reset "
                f"'{self.rule.reset}'; 'count' needs a reset, the others need 'none'"
            )
        if self.rule.delay:
            raise NetworkError(f"node '{self.name}': a readout has no delay")

    def made(self, given: Sequence[Made], steps: int) -> Made:
        shape = self._shape(given, steps)
        if shape[1:] != (1, 1):
            raise NetworkError(
                f"node '{self.name}': a readout reads a 1 x 1 map, not {shape}; "
                "put a Linear or a pool over the whole map before it"
            )
        if shape[0] > 65535:
            raise NetworkError(f"node '{self.name}': more than 65535 classes")
        return Made(shape)
