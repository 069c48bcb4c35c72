"""One version: the package's, the command's, pyproject's, the citation's and the changelog's."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import sterna
from sterna.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_there_is_one_version(capsys) -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    cited = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert main(["--version"]) == 0
    assert [released[0]] == cited == [said] == [capsys.readouterr().out.strip()]
    assert sterna.__version__ == version("sterna") == said and "__version__" in dir(sterna)


def test_it_is_looked_up_when_it_is_asked_for() -> None:
    code = "import sys, sterna; assert 'importlib.metadata' not in sys.modules"
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0
