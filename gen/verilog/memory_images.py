"""Pack: on-chip memory images of a folded network, for simulators, vendors' tools and the link."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from sterna.gen.design.design import Design
from sterna.gen.design.fixed_widths import check_widths
from sterna.gen.design.graph import weighted_inputs
from sterna.gen.design.instances import core_instances
from sterna.gen.design.specs import declared_ranges, declared_values
from sterna.golden.device.weights_image import pack_weights_image
from sterna.golden.errors import DesignError
from sterna.golden.files.network_files import structure_id, structure_text, weights_id
from sterna.golden.network import Network
from sterna.golden.words.names import params_name, weights_name
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.spiking_conv import front_name
from sterna.hw.memory.chain import ChainLayout
from sterna.hw.top.network_top import core_modules

__all__ = [
    "MemoryImage",
    "check_ranges",
    "check_same_structure",
    "ident_image",
    "mem_texts",
    "memory_images",
    "region_words",
    "rom_crc",
    "structure_difference",
    "weights_image",
]


@dataclass(frozen=True)
class MemoryImage:
    """One memory: ``rows`` unsigned values of ``width`` bits; region in the chain or None (rom).

    number: its region in weights.sterna: that of the chain, or for a rom one behind all of those.
    place: path of the module that holds it in the Verilog, below that of the network.
    """

    name: str
    depth: int
    width: int
    rows: list[int]
    region: int | None
    number: int
    place: str = ""


def check_ranges(network: Network, design: Design) -> None:
    """Refuse parameters outside what the reloadable cores of a design were sized for."""
    for core in design.cores:
        if core.op != "conv" or core.ranges is None:
            continue
        target = network.neuron(core.target)
        found = declared_values(target.rule)
        for name in sorted(set(declared_ranges(target.rule)) - set(core.ranges)):
            what = "differs from the threshold" if name == "reset_by" else "is given"
            raise DesignError(
                f"node '{core.target}': {name} {what}, but the design was built without it; fold "
                "the network anew"
            )
        for name, (lo, hi) in core.ranges.items():
            if (a := found.get(name)) is None:
                raise DesignError(
                    f"node '{core.target}': has no {name}, which the design was built with; fold "
                    "the network anew"
                )
            if a.min() < lo or a.max() > hi:
                raise DesignError(
                    f"node '{core.target}': {name} {int(a.min())} .. {int(a.max())} is outside the "
                    f"declared range {lo} .. {hi}; fold the network anew"
                )


def check_same_structure(network: Network, built: Network) -> None:
    """Refuse a network whose weights do not belong into a design made of ``built``."""
    if (other := structure_difference(network, built, "the design")) is not None:
        raise DesignError(
            f"{other}; only a network of the same structure can be loaded (fraction bits: sterna "
            "quantize --like)"
        )


def structure_difference(network: Network, built: Network, where: str) -> str | None:
    """The first thing other than trained values in which two networks differ, as "node, key, here
    and in WHERE"; None where there is none."""
    if structure_text(network) == structure_text(built):
        return None
    found, wanted = (json.loads(structure_text(n)) for n in (network, built))
    for a, b in zip_longest(found.pop("nodes"), wanted.pop("nodes"), fillvalue={}):
        if a != b:
            name = (b or a)["name"]
            if "rule" in a and "rule" in b:
                a, b = a | a["rule"] | {"rule": ""}, b | b["rule"] | {"rule": ""}
            key = next(k for k in {**b, **a} if a.get(k) != b.get(k))
            here, there = _short(a.get(key)), _short(b.get(key))
            return f"node '{name}': {key} is {here} here and {there} in {where}"
    key = next(k for k in found if found[k] != wanted[k])
    return f"{key} is {found[key]!r} here and {wanted[key]!r} in {where}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."


def memory_images(network: Network, design: Design) -> list[MemoryImage]:
    """Weight memory of every weighted node and parameter memory of every neuron (named after its
    main core), in stream order."""
    check_ranges(network, design)
    check_widths(network, design)
    cores = core_instances(network, design, rows=True)
    chained = design.region_count
    out: list[MemoryImage] = []

    def add(
        name: str, depth: int, width: int, rows: Sequence[int], region: int | None, place: str
    ) -> None:
        nonlocal chained
        number = chained if region is None else region
        chained += region is None
        out.append(MemoryImage(name, depth, width, list(rows), region, number, place))

    for instance, module in zip(cores, core_modules(cores), strict=True):
        spec = instance.spec
        if not isinstance(spec, ConvSpec):
            continue
        target = network.neuron(instance.target)
        names = weighted_inputs(network, target)
        for n, (name, f) in enumerate(zip(names, spec.fronts, strict=True)):
            if not f.dot_engine.in_logic:  # which has its weights in the logic
                place = f"{module}.{front_name(n)}.weights"
                size = f.memory_depth, f.memory_width
                add(weights_name(name), *size, f.weights, f.weight_region, place)
        size = spec.param_depth, spec.param_width
        add(
            params_name(instance.name),
            *size,
            spec.param_rows,
            spec.param_region,
            f"{module}.params",
        )
    return out


def weights_image(
    network: Network, design: Design, images: Sequence[MemoryImage] | None = None
) -> bytes:
    """The bytes of weights.sterna: the words of every memory, fixed ones too, for this design."""
    images = memory_images(network, design) if images is None else images
    return pack_weights_image(
        structure_id(network, design.to_json()),
        weights_id(network),
        {image.number: region_words(image) for image in images},
    )


def rom_crc(images: Sequence[MemoryImage]) -> int:
    """CRC-32 of the words of all fixed memories in ascending number: which contents a design with
    other, reloadable memories was made with. 0 without any."""
    fixed = sorted((i for i in images if i.region is None), key=lambda image: image.number)
    return zlib.crc32(b"".join(region_words(i).astype("<u4").tobytes() for i in fixed))


def ident_image(network: Network, images: Sequence[MemoryImage]) -> MemoryImage:
    """The memory by which a design made with placeholders knows its contents (`ControlPlane`)."""
    number = int(weights_id(network)[:16], 16)
    rows = [number & 0xFFFFFFFF, number >> 32, rom_crc(images)]
    return MemoryImage("ident", len(rows), 32, rows, None, -1, "control.ident")


def region_words(image: MemoryImage) -> np.ndarray:
    """uint32 words at chain addresses 0 .. : row r, word k at ``r * 2**wordbits + k``."""
    return np.array(ChainLayout(image.depth, image.width).linear(image.rows), np.uint32)


def mem_texts(image: MemoryImage) -> dict[str, str]:
    """Files of a memory by suffix: .mem ($readmemh), .hex, .coe (Vivado), .mif (Quartus)."""
    digits = -(-image.width // 4)
    rows = [f"{row:0{digits}x}" for row in image.rows]
    mif = [
        f"WIDTH={image.width};",
        f"DEPTH={image.depth};",
        "ADDRESS_RADIX=HEX;",
        "DATA_RADIX=HEX;",
        "CONTENT BEGIN",
        *(f"{n:x} : {row};" for n, row in enumerate(rows)),
        "END;",
    ]
    coe = "memory_initialization_radix=16;\nmemory_initialization_vector=\n" + ",\n".join(rows)
    return {
        ".mem": f"// {image.name}: {image.depth} x {image.width}\n" + "\n".join(rows) + "\n",
        ".hex": "\n".join(rows) + "\n",
        ".coe": coe + ";\n",
        ".mif": "\n".join(mif) + "\n",
    }
