"""The wheel has every module and data file, and folders import only what they may."""

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from repo import ROOT

FOLDERS = ("golden", "train", "hw", "gen", "sim", "host", "front", "sterna")
DATA = (".cpp", ".h", ".vlt", ".v", ".lpf", ".j2", ".css", ".js")


def sources(folder: str, ends: tuple[str, ...]) -> list[Path]:
    return [
        p
        for p in sorted((ROOT / folder).rglob("*"))
        if p.suffix in ends and "__pycache__" not in p.parts
    ]


def dotted(path: Path) -> str:
    return ".".join(Path(installed_name(path)).with_suffix("").parts).removesuffix(".__init__")


def installed_name(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return str(relative if relative.parts[0] == "sterna" else Path("sterna") / relative)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    # setuptools writes build/ and *.egg-info beside setup.py: build from a copy.
    copy = out / "source"
    copy.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "examples", *FOLDERS):
        os.symlink(ROOT / name, copy / name)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(out),
            str(copy),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


def test_wheel_has_every_module_and_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in FOLDERS:
        for path in sources(folder, (".py", *DATA)):
            assert installed_name(path) in names, f"{path} is not in the wheel"
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sterna"}


def test_the_wheel_carries_the_examples(wheel: Path, tmp_path: Path) -> None:
    """Every shipped network, with what folds and trains it; and it stays small."""
    assert wheel.stat().st_size < 2_000_000
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    names = [p.parent.name for p in (ROOT / "examples").glob("*/network.json")]
    code = (
        f"import sys; sys.path[:0] = [{str(site)!r}]\n"
        f"sys.path += {[p for p in sys.path if p.endswith('site-packages')]!r}\n"
        "from sterna import cli\n"
        "assert cli.main(['examples', '--json']) == 0\n"
        "assert cli.main(['examples', 'mnist', '-o', 'mine', '-q']) == 0\n"
        "assert cli.main(['fold', 'examples/digits', '-o', 'b', '-q']) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[0])
    assert {row["name"] for row in answer["examples"]} == set(names)
    assert answer["folder"].startswith(str(site))
    for path in (ROOT / "examples" / "mnist").iterdir():
        assert (tmp_path / "mine" / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "b" / "design.json").is_file()


def test_every_module_imports_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    modules = []
    for folder in FOLDERS:
        for path in sources(folder, (".py",)):
            if "benches" in path.parts:
                continue  # these run only inside a simulator
            modules.append(dotted(path))
    assert "sterna.golden.network" in modules and "sterna.cli" in modules
    assert imported_with_ban(modules, "False", site) == ""


def test_a_host_needs_only_numpy_pyserial_safetensors(wheel: Path, tmp_path: Path) -> None:
    """golden/files/network_files.py and host/ work where torch and amaranth cannot be imported."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    modules = [
        "sterna",
        "sterna.golden.files.network_files",
        "sterna.golden.coding",
        "sterna.boards.board",
        "sterna.boards.selftest",
    ]
    modules += [dotted(p) for p in sources("host", (".py",))]
    allowed = "{'numpy', 'serial', 'safetensors', 'sterna', *sys.stdlib_module_names}"
    assert imported_with_ban(modules, f"name.split('.')[0] not in {allowed}", site) == ""


def test_only_golden_exact_and_train_need_torch() -> None:
    folders = ("golden", "hw", "gen", "host", "front", "sterna")
    files = [p for f in folders for p in sources(f, (".py",))]
    needs = {ROOT / "golden" / "exact.py", *sources("front/pytorch", (".py",))}
    needs.add(ROOT / "sterna" / "nn.py")  # it is called by its own name only
    modules = [dotted(p) for p in files if p not in needs]
    assert "sterna.gen.quantize.quantize" in modules
    assert imported_with_ban(modules, "name.split('.')[0] == 'torch'") == ""


def imported_with_ban(modules: list[str], banned: str, site: Path = ROOT) -> str:
    """What a new Python says when it imports ``modules`` while ``banned`` names cannot be."""
    # -S and -I keep the editable install out of the way of ``site``.
    first = [str(site)] if site != ROOT else []
    code = (
        "import importlib, sys\n"
        f"sys.path[:0] = {first!r}\n"
        f"sys.path += {[p for p in sys.path if p.endswith('site-packages')]!r}\n"
        "class Ban:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if {banned}:\n"
        "            raise ModuleNotFoundError(f'{name} is banned here', name=name)\n"
        "sys.meta_path.insert(0, Ban())\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    flags = ["-I", "-S"] if first else []
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


# folder -> folders of Sterna it may import (docs/architecture.md: arrows run one way)
ARROWS = {
    "golden": {"golden"},
    "hw": {"golden", "hw"},
    "gen": {"golden", "hw", "gen"},
    "sim": {"golden", "hw", "gen", "sim"},
    "train": {"golden", "gen", "front", "train"},
    "front": {"golden", "gen", "front"},
    "host": {"golden", "host"},
}
# room -> rooms of its folder that it may import beside itself, the deepest first: as the table is
# written from below upwards, a circle cannot be allowed
ROOMS = {
    "golden.words": set(),
    "golden.nodes": {"golden.words"},
    "golden.files": {"golden.nodes", "golden.words"},
    "golden.device": {"golden.files", "golden.words"},
    "host.selftest": set(),
    "sterna.commands": set(),
    "sterna.boards": {"sterna.commands"},
    "sterna.sweep": {"sterna.commands"},
    "sim.benches": set(),
    "sim.proofs": set(),
    "sim.waves": set(),
    "sim.power": set(),
    "host.zynq": set(),
    "hw.memory": set(),
    "hw.stream": {"hw.memory"},
    "hw.dot": {"hw.memory"},
    "hw.neuron": {"hw.memory", "hw.stream"},
    "hw.core": {"hw.dot", "hw.memory", "hw.neuron", "hw.stream"},
    "hw.control": {"hw.memory", "hw.stream"},
    "hw.link": {"hw.control", "hw.stream"},
    "hw.top": {"hw.control", "hw.core", "hw.link", "hw.stream"},
    "front.pytorch": set(),
    "front.qonnx": set(),
    "gen.quantize": set(),
    "gen.device": set(),
    "gen.tools": {"gen.device"},
    "gen.design": {"gen.device"},
    "gen.model": {"gen.design", "gen.device", "gen.tools"},
    "gen.verilog": {"gen.design", "gen.tools"},
    "gen.fold": {"gen.design", "gen.device", "gen.model", "gen.tools"},
    "gen.report": {"gen.model"},
    "gen.build": {
        "gen.design",
        "gen.device",
        "gen.fold",
        "gen.model",
        "gen.report",
        "gen.tools",
        "gen.verilog",
    },
    "gen.timing": set(),
    "gen.ip": {"gen.build", "gen.design", "gen.report", "gen.timing", "gen.tools", "gen.verilog"},
    "gen.board": {
        "gen.build",
        "gen.design",
        "gen.device",
        "gen.fold",
        "gen.ip",
        "gen.model",
        "gen.tools",
        "gen.verilog",
    },
    "gen.power": {"gen.board", "gen.build", "gen.device"},
    "train.data": set(),
    "train.module": set(),
    "train.methods": {"train.module"},
    "train.nn": {"train.module"},
    "train.recipe": {"train.data", "train.methods", "train.module"},
    "train.run": {"train.data", "train.methods", "train.module", "train.recipe"},
    "train.search": {"train.data", "train.module", "train.recipe", "train.run"},
}
ROOM_FILES = 16


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("folder", ARROWS)
def test_arrows_run_one_way(folder: str) -> None:
    for path in sources(folder, (".py",)):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "sterna" and len(parts) > 1:
                assert parts[1] in ARROWS[folder], f"{path} imports {name}"


def rooms(folder: str) -> set[str]:
    """Rooms of Python; a package of data alone (sim/models) is none."""
    return {f"{folder}.{p.parent.name}" for p in (ROOT / folder).glob("*/[!_]*.py")}


def test_the_table_of_rooms_is_whole_and_has_no_circle() -> None:
    assert set(ROOMS) == {room for folder in FOLDERS for room in rooms(folder)}
    below: set[str] = set()
    for room, may in ROOMS.items():
        assert may <= below, f"{room} may import what stands above it: {may - below}"
        below.add(room)


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_between_rooms_run_one_way(room: str) -> None:
    """Imports inside functions count, too: a lazy one must not hide a circle."""
    folder, name = room.split(".")
    used = set()
    for path in sources(f"{folder}/{name}", (".py",)):
        for imported in imports(path):
            parts = imported.split(".")
            # sterna's own rooms have no folder above them
            start = 1 if parts[1:] and parts[1] in FOLDERS else 0
            other = ".".join(parts[start : start + 2])
            if imported.startswith("sterna.") and other in ROOMS and other != room:
                used.add(other)
                same = other.split(".")[0] == folder
                assert not same or other in ROOMS[room], f"{path} imports {imported}"
    unused = ROOMS[room] - used
    assert not unused, f"{room} no longer imports {unused}: take it out of the table"


# files that import modules of ours inside functions, each with its reason beside the import: heavy
# or optional packages; nothing else may
LAZY = {
    "gen/build/stage_list.py",
    "gen/quantize/quantize.py",
    "gen/tools/doctor.py",
    "train/__init__.py",
    "train/search/search.py",
}


def test_an_import_inside_a_function_hides_no_circle() -> None:
    found = set()
    for path in (p for folder in ARROWS for p in sources(folder, (".py",))):
        top = [n for n in ast.parse(path.read_text()).body if not isinstance(n, ast.If | ast.Try)]
        for node in (n for part in top for n in ast.walk(part) if n is not part):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sterna."):
                found.add(str(path.relative_to(ROOT)))
    assert found == LAZY


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_can_be_entered(room: str) -> None:
    files = [p for p in (ROOT / room.replace(".", "/")).glob("*.py") if p.name != "__init__.py"]
    assert 0 < len(files) <= ROOM_FILES


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_can_be_entered(folder: str) -> None:
    files = [p for p in (ROOT / folder).glob("*.py") if p.name != "__init__.py"]
    assert len(files) <= ROOM_FILES


def test_checkers_and_pages_see_all_that_is_installed() -> None:
    """typings/sterna, which pyright and the API's pages read, has every folder and every file."""
    linked = {p.name: p.resolve() for p in (ROOT / "typings" / "sterna").iterdir()}
    wanted = {f: ROOT / f for f in FOLDERS if f != "sterna"}
    wanted |= {p.name: p for p in (ROOT / "sterna").glob("*.py")}
    wanted |= {room: ROOT / "sterna" / room for room in ("boards", "commands", "sweep")}
    assert linked == wanted, f"link in typings/sterna: {sorted(set(wanted) ^ set(linked))}"


def test_no_source_is_too_long_to_read() -> None:
    folders = (*FOLDERS, "tests", "benchmarks", "examples")
    files = [p for f in folders for p in sources(f, (".py", ".c", *DATA))]
    assert len(files) > 500
    assert {str(p) for p in files if len(p.read_text().splitlines()) > 450} == set()


def test_command_line_is_quick() -> None:
    """`sterna --help` imports nothing heavy; time itself is not asserted, machines differ."""
    code = (
        "import sys, sterna.cli as c\n"
        "assert c.main(['--help']) == 0\n"
        "heavy = {'numpy', 'torch', 'amaranth', 'cocotb', 'sklearn', 'safetensors'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout
