"""The cores of a design as hardware is made of them: specification and branches of each."""

from sterna.gen.design.design import BranchDesign, Design
from sterna.gen.design.graph import weighted_inputs
from sterna.gen.design.specs import conv_spec
from sterna.gen.design.stream_cores import stream_core
from sterna.gen.device.storage import storage_depth, storage_kind
from sterna.golden.network import Network, NeuronNode
from sterna.hw.top.network_top import Branch, CoreInstance

__all__ = ["core_instances", "line_buffer_bits"]


def line_buffer_bits(network: Network, design: Design) -> int:
    """Bits of the line buffers of all cores, spare rows included."""
    specs = (instance.spec for instance in core_instances(network, design))
    return sum(g.bits for spec in specs for g in spec.geometries)


def core_instances(network: Network, design: Design, *, rows: bool = False) -> list[CoreInstance]:
    """Every core with the branches that feed it, makers before readers.

    ``rows``: with the contents of its memories. A neuron with all its inputs is one core.
    """
    out = []
    for name in network.order:
        node = network[name]
        if isinstance(node, NeuronNode):
            out.append(_neuron(network, design, node, rows))
        elif not network.is_weighted(name) and (core := stream_core(node)):
            branches = [design.branch(name, n) for n in range(len(node.inputs))]
            edges = [b.taken.edge for b in branches]
            spec = core.spec(network, name, edges, design.core(name).spare_rows)
            built = tuple(_branch(b, design.family) for b in branches)
            out.append(CoreInstance(name, name, spec, built))
    return out


def _neuron(network: Network, design: Design, target: NeuronNode, rows: bool) -> CoreInstance:
    """A neuron with all its inputs: the weighted ones in order, then the shortcuts."""
    fronts = [design.core(i) for i in weighted_inputs(network, target)]
    core = fronts[0]
    branches = [design.branch(f.name) for f in fronts]
    direct = {
        n: design.branch(target.name, n)
        for n, source in enumerate(target.inputs)
        if not network.is_weighted(source)
    }
    shortcuts = {n: b.taken.edge for n, b in direct.items()}
    spec = conv_spec(
        network, core, design.family, others=fronts[1:], shortcuts=shortcuts, rows=rows
    )
    branches += direct.values()
    built = tuple(_branch(b, design.family) for b in branches)
    return CoreInstance(core.name, core.target, spec, built)


def _branch(b: BranchDesign, family: str) -> Branch:
    waits = (b.buffer.kind, b.buffer.depth) if b.buffer else None
    ahead = None
    if b.ahead:
        kind = storage_kind(b.taken.edge.width, b.ahead, family)
        ahead = kind, storage_depth(kind, b.taken.edge.width, b.ahead)
    return Branch(b.source, b.given.edge, b.taken.edge, waits, ahead)
