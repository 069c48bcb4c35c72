"""What a report says of a line and a board: nothing private, and silicon only where it may be."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hostile import Line, board

from sterna.golden.device import simulated
from sterna.golden.device.simulated import announce, announced, withdraw
from sterna.host.selftest import facts
from sterna.host.selftest.facts import board_facts, host_facts, line_facts
from sterna.host.serialport import SerialPort, Transport


@pytest.fixture(autouse=True)
def _own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated.tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def port(name: str) -> SerialPort:
    """One that is not opened."""
    made = SerialPort.__new__(SerialPort)
    made.name, made.baud = name, 500_000
    return made


def adapter(**more: Any) -> SimpleNamespace:
    known = {
        "device": "/dev/ttyUSB0",
        "description": "FT231X AB0CD1 - UART",
        "manufacturer": "FTDI",
        "serial_number": "AB0CD1",
        "vid": 0x0403,
        "pid": 0x6015,
    }
    return SimpleNamespace(**known | more)


def found(line: Transport, monkeypatch: pytest.MonkeyPatch, *ports: Any) -> tuple[Any, Any]:
    monkeypatch.setattr(facts.list_ports, "comports", lambda: list(ports))
    said = line_facts(line, 10.0)
    return said, board_facts(line, said, None, None)


def test_an_adapter_is_named_without_its_serial_number(monkeypatch: pytest.MonkeyPatch) -> None:
    line, told = found(port("/dev/ttyUSB0"), monkeypatch, adapter())
    assert (line["kind"], line["usb"], line["baud"]) == ("serial adapter", "0403:6015", 500_000)
    assert line["description"] == "FT231X  - UART" and line["manufacturer"] == "FTDI"
    assert "AB0CD1" not in str(line) and told["kind"] == "silicon"


def test_a_link_by_id_is_the_port_that_it_leads_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    link = tmp_path / "usb-FTDI_AB0CD1-if00"
    link.symlink_to("/dev/ttyUSB0")
    line, told = found(port(str(link)), monkeypatch, adapter())
    assert line["port"] == "ttyUSB0" and line["kind"] == "serial adapter"
    assert "AB0CD1" not in str(line) and told["kind"] == "silicon"


def test_a_port_without_usb_is_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = adapter(device="/dev/ttyAMA0", vid=None, pid=None, description="n/a")
    line, told = found(port("/dev/ttyAMA0"), monkeypatch, plain)
    assert (line["kind"], line["usb"], line["description"]) == ("serial port", None, None)
    assert told["kind"] == "silicon"


@pytest.mark.parametrize(
    "name, kind",
    [
        ("/dev/ttyp3", "pseudo-terminal"),
        ("/dev/ttys004", "pseudo-terminal"),
        ("/dev/pts/77", "pseudo-terminal"),
        ("socket://me:secret@box:7", "address of pyserial"),
    ],
)
def test_what_no_board_has_is_not_called_silicon(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    # Whatever the list of ports says of it.
    line, told = found(port(name), monkeypatch, adapter(device=name))
    assert line["kind"] == kind and told["kind"] == "unknown" and "secret" not in str(line)


def test_a_line_in_python_is_not_called_silicon(monkeypatch: pytest.MonkeyPatch) -> None:
    line, told = found(Line(board()), monkeypatch)
    assert told["kind"] == "unknown" and line["port"] is None


def test_a_simulator_says_so_while_it_lives(
    monkeypatch: pytest.MonkeyPatch, terminal: str, tmp_path: Path
) -> None:
    announce(terminal, {"board": "ulx3s-85f", "divisor": 4, "odd": ["x"]})
    told = found(port(terminal), monkeypatch)[1]
    assert told["kind"] == "simulated" and told["simulation"] == {"divisor": 4}
    assert (told["name"], told["named_by"]) == ("ulx3s-85f", "sterna board-sim")
    # By a link to it, too; and a name that the user gives does not make it silicon.
    link = tmp_path / "ttyUSB0"
    link.symlink_to(terminal)
    said = line_facts(port(str(link)), 1.0)
    told = board_facts(port(str(link)), said, "my board", None)
    assert told["kind"] == "simulated" and told["name"] == "my board"
    withdraw(terminal)
    withdraw(terminal)
    assert announced(terminal) is None
    assert found(port(terminal), monkeypatch)[1]["kind"] == "unknown"


def test_a_note_of_a_process_that_has_ended_says_nothing(
    terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    with monkeypatch.context() as patch:
        patch.setattr(simulated.os, "getpid", lambda: int(done.stdout))
        announce(terminal, {})
    assert announced(terminal) is None
    for process in (0, -1, 1 << 40):
        with monkeypatch.context() as patch:
            patch.setattr(simulated.os, "getpid", lambda process=process: process)
            announce(terminal, {})
        assert announced(terminal) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"simulated": 1}', '{"simulated": true}'])
def test_a_note_that_is_none_says_nothing(terminal: str, text: str) -> None:
    announce(terminal, {})
    (note,) = next(Path(simulated.tempfile.gettempdir()).glob("sterna-boards-*")).iterdir()
    note.write_text(text)
    assert announced(terminal) is None


def test_a_folder_of_somebody_elses_says_nothing(
    terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(terminal, {})
    assert announced(terminal) is not None
    folder = next(Path(simulated.tempfile.gettempdir()).glob("sterna-boards-*"))
    uid = os.getuid()
    folder.rename(folder.with_name(f"sterna-boards-{uid + 1}"))
    monkeypatch.setattr(simulated.os, "getuid", lambda: uid + 1)
    assert announced(terminal) is None


def test_a_host_is_named_by_versions_only() -> None:
    import getpass
    import platform

    said = host_facts()
    assert set(said) >= {"sterna", "python", "pyserial", "system"}
    node = platform.node()
    assert not node or node not in said.values()
    assert getpass.getuser() not in said.values()
