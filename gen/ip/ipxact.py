"""component.xml: the block in IP-XACT, IEEE 1685-2009, as Vivado reads it."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from sterna.gen.ip import layout
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.ports import Bus, Port
from sterna.gen.ip.wrapper import INFO, interface_parameters
from sterna.golden.device.csr import ADDRESS_BITS
from sterna.hw.control.registers import Access, Field, Register

__all__ = ["component", "component_files"]

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
XILINX = "http://www.xilinx.com"
_VIEWS = {
    "xilinx_anylanguagesynthesis": ":vivado.xilinx.com:synthesis",
    "xilinx_anylanguagebehavioralsimulation": ":vivado.xilinx.com:simulation",
}
_XGUI = "xilinx_xpgui"
_FAMILIES = """
    artix7 artix7l aartix7 qartix7 kintex7 kintex7l qkintex7 spartan7 aspartan7 virtex7 qvirtex7
    zynq azynq qzynq artixuplus kintexu kintexuplus virtexu virtexuplus zynquplus versal
"""
_ACCESS = {
    Access.READ: "read-only",
    Access.WRITE: "read-write",
    Access.CLEAR: "read-write",
    Access.PULSE: "write-only",
}


def component_files(x: Exported) -> dict[str, str]:
    """component.xml, and the dialogue that it names."""
    return {layout.COMPONENT: component(x), layout.xgui(x): _DIALOGUE.format(x=x)}


def component(x: Exported) -> str:
    """The text of component.xml: same build, same bytes."""
    ET.register_namespace("spirit", SPIRIT)
    ET.register_namespace("xilinx", XILINX)
    root = ET.Element(_name("component"))
    for key, value in zip(("vendor", "library", "name", "version"), x.vlnv, strict=True):
        _add(root, key, value)
    interfaces = _add(root, "busInterfaces")
    for bus in x.buses:
        _interface(interfaces, x, bus)
    _memory_map(_add(root, "memoryMaps"), x)
    _model(_add(root, "model"), x)
    _file_sets(_add(root, "fileSets"), x)
    text = (
        f"Spiking neural network {x.module}: {x.image_beats} beats in, {x.result_words} words out"
    )
    _add(root, "description", text)
    _parameter(_add(root, "parameters"), "Component_Name", x.module, user=True)
    _vivado(_add(root, "vendorExtensions"), x)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _name(tag: str, space: str = SPIRIT) -> str:
    return f"{{{space}}}{tag}"


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    made = ET.SubElement(parent, _name(tag), {_name(k): v for k, v in attributes.items()})
    made.text = text or None
    return made


def _interface(parent: ET.Element, x: Exported, bus: Bus) -> None:
    made = _add(parent, "busInterface")
    _add(made, "name", bus.name)
    _add(made, "description", bus.text)
    vendor, library, name, version = INFO[bus.kind].replace(":", " ").split()
    for tag, ending in (("busType", ""), ("abstractionType", "_rtl")):
        what = {"vendor": vendor, "library": library, "name": name + ending, "version": version}
        _add(made, tag, **what)
    mode = _add(made, bus.mode)
    if bus.kind == "axilite":
        _add(mode, "memoryMapRef", memoryMapRef=bus.name)
    maps = _add(made, "portMaps")
    for port in bus.ports:
        pair = _add(maps, "portMap")
        _add(_add(pair, "logicalPort"), "name", port.logical)
        _add(_add(pair, "physicalPort"), "name", port.name)
    parameters = _add(made, "parameters")
    for key, value in interface_parameters(x, bus).items():
        _parameter(parameters, key, value, f"BUSIFPARAM_VALUE.{bus.name.upper()}.{key}")


def _parameter(
    parent: ET.Element, key: str, value: str, known: str = "", user: bool = False
) -> None:
    made = _add(parent, "parameter")
    _add(made, "name", key)
    about = {"id": known} if known else {"resolve": "user", "id": f"PARAM_VALUE.{key}"}
    _add(made, "value", value, **about)


# --- registers --------------------------------------------------------------------------------


def _memory_map(parent: ET.Element, x: Exported) -> None:
    (bus,) = (b for b in x.buses if b.kind == "axilite")
    made = _add(parent, "memoryMap")
    _add(made, "name", bus.name)
    block = _add(made, "addressBlock")
    _add(block, "name", "registers")
    _add(block, "baseAddress", "0")
    _add(block, "range", f"{1 << ADDRESS_BITS}")
    _add(block, "width", "32")
    _add(block, "usage", "register")
    _add(block, "volatile", "true")
    _add(block, "access", "read-write")
    for register in x.registers:
        _register(block, register)


def _register(parent: ET.Element, register: Register) -> None:
    made = _add(parent, "register")
    _add(made, "name", register.name)
    _add(made, "description", register.text)
    _add(made, "addressOffset", f"0x{register.address:X}")
    _add(made, "size", "32")
    _add(made, "access", "read-write" if register.writable else "read-only")
    for field in register.fields:
        _field(made, register, field)


def _field(parent: ET.Element, register: Register, field: Field) -> None:
    made = _add(parent, "field")
    _add(made, "name", field.name)
    _add(made, "description", field.text)
    _add(made, "bitOffset", f"{field.low}")
    _add(made, "bitWidth", f"{field.width}")
    _add(made, "access", _ACCESS[field.access])
    if field.access is Access.CLEAR:
        _add(made, "modifiedWriteValue", "oneToClear")
    if register.acts_on_read:
        _add(made, "readAction", "modify")


# --- model and files --------------------------------------------------------------------------


def _model(parent: ET.Element, x: Exported) -> None:
    views = _add(parent, "views")
    for name, tool in _VIEWS.items():
        view = _add(views, "view")
        _add(view, "name", name)
        _add(view, "envIdentifier", tool)
        _add(view, "language", "Verilog")
        _add(view, "modelName", x.wrapper)
        _add(_add(view, "fileSetRef"), "localName", f"{name}_view_fileset")
    view = _add(views, "view")
    _add(view, "name", _XGUI)
    _add(view, "envIdentifier", ":vivado.xilinx.com:xgui.ui")
    _add(_add(view, "fileSetRef"), "localName", f"{_XGUI}_view_fileset")
    ports = _add(parent, "ports")
    for port in x.ports:
        _port(ports, port)


def _port(parent: ET.Element, port: Port) -> None:
    made = _add(parent, "port")
    _add(made, "name", port.name)
    _add(made, "description", port.text)
    wire = _add(made, "wire")
    _add(wire, "direction", port.way)
    if port.bits > 1:
        vector = _add(wire, "vector")
        _add(vector, "left", f"{port.bits - 1}")
        _add(vector, "right", "0")
    kind = _add(_add(wire, "wireTypeDefs"), "wireTypeDef")
    _add(kind, "typeName", "wire")
    for view in _VIEWS:
        _add(kind, "viewNameRef", view)


def _file_sets(parent: ET.Element, x: Exported) -> None:
    for n, name in enumerate(_VIEWS):
        made = _add(parent, "fileSet")
        _add(made, "name", f"{name}_view_fileset")
        for file in layout.rtl(x):
            _file(made, file, "verilogSource")
        if x.read_from_files:
            for file in layout.memories(x):
                _file(made, file, users=("mem",))
        if n == 0:  # of synthesis; the clock is somebody else's where the block is not alone
            users = ("xdc", "USED_IN_out_of_context", "USED_IN_synthesis", "USED_IN_implementation")
            _file(made, layout.constraints(x)[0], users=users)
    made = _add(parent, "fileSet")
    _add(made, "name", f"{_XGUI}_view_fileset")
    _file(made, layout.xgui(x), "tclSource", ("XGUI_VERSION_2",))


def _file(parent: ET.Element, name: str, kind: str = "", users: Iterable[str] = ()) -> None:
    made = _add(parent, "file")
    _add(made, "name", name)
    if kind:
        _add(made, "fileType", kind)
    for user in users:
        _add(made, "userFileType", user)


def _vivado(parent: ET.Element, x: Exported) -> None:
    """What Vivado's catalogue shows, and for which devices."""

    def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
        keys = {_name(k, XILINX): v for k, v in attributes.items()}
        made = ET.SubElement(parent, _name(tag, XILINX), keys)
        made.text = text or None
        return made

    core = add(parent, "coreExtensions")
    families = add(core, "supportedFamilies")
    for family in _FAMILIES.split():
        add(families, "family", family, lifeCycle="Production")
    add(add(core, "taxonomies"), "taxonomy", "/Sterna")
    add(core, "displayName", f"{x.module}: a spiking neural network")
    add(core, "coreRevision", "1")


_DIALOGUE = """\
# The dialogue of {x.module} in Vivado: nothing can be chosen, the network is what it is.
proc init_gui {{ IPINST }} {{
  ipgui::add_param $IPINST -name "Component_Name"
}}
"""
