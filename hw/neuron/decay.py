"""Decays in gates: multiplication by num / 2**shift, rounded once, half up."""

from amaranth.hdl import Cat, Const, Mux, Value

from sterna.golden.rule import Decay

__all__ = ["decay_value", "decayed_sums"]


def decay_value(decay: Decay | None, x: Value) -> tuple[Value, Value]:
    """(num*x + 2**(shift-1)) >> shift as shifts and adds; None decays nothing.

    Returns a signed value and a bit that is still to be added: the carry-in of an adder that the
    caller has anyway. A factor of 2**-shift is a shift, rounded by that bit. Else one term:
    x - (x >> k) - c, where c rounds: the low k bits are above one half. Two terms, and more, add
    the products first, so that they are rounded once.
    """
    none = Const(0, 1)
    if decay is None:
        return x, none
    if decay.ratio is not None:
        return decayed_sums(decay, x, [0], [len(x)], none, None)[0], none
    assert decay.k1 is not None
    k, s = decay.k1, decay.shift
    if decay.num == 1:
        return x >> s, x[min(s, len(x)) - 1]
    if decay.k2 is None:
        bits = Cat(x, x[-1].replicate(max(0, k - len(x))))  # a narrow x has only signs up there
        round_up = bits[k - 1] & (bits[: k - 1].any() if k > 1 else Const(0, 1))
        # -(x >> k) - c = ~(x >> k) + (1 - c): the rounding is a carry-in
        return (x + ~(x >> k) + (~round_up & 1).as_unsigned())[: len(x)].as_signed(), none
    total = (x << s) - (x << (s - decay.k1)) - (x << (s - decay.k2)) + (1 << (s - 1))
    return (total >> s)[: len(x)].as_signed(), none


def decayed_sums(
    decay: Decay | None,
    x: Value,
    addends: list[Value | int],
    widths: list[int],
    anew: Value,
    start: Value | None,
) -> list[Value]:
    """decay(x) + addend for each of ``addends``, to ``widths`` bits that hold it; where ``anew``,
    ``start`` + addend (None: x is 0 then, and the decay of 0 is 0).

    One or two exponents decay first and are added. Any other factor's digits are rows of one sum,
    (num*x + (addend << shift) + half) >> shift, which rounds once as well: 3:2 rows that the
    addends share, and one carry chain for each.
    """
    if decay is None or decay.ratio is None:
        base, carry = decay_value(decay, x)
        if start is not None:
            base, carry = Mux(anew, start, base), carry & ~anew
        return [a + base + carry for a in addends]
    shift = decay.shift
    full = max(widths) + shift
    rows = [_row(x, k, sign, full) for k, sign in decay.digits]
    rest = sum(sign < 0 for _, sign in decay.digits) + (1 << (shift - 1))  # -a is ~a + 1
    while len(rows) > 2:
        rows = [*rows[3:], *_three_to_two(*rows[:3])]
    if start is not None:
        first = [Cat(Const(0, shift), _to(start, full - shift)), Const(0, full)]
        # start << shift keeps its low bits free: what ``rest`` adds there never leaves them
        rows = [Mux(anew, f, r) for f, r in zip(first, rows, strict=False)]
    return [
        _add(rows, Cat(Const(rest, shift), _to(a, n)), shift, n)
        for a, n in zip(addends, widths, strict=True)
    ]


def _row(x: Value, k: int, sign: int, bits: int) -> Value:
    """x << k, or its complement, to ``bits`` bits."""
    row = Cat(Const(0, k), _to(x, bits - k)) if k else _to(x, bits)
    return row if sign > 0 else ~row


def _to(x: Value | int, bits: int) -> Value:
    """A signed value's low ``bits`` bits, its sign repeated."""
    x = Value.cast(x)
    if not x.shape().signed:
        x = Cat(x, Const(0, 1)).as_signed()
    return Cat(x, x[-1].replicate(max(0, bits - len(x))))[:bits]


def _three_to_two(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Two rows of the sum of three, as wide."""
    bits = min(len(a), len(b), len(c))
    a, b, c = a[:bits], b[:bits], c[:bits]
    return a ^ b ^ c, Cat(Const(0, 1), (a & b) | (c & (a ^ b)))[:bits]


def _add(rows: list[Value], addend: Value, shift: int, bits: int) -> Value:
    """The sum of up to two rows and an addend, without its low ``shift`` bits."""
    full = bits + shift
    rows = [r[:full] for r in rows]
    if len(rows) == 2:
        rows = list(_three_to_two(rows[0], rows[1], addend))
    else:
        rows = [*rows, addend]
    return sum(rows[1:], rows[0])[shift:full].as_signed()
