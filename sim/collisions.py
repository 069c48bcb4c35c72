"""What a memory gives where it is read and written in the same clock, made visible in simulation.

Memories with `no_rw_check` promise the synthesiser that nobody uses such a word: in the device it
is undefined, in Verilog it would be the old one. So simulations give its complement: a design that
breaks the promise then differs from golden.
"""

import re

from sterna.golden.errors import DesignError

__all__ = ["poison_collisions"]

_MEMORY = re.compile(r"\(\* no_rw_check[^\n]*\*\)\n *reg (?:\[\d+:0\] )?(\S+) ?\[\d+:0\];")


def poison_collisions(verilog: str) -> str:
    """The same Verilog with the complement of a word where it is read beside its own write.

    Raises:
        DesignError: a memory with `no_rw_check` is written or read in another way than Amaranth's.
    """
    return "".join(map(_module, re.split(r"(?m)^(?=module )", verilog)))


def _module(text: str) -> str:
    for name in _MEMORY.findall(text):
        memory = re.escape(name)
        write = re.search(rf"if \(([^\n]*)\)\n *{memory} ?\[([^\n]*?)\s*\] <= ", text)
        reads = re.findall(rf"(?:<=|=) {memory} ?\[([^\n]*?)\s*\];", text)
        if write is None or len(set(reads)) != 1:
            raise DesignError(
                f"the Verilog has a memory '{name}' with no_rw_check that is written or read in a "
                "way that simulation does not know; report this"
            )
        word = f"{name} [{reads[0]} ]"
        both = f"({write[1]}) && ({write[2]} ) == ({reads[0]} )"
        text = re.sub(
            rf"(<=|=) {memory} ?\[[^\n]*?\];",
            lambda m, b=both, w=word: f"{m[1]} {b} ? ~{w} : {w};",
            text,
        )
    return text
