"""Depths of skip buffers: smallest, together, for the full rate; built as memories are."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sterna.gen.design.top_spec import top_spec
from sterna.gen.device.storage import storage_depth, storage_kind
from sterna.gen.fold.fold import fold
from sterna.gen.model.buffers import IMAGES, MANY, size_buffers
from sterna.gen.model.tokens import ENDLESS, TokenModel
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule


def ones(*shape):
    return np.ones(shape, np.int8)


def skips(side=8, blocks=2, merge=None):
    """Blocks of two convolutions with the block's input added before the neuron, or merged."""
    same = {"padding": (1, 1, 1, 1)}
    nodes = [
        Input("x", (1, side, side)),
        Conv2d("c0", "x", ones(4, 1, 3, 3), **same),
        Neuron("n0", ("c0",), NeuronRule(threshold=np.full(4, 2))),
    ]
    at = "n0"
    for k in range(1, blocks + 1):
        coef = () if merge else (np.ones(4, int),)
        nodes += [
            Conv2d(f"a{k}", at, ones(4, 4, 3, 3), **same),
            Neuron(f"m{k}", (f"a{k}",), NeuronRule(threshold=np.full(4, 2))),
            Conv2d(f"b{k}", f"m{k}", ones(4, 4, 3, 3), **same),
            Neuron(
                f"n{k}",
                (f"b{k}",) if merge else (f"b{k}", at),
                NeuronRule(threshold=np.full(4, 2), coef=coef),
            ),
        ]
        if merge:
            nodes.append(Merge(f"j{k}", (f"n{k}", at), merge))
        at = f"j{k}" if merge else f"n{k}"
    nodes += [
        Linear("f", at, ones(3, 4 * side * side)),
        Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
    ]
    return Network(2, nodes, name="skips")


def bare(design):
    return replace(design, branches=[replace(b, buffer=None) for b in design.branches])


def check_tight(network, design):
    """One beat less is slower, or stands still; all others at theirs."""
    model = TokenModel(top_spec(network, design))
    buffers = [b.buffer for b in design.buffers if b.buffer]
    endless = model.run(IMAGES, depths=[ENDLESS] * len(buffers))
    least = [b.min_full_rate for b in buffers]
    assert model.run(IMAGES, depths=least).interval == endless.interval
    for n, b in enumerate(buffers):
        lower = model.run(IMAGES, depths=[*least[:n], least[n] - 1, *least[n + 1 :]])
        assert lower.deadlock or lower.interval > endless.interval
        moving = model.run(3, depths=[*least[:n], b.min_no_deadlock, *least[n + 1 :]])
        assert not moving.deadlock
        if b.min_no_deadlock:
            stuck = [*least[:n], b.min_no_deadlock - 1, *least[n + 1 :]]
            assert model.run(3, depths=stuck).deadlock
    return buffers


@pytest.mark.parametrize("merge", [None, "add"])
def test_depths_are_the_smallest_and_built_with_the_margin(merge):
    network = skips(merge=merge)
    design = fold(network, None, family="ecp5")
    sized = size_buffers(network, bare(design))
    assert sized.branches == design.branches and sized.warning is None
    assert 0 < (sized.modelled_interval or 0) <= 1.02 * design.interval
    buffers = check_tight(network, design)
    assert len(buffers) == 2
    for branch, b in zip(design.buffers, buffers, strict=True):
        width = branch.given.edge.width
        assert b.margin == 2 and b.kind == storage_kind(width, b.min_full_rate + 2, "ecp5")
        assert b.depth == storage_depth(b.kind, width, b.min_full_rate + 2)
        # Two 3x3 windows apart: more than two rows, at most five.
        row = branch.given.edge.beats_per_pixel * 8
        assert 2 * row < b.min_no_deadlock <= b.min_full_rate <= 5 * row


def test_without_forks_there_is_nothing_to_size_but_the_latency():
    network = Network(2, list(skips(blocks=0).nodes), name="line")
    sized = size_buffers(network, fold(network, None))
    assert not sized.buffers
    model = TokenModel(top_spec(network, sized))
    assert sized.latency == model.run(1).latency
    assert sized.modelled_interval == model.run(30).interval
    assert sized.bounds["flight"] == -(-(sized.latency - 4) // 16)


def densely(layers, side=4, grow=2):
    """Every layer reads all before it."""
    same = {"padding": (1, 1, 1, 1)}
    nodes, made = [Input("x", (1, side, side))], ["x"]
    for k in range(layers):
        read = made[-1]
        if k > 1:
            read = f"m{k}"
            nodes.append(Merge(read, tuple(made[1:]), "concat"))
        channels = grow * max(1, k) if k else 1
        rule = NeuronRule(threshold=np.full(grow, 2))
        nodes += [
            Conv2d(f"c{k}", read, ones(grow, channels, 3, 3), **same),
            Neuron(f"n{k}", (f"c{k}",), rule),
        ]
        made.append(f"n{k}")
    nodes += [
        Linear("f", made[-1], ones(3, grow * side * side)),
        Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
    ]
    return Network(2, nodes, name="densely")


def test_case_t5_dense_connections_are_sized_with_few_runs(monkeypatch):
    network, runs = densely(8), []
    design = bare(fold(network, None, family="ecp5"))
    run = TokenModel.run
    monkeypatch.setattr(
        TokenModel, "run", lambda self, *a, **k: runs.append(1) or run(self, *a, **k)
    )
    sized = size_buffers(network, design)
    monkeypatch.undo()
    waiting = len(sized.buffers)
    assert waiting >= 15 and len(runs) < 16 * waiting  # a search by halves took 30 each
    check_tight(network, sized)


def test_case_t5_sixteen_dense_layers_take_seconds_and_lose_no_rate(monkeypatch):
    network, runs = densely(16), []
    run = TokenModel.run
    monkeypatch.setattr(
        TokenModel, "run", lambda self, *a, **k: runs.append(1) or run(self, *a, **k)
    )
    sized = fold(network, None, family="ecp5")
    monkeypatch.undo()
    buffers = [b.buffer for b in sized.buffers if b.buffer]
    assert len(buffers) == 105 > MANY and len(runs) < len(buffers)  # there were 1,270
    # A search of each alone found 16,482 beats.
    assert sum(b.min_full_rate for b in buffers) < 1.01 * 16482
    assert sized.modelled_interval == sized.interval
    model = TokenModel(top_spec(network, sized))
    least = [b.min_full_rate for b in buffers]
    endless = model.run(40, depths=[ENDLESS] * len(buffers))
    assert model.run(40, depths=least).interval == endless.interval
    few = model.run(40, depths=[n - 16 if n > 16 else n for n in least])
    assert few.deadlock or few.interval > endless.interval
    for n in (0, 40, 104):
        alive = buffers[n].min_no_deadlock
        assert not model.run(3, depths=[*least[:n], alive, *least[n + 1 :]]).deadlock
        assert alive == 0 or model.run(3, depths=[*least[:n], alive - 1, *least[n + 1 :]]).deadlock


def test_runs_are_not_done_twice(monkeypatch):
    network, asked, done = densely(8), [], []
    run, timing = TokenModel.run, TokenModel._timing
    monkeypatch.setattr(
        TokenModel, "run", lambda self, *a, **k: asked.append(k) or run(self, *a, **k)
    )
    monkeypatch.setattr(TokenModel, "_timing", lambda self, *a: done.append(a) or timing(self, *a))
    fold(network, None, family="ecp5")
    assert len(done) < len(asked) < 145  # there were 151, all done


@pytest.mark.parametrize("network", [densely(9), skips(), skips(side=5, blocks=3, merge="add")])
def test_one_run_says_what_growing_each_buffer_from_one_beat_on_does(network):
    design = fold(network, None, family="ecp5")
    model = TokenModel(top_spec(network, design))
    buffers = [b.buffer for b in design.buffers if b.buffer]
    least, kinds = [b.min_full_rate for b in buffers], [b.kind for b in buffers]
    needs = model.needs(3, depths=least, kinds=kinds)
    assert -1 not in needs and max(needs) > 1
    for n, need in enumerate(needs):
        one = [*least[:n], 1, *least[n + 1 :]]
        assert model.run(3, depths=one, kinds=kinds, grow=n).grown == max(1, need)


def test_a_sender_that_keeps_to_the_pace_fills_buffers_less():
    network = densely(6)
    design = fold(network, None, family="ecp5")
    model = TokenModel(top_spec(network, design))
    endless, pace = [ENDLESS] * len(model.buffers), Fraction(design.interval) * 3 / 2
    hasty = model.run(20, depths=endless, fill=True)
    paced = model.run(20, depths=endless, fill=True, pace=pace)
    assert (np.diff(paced.begins)[1:] == pace).all() and paced.interval == pace > hasty.interval
    assert sum(paced.fill) < sum(hasty.fill)


def test_the_margin_is_a_choice():
    network = skips(blocks=1)
    design = bare(fold(network, None))
    (plain,), (more,) = (size_buffers(network, design, margin=m).buffers for m in (0, 40))
    assert plain.buffer and more.buffer
    assert plain.buffer.min_full_rate == more.buffer.min_full_rate
    assert more.buffer.depth >= more.buffer.min_full_rate + 40 > plain.buffer.depth


def test_deep_buffers_are_sized_with_the_way_through_block_ram():
    network = skips(side=40, blocks=1)
    design = fold(network, None, family="ice40")
    (branch,) = design.buffers
    assert branch.buffer is not None and branch.buffer.kind == "block"
    check_tight(network, design)


def test_a_rate_that_no_buffer_helps_is_reported():
    network = skips(blocks=1)
    design = bare(fold(network, None))
    fast = [replace(c, law={k: n // 2 for k, n in c.law.items()}) for c in design.cores]
    slow = replace(
        design, cores=fast, end_intervals={k: n // 2 for k, n in design.end_intervals.items()}
    )
    assert size_buffers(network, design).warning is None
    warning = size_buffers(network, slow).warning
    assert warning and f"{slow.interval};" in warning and slow.bottleneck in warning
