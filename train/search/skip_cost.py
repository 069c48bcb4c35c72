"""What a member of a skip search costs as hardware, from its real design.

Every member is folded for one rate, so it is a member's size that differs and not its speed. Lanes
and bits are those of the design that ``sterna fold --fps`` makes; where the token model finds that
network slower than its slowest core, those of the next faster folding that does reach the rate.
A skip asks for both: a sum of two streams has two bit planes where one had one, a concatenation
twice the channels; FIFOs hold the branch that is ahead. (FPGA cells are no part of this: they would
need a model of every core.)
"""

from dataclasses import asdict, dataclass

from sterna.gen.build.report import core_rows
from sterna.gen.design.design import Design
from sterna.gen.design.instances import line_buffer_bits
from sterna.gen.fold.fold import fold
from sterna.golden.errors import DesignError
from sterna.golden.network import Network

__all__ = ["HardwareCost", "hardware_cost"]


@dataclass(frozen=True)
class HardwareCost:
    """``lanes``; bits of all weights, line buffers and FIFOs, and their sum ``memory_bits``;
    ``clocks`` an image by the law, ``modelled_clocks`` by the token model."""

    lanes: int
    weights: int
    weight_bits: int
    line_bits: int
    fifo_bits: int
    memory_bits: int
    clocks: int
    modelled_clocks: float

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


def hardware_cost(network: Network, fps: float, clock_mhz: float) -> HardwareCost:
    """The cost of a network folded for ``fps`` images a second at ``clock_mhz`` MHz.

    DesignError where no folding reaches that, ToolMissing where there is no g++ for the model that
    sizes FIFOs.
    """
    design = _at_rate(network, fps, clock_mhz)
    rows = core_rows(network, design)
    lines = line_buffer_bits(network, design)
    fifos = sum(b.buffer.bits for b in design.buffers if b.buffer is not None)
    weights = sum(row["weight_bits"] for row in rows)
    return HardwareCost(
        lanes=sum(row["lanes"] for row in rows),
        weights=sum(row["weights"] for row in rows),
        weight_bits=weights,
        line_bits=lines,
        fifo_bits=fifos,
        memory_bits=weights + lines + fifos,
        clocks=design.interval,
        modelled_clocks=_clocks(design),
    )


def _at_rate(network: Network, fps: float, clock_mhz: float) -> Design:
    """The slowest folding with which the whole network, and not only each core, reaches ``fps``.

    Branches of a concatenation can wait for each other in a way that no FIFO mends.
    """
    left = clock_mhz * 1e6 / fps
    design = fold(network, fps=fps, clock_mhz=clock_mhz)
    while _clocks(design) > left:
        if design.interval <= 1:
            raise DesignError(f"node '{design.bottleneck}': no folding reaches {fps:g} fps")
        faster = clock_mhz * 1e6 / (design.interval - 1)
        design = fold(network, fps=faster, clock_mhz=clock_mhz)
    return design


def _clocks(design: Design) -> float:
    """Clocks from image to image, by the token model."""
    return max(design.modelled_interval or 0, design.interval)
