"""Shared by the tests of the simulators: the toy top, verilated once, and the echo board."""

from pathlib import Path

import pytest
import toy
from echoboard import ECHO

from sterna.sim.boardsim import board_library
from sterna.sim.taps import Tap


@pytest.fixture(scope="session")
def toy_verilog() -> str:
    return toy.toy_verilog()


@pytest.fixture(scope="session")
def toy_tap() -> Tap:
    return Tap.from_json(toy.TAP)


@pytest.fixture(scope="session")
def echo_library() -> Path:
    return board_library(ECHO, "echo", optimize="none")
