"""``from_qonnx``: a QONNX graph (Brevitas exports them, FINN reads them) as a network of T = 1."""

import hashlib
from typing import Any

import numpy as np

from sterna.front.arguments import coding_of
from sterna.front.assemble import assemble
from sterna.front.check import Recorded
from sterna.front.expression import Expr, Output
from sterna.front.imported import Imported
from sterna.front.qonnx import quantizers
from sterna.front.qonnx.constants import CONSTANT
from sterna.front.qonnx.file import Graph, Node, graph_of
from sterna.front.qonnx.nodes import ATTRIBUTES, NODES, Stream, Walk, refused
from sterna.front.report import APPROXIMATED
from sterna.gen.quantize.float_network import FloatInput
from sterna.golden.coding import check_images
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.nodes import Input
from sterna.golden.words.names import show
from sterna.golden.words.packages import packages
from sterna.golden.words.values import flag

__all__ = ["from_qonnx"]

FILLED = (quantizers,)  # importing fills the registry


def from_qonnx(
    path_or_model: Any,
    *,
    input: str = "direct",
    scale: float | None = None,
    mean: Any = None,
    std: Any = None,
    bits: int | None = None,
    approximate: bool = False,
) -> Imported:
    """The network of a QONNX graph: one step, quantized activations as spikes.

    Parameters
    ----------
    path_or_model : path or onnx.ModelProto
        A file is only read: nothing in it is run, and no other file is opened.
    input : str
        'direct' (pixels) or 'frames' (a frame of spikes, or of counts).
    scale : float, optional
        The graph sees ``(p*scale - mean)/std`` of a pixel, or a value in 'frames', p; by default
        1/255, in 'frames' 1.
    mean, std : float or (C,), optional
        As ``torchvision.transforms.Normalize`` has them.
    bits : int, optional
        Of p, 1 .. 8; by default 8, in 'frames' 1.
    approximate : bool
        Leave out quantizers of 8 bits or more, and say so; else they are refused.

    Returns
    -------
    Imported
        Its ``check`` runs the graph by the qonnx package, which must be installed for it.

    Raises
    ------
    NetworkError
        What cannot be built, with the node's name.
    FileError
        The file is no ONNX, or larger than any network.
    UsageError
        An argument is not meant.
    """
    input = coding_of(input)
    refusal = f"approximate {show(approximate)} must be True or False"
    approximate = flag(refusal, approximate, UsageError)
    graph = graph_of(path_or_model)
    first, size = _image(graph)
    shape: Any = (size[0], *(1,) * (3 - len(size)), *size[1:])
    given: dict[str, Any] = {"bits": bits, "scale": scale, "mean": mean, "std": std}
    source = FloatInput("input", shape, input, **given).meant()
    walk = Walk(dict(graph.arrays), _pixels(source))
    start = Expr("input", "", shape=(1, *size))
    walk.streams[first] = Stream(start, size)
    with np.errstate(all="ignore"):  # what overflows is not finite, and refused as that
        for node in graph.nodes:
            _take(walk, node)
    out, given_over = _output(walk, graph)
    found = assemble(
        1, source, walk.cells, Output(out, "count" if out.kind == "cell" else "sum"), "node"
    )
    for path, why in walk.approximated.items():
        found.report.add(path, "quantizer", APPROXIMATED, why)
    found.report.check("node", approximate)
    shapes = {path: found.network.shape[node] for path, node in found.cells.items()}
    replay = _replay(graph, walk, source, shapes, given_over)
    return Imported(found.network, found.report, found.cells, replay=replay)


def _image(graph: Graph) -> tuple[str, tuple[int, ...]]:
    """The graph's one input, and its shape behind the axis of images."""
    if len(graph.shapes) != 1:
        raise NetworkError(f"graph: has {len(graph.shapes)} inputs; a network has one")
    ((name, sizes),) = graph.shapes.items()
    if not 2 <= len(sizes) <= 4:
        raise NetworkError(f"input {show(name)}: shape {sizes} is not (N, C), (N, C, W) or NCHW")
    return name, sizes[1:]


def _take(walk: Walk, node: Node) -> None:
    """One node: its arrays, or its stream."""
    names = [n for n in node.inputs if n]
    if not any(n in walk.streams for n in names):
        how = CONSTANT.get(node.kind)
        if how is None:
            raise refused(node, "of stored numbers alone is not read; fold it into the weights")
        try:
            made = how(node, *(walk.array(node, k) for k in range(len(names))))
        except (ValueError, TypeError, IndexError, MemoryError) as e:
            cause = " ".join(str(e).split())[:200]
            raise refused(node, f"its stored numbers do not fit ({cause})") from None
        if not np.isfinite(made).all():
            raise refused(node, "gives numbers that are not finite")
        walk.arrays[node.outputs[0]] = made
        return
    handler = NODES.get(node.kind)
    if handler is None:
        raise refused(node, "cannot be built; see docs/front.md for what maps")
    unknown = sorted(set(node.values) - ATTRIBUTES[node.kind])
    if unknown:
        raise refused(node, f"attribute {show(unknown[0])} is not known")
    try:
        made = handler(walk, node)
    except (ValueError, TypeError, IndexError) as e:
        cause = " ".join(str(e).split())[:200]
        raise refused(node, f"its parameters do not fit ({cause})") from None
    for name in node.outputs:
        walk.streams[name] = made


def _output(walk: Walk, graph: Graph) -> tuple[Expr, tuple[float, float] | None]:
    """(What the classes are read of: their order is all that counts; gain and offset of what the
    graph gives over it, None where a softmax keeps the order only)."""
    kinds = {n.path: n.kind for n in graph.nodes}
    gain, offset, plain = 1.0, 0.0, True
    known = [n for n in graph.outputs if n in walk.streams]
    if not known:
        raise NetworkError("the output does not depend on the input")
    out = walk.streams[known[-1]].expr
    if len({id(walk.streams[n].expr) for n in known}) > 1:
        raise NetworkError(f"graph: has {len(known)} outputs; a network has one")
    while True:
        v = out.values
        if out.kind in ("flatten", "order"):
            plain &= not kinds.get(out.path, "").endswith("Softmax")
            out = out.args[0]
        elif out.kind == "affine" and np.ndim(v["gain"]) == np.ndim(v["offset"]) == 0:
            if v["gain"] <= 0:
                raise NetworkError(f"node '{out.path}': turns the order of the classes round")
            offset += gain * float(v["offset"])
            gain *= float(v["gain"])
            out = out.args[0]
        else:
            return out, (gain, offset) if plain else None


def _replay(
    graph: Graph,
    walk: Walk,
    source: FloatInput,
    shapes: dict[str, Any],
    scale: tuple[float, float] | None,
) -> Any:
    """What qonnx makes of images. ``source``: as the graph sees pixels; ``shapes``: of neurons;
    ``scale``: as `Recorded` has it."""
    ((first, sizes),) = graph.shapes.items()
    given = Input(source.name, source.shape, source.coding, source.bits, source.seed)
    last = [n for n in graph.outputs if n in walk.streams][-1]
    # a TopK gives numbers of classes, not values: read what it reads
    ordered = {n: node for node in graph.nodes for n in node.outputs}
    while last in ordered and ordered[last].kind in ("TopK", "ArgMax"):
        last = ordered[last].inputs[0]

    known: dict[str, Recorded] = {}  # float32 whatever is asked, so the second call knows it

    def run(images: np.ndarray, kind: str = "float32") -> Recorded:
        images = np.ascontiguousarray(images)
        key = f"{images.shape} {hashlib.sha256(images.tobytes()).hexdigest()}"
        if key not in known:
            known.clear()
            known[key] = executed(images)
        return known[key]

    def executed(images: np.ndarray) -> Recorded:
        with packages():
            from qonnx.core.modelwrapper import ModelWrapper
            from qonnx.core.onnx_exec import execute_onnx
            from qonnx.transformation.infer_shapes import InferShapes
        x = np.array(check_images(given, images, 1), np.float32)
        x = _real(x[0] if source.coding == "frames" else x, source)
        model = ModelWrapper(graph.model, make_deepcopy=True).transform(InferShapes())
        logits: list[np.ndarray] = []
        spikes: dict[str, list[np.ndarray]] = {p: [] for s in walk.steps for p in s.paths}
        for image in x:  # the graph's batch is one
            feed = {first: image.reshape(1, *sizes[1:])}
            seen = execute_onnx(model, feed, return_full_exec_context=True)
            logits.append(np.asarray(seen[last], np.float64).reshape(-1))
            for s in walk.steps:
                whole = np.rint((np.asarray(seen[s.tensor], np.float64) - s.low) / s.size)
                for k, path in enumerate(s.paths):
                    fired = (whole > k).astype(np.float64)
                    spikes[path].append(fired.reshape(shapes[path]))
        found = {p: np.stack(v)[None] for p, v in spikes.items()}
        return Recorded(found, np.stack(logits), scale=scale, dtype="float32")

    return run


def _pixels(source: FloatInput) -> np.ndarray:
    """Every number that a pixel, or a value in frames, (of any channel) can be."""
    every = (
        np.arange(1 << source.bits, dtype=np.float64)
        .reshape(1, 1, 1, -1)
        .repeat(source.shape[0], 1)
    )
    return _real(every, source, np.float64).reshape(-1)


def _real(pixels: np.ndarray, source: FloatInput, kind: Any = np.float32) -> np.ndarray:
    cols = lambda v: np.reshape(v, (-1, 1, 1))  # noqa: E731
    x = pixels * kind(source.scale)
    x = x if source.mean is None else x - cols(source.mean)
    x = x if source.std is None else x / cols(source.std)
    return x.astype(kind)
