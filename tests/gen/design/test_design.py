"""A design: the law's terms, its JSON text, and what of another's text is refused."""

import json
from dataclasses import replace
from math import ceil

import pytest
from foldcase import CHAIN, SHORTCUT, chain
from fuzz import Limits, Seeded, random_network
from fuzzrun import random_folding

from sterna.gen.design.design import BufferDesign, Design
from sterna.gen.fold.fold import fold
from sterna.gen.verilog.elaborate import elaborate
from sterna.golden.errors import DesignError, FileError, SternaError
from sterna.golden.network import Linear


def expected_law(net, core):
    """docs/design.md#folding, from the network and the folding alone."""
    node = net[core.name]
    c, ih, iw = net.shape[node.input]
    o, oh, ow = net.shape[core.target]
    if core.op == "pool":
        beats = ceil(c / core.input.lanes) * ceil(core.input.planes / core.input.pb)
        out = ceil(o / core.output.lanes) * ceil(core.output.planes / core.output.pb)
        kh, kw = node.kernel
        return {
            "compute": oh * ow * beats * kh * kw,
            "input": ih * iw * beats,
            "output": oh * ow * out,
        }
    window = node.weight[0].size
    if isinstance(node, Linear):
        c, ih, iw = c * ih * iw, 1, 1
    visits = oh * ow * ceil(o / core.pe)
    folds = ceil(window / core.simd)
    planes = net.planes(node.input)
    # P counts the pad planes of a last, part-filled beat.
    groups = ceil(planes / core.input.pb) * (core.input.pb // core.tp)
    beats = ceil(c / core.input.lanes) * ceil(planes / core.input.pb)
    out = core.pe if core.output is None else ceil(net.steps / core.output.pb)
    scan = ceil(net.steps / core.banks)
    compute = visits * max(folds * groups, scan)
    if core.nest == "arrival":
        shares = [groups + n * net.steps for n in range(2, core.pe + 1) if core.pe % n == 0]
        shared = [n for n in shares if n <= folds * groups / 16 and core.banks == 1]
        compute = visits * ((folds - 1) * groups + max([groups, scan, *shared]))
    return {
        "compute": compute,
        "input": ih * iw * beats,
        "output": visits * out,
    }


def random_design(seed):
    draw = Seeded(seed)
    net = random_network(draw, Limits(channels=6, side=7, layers=3, steps=16))
    try:
        return net, fold(net, random_folding(net, draw))
    except DesignError as e:
        assert "wider than" in str(e)
        return None, None


@pytest.mark.parametrize("seed", range(40))
def test_law_terms_are_those_of_the_formula(seed):
    net, design = random_design(seed)
    if net is None:
        return
    for core in design.cores:
        law = {k: v for k, v in core.law.items() if k != "gearbox"}
        assert law == expected_law(net, core), f"{core}"
        assert core.interval == max(core.law.values())
    assert design.interval == max(design.bounds.values()) >= max(c.interval for c in design.cores)
    assert design.bounds[design.bottleneck] == design.interval


@pytest.mark.parametrize("seed", range(12))
def test_design_json_round_trip(seed):
    net, design = random_design(seed)
    if net is None:
        return
    text = design.to_json()
    again = Design.from_json(text)
    assert again == design and again.to_json() == text
    body = json.loads(text)
    assert body["interval"] == design.interval and body["bottleneck"] == design.bottleneck
    # Its folding block gives the same design again.
    assert fold(net, body["folding"], axis_width=body["axis_width"]).folding == design.folding


def test_same_folding_same_text():
    assert fold(chain()).to_json() == fold(chain()).to_json()


def altered(change):
    body = json.loads(fold(CHAIN).to_json())
    change(body)
    return json.dumps(body)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "is not a sterna-design file"),
        ("3", "is not a sterna-design file"),
        ('{"format": "sterna-network"}', "is not a sterna-design file"),
        (altered(lambda b: b.update(version=1)), "has version 1, this Sterna reads 2"),
        (altered(lambda b: b.update(extra=1)), "has wrong fields ('extra')"),
        (altered(lambda b: b.pop("cores")), "has wrong fields ('cores')"),
        (altered(lambda b: b["cores"][0].pop("pe")), "has wrong fields"),
        (altered(lambda b: b["cores"][0].update(area=1)), "has wrong fields"),
        (altered(lambda b: b["cores"][0]["input"].pop("pb")), "has wrong fields"),
        (altered(lambda b: b.update(cores=[3])), "has wrong fields"),
        (altered(lambda b: b.update(cores=3)), "has wrong fields"),
        (altered(lambda b: b.update(cores=["c1"])), "has wrong fields"),
        (altered(lambda b: b.update(input=None)), "has wrong fields"),
        (altered(lambda b: b["cores"][0].update(input=[1])), "has wrong fields"),
    ],
)
def test_altered_design_json_is_refused(text, sentence):
    with pytest.raises(FileError) as e:
        Design.from_json(text, "build/design.json")
    assert str(e.value).startswith("build/design.json: ") and sentence in str(e.value)
    assert str(e.value).endswith("run `sterna fold` again")


def test_no_altered_value_gets_past_as_another_exception():
    """Each value of the file replaced by one of another type: one sentence, or a design."""
    body = json.loads(fold(CHAIN).to_json())

    def places(value, path=()):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield (*path, key)
            if isinstance(inner, dict | list):
                yield from places(inner, (*path, key))

    for path in list(places(body)):
        for wrong in (None, "x", [], {}, -1):
            copy = json.loads(json.dumps(body))
            at = copy
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = wrong
            try:
                Design.from_json(json.dumps(copy))
            except SternaError:
                pass


def test_core_by_name_and_replace():
    design = fold(CHAIN)
    assert design.core("p").op == "pool" and not design.reloadable
    with pytest.raises(DesignError, match="no core 'q'; the cores are c1, p, c2, f"):
        design.core("q")
    assert replace(design, clock_mhz=50.0).interval == design.interval


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"depth": 1}, "a buffer of 1 beats is outside"),
        ({"depth": 1.5}, "is not whole numbers"),
        ({"depth": 10**9}, "a buffer of 1000000000 beats is outside"),
        ({"min_full_rate": -5}, "is not whole numbers"),
    ],
)
def test_buffers_that_cannot_work_are_refused(change, sentence):
    design = fold(SHORTCUT, {"c": {"pe": 1, "simd": 1, "tp": 1}})
    buffer = BufferDesign("lutram", 16, 32, 4, 6, 2)
    branches = [replace(b, buffer=buffer) if b.port else b for b in design.branches]
    body = json.loads(replace(design, branches=branches).to_json())
    found = next(b for b in body["branches"] if b["buffer"])
    found["buffer"] |= change
    with pytest.raises(DesignError, match=sentence):
        Design.from_json(json.dumps(body))
    with pytest.raises(DesignError, match="nothing feeds input 0 of 'c'"):
        elaborate(SHORTCUT, replace(design, branches=design.branches[1:]))
