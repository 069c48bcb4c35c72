"""A simulated board behind a serial port, as pyserial and an operating system see it."""

import os
import time

import pytest
import serial
from echoboard import DIVISOR, echo

from sterna.sim.batch import SimulationError
from sterna.sim.boardpty import PtyBoard
from sterna.sim.boardsim import SimulatedBoard


@pytest.fixture
def port(echo_library):
    with PtyBoard(SimulatedBoard(echo_library, DIVISOR), grace=20_000) as found:
        yield found


def opened(path: str) -> serial.Serial:
    return serial.Serial(path, 1_000_000, timeout=20, write_timeout=20, exclusive=True)


def test_programs_come_and_go(port):
    for text in (b"first", bytes(range(127)), b"\n\r\x03\x04\x11\x13\0"):
        with opened(port.path) as line:
            line.write(text)
            assert line.read(len(text)) == echo(text)
    with opened(port.path), pytest.raises(serial.SerialException, match="lock"):
        opened(port.path)


def test_a_long_message_waits_in_the_port_and_not_in_the_board(port):
    # 48 bytes may be under way: the echo has room for 64.
    text = bytes(range(120)) * 100
    with opened(port.path) as line:
        found = b""
        for at in range(0, len(text), 48):
            line.write(text[at : at + 48])
            found += line.read(48)
        assert found == echo(text)


def test_an_idle_board_stands_still_and_wakes_up(port):
    with opened(port.path) as line:
        line.write(b"a")
        assert line.read(1) == echo(b"a")
        deadline = time.monotonic() + 20
        while port.board.clock != (clock := (time.sleep(0.1), port.board.clock)[1]):
            assert time.monotonic() < deadline
        used = time.process_time()
        time.sleep(0.5)
        assert port.board.clock == clock
        assert time.process_time() - used < 0.1
        line.write(b"b")
        assert line.read(1) == echo(b"b")
        assert port.board.clock > clock


def test_what_nobody_reads_is_kept_for_the_next_program(port):
    text = b"x" * 8000  # more than the operating system keeps
    with opened(port.path) as line:
        for at in range(0, len(text), 40):
            line.write(text[at : at + 40])
            time.sleep(0.001)
        found = line.read(len(text))
    assert found == echo(text)


def test_the_port_vanishes_at_the_end(echo_library):
    port = PtyBoard(SimulatedBoard(echo_library, DIVISOR))
    assert not port.wait(0.01)
    port.close()
    port.close()
    assert port.wait(0) and port.error is None
    assert not os.path.exists(port.path)


def test_a_board_that_ends_says_why(echo_library):
    with PtyBoard(SimulatedBoard(echo_library, DIVISOR)) as port:
        with opened(port.path) as line:
            line.write(b"\x7f")
            assert port.wait(20)
    assert isinstance(port.error, SimulationError)
