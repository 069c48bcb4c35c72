"""Writing a network: its two files, and the ids that name its structure and its weights.

The form is that of ``golden.files``, which reads it. Every argument ``network`` is a ``Network``,
which uses this module and is not imported here.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from safetensors import numpy as safetensors

from sterna.golden.files.disk import StrPath, canonical_json, sha256, write_atomic
from sterna.golden.files.identity import design_hashes
from sterna.golden.nodes import Input, NeuronNode, Node, WeightedNode
from sterna.golden.nodes.streams import filed
from sterna.golden.rule import LEVELS, Decay, NeuronRule, later
from sterna.golden.words.values import path as path_of

__all__ = [
    "FORMAT",
    "VERSION",
    "digest",
    "parts",
    "plain_fields",
    "save",
    "structure_id",
    "structure_ids",
    "structure_text",
    "tensors",
    "weights_id",
]

FORMAT, VERSION = "sterna-network", 1
REAL = ("amplitude", "scale")
"""Metadata in real units: kept in the file, no part of the structure."""


def _plain(value: Any) -> Any:
    """A field's value as JSON."""
    if isinstance(value, Decay):
        if value.ratio is not None:
            return {"num": value.num, "shift": value.shift}
        return [value.k1] if value.k2 is None else [value.k1, value.k2]
    return list(value) if isinstance(value, tuple) else value


def plain_fields(kind: type) -> Iterable[tuple[Field[Any], Any]]:
    """(field, its type) of all fields that are no tensors and name no nodes."""
    hints = get_type_hints(kind)
    for f in fields(kind):
        hint = hints[f.name]
        if f.name not in ("name", "input", "inputs", "rule") and np.ndarray not in parts(hint):
            yield f, hint


def parts(hint: Any) -> tuple[Any, ...]:
    """The types that a type is made of: of a union, of a tuple's items; or itself."""
    return tuple(p for a in get_args(hint) for p in parts(a)) or (hint,)


def _plain_json(owner: Any) -> dict[str, Any]:
    """The fields that `plain_fields` names, but those that came later and are at their default."""
    found = {f.name: getattr(owner, f.name) for f, _ in plain_fields(type(owner))}
    new = later(type(owner))
    return {k: _plain(v) for k, v in found.items() if k not in new or v != new[k]}


def _rule_json(rule: NeuronRule) -> dict[str, Any]:
    assert rule.bias is not None
    new = {k for k in LEVELS if k in later(type(rule)) and getattr(rule, k) is not None}
    return _plain_json(rule) | {
        "channels": rule.channels,
        "spike_inputs": len(rule.coef),
        "bias_each_step": rule.bias.ndim == 2,
        **dict.fromkeys(new, True),
    }


def _node_json(n: Node) -> dict[str, Any]:
    out: dict[str, Any] = {"name": n.name, "op": n.op, "inputs": list(n.inputs)}
    out |= filed(_plain_json(n)) if isinstance(n, Input) else _plain_json(n)
    if isinstance(n, WeightedNode):
        out["weight_shape"] = list(n.weight.shape)
    elif isinstance(n, NeuronNode):
        out["rule"] = _rule_json(n.rule)
    return out


def _network_json(network: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": network.name,
        "steps": network.steps,
        "nodes": [_node_json(n) for n in network.nodes],
    }


def tensors(network: Any) -> dict[str, np.ndarray]:
    """All tensors by name, in canonical (sorted) order: weights int8, everything else int32."""
    out: dict[str, np.ndarray] = {}
    for n in network.nodes:
        if isinstance(n, WeightedNode):
            out[f"{n.name}.weight"] = n.weight
        elif isinstance(n, NeuronNode):
            levels = {name: getattr(n.rule, name) for name in LEVELS}
            out |= {f"{n.name}.{name}": a for name, a in levels.items() if a is not None}
            out |= {f"{n.name}.coef.{k}": c for k, c in enumerate(n.rule.coef)}
    return {k: np.ascontiguousarray(out[k]) for k in sorted(out)}


def structure_text(network: Any) -> str:
    """network.json without anything that training changes: tensors, their hash, real scales."""
    out = _network_json(network)
    out["nodes"] = [{k: v for k, v in n.items() if k not in REAL} for n in out["nodes"]]
    return canonical_json(out)


def structure_id(network: Any, design_json: str) -> str:
    """What a bitstream and a weights image must share: the first of `structure_ids`."""
    return structure_ids(network, design_json)[0]


def structure_ids(network: Any, design_json: str) -> tuple[str, str]:
    """Of structure text and design.json: the id of now, and that of files made earlier."""
    return design_hashes(structure_text(network), design_json)


def weights_id(network: Any) -> str:
    """sha256 of all tensors in canonical order: a line "name type shape", then the bytes."""
    h = hashlib.sha256()
    for name, a in tensors(network).items():
        h.update(f"{name} {a.dtype.name} {list(a.shape)}\n".encode())
        h.update(a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes())
    return h.hexdigest()


def digest(network: Any) -> str:
    """sha256 of all that ``save`` writes."""
    return sha256((canonical_json(_network_json(network)) + weights_id(network)).encode())


def save(network: Any, folder: StrPath) -> Path:
    """``Network.save``; returns the folder."""
    folder = path_of("network", folder)
    data = safetensors.save(tensors(network))
    head = _network_json(network) | {"tensors": {"bytes": len(data), "sha256": sha256(data)}}
    head["check"] = sha256(canonical_json(head).encode())
    write_atomic(folder / "network.safetensors", data)
    write_atomic(folder / "network.json", canonical_json(head).encode())
    return folder
