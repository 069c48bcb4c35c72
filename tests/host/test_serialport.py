"""Real ports: pseudo terminals, and the sentences where a port cannot be used."""

import errno
import os
import tty

import numpy as np
import pytest
import serial
from fakeboard import FakeBoard, FakeNetwork, result_of
from lines import PtyBoard

from sterna.golden.device.link import LinkError
from sterna.golden.errors import UsageError
from sterna.host.board import Board
from sterna.host.serialport import SerialPort


def small() -> FakeBoard:
    return FakeBoard(FakeNetwork(classes=4, weights=5), image_bytes=12)


def test_through_a_pseudo_terminal() -> None:
    board = small()
    given = np.random.default_rng(0).integers(0, 256, (3000, 1, 3, 4)).astype(np.uint8)
    with PtyBoard(board) as line, Board(line.port, shape=(1, 3, 4)) as b:
        logits = b.infer(given).logits.view(np.uint32)
        assert b.identify().classes == 4
    expected = [result_of(image.tobytes(), 4, 5)[1:] for image in given]
    assert (logits == np.array(expected, np.uint32)).all()


def test_a_port_is_used_by_one_program() -> None:
    with PtyBoard(small()) as line:
        first = Board(line.port)
        with pytest.raises(LinkError, match=f"{line.port} is in use by another program"):
            Board(line.port)
        first.close()
        Board(line.port).close()


def test_a_port_that_vanishes() -> None:
    line = PtyBoard(small())
    with line, Board(line.port) as b:
        b.identify()
        line.unplug()
        with pytest.raises(LinkError, match="port .* has gone; plug the board in"):
            b.identify()


def test_a_closed_board_says_so() -> None:
    with PtyBoard(small()) as line:
        b = Board(line.port)
        b.close()
        with pytest.raises(LinkError, match="is closed"):
            b.identify()


def test_nothing_answers_on_the_port() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        with pytest.raises(LinkError, match="no answer from a board within 0.1 s"):
            Board(os.ttyname(slave), timeout=0.3)
    finally:
        os.close(slave)
        os.close(master)


def test_a_port_that_takes_no_bytes() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = SerialPort(os.ttyname(slave), timeout=0.05)
    try:
        with pytest.raises(LinkError, match="took no bytes for 0.05 s"):
            for _ in range(1000):
                port.write(bytes(256))
    finally:
        port.close()
        os.close(slave)
        os.close(master)


def test_wrong_ports(tmp_path) -> None:
    with pytest.raises(LinkError, match="there is no port /dev/ttyNOTHING; this machine has"):
        SerialPort("/dev/ttyNOTHING")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(LinkError, match="is no serial port"):
        SerialPort(str(file))
    with pytest.raises(LinkError, match="cannot be opened"):
        SerialPort("nothing://here")


@pytest.mark.parametrize(
    "error, words",
    [
        (serial.SerialException(errno.EACCES, "permission denied"), "dialout"),
        (serial.SerialException(errno.EBUSY, "busy"), "in use by another program"),
        (
            serial.SerialException("could not open port 'COM9': FileNotFoundError(2)"),
            "no port COM9",
        ),
        (serial.SerialException("could not open port 'COM9': PermissionError(13)"), "may not be"),
        (ValueError("Not a valid baudrate: 7"), "cannot run at 7 baud"),
    ],
)
def test_errors_of_other_systems(error: Exception, words: str, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(LinkError, match=words):
        SerialPort("COM9", 7)


@pytest.mark.parametrize("baud", [0, -9600, 1.5, True])
def test_a_rate_that_is_none_is_refused_before_the_port_is_touched(baud) -> None:
    with pytest.raises(UsageError, match="baud: give the rate"):
        SerialPort("/dev/sterna-is-not-here", baud)
