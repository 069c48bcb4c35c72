"""Latency model: clocks of one image alone, from its first input word to its last result word."""

from sterna.gen.design import Design
from sterna.gen.specs import conv_spec, pool_spec
from sterna.golden.network import Network
from sterna.hw.gearbox import clocks_per_pixel, path
from sterna.hw.geometry import Geometry
from sterna.hw.line_buffer import LineBuffer
from sterna.hw.pool import PoolSpec
from sterna.hw.spiking_conv import ConvSpec
from sterna.hw.stream import Edge

__all__ = ["latency"]

INPUT_CLOCKS = 6  # ImageInput: word in to beat out
STREAM_CLOCKS = 3  # FIFO and registers between a scan and the next line buffer
STEP_CLOCKS = 4  # a gearbox step, until its first beat is whole
DOT_CLOCKS = 6  # compressor tree and accumulators
RESULT_CLOCKS = 4  # ResultOutput: last logit in to first word out


def latency(network: Network, design: Design) -> int:
    """Clocks from the first word of an image to the last of its packet, with nothing else running.

    Row by row: a core begins an output row when the last input row it needs is complete and its
    own row before is issued; rows leave at the core's rate, later by its pipeline. Row slots that
    are full for a moment are not modelled; on the shipped examples it is within 7%.
    """
    rows: list[float] = []
    edge: Edge | None = None
    for core in design.cores:
        spec: ConvSpec | PoolSpec
        if core.op == "pool":
            spec = pool_spec(network, core.name, core.input.edge)
        else:
            spec = conv_spec(network, core, design.family)
        g = spec.geometry
        if edge is None:
            per_row = design.bounds["axis_input"] / g.height
            rows = [INPUT_CLOCKS + per_row * (r + 1) for r in range(g.height)]
        else:
            rows = _joined(rows, g.height)
            source = Edge(g.edge.channels, edge.lanes, edge.planes, edge.pb)
            steps = len(path(source, g.edge)) - 1
            if steps:
                wait = STEP_CLOCKS * steps + clocks_per_pixel(source, g.edge)
                rows = [r + wait for r in rows]
        rows = _core(rows, g, spec)
        edge = core.output.edge if core.output else None
    classes = network.shape[network.readout.name][0]
    return round(rows[-1]) + RESULT_CLOCKS + classes + 1


def _joined(rows: list[float], height: int) -> list[float]:
    """A Linear sees its map as one row, complete with the last one."""
    return rows if len(rows) == height else [rows[-1]]


def _core(arrivals: list[float], g: Geometry, spec: ConvSpec | PoolSpec) -> list[float]:
    if isinstance(spec, PoolSpec):
        row = g.out_width * g.edge.beats_per_pixel * spec.visit_clocks
        pipe = LineBuffer.latency + STREAM_CLOCKS
    else:
        row = g.out_width * spec.output_groups * max(spec.visit_clocks, spec.out_beats)
        # scan of the last visit, memory and feeder registers, then its words one by one
        pipe = LineBuffer.latency + DOT_CLOCKS + spec.steps + 10 + (spec.pe if spec.readout else 2)
    free = 0.0
    out: list[float] = []
    for oy in range(g.out_height):
        last = min(oy * g.stride[0] - g.padding[0] + g.kernel[0], g.height) - 1
        free = max(free, arrivals[max(last, 0)] + 2) + row
        out.append(free + pipe)
    return out
