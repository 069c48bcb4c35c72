"""Files of a network: reading them; writing and ids are ``golden.written``'s, had from here, too.

numpy and safetensors only: a board's host imports this module. A reader gives back exactly what
was written or raises FileError with one sentence; a writer leaves the whole file or the old one.

Network, two files in one folder
    ``network.json``: sorted keys; ``format`` "sterna-network", ``version`` 1, ``name``, ``steps``,
    ``nodes`` (structure, no tensors), ``tensors`` (length and sha256 of
    network.safetensors) and ``check`` (sha256 of the canonical text of all other keys).
    ``network.safetensors``: ``<node>.weight`` int8 (O, C/groups, Kh, Kw) or (O, features);
    ``<node>.threshold | reset_by | v_init`` int32 (O,), ``<node>.bias`` int32 (O,) or (T, O),
    ``<node>.coef.<k>`` int32 (O,).

Fields that came later (``golden.rule.later``) are only there where they are not at their default,
and the bits of an input of frames are its ``frame_bits``, but for one, whose ``bits`` stand at 8
(``streams.filed``); a tensor of a rule that came later is announced there as true.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin

import numpy as np

from sterna.golden.errors import FileError, NetworkError
from sterna.golden.files.arrays import parse_tensors
from sterna.golden.files.disk import (
    StrPath,
    canonical_json,
    parse_json,
    read_bytes,
    sha256,
    write_atomic,
)
from sterna.golden.files.instead import instead
from sterna.golden.files.written import (
    FORMAT,
    VERSION,
    parts,
    plain_fields,
    save,
    structure_id,
    structure_ids,
    structure_text,
    tensors,
    weights_id,
)
from sterna.golden.network import Network
from sterna.golden.nodes import KINDS, Input, Node
from sterna.golden.nodes.streams import read_back
from sterna.golden.rule import LEVELS, Decay, NeuronRule, later
from sterna.golden.words.values import path as path_of

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

JSON_LIMIT = 64 << 20
AGAIN = "copy it again or make it again with 'sterna quantize'"


def load(path: StrPath) -> Network:
    """The network in a folder: an example's, a build's, or what ``Network.save`` wrote.

    Parameters
    ----------
    path : str or path
        The folder that holds network.json and network.safetensors, or its network.json.

    Returns
    -------
    Network

    Raises
    ------
    FileError
        A file is missing, damaged, altered or of a newer version.
    """
    folder = path_of("network", path)
    folder = folder.parent if folder.name == "network.json" else folder
    path = folder / "network.json"
    if (refusal := instead(folder, "network")) is not None:
        raise FileError(refusal)
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
    """The fields that `plain_fields` names, from JSON."""
    out: dict[str, Any] = {}
    new = later(kind)
    for f, hint in plain_fields(kind):
        if f.name in new and f.name not in read.value:
            continue
        kinds = parts(hint)
        if Decay in kinds:
            out[f.name] = _decay(read, f.name, ("ramp",) if str in kinds else ())
        elif get_origin(hint) is tuple:
            out[f.name] = read.all(f.name, kinds[0])
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
    new = later(NeuronRule)
    said = [k for k in LEVELS if k not in new or (k in read.value and read(k, bool))]
    rule = NeuronRule(
        **{k: take(k, np.int32, each_step if k == "bias" else flat) for k in said},
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
    if kind is Input:
        read.value = read_back(read.value)
    n = kind(**given, **_read_fields(read, kind))
    read.done()
    return n
