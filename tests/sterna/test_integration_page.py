"""docs/integration.md's C examples against the headers as they are."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from exportcase import facts
from repo import ROOT

from sterna.gen.ip.driver import driver_files
from sterna.golden.errors import ToolMissing
from sterna.hw.control.register_files import c_header
from sterna.hw.control.registers import register_map

PAGE = (ROOT / "docs" / "integration.md").read_text()
EXAMPLES = re.findall(r"```c\n(.*?)```", PAGE, re.S)


def test_cases_the_pages_c_example_compiles_with_the_real_header(tmp_path: Path) -> None:
    example = next(text for text in EXAMPLES if "mnist_csr.h" in text)
    header = c_header(register_map(), "mnist")
    (tmp_path / "mnist_csr.h").write_text(header)
    (tmp_path / "example.c").write_text(example)
    assert (guard := re.search(r"guard (\w+)", example)) and f"#ifndef {guard[1]}" in header
    compiles(tmp_path)


def test_the_pages_example_of_an_exported_driver_compiles(tmp_path: Path) -> None:
    (example,) = (text for text in EXAMPLES if "digits.h" in text)
    for name, text in driver_files(replace(facts(), module="digits")).items():
        (tmp_path / Path(name).name).write_text(text)
    (tmp_path / "example.c").write_text(example)
    compiles(tmp_path)


def compiles(folder: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ToolMissing("cc is not on PATH; install a C compiler: apt install gcc")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "-o", str(folder / "example.o")]
    done = subprocess.run(
        [compiler, *flags, str(folder / "example.c")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
