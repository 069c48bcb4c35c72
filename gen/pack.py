"""Pack: on-chip memory images of a folded network, for simulators, vendors' tools and the link."""

from dataclasses import dataclass

import numpy as np

from sterna.gen.design import Design
from sterna.gen.graph import weighted_inputs
from sterna.gen.instances import core_instances
from sterna.gen.specs import declared_values
from sterna.golden.errors import DesignError
from sterna.golden.network import Network, Neuron, Readout
from sterna.hw.chain import Banks
from sterna.hw.spiking_conv import ConvSpec

__all__ = ["MemoryImage", "memory_images", "region_words", "check_ranges", "mem_texts"]


@dataclass(frozen=True)
class MemoryImage:
    """One memory: ``rows`` unsigned values of ``width`` bits; region in the chain or None (rom)."""

    name: str
    depth: int
    width: int
    rows: list[int]
    region: int | None


def check_ranges(network: Network, design: Design) -> None:
    """Refuse parameters outside what the reloadable cores of a design were sized for."""
    for core in design.cores:
        if core.op != "conv" or core.ranges is None:
            continue
        target = network[core.target]
        assert isinstance(target, Neuron | Readout)
        for name, (lo, hi) in core.ranges.items():
            a = declared_values(target.rule, name)
            if a.min() < lo or a.max() > hi:
                raise DesignError(
                    f"node '{core.target}': {name} {int(a.min())} .. {int(a.max())} is outside the "
                    f"declared range {lo} .. {hi}; fold the network anew"
                )
        if "reset_by" not in core.ranges and not target.rule.resets_by_threshold:
            raise DesignError(
                f"node '{core.target}': reset_by differs from the threshold, but the design was "
                "built without it; fold the network anew"
            )


def memory_images(network: Network, design: Design) -> list[MemoryImage]:
    """Weight memory of every weighted node and parameter memory of every neuron (named after its
    main core), in stream order."""
    check_ranges(network, design)
    out: list[MemoryImage] = []
    for instance in core_instances(network, design, rows=True):
        spec = instance.spec
        if not isinstance(spec, ConvSpec):
            continue
        target = network[instance.target]
        assert isinstance(target, Neuron | Readout)
        names = weighted_inputs(network, target)
        for name, front in zip(names, spec.fronts, strict=True):
            depth, width = front.weight_depth, front.weight_width
            rows, region = list(front.weights), front.weight_region
            out.append(MemoryImage(f"{name}_weights", depth, width, rows, region))
        depth, width = spec.params.depth(spec.pe), spec.pe * spec.params.width
        rows, region = list(spec.param_rows), spec.param_region
        out.append(MemoryImage(f"{instance.name}_params", depth, width, rows, region))
    return out


def region_words(image: MemoryImage) -> np.ndarray:
    """uint32 words at chain addresses 0 .. : row r, bank k at ``r * 2**bankbits + k``."""
    return np.array(Banks(image.depth, image.width).linear(image.rows), np.uint32)


def mem_texts(image: MemoryImage) -> dict[str, str]:
    """Files of a memory by suffix: .mem ($readmemh), .hex, .coe (Vivado), .mif (Quartus)."""
    digits = -(-image.width // 4)
    rows = [f"{row:0{digits}x}" for row in image.rows]
    mif = [
        f"WIDTH={image.width};", f"DEPTH={image.depth};", "ADDRESS_RADIX=HEX;", "DATA_RADIX=HEX;",
        "CONTENT BEGIN", *(f"{n:x} : {row};" for n, row in enumerate(rows)), "END;",
    ]  # fmt: skip
    coe = "memory_initialization_radix=16;\nmemory_initialization_vector=\n" + ",\n".join(rows)
    return {
        ".mem": f"// {image.name}: {image.depth} x {image.width}\n" + "\n".join(rows) + "\n",
        ".hex": "\n".join(rows) + "\n",
        ".coe": coe + ";\n",
        ".mif": "\n".join(mif) + "\n",
    }
