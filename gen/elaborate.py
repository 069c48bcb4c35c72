"""From a folded network to the Amaranth top, and to Verilog text."""

import os

from sterna.gen.design import BranchDesign, CoreDesign, Design
from sterna.gen.meet import merge_spec
from sterna.gen.pack import check_ranges
from sterna.gen.specs import conv_spec, pool_spec
from sterna.golden.files import structure_id, weights_id
from sterna.golden.network import Linear, Network
from sterna.hw.top import Branch, CoreInstance, NetworkTop, TopSpec

__all__ = ["core_instances", "elaborate", "top_spec", "verilog_text"]


def elaborate(
    network: Network, design: Design, *, taps: bool = False, contents: bool = True
) -> NetworkTop:
    """The top-level component of a design.

    taps: export every spike stream and let the depths of buffers be lowered (simulation only).
    contents: power-up contents of the memories are the packed weights; without, they are empty
    (``ram`` designs only make sense so).
    """
    check_ranges(network, design)
    return NetworkTop(top_spec(network, design, taps=taps, contents=contents))


def top_spec(
    network: Network, design: Design, *, taps: bool = False, contents: bool = True
) -> TopSpec:
    """What the top is made of; the token model reads the same."""
    readers = [b.reader for b in design.branches if b.source == network.input.name]
    linear = all(isinstance(network[r], Linear) for r in readers)
    _, height, width = (0, 1, 1) if linear else network.input.shape
    return TopSpec(
        image=network.input.name,
        edge=design.input.edge,
        height=height,
        width=width,
        axis_width=design.axis_width,
        classes=network.shape[network.readout.name][0],
        cores=core_instances(network, design, rows=contents),
        structure_id=int(structure_id(network, design.to_json())[:16], 16),
        weights_id=int(weights_id(network)[:16], 16) if contents else 0,
        taps=taps,
    )


def core_instances(network: Network, design: Design, *, rows: bool = False) -> list[CoreInstance]:
    """Every core with the branches that feed it; ``rows``: with the contents of its memories."""
    out = []
    for core in design.cores:
        if core.op == "conv":
            if core.main:
                out.append(_neuron(network, design, core, rows))
            continue
        count = len(core.sources)
        branches = [design.branch(core.name, n) for n in range(count)]
        edges = [b.taken.edge for b in branches]
        if core.op == "pool":
            spec = pool_spec(network, core.name, edges[0])
        else:
            spec = merge_spec(network, core.name, edges)
        out.append(CoreInstance(core.name, core.target, spec, tuple(map(_branch, branches))))
    return out


def _neuron(network: Network, design: Design, core: CoreDesign, rows: bool) -> CoreInstance:
    """A neuron with all its inputs: the weighted ones in order, then the shortcuts."""
    target = network[core.target]
    fronts = [design.core(i) for i in target.inputs if network.is_weighted(i)]
    branches = [design.branch(f.name) for f in fronts]
    direct = {
        n: design.branch(target.name, n)
        for n, source in enumerate(target.inputs)
        if not network.is_weighted(source)
    }
    shortcuts = {n: b.taken.edge for n, b in direct.items()}
    more = {"others": fronts[1:], "shortcuts": shortcuts} if len(target.inputs) > 1 else {}
    spec = conv_spec(network, core, design.family, rows=rows, **more)
    branches += direct.values()
    return CoreInstance(core.name, core.target, spec, tuple(map(_branch, branches)))


def _branch(b: BranchDesign) -> Branch:
    waits = (b.buffer.kind, b.buffer.depth) if b.buffer else None
    return Branch(b.source, b.given.edge, b.taken.edge, waits)


def verilog_text(top: NetworkTop, name: str) -> str:
    """Verilog-2005 of a top; the same design gives the same bytes on every machine."""
    # A system Yosys would change the text with its version.
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    from amaranth.back import verilog

    # Source positions would name this machine's folders.
    return verilog.convert(top, name=name, emit_src=False, strip_internal_attrs=True)
