"""Headers of C libraries that a program of the system is compiled with, and what installs them."""

import tempfile
from pathlib import Path

from sterna.gen.tools.programs import ToolFailed, find, run_tool

__all__ = ["FST_HEADERS", "has_header"]

FST_HEADERS = (("lz4.h", "liblz4-dev"), ("zlib.h", "zlib1g-dev"))
"""(header, its package) of what writes waves as .fst."""


def has_header(name: str) -> bool:
    """Whether g++ finds it. ToolMissing: there is no g++."""
    compiler = find("g++")
    with tempfile.TemporaryDirectory(prefix="sterna-headers-") as folder:
        (Path(folder) / "look.cpp").write_text(f"#include <{name}>\n", encoding="utf-8")
        try:
            run_tool(compiler, ["-fsyntax-only", "look.cpp"], Path(folder))
        except ToolFailed:
            return False
    return True
