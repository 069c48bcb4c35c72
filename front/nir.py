"""``from_nir``: a graph of the Neuromorphic Intermediate Representation, without its framework."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sterna.front.arguments import CODINGS, coding_of, steps_of, word_of
from sterna.front.assemble import assemble
from sterna.front.cell import Cell
from sterna.front.expression import Expr, Output
from sterna.front.imported import Imported
from sterna.front.nir_file import ENTERS, Graph, graph_of
from sterna.front.nir_nodes import NODES, PARAMETERS, Place
from sterna.gen.quantize.float_network import FloatInput
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.graph import inputs_first
from sterna.golden.words import values
from sterna.golden.words.names import show

__all__ = ["from_nir"]

RESETS = ("zero", "subtract")
SAID = "as the file says, which Sterna wrote"
UNSAID = (
    "a frame of whole numbers a step: NIR does not say how images enter; of pixels that are the "
    "same at each step, give input='direct' (--input direct)"
)

Stream = tuple[Expr, tuple[int, int, int]]  # what is computed, and the shape of its map


def from_nir(
    path_or_graph: Any,
    *,
    dt: float,
    steps: int,
    reset: str | None = None,
    input: str | None = None,
    scale: float | None = None,
    mean: Any = None,
    std: Any = None,
    bits: int | None = None,
) -> Imported:
    """The network of a NIR graph, its equations by forward Euler.

    Parameters
    ----------
    path_or_graph : path or nir.NIRGraph
        A file is only read: nothing in it is run, and no link out of it is followed.
    dt : float
        Length of a step in the unit of the graph's time constants; it is not in the file.
    steps : int
        T.
    reset : str, optional
        'zero' (to v_reset) or 'subtract' (of v_threshold), of every neuron; by default what NIR
        defines, to v_reset, and the report says so.
    input : str, optional
        'frames' (whole numbers, a frame a step) or 'direct' (the same image at each step). NIR does
        not say which: by default what ``to_nir`` noted in the file, else 'frames', and the report
        says so.
    scale : float, optional
        The graph sees ``(p*scale - mean)/std`` of a value p in 'frames', or a pixel; by default
        what the file notes, else 1 in 'frames', 1/255 of pixels.
    mean, std : float or (C,), optional
        As ``torchvision.transforms.Normalize`` has them; by default what the file notes, else none.
    bits : int, optional
        Of p, 1 .. 8; by default what the file notes, else 1 in 'frames' (spikes, no counts), 8 of
        pixels.

    Returns
    -------
    Imported

    Raises
    ------
    NetworkError
        What cannot be built, with the node's name.
    FileError
        The file is not NIR, or larger than any network.
    UsageError
        An argument is not meant.
    """
    refusal = f"dt {show(dt)} must be a number above 0, in the unit of the time constants"
    dt = values.number(refusal, dt, True, UsageError)
    steps = steps_of(steps)
    reset = None if reset is None else word_of("reset", reset, RESETS)
    input = None if input is None else coding_of(input)
    graph = graph_of(path_or_graph)
    first, last = (_only(graph, kind) for kind in ("Input", "Output"))
    shape = _shape(first, graph.nodes[first].values.get("shape"))
    cells: dict[str, tuple[Cell, Expr]] = {}
    made: dict[str, Stream] = {}
    for name, before in _read_by(graph).items():
        if name == first:
            made[name] = Expr("input", "", shape=(1, *shape), step=None), shape
            continue
        read, size = _met(name, [made[n] for n in before])
        place = Place(name, read, size, dt, steps, reset, cells)
        made[name] = _made(place, graph.nodes[name].kind, graph.nodes[name].values)
    noted = _noted(first, graph.nodes[first].values.get("metadata"))
    told = noted.pop("coding", None)
    coding = input or told or "frames"
    said = {"bits": bits, "scale": scale, "mean": mean, "std": std}
    given = (noted if coding == told else {}) | {k: v for k, v in said.items() if v is not None}
    source = FloatInput("input", shape, coding, **given)
    found = assemble(steps, source, cells, _output(made[last][0]), "node")
    if input is None:
        row = found.report.verdicts[0]
        found.report.verdicts[0] = replace(row, detail=UNSAID if told is None else SAID)
    return Imported(found.network, found.report, found.cells)


def _output(out: Expr) -> Output:
    while out.kind == "flatten":
        out = out.args[0]
    return Output(out, "sum" if out.kind != "cell" else "membrane" if out.part == -1 else "count")


def _noted(name: str, metadata: Any) -> dict[str, Any]:
    """What ``to_nir`` wrote of an input: its coding, scale, mean and std. NetworkError: damaged."""
    found: dict[str, Any] = {}
    for key in ENTERS if isinstance(metadata, Mapping) else ():
        value = metadata.get(key)
        if value is None:
            continue
        if key == "sterna_input":
            value = value.decode() if isinstance(value, bytes) else value
            whole, word = value in CODINGS, "coding"
        else:
            value = np.asarray(value)
            whole = value.dtype.kind in "iuf" and value.ndim < 2 and value.size > 0
            word = key.removeprefix("sterna_")
            value = value.tolist() if whole and value.ndim == 0 else value
        if not whole:
            raise NetworkError(
                f"node '{name}': {key} {show(value)} is not what to_nir notes; write the file again"
            )
        found[word] = value
    return found


def _made(place: Place, kind: str, values: dict[str, Any]) -> Any:
    handler = NODES.get(kind)
    if handler is None:
        raise place.refuse(f"a node {show(kind)} cannot be built; see docs/front.md for what maps")
    unknown = sorted(set(values) - set(PARAMETERS[kind]))
    if unknown:
        raise place.refuse(f"parameter {show(unknown[0])} of {kind} is not known")
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            if not np.isfinite(value).all():
                raise place.refuse(f"{name} has numbers that are not finite")
    try:
        return handler(place, values)
    except KeyError as e:
        raise place.refuse(f"{kind} has no parameter {e}") from None
    except (ValueError, TypeError) as e:
        raise place.refuse(f"{kind} has parameters that do not fit ({e})") from None


def _only(graph: Graph, kind: str) -> str:
    names = [n for n, node in graph.nodes.items() if node.kind == kind]
    if len(names) != 1:
        raise NetworkError(f"graph: has {len(names)} nodes {kind}; a network has one")
    return names[0]


def _shape(name: str, value: Any) -> tuple[int, int, int]:
    sizes = tuple(int(n) for n in np.asarray([] if value is None else value).reshape(-1))
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise NetworkError(f"node '{name}': shape {sizes} is not (C,), (C, W) or (C, H, W)")
    if len(sizes) == 2:
        return (sizes[0], 1, sizes[1])
    return (sizes[0], *sizes[1:]) if len(sizes) == 3 else (sizes[0], 1, 1)


def _read_by(graph: Graph) -> dict[str, list[str]]:
    """What each node reads; nodes in an order in which inputs come first."""
    before: dict[str, list[str]] = {n: [] for n in graph.nodes}
    for a, b in graph.edges:
        before[b].append(a)
    return {n: before[n] for n in inputs_first(before)}


def _met(name: str, streams: list[Stream]) -> Stream:
    """What a node reads: the sum of what meets at it."""
    if not streams:
        raise NetworkError(f"node '{name}': reads nothing; connect it, or leave it out")
    read, size = streams[0]
    for more, its in streams[1:]:
        if its != size:
            raise NetworkError(f"node '{name}': inputs of {size} and {its} meet")
        read = Expr("add", name, (read, more), {}, read.shape)
    return read, size
