"""The one order of a graph's nodes, of integer and of float networks. Standard library only."""

from collections.abc import Mapping, Sequence

from sterna.golden.errors import NetworkError
from sterna.golden.words.names import meant

__all__ = ["inputs_first"]


def inputs_first(inputs: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of nodes in an order in which each follows what it reads, else as they were given.

    ``inputs``: the names that a node reads, by its name. A list that is in such an order already
    keeps it. NetworkError names a node that is unknown or part of a cycle.
    """
    order: list[str] = []
    done: dict[str, bool] = {}  # False: open, on the path from a root
    for root in inputs:  # depth first, without recursion: networks are deep
        if root in done:
            continue
        done[root] = False
        stack = [(root, iter(inputs[root]))]
        while stack:
            name, rest = stack[-1]
            child = next(rest, None)
            if child is None:
                stack.pop()
                done[name] = True
                order.append(name)
            elif child not in inputs:
                raise NetworkError(
                    f"node '{name}': reads unknown node '{child}'; known nodes are "
                    f"{', '.join(list(inputs)[:40])}{meant(child, inputs)}"
                )
            elif child not in done:
                done[child] = False
                stack.append((child, iter(inputs[child])))
            elif not done[child]:
                raise NetworkError(
                    f"node '{child}': is part of a cycle through '{name}'; only feed-forward "
                    "graphs can be built, no recurrent edges"
                )
    return order
