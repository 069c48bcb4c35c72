"""requirements.lock: what pyproject.toml asks for, as constraints.txt pins it, each with hashes."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.M | re.S)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_is_of_today() -> None:
    locked = {}
    for name, version, rest in PIN.findall((ROOT / "requirements.lock").read_text()):
        assert "--hash=sha256:" in rest, f"{name} has no hash"
        locked.setdefault(plain(name), set()).add(version)
    pinned = PIN.findall((ROOT / "constraints.txt").read_text())
    known = {plain(name): version for name, version, _ in pinned}
    assert {n: v for n, v in locked.items() if n in known and v != {known[n]}} == {}, "make lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    names = {plain(re.match(r"[\w.-]+", a)[0]) for a in asked} - {"sterna"}
    assert names - set(locked) == set(), "make lock"
    assert names - set(known) == set(), "pin them in constraints.txt"
