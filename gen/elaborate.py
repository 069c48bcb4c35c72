"""From a folded network to the Amaranth top, and to Verilog text."""

import os
from dataclasses import replace

from sterna.gen.design import Design
from sterna.gen.pack import check_ranges
from sterna.gen.specs import conv_spec, input_map, pool_spec
from sterna.golden.files import structure_id, weights_id
from sterna.golden.network import Conv2d, Linear, Network, Pool
from sterna.hw.stream import Edge
from sterna.hw.top import CoreInstance, NetworkTop, TopSpec

__all__ = ["elaborate", "verilog_text"]


def elaborate(
    network: Network, design: Design, *, taps: bool = False, contents: bool = True
) -> NetworkTop:
    """The top-level component of a design.

    taps: export every spike stream (simulation only). contents: power-up contents of the memories
    are the packed weights; without, they are empty (``ram`` designs only make sense so).
    """
    check_ranges(network, design)
    first = network[design.cores[0].name]
    assert isinstance(first, Conv2d | Linear | Pool)
    _, height, width = input_map(network, first)
    edge = design.input.edge
    cores: list[CoreInstance] = []
    for core in design.cores:
        node = network[core.name]
        assert isinstance(node, Conv2d | Linear | Pool)
        source = Edge(input_map(network, node)[0], edge.lanes, edge.planes, edge.pb)
        if isinstance(node, Pool):
            spec = pool_spec(network, core.name, core.input.edge)
        else:
            spec = conv_spec(network, core, design.family, rows=contents)
        cores.append(CoreInstance(core.name, core.target, source, spec))
        if core.output is not None:
            edge = core.output.edge
    return NetworkTop(
        TopSpec(
            edge=replace(design.input.edge),
            height=height,
            width=width,
            axis_width=design.axis_width,
            classes=network.shape[network.readout.name][0],
            cores=cores,
            structure_id=int(structure_id(network, design.to_json())[:16], 16),
            weights_id=int(weights_id(network)[:16], 16) if contents else 0,
            taps=taps,
        )
    )


def verilog_text(top: NetworkTop, name: str) -> str:
    """Verilog-2005 of a top; the same design gives the same bytes on every machine."""
    # A system Yosys would change the text with its version.
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    from amaranth.back import verilog

    # Source positions would name this machine's folders.
    return verilog.convert(top, name=name, emit_src=False, strip_internal_attrs=True)
