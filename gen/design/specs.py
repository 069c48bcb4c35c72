"""Hardware specifications of a design's cores: the one place where network and folding meet."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from sterna.gen.design.design import CoreDesign
from sterna.gen.design.engines import check_engine
from sterna.gen.design.folding import KEYS, Folding, check_keys
from sterna.gen.design.graph import pool_of, weighted_inputs
from sterna.gen.design.legal import is_depthwise
from sterna.golden.bounds import (
    RuleBounds,
    node_bounds,
    pooled_interval,
    signed_bits,
    weighted_interval,
)
from sterna.golden.errors import DesignError
from sterna.golden.network import Network, Pool, Readout, WeightedNode
from sterna.golden.rule import LEVELS, NeuronRule
from sterna.golden.window import window_order, window_split
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.input_join import ShortcutSpec
from sterna.hw.core.pool import PoolSpec
from sterna.hw.dot.engines import ENGINES
from sterna.hw.neuron.params import NeuronParams
from sterna.hw.stream.edge import Edge

__all__ = [
    "conv_geometry",
    "conv_spec",
    "front_keys",
    "front_spec",
    "pool_spec",
    "pool_window",
    "declared_ranges",
    "declared_values",
    "flattens",
    "input_map",
    "weight_rows",
]


def input_map(network: Network, core_node: WeightedNode | Pool) -> tuple[int, int, int]:
    """The map a core's line buffer sees."""
    shape = network.shape[core_node.input]
    return core_node.reads_map(shape) if isinstance(core_node, WeightedNode) else shape


def flattens(network: Network, name: str) -> bool:
    """Whether node ``name`` reads its input as one pixel."""
    node = network[name]
    return isinstance(node, WeightedNode) and node.flattens


def declared_values(rule: NeuronRule) -> dict[str, np.ndarray]:
    """All values of a rule's parameters, by the name of the range that they are in: levels that it
    has, and 'coef' for all coefficients of its spike inputs."""
    found = {name: getattr(rule, name) for name in LEVELS}
    found["coef"] = np.stack(rule.coef) if rule.coef else None
    return {name: a for name, a in found.items() if a is not None}


def declared_ranges(rule: NeuronRule) -> dict[str, list[int]]:
    """Ranges a reloadable core is sized for: a bit more than its present parameters need.

    'reset_by' is absent where it equals the threshold: then it must do so in every later set.
    """
    out: dict[str, list[int]] = {}
    for name, a in declared_values(rule).items():
        if name == "reset_by" and rule.resets_by_threshold:
            continue
        bits = min(32, signed_bits(int(a.min()), int(a.max())) + 1)
        out[name] = [-(1 << (bits - 1)), (1 << (bits - 1)) - 1]
    return out


def weight_rows(
    node: WeightedNode, in_shape: tuple[int, int, int], pe: int, simd: int, nest: str = "window"
) -> list[int]:
    """Rows of a weight memory: by output group, window words inside (``window_order``); in the nest
    'arrival' by window word, output groups inside.

    Weight of output p and lane s at bits (p*simd + s)*wb; ternary: bit 0 is +1, bit 1 is -1.
    """
    order = window_order(node, in_shape, simd)
    flat = node.weight.reshape(node.out_channels, -1)[:, order]  # (O, folds, simd)
    groups = node.out_channels // pe
    a = flat.reshape(groups, pe, *order.shape).transpose(0, 2, 1, 3)  # group, fold, pe, simd
    if nest == "arrival":
        a = a.swapaxes(0, 1)
    if node.kind == "ternary":
        bits = np.stack([a == 1, a == -1], axis=-1).reshape(groups * len(order), -1)
    else:
        bits = (a == 1).reshape(groups * len(order), -1)
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def front_keys(folding: Folding) -> dict[str, Any]:
    """The keys of a folding that shape a front: those that a `FrontSpec` has, too."""
    return {k: getattr(folding, k) for k in _FRONT_KEYS}


_FRONT_FIELDS = {f.name for f in fields(FrontSpec)}
_FRONT_KEYS = tuple(k for k in KEYS if k in _FRONT_FIELDS)


def front_spec(network: Network, core: CoreDesign, family: str, *, rows: bool = False) -> FrontSpec:
    """The Front of a weighted node; with ``rows`` also the contents of its memory.

    DesignError names the node where a key of its folding, or the engine, is illegal.
    """
    node, target = network.weighted(core.name), network.neuron(core.target)
    shape = network.shape[node.input]
    check_keys(network, core.name, core)
    check_engine(network, core, family)
    split = window_split(node, shape, core.simd)
    channels, _ = node.window
    bits = network.bits(node.input)
    # Constants are no contents but what the logic is made of.
    engine = ENGINES[core.engine]
    rows = rows or engine.in_logic
    contents = weight_rows(node, shape, core.pe, core.simd, core.nest) if rows else []
    word = core.pe * core.simd * (2 if node.kind == "ternary" else 1)
    contents = engine.memory_rows(contents, word, core.reads)
    span = weighted_interval(node, network.maximum[node.input], _declared(core))
    span = pooled_interval(span, pool := pool_of(network, core.name))
    return FrontSpec(
        geometry=conv_geometry(network, core.name, core, core.input.edge, core.spare_rows),
        out_channels=node.out_channels,
        channels=channels,
        split_channels=split.channels,
        groups=node.groups,
        depthwise=is_depthwise(node, shape),
        kind=node.kind,
        bits=bits,
        held=network.is_pixels(node.input),
        steps=network.steps,
        z_width=signed_bits(int(span[0].min()), int(span[1].max())),
        shift=target.rule.shifts[weighted_inputs(network, target).index(core.name)],
        family=family,
        weight_region=core.regions[0] if core.regions else None,
        weights=contents,
        pool="" if pool is None else pool.mode,
        **front_keys(core),
    )


def conv_geometry(
    network: Network, name: str, folding: Folding, edge: Edge, spare: int = 0
) -> Geometry:
    """What a weighted node's line buffer and walker see, fed by ``edge``."""
    if folding.nest == "arrival":
        return Geometry.arriving(edge, spare)
    node = network.weighted(name)
    _, height, width = input_map(network, node)
    split = window_split(node, network.shape[node.input], folding.simd)
    window, pool_stride, pool_padding = pool_window(pool_of(network, name))
    return Geometry(
        edge=edge,
        height=height,
        width=width,
        kernel=node.window[1],
        stride=node.stride,
        padding=node.padding,
        rows=split.rows,
        columns=split.columns,
        spare=spare,
        pool=window,
        pool_stride=pool_stride,
        pool_padding=pool_padding,
        dilation=node.dilation,
    )


def pool_window(
    pool: Pool | None,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Kernel, stride and padding of a pool of sums, as a `Geometry` has them."""
    none = (1, 1), (1, 1), (0, 0, 0, 0)
    return none if pool is None else (pool.kernel, pool.stride, pool.padding)


def _declared(core: CoreDesign) -> bool:
    """Sized for what it declares, not for the weights at hand."""
    return core.memory == "ram" or core.patchable


@lru_cache(maxsize=1 << 10)
def _bounds(network: Network, name: str, reloadable: bool, ranges: Any) -> RuleBounds:
    """`node_bounds`, kept: a search asks for the same neurons in thousands of foldings."""
    return node_bounds(network, name, reloadable, ranges and dict(ranges))


def conv_spec(
    network: Network,
    core: CoreDesign,
    family: str,
    *,
    others: Sequence[CoreDesign] = (),
    shortcuts: Mapping[int, Edge] | None = None,
    rows: bool = False,
) -> ConvSpec:
    """The SpikingConv of a neuron with all its inputs; with ``rows`` also its memories' contents.

    ``core``: the main one, of the target's first weighted input. ``others``: of all its further
    weighted inputs. ``shortcuts``: the edge at the core of every spike input, by its index in the
    target's inputs. DesignError names the node whose folding does not fit.
    """
    target = network.neuron(core.target)
    by_name = {c.name: c for c in (core, *others)}
    names, edges = weighted_inputs(network, target), shortcuts or {}
    spikes = [n for n, i in enumerate(target.inputs) if not network.is_weighted(i)]
    assert names[0] == core.name and sorted(names) == sorted(by_name), "not all weighted inputs"
    assert spikes == sorted(edges), "not all spike inputs"
    for other in others:
        if other.pe != core.pe:
            raise DesignError(
                f"node '{other.name}': pe {other.pe} differs from the pe {core.pe} of "
                f"'{core.name}', which feeds the same neuron; give both the same"
            )
    fronts = tuple(front_spec(network, by_name[name], family, rows=rows) for name in names)
    ranges = None
    if _declared(core):
        assert core.ranges is not None
        ranges = {k: (v[0], v[1]) for k, v in core.ranges.items()}
    reloadable = any(map(_declared, by_name.values()))
    bounds = _bounds(network, core.target, reloadable, tuple(ranges.items()) if ranges else None)
    readout = target.mode if isinstance(target, Readout) else None
    params = NeuronParams(target.rule, bounds, network.steps, readout != "membrane", ranges)
    spec = ConvSpec(
        front=fronts[0],
        others=fronts[1:],
        shortcuts=tuple(
            ShortcutSpec(target.inputs[n], edges[n], network.bits(target.inputs[n])) for n in spikes
        ),
        params=params,
        out_pb=core.output.pb if core.output else 1,
        readout=readout,
        param_region=core.regions[1] if core.regions else None,
    )
    return replace(spec, param_rows=params.rows(spec.scan_pe)) if rows else spec


def pool_spec(network: Network, name: str, edge: Edge, spare: int = 0) -> PoolSpec:
    """The SpikingPool of a pool node whose line buffer is fed by ``edge``; ``spare``: see
    `Geometry`."""
    node = network.pool(name)
    _, height, width = network.shape[node.input]
    return PoolSpec(
        geometry=Geometry(edge, height, width, node.kernel, node.stride, node.padding, spare=spare),
        mode=node.mode,
        bits=network.bits(node.input),
        out_bits=network.bits(name),
        steps=network.steps,
    )
