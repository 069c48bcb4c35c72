"""The engines of the dot product: where each can be used, what it is made of, what it keeps.

``compress`` reads weights from a memory and can be used everywhere. ``constant`` has them in the
logic: no memory, and nothing is spent on zeros, but all weights must be at work in every clock.
``tables`` keeps sums of a few weights each in LUT RAM, written from a memory: for few rows of
weights, as many as LUT RAM is deep for.

One more is its component, its class here, and its costs (`gen.model.conv_features`).
"""

from collections.abc import Sequence
from typing import Any

from sterna.golden.device.fabric import fabric_of
from sterna.golden.errors import DesignError
from sterna.hw.dot.compress import DotProduct
from sterna.hw.dot.constant import ConstantDot
from sterna.hw.dot.expander import Expander, copy_depth, copy_words
from sterna.hw.dot.tables import TablesDot, table_shape
from sterna.hw.memory.chain import WORD_BITS
from sterna.hw.memory.shape import Memories, inside
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.memory.word_assembler import piece_width, split_rows

__all__ = ["Dot", "DotArguments", "ENGINES", "Engine", "FEW_ROWS"]

FEW_ROWS = 4
"""Fixed weights of so few rows make trees smaller: many lanes have equal ones, or zeros."""

Dot = DotProduct | ConstantDot | TablesDot
DotArguments = tuple[int, int, int, int, str, bool, str]
"""Those that all have, as `DotProduct` has them: pe, simd, tp, bits_per_step, kind, depthwise,
family."""


class Engine:
    """What one engine has; as most have it, with weights in a memory.

    component: the dot product. in_logic: it is made of the weights, one fixed row of them, and has
    no memory. in_pieces: its weight words may be read in pieces. counts: what it makes are counts
    that an accumulator makes sums of, else sums. written: it is ready only when it has read its
    memory. needs: what a family without it lacks.
    """

    component: type[Dot]
    in_logic = False
    in_pieces = False
    counts = False
    written = False
    needs = ""

    def most_rows(self, family: str) -> int | None:
        """Rows of weights that it can have; None: any number, 0: it cannot be in this family."""
        return None

    def arguments(
        self, rows: int, width: int, weights: Sequence[int], region: int | None
    ) -> dict[str, Any]:
        """Of the component, beyond those that all have: for ``rows`` of ``weights`` (with a
        ``region``, if they can change) and sums of ``width`` bits."""
        return {}

    def memory_shape(self, rows: int, width: int, reads: int) -> tuple[int, int]:
        """(depth, bits of a row) of the memory for ``rows`` of weights of ``width`` bits."""
        return rows * reads, piece_width(width, reads)

    def memory_rows(self, rows: list[int], width: int, reads: int) -> list[int]:
        """What the memory holds."""
        return split_rows(rows, width, reads) if reads > 1 else rows

    def memory(
        self,
        dot: Dot,
        depth: int,
        width: int,
        init: Sequence[int],
        region: int | None,
        style: str,
        compact: bool,
    ) -> WeightMemory | Expander | None:
        """It, for the dot product that is made; arguments as of `WeightMemory`."""
        return WeightMemory(depth, width, init, region, style, compact)

    def memories(
        self, dot: DotArguments, rows: int, shape: tuple[int, int], chained: bool, style: str
    ) -> Memories:
        """Of the dot product ``dot`` for ``rows`` of weights and of what `memory` makes of
        ``shape`` (depth, bits of a row), by their place; ``chained`` with a region."""
        return inside("weights", WeightMemory.memories_of(*shape, chained, style))


class Compress(Engine):
    component = DotProduct
    in_pieces = True
    counts = True

    def arguments(
        self, rows: int, width: int, weights: Sequence[int], region: int | None
    ) -> dict[str, Any]:
        # Of what is in a carry chain, no tool takes away what a constant makes needless.
        return {"chained": region is not None or rows > FEW_ROWS}


class Constant(Engine):
    component = ConstantDot
    in_logic = True

    def arguments(
        self, rows: int, width: int, weights: Sequence[int], region: int | None
    ) -> dict[str, Any]:
        if rows != 1 or len(weights) != 1 or region is not None:
            raise DesignError(
                f"engine 'constant': {rows} rows of weights (given: {len(weights)}), region "
                f"{region}; only one fixed row fits"
            )
        return {"row": weights[0], "width": width}

    def memory(self, *_: Any, **__: Any) -> None:
        return None

    def memories(self, *_: Any, **__: Any) -> Memories:
        return {}


class Tables(Engine):
    component = TablesDot
    written = True
    needs = "LUT RAM"

    def most_rows(self, family: str) -> int:
        ram = fabric_of(family).lut_ram
        return ram.rows if ram else 0

    def arguments(
        self, rows: int, width: int, weights: Sequence[int], region: int | None
    ) -> dict[str, Any]:
        return {"rows": rows, "width": width}

    def memory_shape(self, rows: int, width: int, reads: int) -> tuple[int, int]:
        return copy_depth(rows, width), WORD_BITS

    def memory_rows(self, rows: list[int], width: int, reads: int) -> list[int]:
        return copy_words(rows, width)

    def memory(
        self,
        dot: Dot,
        depth: int,
        width: int,
        init: Sequence[int],
        region: int | None,
        style: str,
        compact: bool,
    ) -> Expander:
        assert isinstance(dot, TablesDot)
        return Expander(dot, init, region, style)

    def memories(
        self, dot: DotArguments, rows: int, shape: tuple[int, int], chained: bool, style: str
    ) -> Memories:
        pe, simd, tp, _, _, depthwise, family = dot
        cut = table_shape(pe, simd, rows, depthwise, family)
        return inside("dot", TablesDot.memories_of(cut, tp, depthwise)) | inside(
            "weights", Expander.memories_of(shape[0], chained, style)
        )


ENGINES: dict[str, Engine] = {"compress": Compress(), "constant": Constant(), "tables": Tables()}
