"""The words in which a module of adders in carry chains says what it is.

`hw.dot.carry_chain` writes them, `gen.device.carry_cells` makes cells of them: here, without
Amaranth, is what both know.
"""

from dataclasses import dataclass

__all__ = ["ABSENT", "ATTRIBUTE", "INPUTS", "MINUS", "PLAIN", "PLUS", "Row"]

ABSENT, PLAIN, PLUS, MINUS = "0", "1", "+", "-"
"""Kinds of a bit: none, as it is, of a spike and a weight ``s & w`` and ``~(s & w)``."""
INPUTS = {ABSENT: 0, PLAIN: 1, PLUS: 2, MINUS: 2}
"""How many signals a bit of each kind is made of."""
ATTRIBUTE = "sterna_adders"
"""Of a module that is a `CarryChain`: how many trees, and the words of its rows."""


@dataclass(frozen=True)
class Row:
    """An adder: kinds of its carry in and of the two bits of each column, low first. ``top``:
    whether its last carry is a digit of its sum."""

    carry: str
    columns: tuple[str, ...]
    top: bool

    @property
    def word(self) -> str:
        """As the attribute has it: ``+:-+`` is a full adder of three masked bits, and its carry."""
        return f"{self.carry}:{''.join(self.columns)}{':' if self.top else ''}"

    @property
    def kinds(self) -> str:
        """Of its bits, in the order of the chain's inputs."""
        return self.carry + "".join(self.columns)
