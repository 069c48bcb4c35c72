"""Reads of a weight word (`hw.memory.word_assembler`): where there may be several, and how many are
of use.
"""

from collections.abc import Mapping
from typing import Any

from sterna.gen.design.engines import engine_of
from sterna.golden.errors import DesignError
from sterna.golden.network import Network
from sterna.hw.memory.word_assembler import MOST_READS

__all__ = ["check_reads", "read_choices", "reads_of", "word_clocks"]


def reads_of(entry: Mapping[str, Any]) -> int:
    """Of a folding's entry."""
    return entry.get("reads", 1)


def word_clocks(network: Network, name: str, tp: int) -> int:
    """P, the clocks that a weight word of a node is used for."""
    return -(-network.planes(network[name].inputs[0]) // tp)


def read_choices(network: Network, name: str, entry: dict[str, Any]) -> list[int]:
    """More than one read, where block RAM is short of ports; empty where none is possible."""
    if engine_of(entry) != "compress":
        return []
    most = min(MOST_READS, word_clocks(network, name, entry["tp"]))
    return [n for n in (2, 4) if n <= most]


def check_reads(network: Network, name: str, entry: dict[str, Any]) -> None:
    """DesignError, naming the node, where its weight words cannot be read in so many pieces: of a
    folding's entry, which may leave tp and the engine open."""
    reads = reads_of(entry)
    if type(reads) is not int or not 1 <= reads <= MOST_READS:
        raise DesignError(f"node '{name}': reads {reads!r} is not legal; use 1 to {MOST_READS}")
    if reads > 1 and (engine := engine_of(entry)) != "compress":
        raise DesignError(
            f"node '{name}': reads {reads} is of engine 'compress', and its engine is "
            f"{engine!r}; use reads 1"
        )
    clocks = word_clocks(network, name, entry.get("tp", 1))
    if reads > clocks:
        raise DesignError(
            f"node '{name}': reads {reads} needs a weight word to be used for as many clocks, and "
            f"with tp {entry.get('tp', 1)} it is used for {clocks}; use reads {clocks}"
            + (", or a lower tp" if entry.get("tp", 1) > 1 else "")
        )
