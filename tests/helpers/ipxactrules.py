"""What IEEE 1685-2009 asks of the elements of a component that we write, as a table of our own.

The schemas of the standard may be copied, but neither altered nor cut, and no original was at hand:
so none is kept here. Each element has its children in their order: 'x' exactly one, 'x?' at most
one, 'x*' any number, 'x+' at least one; a tuple is one of several. A test also takes the schema
itself where $STERNA_IPXACT_XSD is its index.xsd.
"""

import re
import xml.etree.ElementTree as ET

__all__ = ["SPIRIT", "faults"]

SPIRIT = "{http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009}"
_NAMED = "name displayName? description? "
_RULES = {
    "component": "vendor library name version busInterfaces? channels? remapStates? addressSpaces? "
    "memoryMaps? model? componentGenerators? choices? fileSets? whiteboxElements? cpus? "
    "otherClockDrivers? description? parameters? vendorExtensions?",
    "busInterfaces": "busInterface+",
    "busInterface": _NAMED + "busType abstractionType? master|slave|system|mirroredSlave|monitor|"
    "mirroredMaster connectionRequired? portMaps? bitsInLau? bitSteering? endianness? parameters? "
    "vendorExtensions?",
    "slave": "memoryMapRef? bridge* fileSetRefGroup*",
    "master": "addressSpaceRef?",
    "portMaps": "portMap+",
    "portMap": "logicalPort physicalPort",
    "logicalPort": "name vector?",
    "physicalPort": "name vector?",
    "parameters": "parameter+",
    "parameter": _NAMED + "value vendorExtensions?",
    "memoryMaps": "memoryMap+",
    "memoryMap": _NAMED + "addressBlock+ memoryRemap* addressUnitBits? vendorExtensions?",
    "addressBlock": _NAMED + "baseAddress typeIdentifier? range width usage? volatile? access? "
    "parameters? register* registerFile* vendorExtensions?",
    "register": _NAMED + "dim* addressOffset typeIdentifier? size volatile? access? reset? field* "
    "alternateRegisters? parameters? vendorExtensions?",
    "field": _NAMED + "bitOffset typeIdentifier? bitWidth volatile? access? enumeratedValues? "
    "modifiedWriteValue? writeValueConstraint? readAction? testable? parameters? vendorExtensions?",
    "model": "views? ports? modelParameters?",
    "views": "view+",
    "view": _NAMED + "envIdentifier+ language? modelName? defaultFileBuilder* fileSetRef* "
    "constraintSetRef* whiteboxElementRefs? parameters? vendorExtensions?",
    "fileSetRef": "localName",
    "ports": "port*",
    "port": _NAMED + "wire access? vendorExtensions?",
    "wire": "direction vector? wireTypeDefs? driver? constraintSets?",
    "vector": "left right",
    "wireTypeDefs": "wireTypeDef+",
    "wireTypeDef": "typeName typeDefinition* viewNameRef+",
    "fileSets": "fileSet+",
    "fileSet": _NAMED + "group* file* defaultFileBuilder* dependency* function* vendorExtensions?",
    "file": "name fileType* userFileType* isIncludeFile? logicalName? exportedName* buildCommand? "
    "dependency* define* imageType* description? vendorExtensions?",
}
_WORDS = {
    "direction": "in out inout phantom",
    "access": "read-only write-only read-write writeOnce read-writeOnce",
    "usage": "memory register reserved",
    "volatile": "true false",
    "modifiedWriteValue": "oneToClear oneToSet oneToToggle zeroToClear zeroToSet zeroToToggle "
    "clear set modify",
    "readAction": "clear set modify",
    "fileType": "unknown cSource cppSource verilogSource verilogSource-95 verilogSource-2001 "
    "tclSource xmlSource systemVerilogSource swObject",
}
_TYPED = {"busType", "abstractionType"}
# (where a name is used, where it is declared)
_REFERENCES = (
    ("busInterfaces/busInterface/slave/memoryMapRef@memoryMapRef", "memoryMaps/memoryMap/name"),
    ("busInterfaces/busInterface/portMaps/portMap/physicalPort/name", "model/ports/port/name"),
    ("model/views/view/fileSetRef/localName", "fileSets/fileSet/name"),
    ("model/ports/port/wire/wireTypeDefs/wireTypeDef/viewNameRef", "model/views/view/name"),
)


def faults(text: str) -> list[str]:
    """What a component's text has wrong, a sentence each."""
    root = ET.fromstring(text)
    found = [] if root.tag == f"{SPIRIT}component" else ["the root is no component"]
    for element in root.iter():
        found += _element(element)
    for used, declared in _REFERENCES:
        names = _values(root, declared)
        found += [f"{declared}: {n} twice" for n in names if names.count(n) > 1]
        found += [f"{used}: there is no {n}" for n in _values(root, used) if n not in names]
    ids = [v for e in root.iter() if (v := e.get(f"{SPIRIT}id")) is not None]
    return found + [f"id {i} twice" for i in ids if ids.count(i) > 1]


def _element(element: ET.Element) -> list[str]:
    if not element.tag.startswith(SPIRIT):
        return []
    tag = element.tag.removeprefix(SPIRIT)
    text = (element.text or "").strip()
    if tag == "vendorExtensions":
        return []
    if tag in _TYPED:
        keys = {f"{SPIRIT}{k}" for k in ("vendor", "library", "name", "version")}
        return [] if set(element.keys()) == keys else [f"{tag}: {element.keys()}"]
    if tag in _WORDS and text not in _WORDS[tag].split():
        return [f"{tag}: {text}"]
    if len(element) == 0 and tag not in ("slave", "master"):
        return [] if text or element.keys() else [f"{tag} is empty"]
    if tag not in _RULES:
        return [f"{tag} is not in the table"]
    children = "".join(c.tag.removeprefix(SPIRIT) + " " for c in element)
    wanted = "".join(_pattern(item) for item in _RULES[tag].split())
    return [] if re.fullmatch(wanted, children) else [f"{tag} has {children}"]


def _pattern(item: str) -> str:
    name, count = re.fullmatch(r"([\w|]+)([?*+]?)", item).groups()  # pyright: ignore
    return f"(?:(?:{name}) ){count}"


def _values(root: ET.Element, path: str) -> list[str]:
    path, _, attribute = path.partition("@")
    elements = root.findall("/".join(SPIRIT + part for part in path.split("/")))
    if attribute:
        return [e.get(SPIRIT + attribute, "") for e in elements]
    return [e.text or "" for e in elements]
