"""docs/integration.md's C example against the header as it is."""

import re
import shutil
import subprocess
from pathlib import Path

from repo import ROOT

from sterna.golden.errors import ToolMissing
from sterna.hw.control.register_files import c_header
from sterna.hw.control.registers import register_map

PAGE = (ROOT / "docs" / "integration.md").read_text()


def test_cases_the_pages_c_example_compiles_with_the_real_header(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ToolMissing("cc is not on PATH; install a C compiler: apt install gcc")
    (example,) = re.findall(r"```c\n(.*?)```", PAGE, re.S)
    header = c_header(register_map(), "mnist")
    (tmp_path / "mnist_csr.h").write_text(header)
    (tmp_path / "example.c").write_text(example)
    assert (guard := re.search(r"guard (\w+)", example)) and f"#ifndef {guard[1]}" in header
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "-o", str(tmp_path / "example.o")]
    done = subprocess.run(
        [compiler, *flags, str(tmp_path / "example.c")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
