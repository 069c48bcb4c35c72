"""A task: a pure function of named inputs. What those are goes by content, never by path, so that a
task means the same in any folder and on any machine, and so does its result."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sterna
from sterna.gen.build.generator import PARTS, generator_id
from sterna.gen.tools.cache import key_of
from sterna.golden.files.disk import canonical_json

__all__ = ["Pack", "Task", "pack_hash", "task_code"]

Pack = dict[str, bytes]
"""Files that a task reads, by name: what travels to a worker."""


def pack_hash(pack: Mapping[str, bytes]) -> str:
    """64 hexadecimal digits of the names and the bytes of a pack."""
    h = hashlib.sha256()
    for name, data in sorted(pack.items()):
        h.update(f"{len(name.encode())} {name} {len(data)}\n".encode() + data)
    return h.hexdigest()


@functools.cache
def task_code() -> str:
    """What computes tasks here: the version of Sterna, and a hash of its sources. Client and
    workers must have the same, and a result of another one is not used."""
    own = Path(__file__).with_name("work.py").read_bytes()
    sources = generator_id(parts=(*PARTS, "sim"))
    return f"{sterna.__version__} {key_of(sources, own)[:12]}"


@dataclass(frozen=True)
class Task:
    """kind: of `work.KINDS`. arguments: JSON. inputs: name -> `pack_hash` of a pack. before: what a
    worker makes first, once for all tasks that name it; it is never filed, as it follows from its
    own inputs. job: of the plan, which is no input."""

    kind: str
    arguments: dict[str, Any]
    inputs: dict[str, str]
    before: "Task | None" = None
    job: str = dataclasses.field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """All that its result follows from."""
        return {
            "kind": self.kind,
            "arguments": self.arguments,
            "inputs": self.inputs,
            "before": None if self.before is None else self.before.as_dict(),
            "code": task_code(),
        }

    @functools.cached_property
    def id(self) -> str:
        """24 hexadecimal digits of it."""
        return key_of(canonical_json(self.as_dict()))

    @property
    def packs(self) -> set[str]:
        """Hashes of all packs that it needs, those of what is made before it too."""
        return {*self.inputs.values(), *(self.before.packs if self.before else ())}
