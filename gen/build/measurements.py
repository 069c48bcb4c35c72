"""Measurements that commands left in a build folder, ``measured/*.json``.

They count only if they were made on this very Verilog and these very weights; what the design
has no part in, on this very network.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sterna.gen.build.folder import LIMIT, Build
from sterna.golden.errors import FileError
from sterna.golden.files import network_files as files
from sterna.golden.files.disk import canonical_json, parse_json, read_bytes

__all__ = ["keep_measurement", "measurements", "read_object"]


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
    body = canonical_json({"of": of, "values": dict(values)})
    with build.held():
        build.write(f"measured/{name}.json", body)


def measurements(build: Build) -> dict[str, dict[str, Any]]:
    """What :func:`keep_measurement` left of this design with these weights, by name."""
    found = {}
    of = _identity(build, build.hash(build.verilog.name)), _network(build)
    for path in sorted((build.folder / "measured").glob("*.json")):
        body = read_object(path)
        if body is not None and body.get("of") in of and isinstance(body.get("values"), dict):
            found[path.stem] = body["values"]
    return found


def read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object that nothing is built from; None where it is damaged or not there."""
    try:
        body = parse_json(read_bytes(path, LIMIT), path)
    except FileError:
        return None
    return body if isinstance(body, dict) else None
