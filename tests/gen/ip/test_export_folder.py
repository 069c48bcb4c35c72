"""The folder of an exported block: what is in it, twice the same, and what it does not replace."""

import json
import shutil
from pathlib import Path

import buildcase
import pytest
from exportcase import made

from sterna.gen.ip.exported import exported
from sterna.gen.ip.folder import block_files, check_folder, export
from sterna.golden.errors import FileError, SternaError
from sterna.golden.files.disk import sha256
from sterna.hw.control.register_files import csr_json


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory):
    return made(tmp_path_factory.mktemp("export"), 0)


def test_an_export_lists_every_file_with_its_hash(block) -> None:
    build, folder = block
    body = json.loads((folder / "ip.json").read_text())
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert set(body["files"]) == set(there) - {"ip.json"}
    assert all(sha256(there[name].read_bytes()) == h for name, h in body["files"].items())
    assert body["top"] == "tiny_axi" and body["vlnv"].startswith("sterna:networks:tiny:")
    assert json.loads((build.folder / "csr.json").read_text()) == csr_json(
        exported(build).registers
    )


def test_an_export_of_the_same_build_has_the_same_bytes(block, tmp_path: Path) -> None:
    build, folder = block
    export(build, tmp_path / "again")
    assert buildcase.contents(folder) == buildcase.contents(tmp_path / "again")


def test_no_file_of_an_export_names_a_place_of_this_machine(block) -> None:
    build, _ = block
    for name, data in block_files(exported(build)).items():
        assert str(build.folder.parent).encode() not in data, name
        assert b"/home/" not in data and b"/tmp/" not in data, name


def test_an_export_replaces_its_own_files_and_leaves_those_of_tools(
    block, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, _ = block
    folder = tmp_path / "ip"
    export(build, folder)
    (folder / "tiny_vivado").mkdir()
    (folder / "tiny_vivado/project.xpr").write_text("of Vivado")
    body = json.loads((folder / "ip.json").read_text())
    for name, text in (("old.v", "ours"), ("mine.v", "ours"), ("../out.v", "ours")):
        (folder / name).write_text(text)
        body["files"][name] = sha256(b"ours")
    (folder / "mine.v").write_text("edited since")
    (folder / "ip.json").write_text(json.dumps(body))
    (folder / "tiny.v").write_text("altered")
    capsys.readouterr()
    export(build, folder)
    said = capsys.readouterr().err
    assert f"{folder / 'mine.v'}: was edited by hand and is kept" in said
    assert said.count("edited by hand") == 1
    assert not (folder / "old.v").exists()
    assert (folder / "mine.v").exists() and (tmp_path / "out.v").exists()
    assert (folder / "tiny_vivado/project.xpr").exists()
    assert "module tiny(" in (folder / "tiny.v").read_text()


def test_an_export_over_its_other_forms_says_so_and_leaves_no_empty_folder(
    block, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, _ = block
    folder = tmp_path / "ip"
    export(build, folder, lambda _: {"timing/a.svg": "a", "other/a.svg": "a", "n/m/a.svg": "a"})
    (folder / "other/mine.txt").write_text("a tool's")
    export(build, folder)
    assert "replaced by" not in capsys.readouterr().err
    assert not (folder / "timing").exists() and (folder / "other/mine.txt").exists()
    assert not (folder / "n").exists()
    body = json.loads((folder / "ip.json").read_text())
    weights = body["weights_id"][:16]
    (folder / "ip.json").write_text(json.dumps(body | {"weights_id": "ab" * 32}))
    export(build, folder)
    said = capsys.readouterr().err
    assert f"ip: held the block of weights_id 'abababababababab', replaced by '{weights}'" in said
    assert "structure_id" not in said


def test_an_interrupted_export_is_completed(
    block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, folder = block
    writes = buildcase.Writes(monkeypatch)
    writes.stop = 5
    with pytest.raises(buildcase.Interrupted):
        export(build, tmp_path / "ip")
    assert len(buildcase.contents(tmp_path / "ip")) == 4
    writes.stop = None
    export(build, tmp_path / "ip")
    assert buildcase.contents(tmp_path / "ip") == buildcase.contents(folder)


@pytest.mark.parametrize("what", ["a file", "a manifest of another", "a damaged manifest"])
def test_an_export_over_something_else_is_refused(block, tmp_path: Path, what: str) -> None:
    build, folder = block
    there = tmp_path / "there"
    there.mkdir()
    if what == "a file":
        (there / "thesis.tex").write_text("mine")
    elif what == "a damaged manifest":
        (there / "ip.json").write_text('{"format": "sterna-ip"}')
    else:
        body = json.loads((folder / "ip.json").read_text())
        (there / "ip.json").write_text(json.dumps(body | {"module": "other"}))
    before = buildcase.contents(there)
    with pytest.raises(FileError, match="there: (is not empty|holds the block of .*'other')"):
        export(build, there)
    assert buildcase.contents(there) == before


def test_an_export_into_a_link_or_a_file_writes_nothing_outside(block, tmp_path: Path) -> None:
    build, _ = block
    (tmp_path / "file").write_text("x")
    with pytest.raises(SternaError, match="is a file where a folder is needed"):
        export(build, tmp_path / "file")
    export(build, tmp_path / "ip")
    (tmp_path / "else").mkdir()
    for name in ("tb", "sw"):
        for path in (tmp_path / "ip" / name).iterdir():
            path.unlink()
        (tmp_path / "ip" / name).rmdir()
        (tmp_path / "ip" / name).symlink_to(tmp_path / "else")
    with pytest.raises(SternaError, match="would be written outside of"):
        export(build, tmp_path / "ip")
    assert list((tmp_path / "else").iterdir()) == []


def test_a_folder_that_another_export_took_meanwhile_is_refused(block, tmp_path: Path) -> None:
    """Whose it is counts under the lock, not as it was before the long work."""
    build, folder = block
    (tmp_path / "ip").mkdir()
    body = json.loads((folder / "ip.json").read_text())

    def take(_: object) -> dict[str, str]:
        (tmp_path / "ip/ip.json").write_text(json.dumps(body | {"module": "other"}))
        return {}

    with pytest.raises(FileError, match="ip: holds the block of the network 'other'"):
        export(build, tmp_path / "ip", take)
    assert list(buildcase.contents(tmp_path / "ip")) == ["ip.json"]


def test_files_of_an_earlier_export_are_those_that_it_has_under_the_lock(
    block, tmp_path: Path
) -> None:
    build, folder = block
    shutil.copytree(folder, tmp_path / "ip")

    def take(_: object) -> dict[str, str]:
        export(build, tmp_path / "ip", lambda _: {"timing/a.svg": "a"})
        return {}

    export(build, tmp_path / "ip", take)
    assert buildcase.contents(tmp_path / "ip") == buildcase.contents(folder)


def test_what_a_writer_is_about_to_rename_does_not_fill_a_folder(block, tmp_path: Path) -> None:
    build, folder = block
    (tmp_path / "ip").mkdir()
    (tmp_path / "ip/.sterna-abc.part").write_text("of an export just begun, or of a killed one")
    assert check_folder(tmp_path / "ip", build.name) is None
    export(build, tmp_path / "ip")
    assert buildcase.contents(tmp_path / "ip") == buildcase.contents(folder)


def test_a_folder_where_a_file_goes_is_called_one(block, tmp_path: Path) -> None:
    build, _ = block
    (tmp_path / "ip").mkdir()
    export(build, tmp_path / "ip")
    (tmp_path / "ip/tiny.sdc").unlink()
    (tmp_path / "ip/tiny.sdc").mkdir()
    with pytest.raises(FileError, match="tiny.sdc: is a folder where a file is needed; remove it"):
        export(build, tmp_path / "ip")
