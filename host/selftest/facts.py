"""Of what and with what a selftest is: this computer, the line, the board, the build. Nothing that
names a person, a computer or one adapter among its kind: no paths, no serial numbers.
"""

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sterna.golden.coding import image_bytes
from sterna.golden.device.clocks import clocks_of
from sterna.golden.device.fabric import FABRICS
from sterna.golden.device.simulated import announced
from sterna.golden.device.weights_image import WeightsImage
from sterna.golden.errors import FileError
from sterna.golden.files import network_files as files
from sterna.golden.files.disk import hash_file, parse_json, read_bytes, sha256
from sterna.golden.network import Network
from sterna.golden.words.names import module_name
from sterna.golden.words.packages import packages
from sterna.host.inputs import build_weights
from sterna.host.selftest.report import SILICON, SIMULATED, UNKNOWN
from sterna.host.serialport import SerialPort, Transport

with packages():
    from serial.tools import list_ports

__all__ = [
    "ADAPTER",
    "BAUD",
    "BY_BUILD",
    "BY_NOTE",
    "BY_OBJECT",
    "BY_USER",
    "INSIDE",
    "NO_BUILD",
    "PORT",
    "PSEUDO",
    "REMOTE",
    "Facts",
    "board_facts",
    "facts_of",
    "host_facts",
    "is_pseudo",
    "kind_of",
    "line_facts",
    "unidentified",
]

ADAPTER, PORT, PSEUDO = "serial adapter", "serial port", "pseudo-terminal"
INSIDE, REMOTE = "object in Python", "address of pyserial"
_PSEUDO = re.compile(r"/dev/(pts/\d+|tty[p-za-e][0-9a-f]|ttys\d{3,})\Z")
"""Names of pseudo-terminals: of Linux, of BSD, of macOS."""
BY_NOTE, BY_OBJECT = "sterna board-sim", "a SimulatedLine"
"""Who says that a board is simulated: a note beside its port, an object in Python."""
BY_USER, BY_BUILD = "--board", "bitstream.json"
"""Who else says what a board is called."""
_LIMIT = 1 << 26
BAUD = 1_000_000
"""Of a line that has none of its own."""


def host_facts() -> dict[str, str]:
    """Versions of what talks to the board."""
    return {
        "sterna": _version("sterna"),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "pyserial": _version("pyserial"),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from files that nobody installed
        return "unknown"


def line_facts(transport: Transport, timeout: float) -> dict[str, Any]:
    """The line to a board: kind, and what pyserial says of an adapter but its serial number."""
    facts: dict[str, Any] = {"kind": INSIDE, "port": None, "description": None, "usb": None}
    facts |= {"manufacturer": None, "baud": BAUD, "timeout": timeout}
    if not isinstance(transport, SerialPort):
        return facts
    facts["baud"] = transport.baud
    if "://" in transport.name:
        return facts | {"kind": REMOTE, "port": transport.name.partition("://")[0]}
    place = os.path.realpath(transport.name) if os.name == "posix" else transport.name
    facts["port"] = os.path.basename(place)
    if is_pseudo(place):
        return facts | {"kind": PSEUDO, "port": place.removeprefix("/dev/")}
    found = next((p for p in list_ports.comports() if p.device in (place, transport.name)), None)
    if found is None:
        return facts | {"kind": PORT}
    usb = found.vid is not None and found.pid is not None
    return facts | {
        "kind": ADAPTER if usb else PORT,
        "description": _public(found.description, found.serial_number),
        "manufacturer": _public(found.manufacturer, found.serial_number),
        "usb": f"{found.vid:04x}:{found.pid:04x}" if usb else None,
    }


def is_pseudo(place: str) -> bool:
    """Whether a port, by its full name, is a pseudo-terminal."""
    return _PSEUDO.match(place) is not None


def _public(text: str | None, number: str | None) -> str | None:
    """A text of an adapter without its serial number."""
    if text and number:
        text = text.replace(number, "")
    return text.strip()[:120] or None if text and text != "n/a" else None


def kind_of(line: str, simulator: str | None, identified: bool) -> tuple[str, str]:
    """What a board is known to be, and why. line: the kind of its line. simulator: who says that it
    is simulated (`BY_NOTE`, `BY_OBJECT`), by a note of ``golden.device.simulated``; a
    pseudo-terminal without one is no board's port, but may lead to one. identified: something
    behind the line said what it is; a port alone is no silicon."""
    if simulator is not None:
        return SIMULATED, f"its port is that of {simulator}"
    if line in (ADAPTER, PORT):
        if identified:
            return SILICON, f"behind a {line}"
        return UNKNOWN, f"{line}, behind which no board said what it is"
    article = "an" if line[0] in "aeiou" else "a"
    return UNKNOWN, f"behind {article} {line}, which no board has of its own"


def board_facts(
    transport: Transport,
    line: Mapping[str, Any],
    named: str | None,
    made: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the board is called and by whom, and whether it is silicon (`kind_of`). ``made``:
    bitstream.json of the build."""
    if isinstance(transport, SerialPort):
        note, simulator = announced(transport.name), BY_NOTE
    else:
        note, simulator = getattr(transport, "simulated", None), BY_OBJECT
    kind, why = kind_of(line["kind"], None if note is None else simulator, identified=True)
    said = note or {}
    name, by = named, BY_USER if named else None
    for value, told_by in (
        (said.get("board"), simulator),
        (made and made.get("board"), BY_BUILD),
    ):
        if name is None and isinstance(value, str) and value:
            name, by = value, told_by
    plain = {
        k: v for k, v in said.items() if isinstance(v, str | int) and k in ("divisor", "ratio")
    }
    return {"name": name, "named_by": by, "kind": kind, "why": why, "simulation": plain or None}


def unidentified(board: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """What a board is called where none said what it is."""
    if board["kind"] != SILICON:
        return dict(board)
    kind, why = kind_of(line["kind"], None, identified=False)
    return {**board, "kind": kind, "why": why}


@dataclass
class Facts:
    """A build, as a host sees it. design: keys of design.json; made: of bitstream.json, None where
    there is none; weights: its weights.sterna; hashes: sha256 of its files."""

    folder: Path
    network: Network
    design: dict[str, Any]
    structures: tuple[str, ...]
    weights: WeightsImage
    made: dict[str, Any] | None = None
    hashes: dict[str, str | None] = field(default_factory=dict)

    @property
    def weights_id(self) -> str:
        return self.weights.weights_id

    @property
    def clocks(self) -> tuple[float, float] | None:
        return clocks_of(self.design)

    def of_bitstream(self, key: str) -> float | None:
        """A number of bitstream.json, where that is the build's."""
        value = (self.made or {}).get(key)
        return float(value) if isinstance(value, int | float) else None

    @property
    def clock_mhz(self) -> float | None:
        """Of the bitstream, where it is the build's."""
        return self.of_bitstream("clock_mhz")

    @property
    def _known_cores(self) -> list[dict[str, Any]]:
        cores = self.design.get("cores")
        return [c for c in cores if isinstance(c, dict)] if isinstance(cores, list) else []

    @property
    def cores(self) -> tuple[str, ...] | None:
        """Names of the cores with a stall counter; None where design.json does not tell."""
        family, ops = self.design.get("family"), [core.get("op") for core in self._known_cores]
        if family not in FABRICS or not all(op in ("conv", "pool", "merge") for op in ops):
            return None
        if FABRICS[family].compact:
            return ()
        return tuple(str(c.get("name")) for c in self._known_cores if c["op"] != "merge")

    @property
    def image_bytes(self) -> int | None:
        """Of an image's packet, in whole beats; None where design.json does not tell."""
        width = self.design.get("axis_width")
        if type(width) is not int or width <= 0 or width % 8:
            return None
        size = image_bytes(self.network.input, self.network.steps)
        return -(-size // (width // 8)) * (width // 8)

    @property
    def _memories(self) -> list[tuple[Any, list[Any]]]:
        """(name, regions) of the cores that have reloadable memories: of each the weights, then
        the parameters of its neurons."""
        found = [(c.get("name"), c.get("regions")) for c in self._known_cores]
        return [(name, regions) for name, regions in found if isinstance(regions, list)]

    @property
    def region_count(self) -> int:
        """Reloadable memories."""
        return sum(len(regions) for _, regions in self._memories)

    def memory(self, region: int) -> str:
        """What a region of the chain holds, in words."""
        for name, regions in self._memories:
            if region in regions:
                what = "parameters" if region == regions[-1] else "weights"
                return f"region {region} ({what} of {name})"
        return f"region {region}"

    def figures(self, stage: str) -> dict[str, Any]:
        """Those of a stage that passes that follow from the build."""
        count, network = self.region_count, self.network
        memories = self.weights.reloadable(count)
        if stage == "identify":
            found = {"classes": network.shape[network.readout.name][0], "regions": count}
            cores = None if self.cores is None else len(self.cores)
            more = {"cores": cores, "image_bytes": self.image_bytes}
            return found | {key: value for key, value in more.items() if value is not None}
        if stage == "load":
            words = sum(len(w) for w in memories.values())
            return {"regions": count, "weights_id": self.weights_id, "words": words}
        if stage == "reload":
            return {"regions": count, "damaged": self.memory(max(memories))} if memories else {}
        if stage == "counters":
            law, modelled = (self.design.get(k) for k in ("interval", "modelled_interval"))
            return {"law": law, "modelled": modelled}
        if stage == "speed" and self.made is not None:
            return {"clock_mhz_of_the_bitstream": self.clock_mhz}
        return {}

    def as_dict(self, structure: str | None = None) -> dict[str, Any]:
        """Part ``design`` of a report. structure: id of the board, which may be the one of files
        made earlier."""
        known = [s for s in self.structures if structure and s.startswith(structure)]
        return {
            "name": self.network.name,
            "structure_id": (known or self.structures)[0],
            "weights_id": self.weights_id,
            "sha256": self.hashes,
        }


NO_BUILD: dict[str, Any] = {"name": None, "structure_id": None, "weights_id": None, "sha256": {}}


def facts_of(folder: Path) -> Facts:
    """Read a build folder. FileError where a file is missing, damaged, or of another build."""
    weights = build_weights(folder)
    network = files.load(folder)
    path = folder / "design.json"
    data = read_bytes(path, _LIMIT, "run 'sterna fold'")
    text = data.decode("utf-8-sig")  # build_weights has read it
    design = parse_json(data, path, "run 'sterna fold' again")
    if not isinstance(design, dict):
        raise FileError(f"{path}: altered, it is no design; run 'sterna fold' again")
    structures = files.structure_ids(network, text)
    made = _made(folder, structures)
    hashes: dict[str, str | None] = {"design.json": sha256(data)}
    for name in ("network.json", "weights.sterna"):
        hashes[name] = hash_file(folder / name)
    if made is not None:
        for suffix in (".bit", ".bin"):
            name = f"{module_name(network.name)}{suffix}"
            if (found := hash_file(folder / name)) is not None:
                hashes[name] = found
    return Facts(folder, network, design, structures, weights, made, hashes)


def _made(folder: Path, structures: tuple[str, ...]) -> dict[str, Any] | None:
    """bitstream.json, where it is of this design."""
    path = folder / "bitstream.json"
    if not path.is_file():
        return None
    body = parse_json(read_bytes(path, _LIMIT, "run 'sterna bitstream'"), path)
    same = isinstance(body, dict) and body.get("structure_id") in structures
    return body if same else None
