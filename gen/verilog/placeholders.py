"""Random contents in place of the weights, so that a bitstream can be filled without synthesis.

A synthesiser removes what it can see through: a memory bit that is always 0, a row that repeats. A
design whose fixed memories start out random has none of that, and every one of its bits can be
found again in the finished bitstream, where the packed weights then replace it
(`gen.board.block_ram`). The same design gives the same placeholders, whatever its weights.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass, replace

from sterna.gen.design.graph import weighted_inputs
from sterna.golden.device.fabric import fabric_of
from sterna.golden.network import Network
from sterna.golden.words.names import params_name, weights_name
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.top.network_top import CoreInstance

__all__ = ["Placeholders", "with_placeholders"]


@dataclass(frozen=True)
class Placeholders:
    """Which memories get random contents, and which.

    seed: text that the contents follow from (structure_id). family: of the board. logic: names
    of fixed memories that keep their packed contents and are built of logic instead.
    """

    seed: str
    family: str
    logic: Collection[str] = ()

    def rows(self, name: str, depth: int, width: int) -> list[int]:
        """Contents of memory ``name``: whole blocks of random rows of ``width`` bits."""
        source = random.Random(f"{self.seed}/{name}")
        return [source.getrandbits(width) for _ in range(fabric_of(self.family).in_blocks(depth))]


def with_placeholders(
    network: Network, instances: list[CoreInstance], what: Placeholders
) -> list[CoreInstance]:
    """The cores with random rows in their fixed memories, which are told to be block RAM."""
    return [
        replace(i, spec=_conv(network, i, i.spec, what)) if isinstance(i.spec, ConvSpec) else i
        for i in instances
    ]


def _conv(network: Network, core: CoreInstance, spec: ConvSpec, what: Placeholders) -> ConvSpec:
    target = network.neuron(core.target)
    names = weighted_inputs(network, target)
    fronts = [_front(n, f, what) for n, f in zip(names, spec.fronts, strict=True)]
    spec = replace(spec, front=fronts[0], others=tuple(fronts[1:]))
    memory = params_name(core.name)
    if spec.param_region is not None:
        return replace(spec, param_rows=[])
    if memory in what.logic:
        return replace(spec, param_style="distributed")
    rows = what.rows(memory, spec.param_depth, spec.param_width)
    return replace(spec, param_rows=rows, param_style="block")


def _front(name: str, spec: FrontSpec, what: Placeholders) -> FrontSpec:
    memory = weights_name(name)
    if spec.dot_engine.in_logic:
        return spec
    if spec.weight_region is not None:
        return replace(spec, weights=[])
    if memory in what.logic:
        return replace(spec, ram_style="distributed")
    rows = what.rows(memory, spec.memory_depth, spec.memory_width)
    return replace(spec, weights=rows, ram_style="block")
