"""Files are opened by one loader, and text with its encoding: read from the source."""

import ast
import functools

from repo import ROOT

FOLDERS = ("golden", "hw", "gen", "sim", "host", "train", "sterna")
OWN = {
    # What a program of the flow wrote a moment ago, in a folder of ours.
    "gen/board/place.py",
    "gen/device/carry_cells.py",
    "gen/tools/fmax.py",
    "gen/tools/yosys.py",
    "gen/tools/block_ram_registers.py",
    "sim/cocotb_runner.py",
    "sim/benches/network_axi.py",
    "sim/benches/network_top.py",
    "sim/benches/stream_core.py",
    # What is part of the package, or was made as text by this process.
    "gen/model/cost.py",
    "gen/verilog/memory_images.py",
    # The loader itself.
    "golden/files/disk.py",
}
READERS = {
    ("json", "load"),
    ("json", "loads"),
    ("tomllib", "load"),
    ("tomllib", "loads"),
    ("np", "load"),
    ("np", "fromfile"),
    ("np", "memmap"),
    ("np", "genfromtxt"),
    ("np", "loadtxt"),
    ("safetensors", "load"),
    ("pickle", "load"),
    ("torch", "load"),
    ("pickle", "loads"),
    ("marshal", "loads"),
}


@functools.cache
def calls():
    return list(_calls())


def _calls():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield path.relative_to(ROOT).as_posix(), node


def test_hostile_locales_meet_no_open_without_an_encoding():
    for path, call in calls():
        given = {k.arg for k in call.keywords}
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        where = f"{path}:{call.lineno}"
        if name == "write_text" or (name == "read_text" and not call.args):
            assert "encoding" in given, where
        if isinstance(call.func, ast.Name) and call.func.id == "open":
            mode = call.args[1] if len(call.args) > 1 else None
            binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
            assert binary or "encoding" in given, where
        assert not ("text" in given and name in ("run", "Popen", "check_output")), where


def test_hostile_files_meet_one_loader():
    found = set()
    for path, call in calls():
        f = call.func
        if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name):
            if (f.value.id, f.attr) in READERS:
                found.add(path)
        elif isinstance(f, ast.Name) and f.id == "load_tensors":
            found.add(path)
    assert found <= OWN, f"{sorted(found - OWN)}: read files by golden/files: disk, arrays"
