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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
from sterna.golden.network import (
    Conv2d,
    Input,
    Linear,
    Merge,
    Network,
    Neuron,
    Node,
    Pool,
    Readout,
)
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


def _decay_json(d: Decay | str | None) -> Any:
    return (
        [d.k1]
        if isinstance(d, Decay) and d.k2 is None
        else ([d.k1, d.k2] if isinstance(d, Decay) else d)
    )


def _rule_json(rule: NeuronRule) -> dict[str, Any]:
    assert rule.bias is not None
    return {
        "channels": rule.channels,
        "reset": rule.reset,
        "leak": _decay_json(rule.leak),
        "synapse": _decay_json(rule.synapse),
        "delay": rule.delay,
        "fraction_bits": rule.fraction_bits,
        "shifts": list(rule.shifts),
        "spike_inputs": len(rule.coef),
        "bias_each_step": rule.bias.ndim == 2,
    }


def _node_json(n: Node) -> dict[str, Any]:
    out: dict[str, Any] = {"name": n.name, "op": n.op, "inputs": list(n.inputs)}
    if isinstance(n, Input):
        out |= {"shape": list(n.shape), "coding": n.coding, "bits": n.bits, "seed": n.seed}
    elif isinstance(n, Conv2d):
        out |= {"stride": list(n.stride), "padding": list(n.padding), "groups": n.groups}
        out |= {"kind": n.kind, "weight_shape": list(n.weight.shape)}
    elif isinstance(n, Linear):
        out |= {"kind": n.kind, "weight_shape": list(n.weight.shape)}
    elif isinstance(n, Pool):
        out |= {"mode": n.mode, "kernel": list(n.kernel), "stride": list(n.stride or n.kernel)}
    elif isinstance(n, Merge):
        out |= {"mode": n.mode, "shifts": list(n.shifts)}
    elif isinstance(n, Neuron):
        out |= {"rule": _rule_json(n.rule), "amplitude": float(n.amplitude)}
    else:
        out |= {"rule": _rule_json(n.rule), "mode": n.mode, "scale": float(n.scale)}
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
        if isinstance(n, (Conv2d, Linear)):
            out[f"{n.name}.weight"] = n.weight
        elif isinstance(n, (Neuron, Readout)):
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


def _decay(read: _Fields, key: str, words: tuple[str, ...] = ()) -> Any:
    value = read(key, None)
    if value is None or (isinstance(value, str) and value in words):
        return value
    k = read.all(key, int)
    if len(k) not in (1, 2):
        raise FileError(f"{read.path}: {read.what}: '{key}' is not one or two exponents; {AGAIN}")
    return Decay(*k)


def _rule(read: _Fields, name: str, take: Callable[..., np.ndarray]) -> NeuronRule:
    spike_inputs, channels = read("spike_inputs", int), read("channels", int)
    if not 0 <= spike_inputs <= 1024:
        raise FileError(f"{read.path}: {read.what}: {spike_inputs} spike inputs; {AGAIN}")
    flat = (channels,)
    rule = NeuronRule(
        threshold=take(f"{name}.threshold", np.int32, flat),
        reset=read("reset", str),
        reset_by=take(f"{name}.reset_by", np.int32, flat),
        bias=take(
            f"{name}.bias", np.int32, (None, channels) if read("bias_each_step", bool) else flat
        ),
        v_init=take(f"{name}.v_init", np.int32, flat),
        leak=_decay(read, "leak"),
        synapse=_decay(read, "synapse", ("ramp",)),
        delay=read("delay", int),
        fraction_bits=read("fraction_bits", int),
        shifts=read.all("shifts", int),
        coef=tuple(take(f"{name}.coef.{k}", np.int32, flat) for k in range(spike_inputs)),
    )
    read.done()
    return rule


def _node(read: _Fields, found: Mapping[str, np.ndarray]) -> Node:
    name, op, inputs = read("name", str), read("op", str), read.all("inputs", str)
    read.what = f"node '{name}'"

    def take(tensor: str, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
        a = found.get(tensor)
        if (
            a is None
            or a.dtype != dtype
            or a.ndim != len(shape)
            or any(s not in (None, n) for s, n in zip(shape, a.shape))
        ):
            raise FileError(
                f"{read.path}: tensor '{tensor}' is missing or of another shape; {AGAIN}"
            )
        return a

    def one() -> str:
        if len(inputs) != 1:
            raise FileError(f"{read.path}: {read.what} has {len(inputs)} inputs, not 1; {AGAIN}")
        return inputs[0]

    def rule() -> NeuronRule:
        return _rule(_Fields(read.path, read("rule", dict), f"{read.what} rule"), name, take)

    def weight() -> np.ndarray:
        return take(f"{name}.weight", np.int8, read.all("weight_shape", int))

    n: Node
    if op == "input" and not inputs:
        n = Input(
            name, read.all("shape", int), read("coding", str), read("bits", int), read("seed", int)
        )
    elif op == "conv2d":
        n = Conv2d(
            name,
            one(),
            weight(),
            read.all("stride", int),
            read.all("padding", int),
            read("groups", int),
            read("kind", str),
        )
    elif op == "linear":
        n = Linear(name, one(), weight(), read("kind", str))
    elif op == "pool":
        n = Pool(name, one(), read("mode", str), read.all("kernel", int), read.all("stride", int))
    elif op == "merge":
        n = Merge(name, inputs, read("mode", str), read.all("shifts", int))
    elif op == "neuron":
        n = Neuron(name, inputs, rule(), read("amplitude", float))
    elif op == "readout":
        n = Readout(name, inputs, rule(), read("mode", str), read("scale", float))
    else:
        raise FileError(f"{read.path}: {read.what} has the unknown op '{op}'; update Sterna")
    read.done()
    return n
