"""The engine of a layer's dot product (`hw.dot.engines`): the foldings that each can have."""

from collections.abc import Mapping

from sterna.gen.design.design import CoreDesign
from sterna.gen.design.legal import weight_rows_of
from sterna.golden.errors import DesignError
from sterna.golden.files.disk import sha256
from sterna.golden.network import Network, WeightedNode
from sterna.hw.dot.engines import ENGINES

__all__ = [
    "check_engine",
    "constants_of",
    "engine_choices",
    "one_row",
    "rows_fit",
]


def constants_of(node: WeightedNode) -> str:
    """What design.json keeps of weights that are in the logic: sha256 of their bytes (int8,
    PyTorch order). So they are part of the structure, and others belong to another design."""
    return sha256(node.weight.tobytes())


def one_row(network: Network, name: str) -> dict[str, int]:
    """The pe and simd with which all weights of a node are one row of memory; empty where no
    folding does (several groups of several inputs or outputs, dilation)."""
    node = network.weighted(name)
    shape = network.shape[node.input]
    channels, (kh, kw) = node.window
    if node.groups > 1 and not node.groups == node.out_channels == shape[0]:
        return {}
    if node.dilation != (1, 1) and (kh, kw) != (1, 1):
        return {}
    return {"pe": node.out_channels, "simd": channels * kh * kw}


def engine_choices(
    network: Network, name: str, engine: str, family: str, legal: Mapping[str, list[int]]
) -> dict[str, list[int]]:
    """Those of the ``legal`` pe and simd with which a node can have its engine: any pe goes with
    any simd. Where none can, what comes nearest, for `check_engine` to say why not."""
    out = {"pe": legal["pe"], "simd": legal["simd"]}
    if ENGINES[engine].in_logic:
        return out | {k: [v] for k, v in one_row(network, name).items() if v in legal[k]}
    if not (most := ENGINES[engine].most_rows(family)):
        return out
    pe, simd = max(legal["pe"]), max(legal["simd"])
    few = [n for n in legal["pe"] if weight_rows_of(network, name, n, simd) <= most] or [pe]
    narrow = [n for n in legal["simd"] if weight_rows_of(network, name, pe, n) <= most] or [simd]
    # Fewer outputs at once share scans, too.
    if len(few) >= len(narrow):
        return {"pe": few, "simd": [simd]}
    return {"pe": [pe], "simd": narrow}


def rows_fit(
    network: Network, name: str, engine: str, family: str, legal: Mapping[str, list[int]]
) -> bool:
    """Whether any of the ``legal`` pe with any of the simd makes few enough rows for an engine."""
    most = ENGINES[engine].most_rows(family)
    rows = weight_rows_of(network, name, min(legal["pe"]), min(legal["simd"]))
    return most is None or rows <= most


def check_engine(network: Network, core: CoreDesign, family: str) -> None:
    """DesignError, naming the node, where a core cannot have its engine in ``family``."""
    engine = ENGINES[core.engine]
    if engine.in_logic:
        _check_in_logic(network, core)
    most = engine.most_rows(family)
    if most == 0:
        raise DesignError(
            f"node '{core.name}': engine {core.engine!r} needs {engine.needs}, which {family} has "
            "not; use engine 'compress'"
        )
    rows = weight_rows_of(network, core.name, core.pe, core.simd)
    if most is not None and rows > most:
        raise DesignError(
            f"node '{core.name}': pe {core.pe} and simd {core.simd} make {rows} rows of weights, "
            f"and engine {core.engine!r} has at most {most} on {family}; raise pe or simd, or use "
            "engine 'compress'"
        )


def _parts_of(node: WeightedNode) -> str:
    """Why not all weights of a node are ever one row."""
    if node.dilation != (1, 1):
        return "with dilation works on one pixel of its window at a time"
    return "of several groups works on one at a time"


def _check_in_logic(network: Network, core: CoreDesign) -> None:
    at, rest = f"node '{core.name}': engine {core.engine!r}", "or use engine 'compress'"
    node, wanted = network.weighted(core.name), one_row(network, core.name)
    if not wanted:
        raise DesignError(
            f"{at} needs all weights at work in every clock, and a convolution {_parts_of(node)}; "
            "use engine 'compress'"
        )
    if wanted != {"pe": core.pe, "simd": core.simd}:
        raise DesignError(
            f"{at} needs all weights at work in every clock, pe {wanted['pe']} and simd "
            f"{wanted['simd']}, not pe {core.pe} and simd {core.simd}; give it these, {rest}"
        )
    if core.memory != "rom":
        raise DesignError(
            f"{at} has its weights in the logic, so its memory is 'rom', not {core.memory!r}; "
            f"change that, {rest}"
        )
    if core.patchable:
        raise DesignError(
            f"{at} has its weights in the logic, where no bitstream can be patched; fold without "
            f"--patchable, {rest}"
        )
    if core.constants != constants_of(node):
        raise DesignError(
            f"node '{core.name}': has its weights in the logic (engine {core.engine!r}), and these "
            f"are others; fold the network anew, {rest}"
        )
