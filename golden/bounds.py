"""Interval analysis: how wide every register must be (docs/design.md#widths)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from sterna.golden.errors import NetworkError
from sterna.golden.network import Network, Pool, Readout, WeightedNode
from sterna.golden.rule import LEVELS, NeuronRule, step_of
from sterna.golden.step import Step

__all__ = [
    "Interval",
    "RuleBounds",
    "signed_bits",
    "unsigned_bits",
    "weighted_interval",
    "pooled_interval",
    "rule_bounds",
    "highest_membrane",
    "node_bounds",
    "wide_registers",
    "FAR",
    "RANK_BITS",
]

RANK_BITS = 24
"""A first-spike logit is ((T - t) << 24) + v + 2**23, or v + 2**23 where nothing fired: fixed, so
that it does not change when weights are loaded at run time."""

Interval = tuple[np.ndarray, np.ndarray]
"""Lowest and highest value per channel, int64 (O,), both reached or safe outer bounds."""

FAR = 1 << 40
"""Where the analysis stops counting: 256 times what any register may hold, and small enough that
no product or shift of it passes 64 bits (a decay's is below 2**52, the fraction bits' 2**56)."""


def signed_bits(lo: int, hi: int) -> int:
    """Bits of the smallest two's complement register that holds lo .. hi."""
    return (
        max(
            (~int(lo) if lo < 0 else int(lo)).bit_length(),
            (~int(hi) if hi < 0 else int(hi)).bit_length(),
        )
        + 1
    )


def unsigned_bits(hi: int) -> int:
    return max(1, int(hi).bit_length())


def weighted_interval(node: WeightedNode, maximum: int, reloadable: bool = False) -> Interval:
    """Exact range of each output channel's weighted sum of inputs 0 .. maximum, any subset padded.

    ``reloadable``: the worst case over all weights of the node's shape.
    """
    w = node.weight.reshape(node.out_channels, -1).astype(np.int64)
    if reloadable:
        worst = np.full(len(w), w.shape[1] * maximum, np.int64)
        return -worst, worst
    return np.minimum(w, 0).sum(1) * maximum, np.maximum(w, 0).sum(1) * maximum


def pooled_interval(span: Interval, pool: Pool | None) -> Interval:
    """Range of sums behind a pool (None: none), of their range in front of it."""
    if pool is None or pool.mode == "max":
        return span
    return span[0] * prod(pool.kernel), span[1] * prod(pool.kernel)


@dataclass(frozen=True)
class RuleBounds:
    """(lowest, highest) over all steps and channels, of each register of a neuron scan.

    drive: (x << F) + bias;  current: i;  u: v + i before the reset;  reset: u - reset_by;
    margin: u - threshold;  v: membrane after the reset. Not every rule has all of them: see
    ``wide_registers``. Drives, currents and membranes beyond +-``FAR`` are given as +-``FAR``.
    """

    x: tuple[int, int]
    drive: tuple[int, int]
    current: tuple[int, int]
    u: tuple[int, int]
    reset: tuple[int, int]
    margin: tuple[int, int]
    v: tuple[int, int]

    def width(self, *names: str) -> int:
        """Signed bits that hold all the named registers."""
        spans = [getattr(self, n) for n in names]
        return signed_bits(min(s[0] for s in spans), max(s[1] for s in spans))


def _near(span: Interval) -> Interval:
    return np.clip(span[0], -FAR, FAR), np.clip(span[1], -FAR, FAR)


def _far(rule: NeuronRule, x: Interval, steps: int, others: Sequence[Interval]) -> bool:
    """Whether anything might pass +-``FAR``, by a bound in Python's integers that nothing wraps."""
    size = lambda span: int(max(np.abs(span[0]).max(), np.abs(span[1]).max()))  # noqa: E731
    current = (size(x) << rule.fraction_bits) + 2**31
    current *= 1 if rule.synapse is None else steps
    return steps * (current + 1 + sum(map(size, others))) >= FAR


def _steps(
    rule: NeuronRule, x: Interval, steps: int, ranges: dict[str, tuple[int, int]] | None
) -> Iterator[dict[str, Interval]]:
    """What `rule_bounds` says, by register, channel and step."""

    def param(name: str, a: np.ndarray) -> Interval:
        a = a.astype(np.int64)
        if ranges is None:
            return a, a
        lo, hi = ranges.get(name, ranges["threshold"])
        return np.full_like(a, lo), np.full_like(a, hi)

    spans = {k: param(k, a) for k in LEVELS if k != "bias" and (a := getattr(rule, k)) is not None}
    v, thr, back = spans["v_init"], spans["threshold"], spans["reset_by"]
    i = (np.zeros_like(v[0]), np.zeros_like(v[0]))
    x = _near((x[0].astype(np.int64), x[1].astype(np.int64)))
    near = _near if _far(rule, x, steps, tuple(spans.values())) else lambda span: span
    # All that a step does is monotone: the ends map to the ends.
    low, high = (_end(rule, spans, top) for top in (False, True))
    for t in range(steps):  # all of them: a register may be widest at the last
        bias = param("bias", rule.bias_at(t))
        base = (x[0] << rule.fraction_bits, x[1] << rule.fraction_bits)
        drive = near((base[0] + bias[0], base[1] + bias[1]))
        i = near((low.current(i[0], drive[0]), high.current(i[1], drive[1])))
        u = near((low.before(v[0], i[0]), high.before(v[1], i[1])))
        entered, v = v, near(_after(low, high, u, thr))
        yield {
            "x": x,
            "drive": drive,
            "current": i,
            "u": u,
            "margin": (u[0] - thr[1], u[1] - thr[0]),
            "reset": (u[0] - back[1], u[1] - back[0]),
            "v": (np.minimum(entered[0], v[0]), np.maximum(entered[1], v[1])),
        }


def _end(rule: NeuronRule, spans: dict[str, Interval], top: bool) -> Step:
    """The step whose membrane is the highest, or the lowest, with parameters within ``spans``."""
    ends = {name: span[top != LEVELS[name].falls] for name, span in spans.items()}
    values = vars(rule) | ends
    return step_of(values, np.where, np.asarray, np.asarray, lambda register, d: d(register))


def _after(low: Step, high: Step, u: Interval, thr: Interval) -> Interval:
    """The membrane behind the reset. One that silences stays inside the range."""
    fires, silent = u[1] >= thr[0], u[0] < thr[1]
    quiet = low.after(u[0], False), high.after(np.minimum(u[1], thr[1] - 1), False)
    loud = low.after(np.maximum(u[0], thr[0]), True), high.after(u[1], True)
    lo = np.where(fires & silent, np.minimum(quiet[0], loud[0]), np.where(fires, loud[0], quiet[0]))
    hi = np.where(fires & silent, np.maximum(quiet[1], loud[1]), np.where(fires, loud[1], quiet[1]))
    return lo, hi


def rule_bounds(
    rule: NeuronRule,
    x: Interval,
    steps: int,
    ranges: dict[str, tuple[int, int]] | None = None,
) -> RuleBounds:
    """Ranges of every register over all ``steps``, given the range of x per channel.

    ``ranges`` gives (lowest, highest) of 'threshold', 'reset_by', 'bias', 'v_init' and whichever
    other levels the rule has, for designs whose parameters are loaded at run time (without
    'reset_by' it is the threshold's); otherwise the actual values count, channel by channel.
    """
    seen = {name: [0, 0] for name in RuleBounds.__dataclass_fields__}
    for registers in _steps(rule, x, steps, ranges):
        for name, span in registers.items():
            old = seen[name]
            old[0], old[1] = min(old[0], int(span[0].min())), max(old[1], int(span[1].max()))
    return RuleBounds(**{k: (s[0], s[1]) for k, s in seen.items()})


def highest_membrane(rule: NeuronRule, x: np.ndarray, steps: int) -> np.ndarray:
    """The largest membrane that each channel can reach if it never fires, int64 (O,), of inputs up
    to ``x`` (O,); ``FAR`` where that is more."""
    free = replace(rule, reset="none")
    return np.max([r["u"][1] for r in _steps(free, (x, x), steps, None)], axis=0)


_LONG = {"margin": "the membrane less the threshold", "reset": "the membrane less reset_by"}


def wide_registers(rule: NeuronRule, b: RuleBounds, mode: str | None = None) -> list[str]:
    """The registers that pass 32 bits, among those that the rule has: nothing is compared with the
    threshold in a 'membrane' readout (``mode``), and only 'subtract' takes reset_by away."""
    none = {"margin"} if mode == "membrane" else set()
    none |= {"reset"} if rule.reset != "subtract" else set()
    names = [k for k in RuleBounds.__dataclass_fields__ if k not in none]
    return [k for k in names if signed_bits(*getattr(b, k)) > 32]


def node_bounds(
    network: Network,
    name: str,
    reloadable: bool = False,
    ranges: dict[str, tuple[int, int]] | None = None,
) -> RuleBounds:
    """Bounds of the Neuron or Readout ``name``; NetworkError where a register passes 32 bits.

    ``reloadable``: the worst case over all weights. ``ranges``: the worst case over all parameters
    inside them (see ``rule_bounds``), where the rule has coefficients with 'coef', one range of
    all of them.
    """
    node = network.neuron(name)
    rule = node.rule
    lo = np.zeros(rule.channels, np.int64)
    hi = np.zeros(rule.channels, np.int64)
    shifts, coefs = iter(rule.shifts), iter(rule.coef)
    for source in node.inputs:
        if network.is_weighted(source):
            n, pool = network.sums(source)
            span = weighted_interval(n, network.maximum[n.input], reloadable)
            span, shift = pooled_interval(span, pool), next(shifts)
            lo, hi = lo + (span[0] << shift), hi + (span[1] << shift)
        else:
            c = next(coefs).astype(np.int64)
            least, most = (c, c) if ranges is None else ranges["coef"]
            top = network.maximum[source]
            lo, hi = lo + np.minimum(least, 0) * top, hi + np.maximum(most, 0) * top
        lo, hi = _near((lo, hi))  # so that however many inputs meet, their sum fits
    b = rule_bounds(rule, (lo, hi), network.steps, ranges)
    mode = node.mode if isinstance(node, Readout) else None
    if wide := wide_registers(rule, b, mode):
        what = _LONG.get(wide[0], wide[0])
        raise NetworkError(
            f"node '{name}': {what} can reach {getattr(b, wide[0])}, more than 32 bits; "
            "use fewer fraction bits, smaller parameters or fewer inputs"
        )
    if mode == "first_spike":
        if signed_bits(*b.u) > RANK_BITS or network.steps >= 1 << (31 - RANK_BITS):
            raise NetworkError(
                f"node '{name}': a first_spike readout holds {RANK_BITS}-bit membranes and T <= "
                f"{(1 << (31 - RANK_BITS)) - 1}, this one reaches {b.u} at T = {network.steps}; "
                "use fewer fraction bits or steps"
            )
    return b
