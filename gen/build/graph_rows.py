"""The graph of a design as rows: its units, the streams between them, the buffers they wait in."""

from typing import Any

from sterna.gen.design.design import BranchDesign, Design
from sterna.gen.design.graph import unit_of, weighted_inputs
from sterna.golden.network import Input, Merge, Network, NeuronNode, Node, Pool

__all__ = ["buffer_rows", "graph_rows"]


def graph_rows(network: Network, design: Design) -> dict[str, list[dict[str, Any]]]:
    """``nodes``: what computes or gives a stream, inputs first: its ``name``, ``op``, ``output``
    (C, H, W), ``layers`` (its cores) and ``about``. ``edges``: the streams, each with its
    ``source``, who reads it (``unit``, by node ``reader``), bits of a beat (``width``), and where
    it waits the number of its row of ``buffer_rows`` (``buffer``)."""
    units = [n for n in network.order if not network.is_weighted(n)]
    cores: dict[str, list[str]] = {}
    for core in design.cores:
        cores.setdefault(core.target, []).append(core.name)
    waiting = {(b.reader, b.port): n for n, b in enumerate(design.buffers)}
    return {
        "nodes": [
            {
                "name": name,
                "op": network[name].op,
                "output": list(network.shape[name]),
                "layers": cores.get(name, []),
                "about": _about(network, design, network[name]),
            }
            for name in units
        ],
        "edges": [
            {
                "source": b.source,
                "unit": unit_of(network, b.reader),
                "reader": b.reader,
                "width": b.given.edge.width,
                "buffer": waiting.get((b.reader, b.port)),
            }
            for b in design.branches
        ],
    }


def buffer_rows(network: Network, design: Design) -> list[dict[str, Any]]:
    """One row a FIFO: the stream (``node``) and who reads it, depth in beats, width and bits, the
    token model's smallest depths, what its beats wait for."""
    rows = []
    for branch in design.buffers:
        buffer = branch.buffer
        assert buffer is not None
        rows.append(
            {
                "node": branch.source,
                "reader": branch.reader,
                "port": branch.port,
                "kind": buffer.kind,
                "depth": buffer.depth,
                "width": branch.given.edge.width,
                "min_no_deadlock": buffer.min_no_deadlock,
                "min_full_rate": buffer.min_full_rate,
                "margin": buffer.margin,
                "bits": buffer.bits,
                "waits_for": _waits_for(network, branch),
            }
        )
    return rows


def _waits_for(network: Network, branch: BranchDesign) -> list[str]:
    """The streams that the beats in a branch's buffer wait for: the other inputs of the first
    place on their way where several meet."""
    mine = _below(network, branch.reader)
    for name in network.order:
        node = network[name]
        if name not in mine or len(node.inputs) < 2:
            continue
        if name == branch.reader:
            ports = [i for n, i in enumerate(node.inputs) if n != branch.port]
        else:
            ports = [i for i in node.inputs if i not in mine]
        if ports:
            return [_stream(network, i) for i in ports]
    return []


def _below(network: Network, name: str) -> set[str]:
    """``name`` and everything computed from it."""
    found = {name}
    for other in network.order:
        if any(i in found for i in network[other].inputs):
            found.add(other)
    return found


def _stream(network: Network, name: str) -> str:
    """A weighted sum is no stream of its own: it comes with the stream it reads."""
    if not network.is_weighted(name):
        return name
    return f"{network.sums(name).weighted.input} through {name}"


def _about(network: Network, design: Design, node: Node) -> str:
    """What a unit is, in a few words."""
    if isinstance(node, Input):
        counts = node.coding == "frames" and node.bits > 1
        image = f"frames of {node.bits} bits" if counts else f"{node.coding} image"
        return f"{image}, T = {network.steps}"
    if isinstance(node, NeuronNode):
        cores = [design.core(name) for name in weighted_inputs(network, node)]
        if len(node.inputs) == 1:
            return f"{cores[0].name}: PE {cores[0].pe}, SIMD {cores[0].simd}, TP {cores[0].tp}"
        parts = [f"{c.name} {c.pe} x {c.simd} x {c.tp}" for c in cores]
        parts += ["+ spikes"] * (len(node.inputs) - len(parts))
        return ", ".join(parts)
    if isinstance(node, Pool):
        return f"{node.mode} pool {node.kernel[0]}x{node.kernel[1]}"
    return f"{node.mode} of {len(node.inputs)}" if isinstance(node, Merge) else node.op
