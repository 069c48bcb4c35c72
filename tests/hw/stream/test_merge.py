"""SpikingMerge: every mode against plain integers, at full rate, and its refusals."""

import random
from dataclasses import replace

import pytest
from combpath import assert_lint_clean, assert_no_comb_path
from hypothesis import given, settings
from hypothesis import strategies as st
from streamtest import edge_beats, refusal, run_streams

from sterna.hw.stream.edge import Edge
from sterna.hw.stream.merge import MERGE_MODES, MergeSpec, SpikingMerge


def make(mode, channels, lanes, steps, beat_steps, bits, shifts=None, out_bits=None, pixels=4):
    """A spec; ``channels`` of each input."""
    shifts = shifts or (0,) * len(bits)
    if out_bits is None:
        highest = [((1 << b) - 1) << s for b, s in zip(bits, shifts)]
        out_bits = (sum(highest) if mode == "add" else max(highest)).bit_length()
    edges = tuple(Edge(c, lanes, steps * b, beat_steps * b) for c, b in zip(channels, bits))
    return MergeSpec(mode, edges, tuple(bits), tuple(shifts), out_bits, steps, pixels)


def values_of(spec, seed, most=None):
    """values[input][pixel][channel][step], random, then all at their maximum."""
    rng = random.Random(seed)
    out = []
    for k, (edge, bits) in enumerate(zip(spec.inputs, spec.bits)):
        top = (1 << bits) - 1 if most is None else most[k]
        out.append(
            [
                [
                    [
                        top if pixel == spec.pixels - 1 else rng.randint(0, top)
                        for _ in range(spec.steps)
                    ]
                    for _ in range(edge.channels)
                ]
                for pixel in range(spec.pixels)
            ]
        )
    return out


def merged(spec, values):
    """[pixel][channel][step] by the definition."""
    shifted = [
        [[[v << shift for v in steps] for steps in pixel] for pixel in image]
        for image, shift in zip(values, spec.shifts)
    ]
    out = []
    for pixels in zip(*shifted):
        if spec.mode == "concat":
            out.append([steps for pixel in pixels for steps in pixel])
            continue
        out.append(
            [
                [
                    {
                        "add": sum(vs),
                        "or": int(any(vs)),
                        "and": int(all(vs)),
                        "andnot": int(vs[0] and not vs[1]),
                    }[spec.mode]
                    for vs in zip(*channel)
                ]
                for channel in zip(*pixels)
            ]
        )
    return out


def beats_of(edge, pixels, bits):
    return edge_beats(
        edge,
        [[sum(v << t * bits for t, v in enumerate(steps)) for steps in pixel] for pixel in pixels],
    )


def check(spec, stalls=0.0, seed=0, most=None):
    """Beats in equal beats out, bit for bit (so pad bits are zero); returns the clocks."""
    values = values_of(spec, seed, most)
    inputs = {
        f"i_{k}": beats_of(edge, values[k], spec.bits[k]) for k, edge in enumerate(spec.inputs)
    }
    expected = beats_of(spec.out_edge, merged(spec, values), spec.out_bits)
    taken = run_streams(SpikingMerge(spec), inputs, {"o": len(expected)}, stalls=stalls, seed=seed)
    assert [payload for _, payload in taken["o"]] == expected
    return taken


CASES = {
    "add two": ("add", (4, 4), 2, 4, 4, (1, 1)),
    "add three": ("add", (3, 3, 3), 3, 3, 1, (1, 1, 1)),
    "add wide and narrow": ("add", (4, 4), 2, 3, 1, (1, 3)),
    "add shifted": ("add", (2, 2), 1, 4, 2, (2, 1), (1, 3)),
    "add with pad planes": ("add", (4, 4), 4, 5, 2, (1, 2), (1, 0)),
    "add with pad lanes": ("add", (5, 5), 2, 4, 4, (1, 1)),
    "or": ("or", (4, 4), 4, 4, 2, (1, 1)),
    "or of four": ("or", (2,) * 4, 2, 4, 4, (1,) * 4),
    "and": ("and", (4, 4), 2, 4, 4, (1, 1)),
    "and of three": ("and", (2,) * 3, 2, 3, 2, (1,) * 3),
    "andnot": ("andnot", (4, 4), 4, 4, 4, (1, 1)),
    "andnot with pad planes": ("andnot", (3, 3), 3, 5, 3, (1, 1)),
    "concat": ("concat", (4, 4), 2, 4, 4, (1, 1)),
    "concat of unlike channels": ("concat", (6, 2, 4), 2, 3, 1, (1, 1, 1)),
    "concat of unlike bits": ("concat", (2, 4), 2, 4, 2, (1, 3)),
    "concat shifted": ("concat", (2, 2), 2, 3, 2, (2, 1), (0, 2)),
    "concat, one group each": ("concat", (3, 3), 3, 4, 4, (1, 1)),
    "concat with pad planes": ("concat", (2, 4), 2, 5, 2, (2, 1)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_values_rate_and_latency(case):
    spec = make(*case, pixels=6)
    taken = check(spec)
    clocks = [clock for clock, _ in taken["o"]]
    assert clocks[0] - max(taken[f"i_{k}"][0][0] for k in range(len(spec.inputs))) == 1
    assert clocks == list(range(clocks[0], clocks[0] + spec.interval))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_values_under_stalls(case):
    check(make(*case, pixels=6), stalls=0.5, seed=2)


@st.composite
def _specs(draw):
    mode = draw(st.sampled_from(MERGE_MODES))
    count = 2 if mode == "andnot" else draw(st.integers(2, 4))
    steps = draw(st.integers(1, 6))
    lanes = draw(st.integers(1, 4))
    groups = [draw(st.integers(1, 3)) for _ in range(count)]
    wide = mode in ("add", "concat")
    if mode != "concat":
        groups = [groups[0]] * count
    bits = [draw(st.integers(1, 3)) if wide else 1 for _ in range(count)]
    shifts = [draw(st.integers(0, 3)) if wide else 0 for _ in range(count)]
    return make(
        mode,
        [g * lanes for g in groups],
        lanes,
        steps,
        draw(st.integers(1, steps)),
        bits,
        shifts,
        pixels=3,
    )


@settings(max_examples=60, deadline=None)
@given(_specs(), st.floats(0, 0.8), st.integers(0, 1000))
def test_any_merge(spec, stalls, seed):
    check(spec, stalls, seed)


def test_sums_that_fit_by_their_maxima():
    # 2 + 1 of 2 bits and 1 bit: 3 fits 2 bits, though 3 + 1 would not.
    check(make("add", (4, 4), 2, 4, 2, (2, 1), out_bits=2), most=(2, 1))


def test_inputs_far_apart_wait_for_each_other():
    # A concat takes input 1 only after input 0's beats of the pixel: two beats lie in its buffer.
    spec = make("concat", (4, 4), 2, 4, 4, (1, 1), pixels=6)
    taken = check(spec)
    starts = [clock for clock, _ in taken["i_1"]]
    assert starts[:3] == [starts[0], starts[0] + 1, starts[0] + 4]


@pytest.mark.parametrize(
    "case", ["add three", "add shifted", "andnot", "concat of unlike channels"]
)
def test_netlist(case):
    assert_no_comb_path(SpikingMerge(make(*CASES[case])))
    assert_lint_clean(SpikingMerge(make(*CASES[case])))


def test_edges():
    spec = make("concat", (6, 2), 2, 5, 2, (1, 3), pixels=7)
    assert spec.out_edge == Edge(8, 2, 15, 6) and spec.beat_steps == 2
    assert spec.interval == 7 * 4 * 3
    spec = make("add", (6, 6), 2, 4, 4, (1, 1), pixels=5)
    assert spec.out_edge == Edge(6, 2, 8, 8) and spec.interval == 15


def test_refusals():
    spec = make("add", (4, 4), 2, 4, 2, (1, 1))
    edge = spec.inputs[0]

    def says(**change):
        return refusal(lambda: replace(spec, **change))

    assert says(mode="xor") == "merge mode 'xor' is not one of add, or, and, andnot, concat"
    assert says(inputs=(edge,)) == "cannot merge 1 inputs by 'add'"
    assert says(mode="andnot", inputs=(edge,) * 3) == "cannot merge 3 inputs by 'andnot'"
    assert says(bits=(1,)) == "a merge of 2 inputs was given 1 widths and 2 shifts"
    assert says(shifts=(0, -1)) == "widths, steps and pixels of a merge are at least 1, shifts 0"
    assert says(inputs=(edge, edge.resized(lanes=4))) == "a merge needs equal lanes, not 2, 4"
    assert says(steps=3) == "4 planes are not 3 steps of 1 bits"
    assert says(inputs=(edge, Edge(4, 2, 8, 3)), bits=(1, 2)) == (
        "a merge needs whole steps in a beat: pb 3 is not a multiple of 2 bits"
    )
    assert says(inputs=(edge, edge.resized(pb=4))) == "a merge needs equal steps a beat, not 2, 4"
    assert says(inputs=(edge, Edge(6, 2, 4, 2))) == "'add' needs equal channels, not 4, 6"
    assert says(mode="concat", inputs=(edge, Edge(5, 2, 4, 2))) == (
        "concat has no room for pad lanes: 2 lanes do not divide 5 channels"
    )
    ones = "'or' joins 1-bit spikes, without shifts"
    assert says(mode="or") == ones  # out_bits is 2
    assert says(mode="or", out_bits=1, shifts=(1, 0)) == ones
    assert says(shifts=(0, 2)) == "values of 3 bits do not fit 2"
    wide = replace(spec, inputs=(Edge(256, 256, 4, 2),) * 2)
    assert refusal(lambda: SpikingMerge(wide)) == (
        "a beat of 256 lanes x 4 planes is 1024 bits, over 512; use fewer lanes or a smaller pb"
    )
