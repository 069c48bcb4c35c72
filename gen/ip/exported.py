"""What an exported block is made of: all facts of one build that its files are written from."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sterna.gen.build.folder import Build
from sterna.gen.design.design import Design
from sterna.gen.ip.ports import Bus, Port, buses, ports
from sterna.gen.verilog.bench import vector_images
from sterna.gen.verilog.header import installed, macro, made_by
from sterna.gen.verilog.memory_images import mem_texts, memory_images
from sterna.golden.coding import image_bits, image_bytes
from sterna.golden.files.disk import parse_json
from sterna.golden.files.network_files import structure_id, weights_id
from sterna.golden.network import Network
from sterna.golden.numpyrun import run_arrays
from sterna.hw.control.register_files import registers_of
from sterna.hw.control.registers import Register

__all__ = ["LIBRARY", "VENDOR", "Exported", "exported"]

VENDOR, LIBRARY = "sterna", "networks"
"""First parts of the block's name in IP-XACT and FuseSoC: vendor, library, name, version."""


@dataclass(frozen=True, eq=False)
class Exported:
    """One build, as the files of its block are written from it; made by `exported`.

    Attributes
    ----------
    name : str
        Of the network.
    module : str
        Of the network's Verilog module and of everything that carries its name
        (`golden.words.names.module_name`); the wrapper's is ``wrapper``.
    made : str
        Who made it, with versions: "Sterna 0.1.0, Amaranth 0.5.10".
    version : str
        Of Sterna, as in "0.1.0"; of the block, too.
    network, design : Network, Design
    structure, weights : str
        structure_id and weights_id, 64 hexadecimal digits each.
    registers : tuple of Register
        The register map.
    verilog : str
        Of the network: its module and all below it.
    memories : dict of str to str
        Text of a .mem file by its name, which begins with ``module``.
    read_from_files : bool
        Whether ``verilog`` reads the fixed memories from these files.
    image : bytes
        weights.sterna.
    """

    name: str
    module: str
    made: str
    version: str
    network: Network
    design: Design
    structure: str
    weights: str
    registers: tuple[Register, ...]
    verilog: str
    memories: dict[str, str]
    read_from_files: bool
    image: bytes

    @property
    def wrapper(self) -> str:
        """Name of the module with the AXI names, which is the block's top."""
        return f"{self.module}_axi"

    @property
    def summary(self) -> str:
        """A line of what it is."""
        beats = f"{self.image_beats} beats of {self.axis_width} bits"
        return f"Spiking neural network {self.module}: {beats} in, {self.result_words} words out"

    @property
    def vlnv(self) -> tuple[str, str, str, str]:
        """Vendor, library, name, version."""
        return VENDOR, LIBRARY, self.module, self.version

    @property
    def buses(self) -> tuple[Bus, ...]:
        return buses(self.axis_width)

    @property
    def ports(self) -> tuple[Port, ...]:
        return tuple(ports(self.axis_width))

    @property
    def axis_width(self) -> int:
        """Bits of a beat of an image, a multiple of 8."""
        return self.design.axis_width

    @property
    def clock_mhz(self) -> float:
        """The clock that the design was folded and estimated for."""
        return self.design.clock_mhz

    @property
    def clock_hz(self) -> int:
        return round(self.clock_mhz * 1e6)

    @property
    def image_bytes(self) -> int:
        """Of an image's content."""
        return image_bytes(self.network.input, self.network.steps)

    @property
    def image_beats(self) -> int:
        return -(-8 * self.image_bytes // self.axis_width)

    @property
    def packet_bytes(self) -> int:
        """Of an image's packet: its content, zero-padded to whole beats."""
        return self.image_beats * self.axis_width // 8

    @property
    def classes(self) -> int:
        return self.network.shape[self.network.readout.name][0]

    @property
    def result_words(self) -> int:
        """32-bit words of a result packet: class and flags, then the logits."""
        return self.classes + 1

    @property
    def interval(self) -> int | float:
        """Clocks from image to image, back to back."""
        return self.design.modelled_interval or self.design.interval

    @property
    def memory_macro(self) -> str:
        """By which Verilog is told the folder of the memory files."""
        return macro(self.module)

    @cached_property
    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and what the golden model says of them: packets in, uint8 (n, packet_bytes), and
        packets out, uint32 (n, result_words)."""
        images = vector_images(self.network)
        result = run_arrays(self.network, images)
        raw = image_bits(self.network.input, images, self.network.steps)
        sent = np.zeros((len(raw), self.packet_bytes), np.uint8)
        sent[:, : raw.shape[1]] = raw
        logits = np.ascontiguousarray(result.logits, np.int32).view(np.uint32)
        packets = np.concatenate([result.classes[:, None].astype(np.uint32), logits], axis=1)
        return sent, packets


def exported(build: Build) -> Exported:
    """The facts of a build that has its Verilog.

    FileError where a file is not as this installation made it.
    """
    build.keep_state()
    network, design, module = build.network, build.design, build.name
    images = memory_images(network, design)
    text = build.made("verilog", f"{module}.v").decode()
    text, count = _READ.subn(rf'\1"{module}-\2"', text)
    if count:
        text = text.replace(" mem/CORE_", f" mem/{module}-CORE_", 2)  # in the words of its head
    return Exported(
        name=network.name,
        module=module,
        made=made_by(),
        version=installed("sterna") or "0.0.0",
        network=network,
        design=design,
        structure=structure_id(network, design.to_json()),
        weights=weights_id(network),
        registers=registers_of(parse_json(build.made("verilog", "csr.json"), "csr.json")),
        verilog=text,
        memories={f"{module}-{i.name}.mem": mem_texts(i)[".mem"] for i in images},
        read_from_files=count > 0,
        image=build.made("pack", "weights.sterna"),
    )


_READ = re.compile(r'(\$readmemh\(\{`\w+, )"(\w+\.mem)"')
"""How the Verilog of a build reads a memory; two blocks may both have a ``conv1_weights.mem``,
and ``a`` a core ``b_c`` where ``a_b`` has one ``c``: no name has a hyphen."""
