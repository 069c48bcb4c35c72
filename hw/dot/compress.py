"""The dot product of PE outputs x SIMD inputs x TP planes: engine ``compress``.

Spikes are added without multipliers: a ternary lane contributes the bits ``s & pos`` and
``~(s & neg)`` (minus one, a constant of the whole sum), a binary lane the bit ``s & w``. The bits
of one sum are counted by a pipelined compressor tree (`sterna.hw.dot.compressor_tree`).
"""

from amaranth.hdl import Cat, Module, Shape, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device.adder_rows import MINUS, PLAIN, PLUS
from sterna.golden.device.fabric import FABRICS, fabric_of
from sterna.golden.errors import DesignError
from sterna.hw.dot.chained_tree import Bit, build_chained, chained_tree
from sterna.hw.dot.compressor_tree import CompressorTree, build, cheapest_tree, count_bits
from sterna.hw.memory.delay import delay
from sterna.hw.once import once

__all__ = ["DotProduct", "check_lanes"]


def check_lanes(pe: int, simd: int, tp: int, bits_per_step: int, kind: str, family: str) -> None:
    """DesignError where no engine has such lanes; arguments as of `DotProduct`."""
    if min(pe, simd, tp, bits_per_step) < 1:
        raise DesignError(
            f"dot product: pe={pe}, simd={simd}, tp={tp} and bits_per_step={bits_per_step} "
            "must all be at least 1; correct the folding"
        )
    if bits_per_step % tp and tp % bits_per_step:
        raise DesignError(
            f"dot product: tp={tp} neither divides nor is a multiple of the {bits_per_step} "
            "planes of a time step; choose another tp"
        )
    if kind not in ("ternary", "binary"):
        raise DesignError(
            f"dot product: weights of kind {kind!r} have no hardware; use ternary or binary"
        )
    if family not in FABRICS:
        raise DesignError(
            f"dot product: family {family!r} is unknown; use one of {', '.join(FABRICS)}"
        )


@once
class DotProduct(wiring.Component):
    """Dot products of binary planes with ternary or binary weights, fully pipelined.

    Parameters: ``pe`` outputs, ``simd`` inputs per output, ``tp`` planes a clock,
    ``bits_per_step`` planes of one time step (b), ``kind`` 'ternary' or 'binary', ``depthwise``
    (every PE reads its own ``simd`` lanes), ``family`` of `FABRICS`
    (shape of the tree only), ``chained`` adders in carry chains where the family has such: not for
    weights so few and fixed that most of a tree falls away. ``tp`` divides b or is a multiple of
    it, else DesignError.

    Ports, all free running (no enable, no valid):

    - in  ``act``    unsigned(act_lanes*tp), bit ``plane*act_lanes + lane``;
      act_lanes = simd, or pe*simd for depthwise (lane = p*simd + s)
    - in  ``weight`` unsigned(pe*simd*wb), field of (p, s) at ``(p*simd + s)*wb``; ternary wb = 2,
      bit 0 = is +1, bit 1 = is -1; binary wb = 1, 1 = +1, 0 = -1
    - out ``sum``    unsigned(pe*sums*w), value of (p, j) at ``(p*sums + j)*w``; sub-step j adds
      planes j*g .. j*g+g-1 (g = tp/sums) with weights 2**k
    - out ``pop``    binary only: unsigned((pe if depthwise else 1)*sums*w), same indexing

    ternary: dot = sum - offset; binary: dot = 2*sum - pop. Attributes: ``latency`` clocks from the
    inputs to both outputs, ``sums``, ``sum_shape`` (w bits), ``offset``, ``act_lanes``.
    """

    act: Signal
    weight: Signal
    sum: Signal
    pop: Signal

    def __init__(
        self,
        pe: int,
        simd: int,
        tp: int,
        bits_per_step: int,
        kind: str,
        depthwise: bool = False,
        family: str = "generic",
        *,
        chained: bool = True,
    ) -> None:
        check_lanes(pe, simd, tp, bits_per_step, kind, family)
        self.pe, self.simd, self.tp, self.kind = pe, simd, tp, kind
        self.depthwise, self.family = depthwise, family
        self.ternary = kind == "ternary"
        self.sums = max(1, tp // bits_per_step)
        self.group = tp // self.sums
        self.weight_bits = 2 if self.ternary else 1
        self.act_lanes = simd * (pe if depthwise else 1)
        self.pops = 0 if self.ternary else (pe if depthwise else 1)
        lanes_max = simd * (2**self.group - 1)
        self.offset = lanes_max if self.ternary else 0
        width = (2 * lanes_max if self.ternary else lanes_max).bit_length()
        self.sum_shape: Shape = unsigned(width)
        self.chained = chained and fabric_of(family).tree.chained > 0
        heights, spikes = self._heights(), [simd] * self.group
        if self.chained:
            self.tree = chained_tree(tuple(heights), width, family, masked=True)
            self.pop_tree = chained_tree(tuple(spikes), width, family, masked=False)
        else:
            self.tree = cheapest_tree(heights, width, family, masked=True)
            self.pop_tree = cheapest_tree(spikes, width, family, masked=False)
        self.latency = max(self.tree.latency, self.pop_tree.latency if self.pops else 0)
        ports = {
            "act": In(self.act_lanes * tp),
            "weight": In(pe * simd * self.weight_bits),
            "sum": Out(pe * self.sums * width),
        }
        if self.pops:
            ports["pop"] = Out(self.pops * self.sums * width)
        super().__init__(ports)

    def _leaf_groups(self) -> list[list[tuple[int, bool]]]:
        """Groups of at most three half-lanes (lane, is the negative half): six LUT inputs."""
        halves = [(lane, False) for lane in range(self.simd)]
        if self.ternary:
            halves += [(lane, True) for lane in range(self.simd)]
        return [halves[i : i + 3] for i in range(0, len(halves), 3)]

    def _heights(self) -> list[int]:
        """Bits of each weight 2**k: half-lanes, or what counting the leaf groups leaves."""
        if self.chained:
            return [self.simd * self.weight_bits] * self.group
        heights = [0] * (self.group + 1)
        for k in range(self.group):
            for group in self._leaf_groups():
                for j in range(len(group).bit_length()):
                    heights[k + j] += 1
        return heights

    def _spikes(self, lane: int, plane: int) -> Value:
        """Spikes of plane ``plane`` of each sub-step on one lane: a bit per (p, j)."""
        bits = []
        for p in range(self.pe):
            at = lane + (p * self.simd if self.depthwise else 0)
            bits += [
                self.act[(j * self.group + plane) * self.act_lanes + at] for j in range(self.sums)
            ]
        return Cat(bits)

    def _masked(self, lane: int, negative: bool, plane: int) -> tuple[Value, Value]:
        """Spikes and weights of a half-lane, as vectors over (p, j)."""
        wb = self.weight_bits
        weights = Cat(
            self.weight[(p * self.simd + lane) * wb + negative].replicate(self.sums)
            for p in range(self.pe)
        )
        return self._spikes(lane, plane), weights

    def _half_lane(self, lane: int, negative: bool, plane: int) -> Value:
        """One bit of the heap, as a vector over (p, j)."""
        spikes, weights = self._masked(lane, negative, plane)
        return ~(spikes & weights) if negative else spikes & weights

    def _chained(self, m: Module) -> None:
        """Both kinds of trees, of adders in carry chains."""
        signs = [MINUS, PLUS] if self.ternary else [PLUS]  # by turns: see `_ordered`
        halves = [(sign, lane) for lane in range(self.simd) for sign in signs]
        leaves: list[list[Bit]] = [
            [(sign, self._masked(lane, sign == MINUS, plane)) for sign, lane in halves]
            for plane in range(self.group)
        ]
        trees = self.pe * self.sums
        digits = build_chained(m, self.tree, leaves, "sum", trees)
        m.d.comb += self.sum.eq(self._late(m, self.tree, digits, trees, "sum"))
        if self.pops:
            trees = self.pops * self.sums
            spikes: list[list[Bit]] = [
                [(PLAIN, (self._spikes(lane, plane)[:trees],)) for lane in range(self.simd)]
                for plane in range(self.group)
            ]
            digits = build_chained(m, self.pop_tree, spikes, "pop", trees)
            m.d.comb += self.pop.eq(self._late(m, self.pop_tree, digits, trees, "pop"))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.chained:
            self._chained(m)
            return m
        leaves: list[list[Value]] = [[] for _ in range(self.group + 1)]
        for plane in range(self.group):
            for group in self._leaf_groups():
                counted = count_bits([self._half_lane(*half, plane) for half in group])
                for j, digit in enumerate(counted):
                    leaves[plane + j].append(digit)
        m.d.comb += self.sum.eq(self._output(m, self.tree, leaves, "sum"))
        if self.pops:
            # Popcount of the spikes themselves, once for all PEs (for each PE when depthwise).
            trees = self.pops * self.sums
            spikes = [
                [self._spikes(lane, plane)[:trees] for lane in range(self.simd)]
                for plane in range(self.group)
            ]
            m.d.comb += self.pop.eq(self._output(m, self.pop_tree, spikes, "pop"))
        return m

    def _output(
        self, m: Module, tree: CompressorTree, leaves: list[list[Value]], name: str
    ) -> Value:
        """The sums of one kind of tree, side by side, at this component's latency."""
        return self._late(m, tree, build(m, tree, leaves, name), len(leaves[0][0]), name)

    def _late(
        self, m: Module, tree: CompressorTree, digits: list[Value], trees: int, name: str
    ) -> Value:
        late = self.latency - tree.latency
        found = delay(m, Cat(digits), late, f"{name}_delay_{{0}}", True)
        return Cat(found[t::trees] for t in range(trees))

    def reference(self, act: int, weight: int) -> tuple[int, int]:
        """What the ports ``sum`` and ``pop`` show ``latency`` clocks later (pop 0 if ternary)."""
        width, wb = self.sum_shape.width, self.weight_bits
        total = pops = 0
        for p in range(self.pe):
            for j in range(self.sums):
                value, pop = self.offset, 0
                for s in range(self.simd):
                    field = weight >> (p * self.simd + s) * wb
                    w = (field & 1) - (field >> 1 & 1) if self.ternary else field & 1
                    lane = s + (p * self.simd if self.depthwise else 0)
                    for k in range(self.group):
                        bit = act >> (j * self.group + k) * self.act_lanes + lane & 1
                        value += w * bit << k if w >= 0 else -(bit << k)
                        pop += bit << k
                total |= value << (p * self.sums + j) * width
                if p < self.pops:
                    pops |= pop << (p * self.sums + j) * width
        return total, pops
