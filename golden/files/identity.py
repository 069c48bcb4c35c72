"""Which builds are of one structure: hashes of a network and of its design, without estimates."""

import json
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import canonical_json, parse_json, sha256

__all__ = ["design_hashes"]

PREDICTED = ("latency", "modelled_interval", "interval", "bottleneck", "ends")
"""Of the design: clocks, by the law and by the token model."""
PREDICTED_OF_A_CORE = ("law", "interval")
PREDICTED_OF_A_BUFFER = ("min_no_deadlock", "min_full_rate", "margin")


def design_hashes(structure: str, design_json: str) -> tuple[str, str]:
    """Two sha256 of the network's structure text, a zero byte and a text of the design.

    First: without what is only predicted of the hardware, so that a better prediction leaves the
    structure what it is. Second: with the whole design.json as it was when that was hashed;
    bitstreams and weights images made then carry it. A text that is no JSON object counts as it is.
    """
    try:
        body = parse_json(design_json.encode("utf-8", "replace"), "design.json")
    except FileError:
        body = None
    texts = [design_json] * 2
    if isinstance(body, dict):
        if isinstance(body.get("ends"), dict):
            body["ends"].pop("flight", None)  # which there was not then
        former = json.dumps(body, indent=1, sort_keys=True) + "\n"
        texts = [canonical_json(_built(body)), former]
    now, former = (sha256(f"{structure}\0{text}".encode()) for text in texts)
    return now, former


def _built(body: dict[str, Any]) -> dict[str, Any]:
    for key in PREDICTED:
        body.pop(key, None)
    for core in _objects(body.get("cores")):
        for key in PREDICTED_OF_A_CORE:
            core.pop(key, None)
    for branch in _objects(body.get("branches")):
        for buffer in _objects([branch.get("buffer")]):
            for key in PREDICTED_OF_A_BUFFER:
                buffer.pop(key, None)
    return body


def _objects(items: Any) -> list[dict[str, Any]]:
    return [i for i in items if isinstance(i, dict)] if isinstance(items, list) else []
