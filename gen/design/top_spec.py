"""What the top of a design is made of, before any contents: timing and cost follow from it."""

from sterna.gen.design.design import Design
from sterna.gen.design.instances import core_instances
from sterna.gen.design.specs import flattens
from sterna.golden.device.fabric import fabric_of
from sterna.golden.network import Network
from sterna.hw.stream.axis import result_clocks
from sterna.hw.top.network_top import TopSpec

__all__ = ["IDENT_ROWS", "has_fixed", "top_spec"]

IDENT_ROWS = 3


def has_fixed(design: Design) -> bool:
    """Whether some core has its weights in memories that no host can load."""
    return any(c.op == "conv" and c.memory == "rom" for c in design.cores)


def top_spec(
    network: Network, design: Design, *, rows: bool = False, board: str | None = None
) -> TopSpec:
    """The top without ids (`gen.verilog.elaborate.filled_spec` adds them), and with empty memories.

    rows: with the packed weights in the memories. board: family of the board that it is for, which
    has an identity of the fixed weights in block RAM and, maybe, cells that are short.
    """
    fabric = None if board is None else fabric_of(board)
    readers = [b.reader for b in design.branches if b.source == network.input.name]
    flat = all(flattens(network, r) for r in readers)
    _, height, width = (0, 1, 1) if flat else network.input.shape
    classes = network.shape[network.readout.name][0]
    return TopSpec(
        image=network.input.name,
        edge=design.input.edge,
        height=height,
        width=width,
        axis_width=design.axis_width,
        classes=classes,
        cores=core_instances(network, design, rows=rows),
        ident=(0,) * fabric.in_blocks(IDENT_ROWS) if fabric and has_fixed(design) else None,
        compact=fabric is not None and fabric.compact,
        in_flight=design.in_flight,
        brisk=result_clocks(classes, compact=True) > design.interval,
    )
