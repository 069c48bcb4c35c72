"""Front alone: every step comes exactly when ``FrontSpec.step_clocks`` says, whatever waits."""

import random

import arrivecase
import convcase
import joincase
import pytest
from corecase import core_cases, images_for
from streamtest import run_streams

from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.front import Front
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.dot.expander import Expander

CASES = {**convcase.CASES, **arrivecase.CASES, **joincase.CASES}


@pytest.mark.parametrize("name", CASES)
def test_steps_come_when_they_should(name):
    cases = core_cases(*CASES[name], images_for(CASES[name][0], 2))
    specs = [(case.spec, case.sent) for case in cases if case.name in CASES[name][1]]
    for spec, sent in specs:
        assert isinstance(spec, ConvSpec)
        for front, port in zip(spec.fronts, sent):
            check(front, sent[port])
    assert specs


def check(spec: FrontSpec, sent: list[int]) -> None:
    dut, rng = Front(spec), random.Random(1)
    starts: list[int] = []
    steps: list[tuple[int, int, int, int]] = []
    held: dict[str, int] = {"go": 1}

    async def watch(ctx, cycle):
        if cycle % 50 == 0:
            held["go"] = rng.random() < 0.6
        ctx.set(dut.go, held["go"])
        if ctx.get(dut.start):
            assert held["go"] and (not starts or cycle - starts[-1] >= spec.visit_clocks)
            starts.append(cycle)
        valid, first, last = ctx.get(dut.valid), ctx.get(dut.first), ctx.get(dut.last)
        for bank in range(spec.banks):
            if valid >> bank & 1:
                steps.append((cycle, bank, first >> bank & 1, last >> bank & 1))

    room = 20 * 2 * spec.interval + 2000
    after = 3 * spec.step_clocks[-1] + 3 * spec.interval + 100
    after += 2 * dut.weights.clocks if isinstance(dut.weights, Expander) else 0
    run_streams(dut, {"i": sent}, {}, stalls=0.2, watch=watch, deadline=room, after=after)
    assert len(starts) == 2 * spec.visits
    last = spec.steps - 1
    assert steps == sorted(
        (start + clocks, visit % spec.banks, t == 0, t == last)
        for visit, start in enumerate(starts)
        for t, clocks in enumerate(spec.step_clocks)
    )
