"""component.xml by the rules of the standard, and as a reader that is not ours has it."""

import io
import os
import re
import xml.etree.ElementTree as ET

import pytest
from exportcase import facts, wide
from ipxactrules import SPIRIT, faults

from sterna.gen.ip import layout
from sterna.gen.ip.folder import block_files
from sterna.gen.ip.ipxact import component
from sterna.gen.ip.wrapper import wrapper
from sterna.hw.control.registers import Access


@pytest.mark.parametrize("n", [0, 1])
def test_an_exported_component_follows_the_standard(n: int) -> None:
    assert faults(component(facts(n))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (">in<", ">input<"),
        ("<spirit:size>32</spirit:size>", ""),
        (
            "physicalPort>\n            <spirit:name>aclk",
            "physicalPort>\n            <spirit:name>clk",
        ),
        ('memoryMapRef="s_axil"', 'memoryMapRef="s_axi"'),
        ("<spirit:baseAddress>0</spirit:baseAddress>", "<spirit:width>32</spirit:width>"),
        (" spirit:version=", " version="),
    ],
)
def test_a_wrong_component_of_an_export_is_seen(old: str, new: str) -> None:
    text = component(facts())
    assert old in text and faults(text.replace(old, new, 1))


def test_an_exported_component_is_valid_by_the_schema_itself() -> None:
    index = os.environ.get("STERNA_IPXACT_XSD")
    if not index:
        pytest.skip("STERNA_IPXACT_XSD is not the index.xsd of IEEE 1685-2009")
    schema = pytest.importorskip("xmlschema").XMLSchema(index)
    for n in (0, 1):
        assert [str(e) for e in schema.iter_errors(component(facts(n)))] == []


def read(text: str):
    ipyxact = pytest.importorskip("ipyxact.ipyxact")
    made = ipyxact.Component()
    made.load(io.StringIO(text))
    return made


@pytest.mark.parametrize("n", [0, 1])
def test_a_reader_finds_ports_interfaces_and_registers_of_an_export(n: int) -> None:
    x = facts(n)
    found = read(component(x))
    assert (found.vendor, found.library, found.name, found.version) == x.vlnv
    seen = {p.name: p.wire.direction for p in found.model.ports.port}
    assert seen == {p.name: p.way for p in x.ports}
    # It reads vectors as IEEE 1685-2014 has them, so these are looked up here.
    wires = ET.fromstring(component(x)).findall(f".//{SPIRIT}port")
    lefts = {w.findtext(f"{SPIRIT}name"): w.findtext(f".//{SPIRIT}left", "0") for w in wires}
    assert lefts == {p.name: f"{p.bits - 1}" for p in x.ports}
    maps = {b.name: b.portMaps.portMap for b in found.busInterfaces.busInterface}
    for bus in x.buses:
        pairs = {(m.logicalPort.name, m.physicalPort.name) for m in maps[bus.name]}
        assert pairs == {(p.logical, p.name) for p in bus.ports}
    (block,) = found.memoryMaps.memoryMap[0].addressBlock
    assert (block.baseAddress, block.range, block.width) == (0, 1 << 16, 32)
    assert {r.name: r.addressOffset for r in block.register} == {
        r.name: r.address for r in x.registers
    }
    for register, ours in zip(block.register, x.registers, strict=True):
        assert (register.access == "read-write") == ours.writable
        fields = {f.name: (f.bitOffset, f.bitWidth) for f in register.field}
        assert fields == {f.name: (f.low, f.width) for f in ours.fields}
        clears = {f.name for f in ours.fields if f.access is Access.CLEAR}
        assert {f.name for f in register.field if f.modifiedWriteValue == "oneToClear"} == clears


def test_files_that_an_exported_component_names_are_there() -> None:
    for n in (0, 1):
        x = facts(n)
        root = ET.fromstring(component(x))
        named = {e.text for e in root.findall(f".//{SPIRIT}file/{SPIRIT}name")}
        assert named <= set(block_files(x)) and set(layout.rtl(x)) <= named
        models = {e.text for e in root.findall(f".//{SPIRIT}modelName")}
        assert models == {x.wrapper}


def test_interfaces_of_an_exported_component_are_those_of_the_wrapper() -> None:
    """One description: what Vivado reads in the Verilog is what component.xml says."""
    for width in (8, 24, 512):
        x = wide(width)
        text, root = wrapper(x), ET.fromstring(component(x))
        for bus in root.findall(f".//{SPIRIT}busInterface"):
            name = bus.findtext(f"{SPIRIT}name")
            told = re.search(rf'XIL_INTERFACENAME {name}, (.*?)"', text)
            assert told is not None
            pairs = dict(pair.split(" ", 1) for pair in told[1].split(", "))
            rows = bus.findall(f"{SPIRIT}parameters/{SPIRIT}parameter")
            said = {r.findtext(f"{SPIRIT}name"): r.findtext(f"{SPIRIT}value") for r in rows}
            assert pairs == said
