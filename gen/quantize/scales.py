"""From real weights to trits, and what one integer unit of a layer's input is worth."""

import numpy as np

from sterna.gen.quantize.float_network import (
    FloatNetwork,
    FloatNeuron,
    FloatNeurons,
    FloatNode,
    FloatReadout,
    FloatSums,
    Weighted,
)
from sterna.gen.quantize.neuron_rules import Unit
from sterna.gen.quantize.reference import Worth, worth_of
from sterna.golden.bounds import pooled_interval
from sterna.golden.errors import NetworkError
from sterna.golden.rule import MAX_SHIFT

__all__ = ["check_classes", "find_unit", "refusal", "trits_of"]

SAME = 1e-4  # relative difference up to which two scales of one channel are one


def trits_of(node: Weighted) -> np.ndarray:
    """int8 values of a node's real weights: -1, 0, +1 (binary: -1, +1), same shape.

    NetworkError where a channel's weights are not -a, 0, +a (binary: -a, +a).
    """
    if node.kind == "real":
        raise NetworkError(
            f"node '{node.name}': has real weights, which hardware is not built of; calibrate "
            "it (`calibrate` of an import), or train it as ternary or binary"
        )
    flat = np.asarray(node.weight, np.float64).reshape(len(node.weight), -1)
    scale = np.abs(flat).max(1, keepdims=True)
    near = np.abs(np.abs(flat) - scale) <= SAME * scale
    zero = np.abs(flat) <= SAME * scale
    wrong = ~(near | (zero if node.kind == "ternary" else np.zeros_like(zero)))
    if node.kind not in ("ternary", "binary"):
        raise NetworkError(
            f"node '{node.name}': weight kind '{node.kind}' is not ternary or binary; choose one"
        )
    if wrong.any():
        o, k = (int(v) for v in np.argwhere(wrong)[0])
        values = "-a, 0, +a" if node.kind == "ternary" else "-a, +a"
        raise NetworkError(
            f"node '{node.name}': weight {flat[o, k]:g} of channel {o} is not one of {values} with "
            f"a = {scale[o, 0]:g}; train with {node.kind} weights first"
        )
    trits = np.where(flat < 0, -1, 1).astype(np.int8)
    if node.kind == "ternary":
        trits[zero | (scale == 0)] = 0
    return trits.reshape(node.weight.shape)


def find_unit(
    network: FloatNetwork,
    node: FloatNeurons,
    trits: dict[str, np.ndarray],
    maximum: dict[str, int],
) -> tuple[Unit, dict[str, np.ndarray]]:
    """(Unit of a neuron layer, the sign of the gain of each source's weights: -1, 0, +1, shaped to
    multiply its trits by).

    NetworkError where inputs do not meet in whole, power-of-two steps, a readout has more than one
    scale, or a negative gain would make a minimum of a maximum.
    """
    found = {i: s for i in node.inputs if (s := network.sums(i)) is not None}
    spiking = [i for i in node.inputs if i not in found]
    worth = worth_of(network, node)
    _keep_maxima(node, found, worth)
    gains = [worth.weighted[i] for i in found]
    shortcuts = [worth.spikes[i] for i in spiking]  # of one spike
    sizes = np.abs(gains)
    constant = np.all([s == 0 for s in (*sizes, *shortcuts)], axis=0)
    _one_scale(node, worth, f"node '{node.name}'")
    shifts = _shifts(node, list(found), sizes)
    size = np.max(sizes / 2.0 ** np.array(shifts)[:, None], axis=0)
    for w in shortcuts:  # where only spikes count, the first shortcut's is the unit
        size = np.where(size == 0, np.abs(w), size)
    # nothing multiplies a constant channel's unit: the usual one keeps its registers as narrow
    usual = float(np.median(size[~constant])) if not constant.all() else 1.0
    size = np.where(constant, usual, size)
    coef = tuple(_coefficient(node, i, w, size) for i, w in zip(spiking, shortcuts, strict=True))
    flips: dict[str, np.ndarray] = {}
    low = np.zeros(len(size), np.int64)
    high = np.zeros(len(size), np.int64)
    for (n, pool), gain, shift in zip(found.values(), gains, shifts, strict=True):
        flips[n.name] = np.sign(gain).astype(np.int8).reshape(-1, *[1] * (n.weight.ndim - 1))
        turned = np.where(flips[n.name] == 0, n.kind == "binary", flips[n.name])
        w = (trits[n.name] * turned).reshape(len(size), -1).astype(np.int64)
        span = np.minimum(w, 0).sum(1), np.maximum(w, 0).sum(1)
        span = pooled_interval(span, None if pool is None else pool.stream([1.0]))
        low += (span[0] * maximum[n.input]) << shift
        high += (span[1] * maximum[n.input]) << shift
    for i, c in zip(spiking, coef):
        low += np.minimum(c, 0).astype(np.int64) * maximum[i]
        high += np.maximum(c, 0).astype(np.int64) * maximum[i]
    return Unit(size, worth.offset, constant, low, high, shifts, coef), flips


def _keep_maxima(node: FloatNeurons, found: dict[str, FloatSums], worth: Worth) -> None:
    """NetworkError where the neuron's own batch norm turns round what a pool of maxima makes: the
    largest times a negative gain is the smallest of the products. A negative gain in front of a
    pool turns the weights as any other."""
    if not isinstance(node, FloatNeuron) or node.norm is None:
        return
    turned = node.norm.affine()[0] < 0
    for name, (_, pool) in found.items():
        if pool is None or pool.mode != "max":
            continue
        wrong = turned & (worth.weighted[name] != 0)
        if wrong.any():
            raise NetworkError(
                f"node '{node.name}': its batch norm has a negative gain for channel "
                f"{int(np.argmax(wrong))} behind the max pool '{name}', which would need the "
                "minimum; put the batch norm in front of the pool, or train its gain positive"
            )


def check_classes(network: FloatNetwork, who: str) -> None:
    """NetworkError about ``who``, the last layer, where `find_unit` would refuse its scales; real
    weights have none yet."""
    node = network.readout
    found = [s for i in node.inputs if (s := network.sums(i)) is not None]
    if found and not any(s.weighted.kind == "real" for s in found):
        _one_scale(node, worth_of(network, node), who)


def refusal(network: FloatNetwork, node: FloatNeurons) -> str | None:
    """Why `find_unit` refuses a neuron layer as its weights are; None where it takes it, or where
    some are real yet."""
    found = [s.weighted for i in node.inputs if (s := network.sums(i)) is not None]
    if any(n.kind == "real" for n in found):
        return None
    try:
        trits = {n.name: trits_of(n) for n in found}
        find_unit(network, node, trits, dict.fromkeys(network.by_name, 1))
    except NetworkError as e:
        return str(e)
    return None


def _one_scale(node: FloatNeurons, worth: Worth, who: str) -> None:
    """What a readout compares has one scale for all classes; the order of counts has none."""
    if not isinstance(node, FloatReadout) or node.mode == "count":
        return
    sizes = np.abs([*worth.weighted.values(), *worth.spikes.values()])
    if not np.all(sizes.any(0)):
        raise NetworkError(
            f"{who}: a class has zero weights or gain; its logit would have no scale: retrain the "
            "last layer"
        )
    if np.any(np.abs(sizes - sizes[:, :1]) > SAME * sizes[:, :1]):
        raise NetworkError(
            f"{who}: its classes have different scales ({sizes.min():g} to {sizes.max():g}), which "
            "would change their order; train the last layer with ONE scale or factor and no batch "
            "norm, or bring it in with real weights, which `calibrate` gives one"
        )


def _shifts(node: FloatNode, names: list[str], sizes: np.ndarray) -> tuple[int, ...]:
    """Left shift of each weighted input against the one with the smallest unit.

    Channels whose weights or gain are zero on either side fit any shift.
    """
    known = np.where(sizes > 0, sizes, np.nan)
    some = ~np.all(np.isnan(known), axis=1)
    if len(sizes) == 1 or not some.any():
        return (0,) * len(sizes)
    middle = np.array([np.nanmedian(k) if s else np.inf for k, s in zip(known, some, strict=True)])
    base = int(np.argmin(middle))
    out = []
    for name, row in zip(names, known, strict=True):
        ratio = (row / known[base])[~np.isnan(row) & ~np.isnan(known[base])]
        shift = np.round(np.log2(ratio))
        whole = np.abs(ratio / 2.0**shift - 1) <= SAME
        if ratio.size and not (whole.all() and np.ptp(shift) == 0 and 0 <= shift[0] <= MAX_SHIFT):
            far = np.abs(ratio - ratio[0]) if whole[0] else ~whole
            raise NetworkError(
                f"node '{node.name}': inputs '{names[base]}' and '{name}' meet with amplitudes "
                f"1 : {ratio[int(np.argmax(far))]:g}, not one power of two up to 2**{MAX_SHIFT} "
                "for all channels; tie their gains in training (one batch norm after the sum)"
            )
        out.append(int(shift[0]) if ratio.size else 0)
    return tuple(out)


def _coefficient(node: FloatNode, spikes: str, worth: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Whole number of units that one spike of a shortcut adds, (O,)."""
    real = worth / size
    whole = np.round(real)
    wrong = np.abs(real - whole) > SAME * np.abs(real)
    if np.any(wrong):
        o = int(np.argmax(wrong))
        raise NetworkError(
            f"node '{node.name}': a spike of '{spikes}' is worth {real[o]:g} units of channel {o}, "
            "not a whole number; tie the amplitudes in training or pass it through a convolution"
        )
    if np.any(np.abs(whole) >= 2**31):
        raise NetworkError(
            f"node '{node.name}': a spike of '{spikes}' is worth {np.abs(whole).max():.3g} units, "
            "more than 32 bits; tie the amplitudes in training"
        )
    return whole.astype(np.int32)
