"""What docs/arithmetic.md states, statement by statement, against golden."""

import numpy as np
import pytest

from sterna.golden.coding import bit_reverse8, encode, site_hash
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import Decay, NeuronRule

RNG = np.random.default_rng(0)
NONE = NeuronRule([0], "none")


def _trits(*shape):
    return RNG.integers(-1, 2, shape)


def _logits(*nodes, steps=1, shape=(1, 1, 1), images=None, coding="frames"):
    return run(Network(steps, [Input("x", shape, coding), *nodes]), images).logits


def test_case_convolution_by_its_formula():
    """Padding is (top, bottom, left, right), sizes are rounded down, groups are in order."""
    w, top, left, sy, sx = _trits(4, 2, 3, 2), 2, 1, 2, 3
    conv = Conv2d("c", "x", w, (sy, sx), (top, 1, left, 0), groups=2)
    rule = NeuronRule([2] * 4)
    ends = [Linear("fc", "n", _trits(1, 4 * 4 * 3)), Readout("o", "fc", NONE)]
    network = Network(1, [Input("x", (4, 6, 8), "frames"), conv, Neuron("n", "c", rule), *ends])
    assert network.shape["c"] == (4, (6 + 3 - 3) // sy + 1, (8 + 1 - 2) // sx + 1) == (4, 4, 3)
    s = RNG.integers(0, 2, (1, 1, 4, 6, 8))
    got = run(network, s, trace=("n",)).spikes["n"][0, 0]
    for o in range(4):
        for y in range(4):
            for x in range(3):
                z = 0
                for k in range(2):
                    for ky in range(3):
                        for kx in range(2):
                            row, column = y * sy + ky - top, x * sx + kx - left
                            if 0 <= row < 6 and 0 <= column < 8:
                                z += w[o, k, ky, kx] * s[0, 0, (o // 2) * 2 + k, row, column]
                assert got[o, y, x] == (z >= 2)
    with pytest.raises(NetworkError, match="must be smaller than kernel"):
        Conv2d("c", "x", w, padding=(3, 0, 0, 0))


def test_case_linear_reads_channels_first():
    s = RNG.integers(0, 2, (1, 1, 2, 3, 4))
    w = _trits(1, 24)
    got = _logits(Linear("fc", "x", w), Readout("o", "fc", NONE), shape=(2, 3, 4), images=s)
    want = sum(
        w[0, (c * 3 + y) * 4 + x] * s[0, 0, c, y, x]
        for c in range(2)
        for y in range(3)
        for x in range(4)
    )
    assert got.tolist() == [[want]]


def test_case_shifts_and_coefficients_go_with_their_kind_in_the_order_of_inputs():
    """Inputs: weighted, spikes, weighted, spikes; a readout may take spikes, too."""
    one = np.ones((1, 1))
    a, b, c = (np.array(v)[:, None, None, None, None] for v in ([1, 1], [0, 1], [1, 0]))
    frames = np.concatenate([a, b, c], axis=2)  # three channels
    pick = [Conv2d(f"p{k}", "x", np.eye(3)[k].reshape(1, 3, 1, 1)) for k in range(3)]
    spikes = [Neuron(f"s{k}", f"p{k}", NeuronRule([1], "zero")) for k in range(3)]
    sums = [Linear("la", "s0", one), Linear("lb", "s2", -one)]
    rule = NeuronRule([0], "none", shifts=(3, 1), coef=([5], [-7]), fraction_bits=2)
    got = _logits(
        *pick,
        *spikes,
        *sums,
        Readout("o", ("la", "s1", "lb", "s2"), rule),
        steps=2,
        shape=(3, 1, 1),
        images=frames,
    )
    x = [(s0 << 3) + 5 * s1 - (s2 << 1) - 7 * s2 for s0, s1, s2 in ((1, 0, 1), (1, 1, 0))]
    assert got.tolist() == [[4 * (x[0] + x[1])]]
    with pytest.raises(NetworkError, match="needs at least one weighted sum"):
        rule = NeuronRule([0], "none", shifts=(), coef=([1],))
        Network(1, [Input("x", (1, 1, 1), "frames"), Readout("o", "x", rule)])


@pytest.mark.parametrize("synapse", [None, "ramp", Decay(1), Decay(1, 1)])
@pytest.mark.parametrize("leak", [None, Decay(2), Decay(1, 1)])
def test_case_current_starts_at_0_and_the_start_leaks(synapse, leak):
    rule = NeuronRule([0], "none", synapse=synapse, leak=leak, v_init=[9], bias=[3])
    frames = np.array([1, 0, 1]).reshape(3, 1, 1, 1, 1)
    got = _logits(Linear("fc", "x", [[1]]), Readout("o", "fc", rule), steps=3, images=frames)
    half = {
        None: lambda x: x,
        "ramp": lambda x: x,
        Decay(1): lambda x: (x + 1) // 2,
        Decay(2): lambda x: (3 * x + 2) // 4,
        Decay(1, 1): lambda x: 0,
    }
    i, v = 0, 9
    for x in (1, 0, 1):
        i = (half[synapse](i) if synapse is not None else 0) + x + 3
        v = half[leak](v) + i
    assert got.tolist() == [[v]]


@pytest.mark.parametrize("reset", ["subtract", "zero", "once"])
def test_case_a_delay_moves_spikes_and_no_reset(reset):
    """out[0] is 0, the last spike is lost, and the membrane is that of the neuron without."""
    frames = RNG.integers(0, 2, (6, 20, 1, 1, 3))
    out = {}
    for delay in (0, 1):
        network = Network(
            6,
            [
                Input("x", (1, 1, 3), "frames"),
                Linear("l", "x", [[1, 1, 1]]),
                Neuron("n", "l", NeuronRule([2], reset, delay=delay)),
                Linear("fc", "n", [[1]]),
                Readout("o", "fc", NONE),
            ],
        )
        out[delay] = run(network, frames, trace=("n",)).spikes["n"]
    assert out[0].any() and not out[1][0].any() and np.array_equal(out[1][1:], out[0][:-1])


def test_case_first_spike_is_decided_by_time_then_membrane_then_index():
    """v of a tie is the membrane at the class's own first spike, though it grows later."""
    rule = NeuronRule([4] * 4, "none")
    w = np.array(
        [[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 1, 1]]
    )
    frames = np.ones((2, 1, 1, 1, 7), int)
    frames[1, ..., 2:] = 0
    frames[0, ..., 6] = 0
    got = _logits(
        Linear("fc", "x", w),
        Readout("o", "fc", rule, "first_spike"),
        steps=2,
        shape=(1, 1, 7),
        images=frames,
    )[0]
    base = 1 << 23
    assert got.tolist() == [
        (2 << 24) + 4 + base,
        (2 << 24) + 5 + base,
        (2 << 24) + 5 + base,
        (1 << 24) + 5 + base,
    ]
    assert got.argmax() == 1
    quiet = NeuronRule([100] * 4, "none")
    got = _logits(
        Linear("fc", "x", w),
        Readout("o", "fc", quiet, "first_spike"),
        steps=2,
        shape=(1, 1, 7),
        images=frames,
    )[0]
    assert got.tolist() == [6 + base, 7 + base, 7 + base, 5 + base]


def test_case_first_spike_has_24_bits_and_127_steps():
    def bounds(steps, start):
        rule = NeuronRule([4], "none", v_init=[start])
        node = Readout("o", "fc", rule, "first_spike")
        frames = np.zeros((steps, 1, 1, 1, 1), int)
        return _logits(Linear("fc", "x", [[1]]), node, steps=steps, images=frames)

    bounds(127, (1 << 23) - 1 - 127)
    for steps, start in ((128, 0), (127, (1 << 23) - 127)):
        with pytest.raises(NetworkError, match="24-bit membranes and T <= 127"):
            bounds(steps, start)


def test_case_step_256_of_rate_coding_is_step_0():
    assert [bit_reverse8(t) for t in (0, 1, 2, 128, 255, 256, 257, 511)] == [
        0,
        128,
        64,
        1,
        255,
        0,
        128,
        255,
    ]
    node = Input("x", (2, 3, 3), "rate", seed=7)
    images = RNG.integers(0, 256, (2, 2, 3, 3)).astype(np.uint8)
    spikes = encode(node, images, 600)
    assert np.array_equal(spikes[:256], spikes[256:512])
    assert np.array_equal(spikes[:256].sum(0, dtype=int), images)
    site = site_hash(np.array([(2 * 3 + 1) * 2 + 1]), 7)[0]  # y 2, x 1, c 1
    for t in (0, 5, 300):
        assert spikes[t, 0, 1, 2, 1] == (images[0, 1, 2, 1] > (bit_reverse8(t) ^ site))


def test_case_latency_of_every_pixel():
    pixels = np.arange(256, dtype=np.uint8)[:, None, None, None]
    for steps in (1, 7, 300):
        spikes = encode(Input("x", (1, 1, 1), "latency"), pixels, steps)[:, :, 0, 0, 0]
        for p in range(256):
            at = np.flatnonzero(spikes[:, p]).tolist()
            assert at == ([] if p == 0 else [((255 - p) * steps) >> 8])


def test_case_pools_round_down_and_first_is_the_window_s():
    frames = RNG.integers(0, 2, (4, 9, 1, 5, 6))
    for mode in ("sum", "or", "first"):
        network = Network(
            4,
            [
                Input("x", (1, 5, 6), "frames"),
                Pool("p", "x", mode, (2, 3), (2, 2)),
                Linear("fc", "p", np.ones((1, 4))),
                Readout("o", "fc", NONE),
            ],
        )
        assert network.shape["p"] == (1, (5 - 2) // 2 + 1, (6 - 3) // 2 + 1)
        got = run(network, frames, trace=("p",)).spikes["p"]
        for y in range(2):
            for x in range(2):
                window = frames[:, :, 0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 3].sum((2, 3))
                fired = window > 0
                want = {"sum": window, "or": fired, "first": fired & (fired.cumsum(0) == 1)}[mode]
                assert np.array_equal(got[:, :, 0, y, x], want)
    assert Pool("p", "x", "sum", (3, 2)).stride == (3, 2)


def test_case_limits_of_steps_and_streams():
    ends = [Linear("fc", "x", [[1]]), Readout("o", "fc", NONE)]
    Network(1024, [Input("x", (1, 1, 1), "frames"), *ends])
    with pytest.raises(NetworkError, match="must be an integer, 1 to 1024"):
        Network(1025, [Input("x", (1, 1, 1), "frames"), *ends])

    def summed(side):
        x = Input("x", (1, 16 * 64, 16 * 64), "frames")
        pools = [
            Pool("a", "x", "sum", (64, 64)),
            Pool("b", "a", "sum", (16, 16)),
            Merge("m", ("b",) * side, "add"),
        ]
        last = [Linear("fc", "m", [[1]]), Readout("o", "fc", NONE)]
        return Network(1, [x, *pools, *last]).maximum["m"]

    assert summed(15) == 15 << 20
    with pytest.raises(NetworkError, match="node 'm': its values reach 16777216, more than 1677"):
        summed(16)


def test_case_or_behind_once_is_refused():
    nodes = [Linear("l", "x", [[1]]), Neuron("n", "l", NeuronRule([1], "once"))]
    nodes += [Pool("p", "n", "or", (1, 1)), Linear("fc", "p", [[1]]), Readout("o", "fc", NONE)]
    with pytest.raises(NetworkError, match="node 'p': pool 'or' behind reset 'once' .*'first'"):
        Network(2, [Input("x", (1, 1, 1), "frames"), *nodes])
