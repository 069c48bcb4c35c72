"""Adders one behind the other in carry chains: what a family with LUTs *in* its carry chain makes
of a bit heap.

A slot of such a chain adds two bits and the carry. Each bit may be a spike masked by a weight,
which costs nothing more. The slot behind an adder brings its last carry out, and the first carry of
the next adder in. So an adder of n bits takes n + 1 slots, whatever its carry in is: 2n + 1 bits
become n + 1. Here it is Verilog that any tool takes; what a family makes of it instead follows from
the module's attribute (`adder_rows.ATTRIBUTE`, see `sterna.gen.device.carry_cells`).
"""

from collections.abc import Iterable, Sequence

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device.adder_rows import ATTRIBUTE, INPUTS, MINUS, Row

__all__ = ["CarryChain"]


class CarryChain(wiring.Component):
    """Adders side by side, ``trees`` times: combinational, every port a vector of a bit a tree.

    Ports ``x0`` ... are what the bits of each row are made of, in the order of `Row.kinds`; ``y0``
    ... the digits of each row's sum, low first. In a row's column the second bit is no `MINUS`.
    """

    def __init__(self, rows: Sequence[Row], trees: int) -> None:
        self.rows, self.trees = tuple(rows), trees
        self.attributes = {ATTRIBUTE: " ".join([str(trees), *(row.word for row in rows)])}
        inputs = sum(INPUTS[kind] for row in rows for kind in row.kinds)
        outputs = sum(len(row.columns) + row.top for row in rows)
        ports = {f"x{n}": In(trees) for n in range(inputs)}
        super().__init__(ports | {f"y{n}": Out(trees) for n in range(outputs)})

    def connect(self, m: Module, bits: Iterable[Sequence[Value]]) -> list[Value]:
        """Give it what its bits are made of, a sequence each (`Row.kinds`); the digits."""
        flat = [value for bit in bits for value in bit]
        inputs, outputs = self._ports("x"), self._ports("y")
        m.d.comb += [port.eq(value) for port, value in zip(inputs, flat, strict=True)]
        return [*outputs]

    def _ports(self, letter: str) -> list[Signal]:
        return [getattr(self, name) for name in self.signature.members if name[0] == letter]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inputs, outputs = iter(self._ports("x")), iter(self._ports("y"))

        def bit(kind: str) -> Value | None:
            taken = [next(inputs) for _ in range(INPUTS[kind])]
            if len(taken) == 2:
                both = taken[0] & taken[1]
                return ~both if kind == MINUS else both
            return taken[0] if taken else None

        for row in self.rows:
            carry = bit(row.carry)
            pairs = [[b for b in map(bit, column) if b is not None] for column in row.columns]
            for digit in self._sum(m, carry, pairs, row.top):
                m.d.comb += next(outputs).eq(digit)
        return m

    def _sum(
        self, m: Module, carry: Value | None, pairs: list[list[Value]], top: bool
    ) -> list[Value]:
        """Digits of a row of all trees; a full adder as two vectors, others for each tree."""
        if len(pairs) == 1 and len(pairs[0]) == 2:
            a, b = pairs[0]
            if carry is None:
                return [a ^ b, *[a & b][: int(top)]]
            return [a ^ b ^ carry, *[(a & b) | (carry & (a ^ b))][: int(top)]]
        count = len(pairs) + top
        totals: list[Signal] = []
        for t in range(self.trees):
            one = Cat(p[0][t] if p else 0 for p in pairs)
            two = Cat(p[1][t] if len(p) > 1 else 0 for p in pairs)
            totals.append(total := Signal(count))
            m.d.comb += total.eq(one + two if carry is None else one + two + carry[t])
        return [Cat(total[k] for total in totals) for k in range(count)]
