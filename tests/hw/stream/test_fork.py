"""Fork: every branch gets every beat once and in order, whatever the others do."""

import random

import pytest
from combpath import assert_lint_clean, assert_no_comb_path
from hypothesis import given, settings
from hypothesis import strategies as st
from streamtest import refusal, run_streams

from sterna.hw.stream.fork import Fork


def _beats(count, width, seed=0):
    rng = random.Random(seed)
    return [rng.getrandbits(width) for _ in range(count)]


def _names(branches):
    return [f"o_{k}" for k in range(branches)]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(2, 5), st.floats(0, 0.9), st.integers(0, 1000))
def test_every_branch_gets_everything_under_stalls(width, branches, stalls, seed):
    beats = _beats(60, width, seed)
    taken = run_streams(
        Fork(width, branches),
        {"i": beats},
        dict.fromkeys(_names(branches), 60),
        stalls=stalls,
        seed=seed,
    )
    for name in _names(branches):
        assert [payload for _, payload in taken[name]] == beats


@pytest.mark.parametrize("branches", [2, 3, 7])
def test_rate_and_latency(branches):
    beats = _beats(100, 9)
    taken = run_streams(Fork(9, branches), {"i": beats}, dict.fromkeys(_names(branches), 100))
    start = taken["i"][0][0]
    for name in _names(branches):
        assert taken[name] == [(start + 1 + k, beat) for k, beat in enumerate(beats)]


def test_a_branch_may_be_one_beat_ahead_and_no_more():
    dut = Fork(8, 3)

    async def watch(ctx, cycle):
        # o_1 sleeps until clock 30: the others must have got beat 0, and beat 1 not before that.
        ctx.set(dut.o_1.ready, int(cycle >= 30))
        ctx.set(dut.o_0.ready, 1)
        ctx.set(dut.o_2.ready, int(cycle >= 9))

    taken = run_streams(dut, {"i": list(range(20))}, dict.fromkeys(_names(3), 20), watch=watch)
    assert [clock for clock, _ in taken["o_0"][:2]] == [1, 31]
    assert [clock for clock, _ in taken["o_2"][:2]] == [9, 31]
    assert taken["o_1"][0][0] == 30
    for name in _names(3):
        assert [payload for _, payload in taken[name]] == list(range(20))


def test_rate_is_that_of_the_slowest_branch():
    dut = Fork(8, 2)

    async def watch(ctx, cycle):
        ctx.set(dut.o_0.ready, int(cycle % 3 == 0))
        ctx.set(dut.o_1.ready, int(cycle % 3 == 1))  # never at the same time

    taken = run_streams(dut, {"i": list(range(40))}, {"o_0": 40, "o_1": 40}, watch=watch)
    for name in ("o_0", "o_1"):
        clocks = [clock for clock, _ in taken[name]]
        assert {b - a for a, b in zip(clocks, clocks[1:])} == {3}


def test_netlist():
    assert_no_comb_path(Fork(5, 3))
    assert_lint_clean(Fork(5, 3))


def test_refusals():
    assert refusal(lambda: Fork(0, 2)) == "a fork needs a width of at least 1 bit, not 0"
    assert refusal(lambda: Fork(8, 1)) == (
        "a fork needs at least 2 branches, not 1; connect one reader directly"
    )
