"""The widths that a fixed core owes to its weights, and whether other weights have the same.

A reloadable core is sized for what it declares; a fixed one for the weights that it was folded
with. These widths stand in design.json, so they are part of the structure: weights that need others
belong to another design, and are refused instead of being cut to what is there.
"""

from dataclasses import replace

from sterna.gen.design.design import Design
from sterna.gen.design.instances import core_instances
from sterna.golden.errors import DesignError
from sterna.golden.network import Network
from sterna.hw.core.conv_spec import ConvSpec

__all__ = ["check_widths", "with_widths"]


def _widths(spec: ConvSpec) -> dict[str, int]:
    """Bits of all that depends on the values of weights and parameters."""
    params, bounds = spec.params, spec.params.bounds
    out = {f"sum{n}" if n else "sum": f.z_width for n, f in enumerate(spec.fronts)}
    out |= {f"param_{name}": bits for name, bits in params.fields.items()}
    for names in (("u", "v", "current"), ("margin",), ("drive",), ("current",), ("x",)):
        out["_".join(names)] = bounds.width(*names)
    return out | {"shared_reset": int(params.shared_reset)}


def _fixed(network: Network, design: Design) -> dict[str, dict[str, int]]:
    """Widths of every neuron with fixed weights, by the name of its main core."""
    return {
        i.name: _widths(i.spec)
        for i in core_instances(network, design)
        if isinstance(i.spec, ConvSpec) and i.spec.param_region is None
    }


def with_widths(network: Network, design: Design) -> Design:
    """The design with the widths of its fixed cores written down."""
    found = _fixed(network, design)
    return replace(design, cores=[replace(c, widths=found.get(c.name)) for c in design.cores])


def check_widths(network: Network, design: Design) -> None:
    """Refuse weights that need other widths than those the design's fixed cores have."""
    for name, found in _fixed(network, design).items():
        wanted = design.core(name).widths
        if wanted is None or found == wanted:
            continue
        key = next(k for k in {**wanted, **found} if found.get(k) != wanted.get(k))
        raise DesignError(
            f"node '{name}': its weights need {found.get(key, 0)} bits for '{key}', the design has "
            f"{wanted.get(key, 0)}; fold the design with --patchable, or anew for these weights"
        )
