"""Carry chains: the cells that a family makes of them are the sums that NAME.v has.

Both stand side by side, the cells with yosys' own model, and add the same bits. There is no state:
what holds in one clock holds for ever. What comes into the first cell of a chain says nothing,
since place and route leaves it open (`gen.device.carry_cells.free_ends`): one proof has a 1 there.
"""

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Instance, Signal

from sterna.gen.device.carry_cells import CELLS, ccu2c
from sterna.golden.device.adder_rows import ATTRIBUTE, Row
from sterna.hw.dot.carry_chain import CarryChain
from sterna.sim.netlist import yosys_models
from sterna.sim.proofs.kit import Bench, Proof

__all__ = ["PROOFS"]

_CELLS = "chain_cells"

_CASES = {
    "ternary": ("full adders of ternary lanes", [Row("-", ("-+",), True), Row("+", ("-+",), True)]),
    "binary": ("full adders of binary lanes", [Row("+", ("++",), True)] * 5),
    "seven": (
        "seven masked bits to three",
        [Row("+", ("-+",), True), Row("-", ("-+",), True), Row("-", ("11", "11"), True)],
    ),
    "planes": (
        "masked bits of two weights",
        [Row("+", ("-+", "-+"), True), Row("0", ("++",), True)],
    ),
    "plain": (
        "adders of unlike lengths, with and without carries",
        [
            Row("0", ("11", "10", "11"), True),
            Row("1", ("11", "11", "11", "11"), False),
            Row("0", ("10", "11"), False),
            Row("1", ("-0", "+1", "-1"), True),
        ],
    ),
}


def _texts(rows: Sequence[Row], trees: int, cells: int) -> dict[str, str]:
    """Verilog of the cells of a chain, with their models."""
    words = " ".join([str(trees), *(row.word for row in rows)])
    made = ccu2c(f'(* {ATTRIBUTE} = "{words}" *)\nmodule {_CELLS} (', cells)
    return {"cells.v": made, **dict(yosys_models("ecp5/cells_sim.v", made))}


def _bench(rows: Sequence[Row], trees: int) -> Bench:
    chain = CarryChain(rows, trees)
    inputs = [name for name in chain.signature.members if name[0] == "x"]
    outputs = [name for name in chain.signature.members if name[0] == "y"]
    cells = {name: Signal(trees, name=f"cells_{name}") for name in outputs}

    def body(b: Bench) -> None:
        b.m.submodules.cells = Instance(
            _CELLS,
            *(("i", name, getattr(chain, name)) for name in inputs),
            *(("o", name, value) for name, value in cells.items()),
        )
        b.check(Cat(cells.values()) == Cat(getattr(chain, name) for name in outputs))

    return Bench(chain, [], [], body, [getattr(chain, name) for name in inputs])


def _proofs() -> list[Proof]:
    found = []
    for name, (claim, rows) in _CASES.items():
        for cells in (2, CELLS):
            found.append(
                Proof(
                    f"adders_{name}_{cells}",
                    f"CCU2C for CarryChain: {claim}, chains of {cells} cells",
                    lambda rows=rows: _bench(rows, 3),
                    "prove",
                    1,
                    verilog=lambda rows=rows, cells=cells: _texts(rows, 3, cells),
                )
            )

    def high() -> dict[str, str]:
        made = _texts(_CASES["plain"][1], 3, 2)
        assert "[0] = 1'b0;" in made["cells.v"]
        return made | {"cells.v": made["cells.v"].replace("[0] = 1'b0;", "[0] = 1'b1;")}

    found.append(
        Proof(
            "adders_open",
            "CCU2C for CarryChain: nothing depends on what comes into a chain",
            lambda: _bench(_CASES["plain"][1], 3),
            "prove",
            1,
            verilog=high,
        )
    )

    def broken(old: str, new: str) -> Callable[[], dict[str, str]]:
        def texts() -> dict[str, str]:
            made = _texts(_CASES["ternary"][1], 3, 2)
            assert old in made["cells.v"]
            return made | {"cells.v": made["cells.v"].replace(old, new)}

        return texts

    for name, claim, old, new in (
        ("sum", "CarryChain of cells whose second bit is not masked", "h8777", "h8877"),
        ("carry", "CarryChain of cells that bring no carry in", "h0007", "h0000"),
    ):
        found.append(
            Proof(
                f"fault_adders_{name}",
                claim,
                lambda: _bench(_CASES["ternary"][1], 3),
                "prove",
                1,
                fails=True,
                verilog=broken(old, new),
            )
        )
    return found


PROOFS = _proofs()
