"""The walk over a network: its cores and the ports between them, in order."""

from foldcase import CHAIN, SHORTCUT, TWO_SUMS

from sterna.gen.design.graph import ports, walk


def test_walk_of_graphs():
    assert [(c.name, c.target, c.main) for c in walk(TWO_SUMS)] == [
        ("c", "n", True),
        ("d", "n", False),
        ("f", "r", True),
    ]
    assert [(p.source, p.reader, p.port) for p in ports(SHORTCUT)] == [
        ("x", "c", 0),
        ("n", "d", 0),
        ("n", "m", 1),
        ("m", "f", 0),
    ]


def test_walk_of_a_chain():
    assert [(c.name, c.op, c.sources[0], c.target) for c in walk(CHAIN)] == [
        ("c1", "conv", "x", "n1"),
        ("p", "pool", "n1", "p"),
        ("c2", "conv", "p", "n2"),
        ("f", "conv", "n2", "r"),
    ]
