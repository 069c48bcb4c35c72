"""The file that a sweep goes by: TOML with a table ``[[jobs]]`` of each thing to do many times."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sterna.golden.errors import UsageError
from sterna.golden.files.disk import parse_toml, read_bytes
from sterna.golden.words.names import legal_name, meant, not_one_of, show

__all__ = ["KEYS", "MOST", "Job", "numbers", "read_plan", "values_of"]

MOST = 100_000
"""Tasks of a sweep."""
_LIMIT = 1 << 24
_RANGE = re.compile(r"\s*([0-9]{1,18})\s*(?:-\s*([0-9]{1,18})\s*)?\Z")

KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    "seeds": {"build": (str,), "board": (str,), "seeds": (str, int, list), "folding": (str,)},
    "foldings": {
        "network": (str,),
        "family": (str,),
        "board": (str,),
        "clock": (int, float),
        "points": (int,),
        "seed": (int,),
    },
    "accuracy": {
        "networks": (str, list),
        "data": (str,),
        "split": (str,),
        "images": (int,),
        "slice": (int,),
        "rtl": (bool,),
    },
    "script": {"call": (str,), "files": (str, list), "arguments": (dict,)},
}
"""Of each kind of job its keys, beside ``kind`` and ``name``, and what they may be."""
_NEEDED = {
    "seeds": ("build", "board", "seeds"),
    "foldings": ("network",),
    "accuracy": ("networks",),
    "script": ("call", "arguments"),
}
_WORDS = {str: "a text", int: "a whole number", float: "a number", list: "a list"}
_WORDS |= {bool: "true or false", dict: "a table"}


@dataclass(frozen=True)
class Job:
    """One table of a plan. said: its keys but ``kind`` and ``name``. where: the plan's folder,
    which paths in it are below. place: how messages call it."""

    kind: str
    name: str
    said: dict[str, Any]
    where: Path
    place: str

    def get(self, key: str, default: Any = None) -> Any:
        return self.said.get(key, default)

    def wrong(self, key: str, text: str) -> UsageError:
        """The refusal of what a key says."""
        return UsageError(f"{self.place}: {key} {text}")

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number in a range."""
        value = self.get(key, default)
        if not least <= value <= most:
            text = f"= {show(value)}; give a whole number from {least} to {most:,}"
            raise self.wrong(key, text)
        return value


def read_plan(path: Path) -> list[Job]:
    """The jobs of a plan. UsageError, FileError: what is no plan, by name of file, job and key."""
    body = parse_toml(read_bytes(path, _LIMIT, "give a plan, as docs/sweep.md shows"), path)
    jobs = body.get("jobs")
    if other := sorted(set(body) - {"jobs"}):
        raise UsageError(f"{path}: {show(other[0])} is no part of a plan; write [[jobs]]")
    if not isinstance(jobs, list) or not jobs or not all(isinstance(j, dict) for j in jobs):
        raise UsageError(f"{path}: has no jobs; write [[jobs]] with kind = {_kinds()}")
    found = [_job(path, n, job) for n, job in enumerate(jobs, 1)]
    names = [job.name for job in found]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise UsageError(f"{path}: two jobs have the name {show(twice)}; give one another")
    return found


def _kinds() -> str:
    return ", ".join(f'"{k}"' for k in KEYS)


def _job(path: Path, number: int, said: Mapping[str, Any]) -> Job:
    kind, name = said.get("kind"), said.get("name")
    place = f"{path}: job {number}"
    if kind not in KEYS:
        raise UsageError(f"{place}: kind {not_one_of(kind, KEYS)}")
    if name is not None and (not isinstance(name, str) or name != legal_name(name)):
        raise UsageError(f"{place}: name {show(name)} must be letters, digits, '_' and '-'")
    name = name or f"{kind}_{number}"
    place += f" ({name})"
    rest = {k: v for k, v in said.items() if k not in ("kind", "name")}
    for key, value in rest.items():
        kinds = KEYS[kind].get(key)
        if kinds is None:
            known = ", ".join(KEYS[kind])
            raise UsageError(
                f"{place}: {show(key)} is none of {known}{meant(key, KEYS[kind])}; correct it"
            )
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            words = " or ".join(_WORDS[k] for k in kinds)
            raise UsageError(f"{place}: {key} = {show(value)} must be {words}")
        if value in ("", []):
            raise UsageError(f"{place}: {key} is empty; give some")
    for key in _NEEDED[kind]:
        if key not in rest:
            raise UsageError(f"{place}: {key} is missing")
    return Job(kind, name, rest, path.parent, place)


def numbers(job: Job, key: str, value: Any, most: int = 2**31 - 1) -> list[int]:
    """Whole numbers from 0: 5, "1-8", "1-8,12", or a list of such; each once."""
    parts = value if isinstance(value, list) else [value]
    texts = [t for p in parts for t in (p.split(",") if isinstance(p, str) else [str(p)])]
    ranges = []
    for text in texts:
        match = _RANGE.match(text)
        if match is None:
            raise job.wrong(key, f"{show(text)} is no number and no range; write 5, or 1-8")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise job.wrong(key, f"{show(text)} holds no number; write the smaller one first")
        if last > most:
            raise job.wrong(key, f"{show(text)} goes beyond {most:,}; give smaller numbers")
        ranges.append((first, last))
    if (count := sum(last - first + 1 for first, last in ranges)) > MOST:
        raise job.wrong(key, f"holds {count:,} numbers; a sweep has {MOST:,} tasks at most")
    out = [n for first, last in ranges for n in range(first, last + 1)]
    if len(set(out)) < len(out):
        twice, _ = Counter(out).most_common(1)[0]
        raise job.wrong(key, f"has {twice} twice; give each once")
    return out


def values_of(job: Job, key: str, value: Any) -> list[Any]:
    """What an argument of a script takes: the values of a list, the numbers of a range, or the one
    value that it is."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", value):
        return [*numbers(job, key, value)]
    found = value if isinstance(value, list) else [value]
    if not found:
        raise job.wrong(key, "is empty; give some")
    for one in found:
        if not isinstance(one, str | int | float | bool):
            raise job.wrong(key, f"{show(one)} is no text, number, true or false")
    if len({repr(v) for v in found}) < len(found):
        raise job.wrong(key, "has a value twice; give each once")
    return found
