"""Locks of the system: one place imports them, and without them Sterna still works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sterna.golden.files import flock

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("golden", "train", "hw", "gen", "sim", "host", "sterna")
WITHOUT = """
import os, pathlib, sys
sys.modules["fcntl"] = None  # as on a system that has none
for name in ("sched_getaffinity", "sysconf", "getuid"):
    delattr(os, name)
from sterna.golden.files import disk
from sterna.golden.files import flock
from sterna.golden.files import locks
from sterna.gen.tools import cache, slots

folder = pathlib.Path(sys.argv[1])
assert not flock.THERE
with locks.held(folder), locks.reading(folder):
    disk.write_atomic(folder / "file", b"text")
disk.sweep(folder)
assert [p.name for p in folder.iterdir()] == ["file"]
assert slots.slot_count() == 1
with slots.slot(folder / "slots"), slots.exclusive(folder / "slots" / "one"):
    pass
kept = cache.Cache(folder / "cache").entry("key", lambda f: (f / "a").write_text("b"))
assert (kept / "a").read_text() == "b"
"""


@pytest.mark.skipif(not flock.THERE, reason="this system has no such locks")
def test_a_lock_is_alone_or_shared_and_ends_with_its_file(tmp_path: Path) -> None:
    first, second = (open(tmp_path / "lock", "w") for _ in range(2))
    assert flock.lock(first)
    assert not flock.lock(second) and not flock.lock(second, alone=False)
    first.close()
    assert flock.lock(second, alone=False)
    third = os.open(tmp_path, os.O_RDONLY)  # a folder can be locked, too
    assert flock.lock(third, wait=True)
    os.close(third)
    with open(tmp_path / "lock") as other:
        assert flock.lock(other, alone=False) and not flock.lock(other)
    second.close()


def test_one_place_imports_the_system_s_locks() -> None:
    files = [p for f in FOLDERS for p in (ROOT / f).rglob("*.py")]
    found = [p for p in files if re.search(r"^\s*(import|from) fcntl\b", p.read_text(), re.M)]
    assert [p.relative_to(ROOT).as_posix() for p in found] == ["golden/files/flock.py"]


def test_all_works_on_a_system_without_locks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)],
        env=os.environ | {"STERNA_CACHE": str(tmp_path / "own"), "STERNA_JOBS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
