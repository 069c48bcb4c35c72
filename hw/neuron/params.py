"""What a neuron scan reads for each channel, and its packing into rows of a memory."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Value

from sterna.golden.bounds import RuleBounds, signed_bits
from sterna.golden.rule import NeuronRule

__all__ = ["NeuronParams"]

Ranges = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class NeuronParams:
    """What a scan reads for each channel (and step, where the bias depends on it), and its packing.

    Fields, signed: ``add`` = bias, ``back`` = bias - reset_by, ``over`` = bias - threshold (with a
    synapse: bias, reset_by and threshold themselves), ``start`` = leak(v_init), ``coef0``,
    ``coef1`` ... = the coefficients of the spike inputs. Fields that the rule does not need are
    absent. ``ranges`` are the declared ranges of reloadable parameters, 'coef' of all coefficients.
    """

    rule: NeuronRule
    bounds: RuleBounds
    steps: int
    fires: bool = True
    ranges: Ranges | None = None

    @property
    def per_step(self) -> bool:
        return self.rule.bias is not None and self.rule.bias.ndim == 2

    @property
    def shared_reset(self) -> bool:
        """reset_by is the threshold: u - threshold is also the membrane after a spike."""
        if self.ranges is not None:
            return "reset_by" not in self.ranges
        return self.rule.resets_by_threshold

    def _columns(self) -> dict[str, np.ndarray]:
        """Field values, int64 (rows per channel, O): rows are steps where the bias has them."""
        r = self.rule
        assert r.bias is not None and r.reset_by is not None and r.v_init is not None
        bias = np.atleast_2d(r.bias).astype(np.int64)
        start = r.leak(r.v_init.astype(np.int64)) if r.leak else r.v_init.astype(np.int64)
        joined = 0 if r.synapse is not None else 1
        sign = -1 if joined else 1
        out = {"add": bias, "start": np.broadcast_to(start, bias.shape)}
        if r.floor is not None:
            out["floor"] = np.broadcast_to(r.floor.astype(np.int64), bias.shape)
        if self.fires:
            out["over"] = joined * bias + sign * r.threshold
            if r.reset == "subtract" and not self.shared_reset:
                out["back"] = joined * bias + sign * r.reset_by
        for n, coef in enumerate(r.coef):
            out[f"coef{n}"] = np.broadcast_to(coef.astype(np.int64), bias.shape)
        return out

    def _span(self, name: str) -> tuple[int, int]:
        if self.ranges is None:
            a = self._columns()[name]
            return int(a.min()), int(a.max())
        lo_b, hi_b = self.ranges["bias"]
        if name == "add":
            return lo_b, hi_b
        if name == "start":
            lo, hi = self.ranges["v_init"]
            return (self.rule.leak(lo), self.rule.leak(hi)) if self.rule.leak else (lo, hi)
        if name == "floor":
            return self.ranges[name]
        if name.startswith("coef"):
            return self.ranges["coef"]
        lo, hi = self.ranges["threshold" if name == "over" else "reset_by"]
        return (lo, hi) if self.rule.synapse is not None else (lo_b - hi, hi_b - lo)

    @cached_property
    def fields(self) -> dict[str, int]:
        """Width of each field in bits; a field that is 0 everywhere has none."""
        spans = {name: self._span(name) for name in self._columns()}
        return {n: signed_bits(*s) for n, s in spans.items() if s != (0, 0)}

    @property
    def width(self) -> int:
        """Bits of one channel's parameters; at least 1 so that a memory exists."""
        return max(1, sum(self.fields.values()))

    def field(self, row: Value, p: int, name: str) -> Value | None:
        """A field of channel ``p`` in a memory row, signed; None where it is absent."""
        at = p * self.width
        for other, bits in self.fields.items():
            if other == name:
                return row[at : at + bits].as_signed()
            at += bits
        return None

    def depth(self, pe: int) -> int:
        return self.rule.channels // pe * (self.steps if self.per_step else 1)

    def rows(self, pe: int) -> list[int]:
        """Memory rows: channel group by channel group, steps inside; channel p at p * width."""
        columns, out = self._columns(), []
        for group in range(self.rule.channels // pe):
            for step in range(self.steps if self.per_step else 1):
                row = at = 0
                for p in range(pe):
                    for name, bits in self.fields.items():
                        value = int(columns[name][step, group * pe + p])
                        row |= (value & ((1 << bits) - 1)) << at
                        at += bits
                    at = (p + 1) * self.width
                out.append(row)
        return out
