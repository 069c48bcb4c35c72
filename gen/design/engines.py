"""The engine of a layer's dot product: which there are, and where each can be used.

``compress`` reads weights from a memory and can be used everywhere. ``constant`` has them in the
logic: no memory, and nothing is spent on zeros, but all weights must be at work in every clock.
``tables`` keeps sums of a few weights each in LUT RAM, written from a memory: for few rows of
weights, as many as LUT RAM is deep for.
"""

from collections.abc import Mapping
from typing import Any

from sterna.gen.design.design import CoreDesign
from sterna.golden.disk import sha256
from sterna.golden.errors import DesignError
from sterna.golden.fabric import fabric_of
from sterna.golden.network import Network, WeightedNode
from sterna.golden.window import window_of
from sterna.hw.core.front_spec import ENGINES

__all__ = [
    "ENGINES",
    "check_engine",
    "check_style",
    "check_styles",
    "constants_of",
    "engine_choices",
    "engine_of",
    "one_row",
    "tables_fit",
    "weight_rows_of",
]


def constants_of(node: WeightedNode) -> str:
    """What design.json keeps of weights that are in the logic: sha256 of their bytes (int8,
    PyTorch order). So they are part of the structure, and others belong to another design."""
    return sha256(node.weight.tobytes())


def one_row(network: Network, name: str) -> dict[str, int]:
    """The pe and simd with which all weights of a node are one row of memory; empty where no
    folding does (several groups of several inputs or outputs)."""
    node = network.weighted(name)
    shape = network.shape[node.input]
    channels, (kh, kw) = window_of(node, shape)
    if node.groups > 1 and not node.groups == node.out_channels == shape[0]:
        return {}
    return {"pe": node.out_channels, "simd": channels * kh * kw}


def weight_rows_of(network: Network, name: str, pe: int, simd: int) -> int:
    """Rows of weights of a node: output groups x window words."""
    node = network.weighted(name)
    channels, (kh, kw) = window_of(node, network.shape[node.input])
    return node.out_channels // pe * (channels * kh * kw // simd)


def engine_choices(
    network: Network, name: str, engine: str, family: str, legal: Mapping[str, list[int]]
) -> dict[str, list[int]]:
    """Those of the ``legal`` pe and simd with which a node can have its engine: any pe goes with
    any simd. Where none can, what comes nearest, for `check_engine` to say why not."""
    out = {"pe": legal["pe"], "simd": legal["simd"]}
    if engine == "constant":
        return out | {k: [v] for k, v in one_row(network, name).items() if v in legal[k]}
    ram = fabric_of(family).lut_ram
    if engine != "tables" or ram is None:
        return out
    most, pe, simd = ram.rows, max(legal["pe"]), max(legal["simd"])
    few = [n for n in legal["pe"] if weight_rows_of(network, name, n, simd) <= most] or [pe]
    narrow = [n for n in legal["simd"] if weight_rows_of(network, name, pe, n) <= most] or [simd]
    # Fewer outputs at once share scans, too.
    if len(few) >= len(narrow):
        return {"pe": few, "simd": [simd]}
    return {"pe": [pe], "simd": narrow}


def tables_fit(network: Network, name: str, legal: Mapping[str, list[int]], family: str) -> bool:
    """Whether any of the ``legal`` pe with any of the simd makes few enough rows for 'tables'."""
    ram = fabric_of(family).lut_ram
    return ram is not None and (
        weight_rows_of(network, name, min(legal["pe"]), min(legal["simd"])) <= ram.rows
    )


def check_engine(network: Network, core: CoreDesign, family: str) -> None:
    """DesignError, naming the node, where a core cannot have its engine in ``family``."""
    if core.engine not in ENGINES:
        raise DesignError(
            f"node '{core.name}': engine {core.engine!r} is not one of {', '.join(ENGINES)}"
        )
    if core.engine == "constant":
        _check_constant(network, core)
    elif core.engine == "tables":
        _check_tables(network, core, family)


def _check_tables(network: Network, core: CoreDesign, family: str) -> None:
    name, ram = core.name, fabric_of(family).lut_ram
    if ram is None:
        raise DesignError(
            f"node '{name}': engine 'tables' needs LUT RAM, which {family} has not; use engine "
            "'compress'"
        )
    rows = weight_rows_of(network, name, core.pe, core.simd)
    if rows > ram.rows:
        raise DesignError(
            f"node '{name}': pe {core.pe} and simd {core.simd} make {rows} rows of weights, and "
            f"engine 'tables' has at most {ram.rows} on {family}; raise pe or simd, or use engine "
            "'compress'"
        )


def _check_constant(network: Network, core: CoreDesign) -> None:
    name, rest = core.name, "or use engine 'compress'"
    node, wanted = network.weighted(name), one_row(network, name)
    if not wanted:
        raise DesignError(
            f"node '{name}': engine 'constant' needs all weights at work in every clock, and a "
            "convolution of several groups works on one at a time; use engine 'compress'"
        )
    if wanted != {"pe": core.pe, "simd": core.simd}:
        raise DesignError(
            f"node '{name}': engine 'constant' needs all weights at work in every clock, pe "
            f"{wanted['pe']} and simd {wanted['simd']}, not pe {core.pe} and simd {core.simd}; "
            f"give it these, {rest}"
        )
    if core.memory != "rom":
        raise DesignError(
            f"node '{name}': engine 'constant' has its weights in the logic, so its memory is "
            f"'rom', not {core.memory!r}; change that, {rest}"
        )
    if core.patchable:
        raise DesignError(
            f"node '{name}': engine 'constant' has its weights in the logic, where no bitstream "
            f"can be patched; fold without --patchable, {rest}"
        )
    if core.constants != constants_of(node):
        raise DesignError(
            f"node '{name}': has its weights in the logic (engine 'constant'), and these are "
            f"others; fold the network anew, {rest}"
        )


def check_style(
    name: str, style: str, *, engine: str, memory: str, patchable: bool, family: str
) -> None:
    """DesignError, naming the node, where its weights cannot have the storage it demands.
    ``patchable``: fixed, but for a bitstream that can take others."""
    if style == "auto":
        return
    if engine == "constant":
        raise DesignError(
            f"node '{name}': ram_style {style!r} is of a weight memory, and engine 'constant' has "
            "none; leave ram_style out"
        )
    if style == "distributed" and patchable:
        raise DesignError(
            f"node '{name}': ram_style 'distributed' puts fixed weights into logic, where no "
            "bitstream can be patched; use 'block', or fold without --patchable"
        )
    fabric = fabric_of(family)
    if style == "distributed" and fabric.lut_ram is None and memory == "ram":
        raise DesignError(
            f"node '{name}': {fabric.title} has no LUT RAM for the ram_style 'distributed'; use "
            "'block'"
        )


def check_styles(folding: Mapping[str, Mapping[str, Any]], patchable: bool, family: str) -> None:
    """`check_style` of all that a folding, whole or in part, says."""
    for name, entry in folding.items():
        memory = entry.get("memory", "rom")
        check_style(
            name,
            entry.get("ram_style", "auto"),
            engine=engine_of(entry),
            memory=memory,
            patchable=patchable and memory == "rom",
            family=family,
        )


def engine_of(entry: Mapping[str, Any]) -> str:
    """Of a folding's entry."""
    return entry.get("engine", "compress")
