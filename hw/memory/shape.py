"""MemoryShape: what a memory is, known before it is made: components make it, the cost model counts
it, both from what `memories` of a specification says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amaranth.hdl import unsigned
from amaranth.lib.memory import Memory

__all__ = ["STYLES", "USES", "MemoryShape", "Memories", "inside", "style_attributes"]

USES = ("rom", "ram", "window", "fifo", "comb", "latched")
#: Storage that may be demanded: block RAM; LUT RAM, of a rom logic; 'auto': none is demanded.
STYLES = ("auto", "block", "distributed")


@dataclass(frozen=True)
class MemoryShape:
    """A memory of ``depth`` words of ``width`` bits with one reader.

    use: 'rom'; 'ram', written at the address that is read, never both in a clock; 'window', read
    and written in one clock, where the old word counts; 'fifo', where it does not; 'comb', read
    without a clock; 'latched', so into a register that something else clears. style: of `STYLES`.
    """

    width: int
    depth: int
    use: str
    style: str = "auto"

    @property
    def bits(self) -> int:
        return self.width * self.depth

    def make(self, init: Sequence[int] = (), attrs: Mapping[str, object] | None = None) -> Memory:
        """The memory. attrs: attributes in Verilog, None: those that demand its style."""
        wanted = style_attributes(self.style, self.use == "rom") if attrs is None else attrs
        return Memory(  # pyright: ignore[reportCallIssue]
            shape=unsigned(self.width),
            depth=self.depth,
            init=init,
            attrs=wanted,  # pyright: ignore[reportArgumentType]
        )


Memories = dict[str, MemoryShape]
"""The memories of a component by their place in it, submodules joined by dots."""


def inside(place: str, memories: Memories) -> Memories:
    """The memories of submodule ``place``, as its component has them."""
    return {f"{place}.{name}": shape for name, shape in memories.items()}


def style_attributes(style: str, rom: bool) -> dict[str, str]:
    """Of a memory, in Verilog."""
    if style == "auto":
        return {}
    if style == "block":
        return {"ram_style": "block", "rom_style": "block"}
    # No family has a LUT RAM for a rom: yosys would refuse it.
    return {"rom_style": "logic"} if rom else {"ram_style": "distributed"}
