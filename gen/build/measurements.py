"""Measurements that commands left in a build folder, ``measured/*.json``.

They count only if they were made on this very Verilog and these very weights; what the design
has no part in, on this very network; if nobody edited them since; and if they have the shape of
what commands write today.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sterna.gen.build.folder import LIMIT, Build
from sterna.golden.errors import FileError
from sterna.golden.files import network_files as files
from sterna.golden.files.disk import canonical_json, parse_json, read_bytes, sha256

__all__ = ["fits", "keep_measurement", "measurements", "placed_is_of", "read_object"]

_NUMBER = (int, float)
_MAYBE = (*_NUMBER, type(None))
_COUNTS = dict.fromkeys(("luts", "logic", "lutram", "ff"), _NUMBER)
_COUNTED = {
    "images": int,
    "footprint": {"packed_bytes": int},
    "activation_sparsity": _MAYBE,
    "synaptic_operations": dict.fromkeys(("effective_acs", "effective_macs", "dense"), _NUMBER),
    "spikes": _NUMBER,
    "activations": [{"node": str, "sites": int, "spikes": _NUMBER, "sparsity": _NUMBER}],
}
_PACKED = {"shape": [int], "values": str, "most": int}
_SHAPES: dict[str, Any] = {
    "eval": {
        "images": int,
        "accuracy": _NUMBER,
        "counted?": _COUNTED,
        "per_class?": [{"name": str, "images": int, "right": int, "accuracy": _MAYBE}],
        "confusion?": [[int]],
    },
    "raster": {
        "input": _PACKED,
        "layers": [{"node": str, "of": str, "spikes": [int], **_PACKED}],
        "logits": [int],
        "class": int,
        "image": int,
        "label": (int, type(None)),
        "data": str,
        "split": str,
    },
    "sim": {"images": int, "mismatches": int, "clocks_per_image": _MAYBE},
    "synth": {
        **_COUNTS,
        "bram": _NUMBER,
        "layers?": {"*": {**_COUNTS}},
        "rest?": {},
    },
    "training": {"epochs": int, "columns": [str], "history": [{"epoch": int, "*": _NUMBER}]},
    "frontier": {
        "family": str,
        "clock_mhz": _NUMBER,
        "points": [dict.fromkeys(("clocks_per_image", "fps", "luts", "ff", "bram"), _NUMBER)],
    },
}
"""By the name in front of its first underscore. A key with ``?`` may be missing, or None; ``*`` is
any other one; a list is of any length."""


def _identity(build: Build, verilog: str | None) -> dict[str, str | None]:
    network = build.network
    return {
        "verilog": verilog,  # a newer generator may write another one
        "structure_id": files.structure_id(network, build.design.to_json()),
        "weights_id": files.weights_id(network),
    }


def _network(build: Build) -> dict[str, str | None]:
    return {"network": build.network.digest}


def keep_measurement(
    build: Build, name: str, values: Mapping[str, Any], *, design: bool = True
) -> None:
    """Leave ``values`` in ``measured/<name>.json`` for the report, with what they are of: the
    design, or the network alone, whose design they do not depend on."""
    # What was measured, whatever another command has written since.
    verilog = build.made_hash("verilog", build.verilog.name) if design else None
    of = _identity(build, verilog) if design else _network(build)
    body = {"of": of, "values": dict(values)}
    with build.held():
        build.write(f"measured/{name}.json", canonical_json(body | {"check": _check(body)}))


def _check(body: Mapping[str, Any]) -> str:
    """Of a file that was edited it is another one: no proof against who means to deceive."""
    return sha256(canonical_json({"of": body.get("of"), "values": body.get("values")}).encode())


def measurements(build: Build) -> dict[str, dict[str, Any]]:
    """What :func:`keep_measurement` left of this design with these weights, by name."""
    found = {}
    of = _identity(build, build.hash(build.verilog.name)), _network(build)
    for path in sorted((build.folder / "measured").glob("*.json")):
        body = read_object(path)
        if body is None or body.get("of") not in of or body.get("check") != _check(body):
            continue
        if fits(body.get("values"), _SHAPES.get(path.stem.partition("_")[0], {})):
            found[path.stem] = body["values"]
    return found


def placed_is_of(record: Mapping[str, Any], build: Build) -> bool:
    """Whether a place and route was of this design: of the same structure and, where memories of
    fixed contents are in its logic, of the same weights. Weights of the engine 'constant' are part
    of the structure."""
    of = _identity(build, None)
    same = record.get("structure_id") == of["structure_id"]
    return same and (not record.get("logic") or record.get("weights_id") == of["weights_id"])


def fits(value: Any, shape: Any) -> bool:
    """Whether what a file holds has a shape, as `_SHAPES` says them."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(v, shape[0]) for v in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape) and not isinstance(value, bool)
    if not isinstance(value, dict):
        return False
    named = {k.rstrip("?"): (k, v) for k, v in shape.items() if k != "*"}
    for key, (said, each) in named.items():
        if said.endswith("?") and value.get(key) is None:
            continue
        if key not in value or not fits(value[key], each):
            return False
    others = [v for k, v in value.items() if k not in named]
    return "*" not in shape or all(fits(v, shape["*"]) for v in others)


def read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object that nothing is built from; None where it is damaged or not there."""
    try:
        body = parse_json(read_bytes(path, LIMIT), path)
    except FileError:
        return None
    return body if isinstance(body, dict) else None
