"""The table of folding keys: each has a legal default, a place in every file, and one sentence."""

from dataclasses import fields

import numpy as np
import pytest

from sterna.gen.design.folding import KEYS, Folding, Given, check_keys, legal_values
from sterna.gen.design.specs import front_keys
from sterna.gen.fold.goals import read_given
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.hw.core.front_spec import FrontSpec

NET = Network(
    6,
    [
        Input("x", (2, 4, 4), "frames"),
        Conv2d("c", "x", np.ones((4, 2, 3, 3), np.int8), padding=(1, 1, 1, 1)),
        Neuron("n", ("c",), NeuronRule(np.full(4, 2))),
        Linear("f", "n", np.ones((3, 64), np.int8)),
        Readout("r", ("f",), NeuronRule(np.zeros(3, int), reset="none")),
    ],
)
CONVS = ["c", "f"]


@pytest.mark.parametrize("name", CONVS)
def test_what_is_open_stands_at_a_legal_value(name):
    """So a folding that is given in part can be checked as one that is whole."""
    nothing = Given.of({})
    check_keys(NET, name, nothing)
    assert nothing.said == frozenset() and not nothing.whole
    assert nothing.complete() == Folding(1, 1, 1)


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_value_is_refused_by_its_key_in_a_file_and_in_a_core(key):
    kind = type(legal_values(NET, "c", key)[0])
    for wrong in (None, [], 1.0, True, "1" if kind is int else 1):
        with pytest.raises(DesignError, match=f"'c': {key} .* is not"):
            read_given(NET, CONVS, {"c": {key: wrong}})
        whole: dict = {"pe": 1, "simd": 1, "tp": 1, key: wrong}
        with pytest.raises(DesignError, match=f"'c': {key} .* is not"):
            check_keys(NET, "c", Folding(**whole))


def test_an_entry_is_written_as_it_is_read_and_without_newer_defaults():
    entry = {"pe": 2, "simd": 6, "tp": 1, "memory": "ram", "engine": "compress"}
    more = {"ram_style": "block", "banks": 3, "reads": 2}
    last = {"pe": 1, "simd": 1, "tp": 1, "memory": "ram", "engine": "compress", "nest": "arrival"}
    every = set(entry | more | last)
    assert every == set(KEYS), "a new key: write it only where it is not the default"
    for name, given in (("c", entry), ("c", entry | more), ("f", last)):
        assert read_given(NET, CONVS, {name: given})[name].complete().entry() == given


def test_what_is_given_keeps_what_is_said_and_the_rest_gets_its_default():
    given = Given.of({"pe": 2, "banks": 3}).also(memory="ram")
    assert given.said == {"pe", "banks", "memory"}
    assert given.complete(simd=6, tp=2) == Folding(2, 6, 2, memory="ram", banks=3)
    assert not given.whole and given.also(simd=6, tp=2).whole


def test_a_key_that_a_front_has_reaches_it():
    """By its name, for which nothing else needs a line."""
    found = front_keys(Folding(2, 6, 3, engine="tables", reads=1, banks=4))
    assert found["pe"] == 2 and found["tp"] == 3 and found["banks"] == 4
    assert set(found) == {f.name for f in fields(FrontSpec)} & set(KEYS)
    assert set(KEYS) - set(found) == {"simd", "memory"}  # its geometry's, and its region's


def test_a_readout_has_one_bank_and_says_why():
    assert list(legal_values(NET, "f", "banks")) == [1]
    with pytest.raises(DesignError, match="banks 2 is not legal, because 'r' is a readout; use 1$"):
        check_keys(NET, "f", Folding(1, 1, 1, banks=2))
