"""The folder of an import: what `quantize` and `train --from` read of it.

RUN/ holds float.json (+ .safetensors: calibrated where weights were real), latents.json (real
weights to train on from; only where there were some), and import.json: name, data, verdicts, check.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sterna.front.check import Check
from sterna.front.imported import Imported
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import make_folder, parse_json, read_bytes, write_atomic
from sterna.golden.files.locks import held

__all__ = ["LATENTS", "RECORD", "check_import", "latents_of", "read_import", "save_import"]

RECORD = "import.json"
LATENTS = "latents"
_LIMIT = 1 << 26
_FORMAT = "sterna-import"


def save_import(
    folder: str | Path,
    imported: Imported,
    name: str,
    data: str,
    check: Check | None,
    classes: Sequence[str] = (),
) -> Path:
    """Write an import; returns the folder. data: the data set's name, as from there; classes: what
    its classes are called."""
    out = Path(folder)
    make_folder(out)
    record = {
        "format": _FORMAT,
        "version": 1,
        "name": name,
        "data": data,
        "classes": list(classes),
        **imported.report.as_dict(),
        "check": None if check is None else check.as_dict(),
    }
    with held(out):
        imported.network.save(out)
        if imported.latents is not None:
            imported.latents.save(out, LATENTS)
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        write_atomic(out / RECORD, text.encode())
    return out


def read_import(folder: str | Path) -> dict[str, Any] | None:
    """import.json of a folder; None where there is none. FileError where it is damaged."""
    path = Path(folder) / RECORD
    if not path.is_file():
        return None
    again = "run `sterna import` again"
    record = parse_json(read_bytes(path, _LIMIT, again), path, again)
    if (
        not isinstance(record, dict)
        or record.get("format") != _FORMAT
        or not isinstance(record.get("name"), str)
        or not isinstance(record.get("data"), str)
        or not isinstance(record.get("classes", []), list)
        or not all(isinstance(n, str) for n in record.get("classes", []))
    ):
        raise FileError(f"{path}: is not what `sterna import` writes; {again}")
    return record


def check_import(folder: str | Path, record: dict[str, Any], force: bool) -> None:
    """UsageError where an import was found to be another network than its model, unless that is
    wanted (``force``)."""
    check = record.get("check")
    failed = check.get("failed", []) if isinstance(check, dict) else []
    if not failed or force:
        return
    names = ", ".join(map(str, failed)) if isinstance(failed, list) else "a layer"
    raise UsageError(
        f"{folder}: its check found that {names} differ from the imported model, so that this is "
        "another network; import it again, or go on with it by --force"
    )


def latents_of(folder: str | Path) -> FloatNetwork:
    """What training starts from. UsageError where the weights of an import are final."""
    path = Path(folder) / f"{LATENTS}.json"
    if not path.is_file():
        raise UsageError(
            f"{folder}: has no {LATENTS}.json, so nothing to train: its weights are ternary or "
            "binary already; give `sterna quantize` the folder"
        )
    return FloatNetwork.load(path)
