"""Builds in a simulated Zynq, made once for all tests of this folder."""

import json
import sys

import pytest
from pynq_stand_in import stand_in
from tinyboard import network
from zynqsim import Zynq

from sterna.gen.build.stages import ensure
from sterna.golden.files import network_files as files


def built(folder, memory, axis_width=8):
    files.save(network(0), folder)
    fold = {name: {"memory": memory} for name in ("conv", "full")}
    body = {"family": "xilinx7", "axis_width": axis_width, "folding": fold}
    (folder / "folding.json").write_text(json.dumps(body))
    return ensure(folder, "verilog", output=folder)


@pytest.fixture(scope="package")
def ram(tmp_path_factory):
    return built(tmp_path_factory.mktemp("ram"), "ram", 24)


@pytest.fixture(scope="package")
def rom(tmp_path_factory):
    return built(tmp_path_factory.mktemp("rom"), "rom")


@pytest.fixture
def on(monkeypatch, tmp_path):
    """Puts a build's Verilog into a Zynq; gives (Zynq, the .bit, the stand-in)."""

    def put(build, **options):
        zynq = Zynq(build, **options)
        module = stand_in(zynq)
        monkeypatch.setitem(sys.modules, "pynq", module)
        bit = tmp_path / "net.bit"
        for path in (bit, bit.with_suffix(".hwh")):
            path.touch()
        return zynq, bit, module

    return put
