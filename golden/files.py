"""Files of a network: writing, reading, and the ids that name its structure and its weights.

numpy and safetensors only: a board's host imports this module. A reader gives back exactly what
was written or raises FileError with one sentence; a writer leaves the whole file or the old one.

Network, two files in one folder
    ``network.json``: sorted keys; ``format`` "sterna-network", ``version`` 1, ``name``, ``steps``,
    ``nodes`` (structure, no tensors), ``tensors`` (length and sha256 of
    network.safetensors) and ``check`` (sha256 of the canonical text of all other keys).
    ``network.safetensors``: ``<node>.weight`` int8 (O, C/groups, Kh, Kw) or (O, features);
    ``<node>.threshold | reset_by | v_init`` int32 (O,), ``<node>.bias`` int32 (O,) or (T, O),
    ``<node>.coef.<k>`` int32 (O,).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from safetensors import numpy as safetensors

from sterna.golden.arrays import parse_tensors
from sterna.golden.disk import (
    StrPath,
    canonical_json,
    parse_json,
    read_bytes,
    sha256,
    write_atomic,
)
from sterna.golden.errors import FileError, NetworkError
from sterna.golden.identity import design_hashes
from sterna.golden.network import Network
from sterna.golden.nodes import KINDS, NeuronNode, Node, WeightedNode
from sterna.golden.rule import Decay, NeuronRule
from sterna.golden.values import path as path_of

__all__ = [
    "FORMAT",
    "VERSION",
    "write_atomic",
    "read_bytes",
    "sha256",
    "canonical_json",
    "parse_json",
    "save",
    "load",
    "tensors",
    "structure_text",
    "structure_id",
    "structure_ids",
    "weights_id",
]

FORMAT, VERSION = "sterna-network", 1
JSON_LIMIT = 64 << 20
AGAIN = "copy it again or make it again with 'sterna quantize'"
REAL = ("amplitude", "scale")
"""Metadata in real units: kept in the file, no part of the structure."""


def _plain(value: Any) -> Any:
    """A field's value as JSON."""
    if isinstance(value, Decay):
        if value.ratio is not None:
            return {"num": value.num, "shift": value.shift}
        return [value.k1] if value.k2 is None else [value.k1, value.k2]
    return list(value) if isinstance(value, tuple) else value


def _plain_fields(owner: Any) -> Iterable[tuple[Field, Any]]:
    """(field, its type) of all fields that are no tensors and name no nodes."""
    kind = owner if isinstance(owner, type) else type(owner)
    hints = get_type_hints(kind)
    for f in fields(kind):
        hint = hints[f.name]
        if f.name not in ("name", "input", "inputs", "rule") and np.ndarray not in _parts(hint):
            yield f, hint


def _parts(hint: Any) -> tuple[Any, ...]:
    """The types that a type is made of: of a union, of a tuple's items; or itself."""
    return tuple(p for a in get_args(hint) for p in _parts(a)) or (hint,)


def _rule_json(rule: NeuronRule) -> dict[str, Any]:
    assert rule.bias is not None
    return {f.name: _plain(getattr(rule, f.name)) for f, _ in _plain_fields(rule)} | {
        "channels": rule.channels,
        "spike_inputs": len(rule.coef),
        "bias_each_step": rule.bias.ndim == 2,
    }


def _node_json(n: Node) -> dict[str, Any]:
    out: dict[str, Any] = {"name": n.name, "op": n.op, "inputs": list(n.inputs)}
    out |= {
        f.name: _plain(value)
        for f, _ in _plain_fields(n)
        if (value := getattr(n, f.name)) != f.default or not f.metadata.get("later")
    }
    if isinstance(n, WeightedNode):
        out["weight_shape"] = list(n.weight.shape)
    elif isinstance(n, NeuronNode):
        out["rule"] = _rule_json(n.rule)
    return out


def _network_json(network: Network) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": network.name,
        "steps": network.steps,
        "nodes": [_node_json(n) for n in network.nodes],
    }


def tensors(network: Network) -> dict[str, np.ndarray]:
    """All tensors by name, in canonical (sorted) order: weights int8, everything else int32."""
    out: dict[str, np.ndarray] = {}
    for n in network.nodes:
        if isinstance(n, WeightedNode):
            out[f"{n.name}.weight"] = n.weight
        elif isinstance(n, NeuronNode):
            for name in ("threshold", "reset_by", "bias", "v_init"):
                out[f"{n.name}.{name}"] = getattr(n.rule, name)
            out |= {f"{n.name}.coef.{k}": c for k, c in enumerate(n.rule.coef)}
    return {k: np.ascontiguousarray(out[k]) for k in sorted(out)}


def structure_text(network: Network) -> str:
    """network.json without anything that training changes: tensors, their hash, real scales."""
    out = _network_json(network)
    out["nodes"] = [{k: v for k, v in n.items() if k not in REAL} for n in out["nodes"]]
    return canonical_json(out)


def structure_id(network: Network, design_json: str) -> str:
    """What a bitstream and a weights image must share: the first of `structure_ids`."""
    return structure_ids(network, design_json)[0]


def structure_ids(network: Network, design_json: str) -> tuple[str, str]:
    """Of structure text and design.json: the id of now, and that of files made earlier."""
    return design_hashes(structure_text(network), design_json)


def weights_id(network: Network) -> str:
    """sha256 of all tensors in canonical order: a line "name type shape", then the bytes."""
    h = hashlib.sha256()
    for name, a in tensors(network).items():
        h.update(f"{name} {a.dtype.name} {list(a.shape)}\n".encode())
        h.update(a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes())
    return h.hexdigest()


def save(network: Network, folder: StrPath) -> None:
    """Write network.safetensors and network.json; the same network gives the same bytes."""
    data = safetensors.save(tensors(network))
    head = _network_json(network) | {"tensors": {"bytes": len(data), "sha256": sha256(data)}}
    head["check"] = sha256(canonical_json(head).encode())
    write_atomic(Path(folder) / "network.safetensors", data)
    write_atomic(Path(folder) / "network.json", canonical_json(head).encode())


def load(folder: StrPath) -> Network:
    """The network in a folder: an example's, a build's, or what ``save`` wrote.

    Parameters
    ----------
    folder : str or path
        Holds network.json and network.safetensors.

    Returns
    -------
    Network

    Raises
    ------
    FileError
        A file is missing, damaged, altered or of a newer version.
    """
    folder = path_of("network", folder)
    path = folder / "network.json"
    head = parse_json(read_bytes(path, JSON_LIMIT, AGAIN), path, AGAIN)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise FileError(f"{path}: is not a Sterna network; {AGAIN}")
    version = head.get("version")
    if type(version) is int and version > VERSION:
        raise FileError(
            f"{path}: is version {version}, this Sterna reads version {VERSION}; update Sterna"
        )
    read = _Fields(path, head, "the network")
    check = read("check", str)
    try:
        rest = canonical_json({k: v for k, v in head.items() if k != "check"})
    except (ValueError, RecursionError) as e:
        raise FileError(f"{path}: truncated or altered ({e}); {AGAIN}") from e
    if version != VERSION or sha256(rest.encode()) != check:
        raise FileError(f"{path}: truncated or altered, its check does not match; {AGAIN}")
    read.used |= {"format", "version"}
    name, steps, entries = read("name", str), read("steps", int), read("nodes", list)
    file = _Fields(path, read("tensors", dict), "'tensors'")
    size, hashed = file("bytes", int), file("sha256", str)
    file.done()
    read.done()
    found = _load_tensors(folder / "network.safetensors", size, hashed)
    try:
        nodes = [_node(_Fields(path, e, f"node {k}"), found) for k, e in enumerate(entries)]
        network = Network(steps, nodes, name)
    except NetworkError as e:
        raise FileError(f"{path}: {e}") from e
    extra = sorted(set(found) - set(tensors(network)))
    if extra:
        raise FileError(f"{folder}: tensor '{extra[0]}' belongs to no node; {AGAIN}")
    return network


def _load_tensors(path: Path, size: int, expected: str) -> dict[str, np.ndarray]:
    data = read_bytes(path, max(0, size), AGAIN)
    if sha256(data) != expected:
        raise FileError(f"{path}: truncated or altered, not the file of network.json; {AGAIN}")
    return parse_tensors(data, path, AGAIN)[0]


class _Fields:
    """The keys of one JSON object: each read once with its type, none left over."""

    def __init__(self, path: Path, value: Any, what: str) -> None:
        self.path, self.what = path, what
        if not isinstance(value, dict):
            raise FileError(f"{path}: {what} is not an object; {AGAIN}")
        self.value, self.used = value, set()

    def __call__(self, key: str, kind: Any) -> Any:
        if key not in self.value:
            raise FileError(f"{self.path}: {self.what} has no '{key}'; {AGAIN}")
        value = self.value[key]
        self.used.add(key)
        number = kind is float and type(value) is int
        if type(value) is not kind and not number and kind is not None:
            raise FileError(f"{self.path}: {self.what}: '{key}' is not {kind.__name__}; {AGAIN}")
        return value

    def all(self, key: str, kind: type) -> tuple[Any, ...]:
        items = self(key, list)
        if any(type(i) is not kind for i in items):
            raise FileError(f"{self.path}: {self.what}: '{key}' does not list {kind.__name__}")
        return tuple(items)

    def done(self) -> None:
        unknown = sorted(set(self.value) - self.used)
        if unknown:
            raise FileError(
                f"{self.path}: {self.what} has the unknown key '{unknown[0]}'; it comes from a "
                "newer Sterna or was edited: update Sterna or remove it"
            )


def _decay(read: _Fields, key: str, words: tuple[str, ...]) -> Any:
    value = read(key, None)
    if value is None or (isinstance(value, str) and value in words):
        return value
    if isinstance(value, dict):
        if set(value) != {"num", "shift"}:
            raise FileError(f"{read.path}: {read.what}: '{key}' is not a num and a shift; {AGAIN}")
        return Decay(ratio=(value["num"], value["shift"]))
    k = read.all(key, int)
    if len(k) not in (1, 2):
        raise FileError(f"{read.path}: {read.what}: '{key}' is not one or two exponents; {AGAIN}")
    return Decay(*k)


def _read_fields(read: _Fields, kind: type) -> dict[str, Any]:
    """The fields that `_plain_fields` names, from JSON."""
    out: dict[str, Any] = {}
    for f, hint in _plain_fields(kind):
        parts = _parts(hint)
        if f.metadata.get("later") and f.name not in read.value:
            continue
        if Decay in parts:
            out[f.name] = _decay(read, f.name, ("ramp",) if str in parts else ())
        elif get_origin(hint) is tuple:
            out[f.name] = read.all(f.name, parts[0])
        else:
            out[f.name] = read(f.name, hint)
    return out


_Take = Callable[[str, type, tuple[int | None, ...]], np.ndarray]


def _rule(read: _Fields, take: _Take) -> NeuronRule:
    spike_inputs, channels = read("spike_inputs", int), read("channels", int)
    if not 0 <= spike_inputs <= 1024:
        raise FileError(f"{read.path}: {read.what}: {spike_inputs} spike inputs; {AGAIN}")
    flat = (channels,)
    each_step = (None, channels) if read("bias_each_step", bool) else flat
    rule = NeuronRule(
        threshold=take("threshold", np.int32, flat),
        reset_by=take("reset_by", np.int32, flat),
        bias=take("bias", np.int32, each_step),
        v_init=take("v_init", np.int32, flat),
        coef=tuple(take(f"coef.{k}", np.int32, flat) for k in range(spike_inputs)),
        **_read_fields(read, NeuronRule),
    )
    read.done()
    return rule


def _node(read: _Fields, found: Mapping[str, np.ndarray]) -> Node:
    name, op, inputs = read("name", str), read("op", str), read.all("inputs", str)
    read.what = f"node '{name}'"
    kind = KINDS.get(op)
    has = {f.name for f in fields(kind)} if kind else set()
    if kind is None or (inputs and not has & {"input", "inputs"}):
        raise FileError(f"{read.path}: {read.what} has the unknown op '{op}'; update Sterna")

    def take(part: str, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
        a = found.get(f"{name}.{part}")
        if (
            a is None
            or a.dtype != dtype
            or a.ndim != len(shape)
            or any(s not in (None, n) for s, n in zip(shape, a.shape))
        ):
            raise FileError(
                f"{read.path}: tensor '{name}.{part}' is missing or of another shape; {AGAIN}"
            )
        return a

    given: dict[str, Any] = {"name": name}
    if "inputs" in has:
        given["inputs"] = inputs
    elif "input" in has:
        if len(inputs) != 1:
            raise FileError(f"{read.path}: {read.what} has {len(inputs)} inputs, not 1; {AGAIN}")
        given["input"] = inputs[0]
    if "weight" in has:
        given["weight"] = take("weight", np.int8, read.all("weight_shape", int))
    if "rule" in has:
        given["rule"] = _rule(_Fields(read.path, read("rule", dict), f"{read.what} rule"), take)
    n = kind(**given, **_read_fields(read, kind))
    read.done()
    return n
