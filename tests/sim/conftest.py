"""Shared by the tests of the simulators: the toy top, verilated once, the echo board, and
the bench of memories."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from sterna.sim.boardsim import board_library
from sterna.sim.taps import Tap


def _load(name: str):
    # tests/ are no package (importlib mode): helpers are loaded by their path, once.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
_load("toy")
_load("echoboard")
_load("memsbench")


@pytest.fixture(scope="session")
def toy_verilog() -> str:
    return sys.modules["toy"].toy_verilog()


@pytest.fixture(scope="session")
def toy_tap() -> Tap:
    return Tap.from_json(sys.modules["toy"].TAP)


@pytest.fixture(scope="session")
def echo_library() -> Path:
    return board_library(sys.modules["echoboard"].ECHO, "echo", optimize="none")
