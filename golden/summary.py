"""A network as a table for people: integer networks and float networks alike."""

from typing import Any

import numpy as np

__all__ = ["headline", "summary"]


def summary(steps: int, nodes: Any, shape: dict[str, tuple[int, int, int]]) -> str:
    """A line a node, in the order given: its name, what it is, what it reads, its shape, what it
    holds; then the sum of the weights."""
    rows = [("node", "what", "reads", "C x H x W", "")]
    rows += [
        (n.name, _what(n), ", ".join(n.inputs), " x ".join(map(str, shape[n.name])), _held(n))
        for n in nodes
    ]
    wide = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, wide)), row[4]]).rstrip() for row in rows]
    weights = sum(n.weight.size for n in nodes if hasattr(n, "weight"))
    return "\n".join([*lines, f"{steps} time steps, {weights:,} weights"])


def headline(steps: int, nodes: Any, shape: dict[str, tuple[int, int, int]]) -> str:
    """A network in one line; its nodes in the order of summary, the input first."""
    image, classes = shape[nodes[0].name], shape[nodes[-1].name][0]
    weights = sum(n.weight.size for n in nodes if hasattr(n, "weight"))
    return (
        f"{len(nodes)} nodes, T = {steps}, {'x'.join(map(str, image))} to {classes} classes, "
        f"{weights:,} weights"
    )


def _what(node: Any) -> str:
    op = node.becomes.op if hasattr(node, "becomes") else node.op
    word = getattr(node, "mode", None) or getattr(node, "coding", None)
    bits = f", {node.bits} bits" if word == "frames" and node.bits > 1 else ""
    return f"{op} {word}{bits}" if word else op


def _held(node: Any) -> str:
    if hasattr(node, "weight"):
        size = "x".join(map(str, node.weight.shape))
        kind = getattr(node, "kind", "")
        return f"{kind} {size}".strip() + (", normed" if getattr(node, "norm", None) else "")
    rule = getattr(node, "rule", node)
    if not hasattr(rule, "threshold"):
        return ""
    level, leak = np.ravel(rule.threshold), rule.leak
    size = f"{level.min():g}" + (f" .. {level.max():g}" if level.min() != level.max() else "")
    leaks = "" if leak in (None, 1, 1.0) else f", leak {getattr(leak, 'factor', leak):g}"
    return f"threshold {size}{leaks}, reset {rule.reset}"
