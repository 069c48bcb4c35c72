"""Every sentence with which a network is refused, and what a valid one knows about itself."""

import numpy as np
import pytest

from sterna.golden.errors import NetworkError, SternaError, ToolMissing, UsageError
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule

ONE = np.ones
OUT = NeuronRule([1], "none")


def net(*middle, source, steps=4, shape=(2, 4, 4), coding="frames", size=32, **options):
    last = Linear("fc", source, ONE((1, size)))
    return Network(
        steps,
        [Input("x", shape, coding), *middle, last, Readout("out", "fc", OUT)],
        **options,
    )


def neuron(name, *inputs, n=2, **rule):
    return Neuron(name, inputs, NeuronRule(ONE(n), **rule))


def conv(name, source, o=2, c=2, k=3, **options):
    return Conv2d(name, source, ONE((o, c, k, k)), padding=k // 2, **options)


def pooled(mode, pool, *names):
    """A pool behind what the neurons 'a' and 'b', of reset 'once', and others make together."""
    nodes = []
    for name in names:
        reset = "once" if name in "ab" else "subtract"
        nodes += [conv(f"c_{name}", "x"), neuron(name, f"c_{name}", reset=reset)]
    nodes.append(Pool("m", names[0], mode, 1) if len(names) == 1 else Merge("m", names, mode))
    channels = 2 * len(names) if mode == "concat" else 2
    return net(*nodes, Pool("p", "m", pool), source="p", size=4 * channels)


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("concat", "st"),
        ("add", "ab"),
        ("or", "ab"),
        ("andnot", "sa"),
        ("and", "st"),
        ("first", "s"),
    ],
)
def test_pools_of_more_than_single_spikes_are_taken(mode, names):
    assert pooled(mode, "max", *names).shape["p"][1:] == (2, 2)


def test_a_valid_graph_knows_shapes_maxima_planes_and_order():
    network = net(
        neuron("n", "conv", "x", coef=(ONE(2),)),
        conv("conv", "x"),
        Merge("sum", ("n", "x"), "add"),
        Pool("pool", "sum", "sum", (3, 2), (1, 2)),
        Merge("both", ("pool", "pool"), "concat"),
        source="both",
        size=16,
    )
    order = network.order
    assert all(order.index(i) < order.index(n) for n in order for i in network[n].inputs)
    assert network.shape["pool"] == (2, 2, 2) and network.shape["both"] == (4, 2, 2)
    assert network.maximum["sum"] == 2 and network.maximum["pool"] == 12
    assert network.planes("pool") == 16 and network.planes("x") == 4
    assert network.readers("x") == ["n", "conv", "sum"]
    assert network.readout.name == "out" and network.input.name == "x"
    pixels = Network(
        4, [Input("x", (1, 1, 1)), Linear("fc", "x", ONE((1, 1))), Readout("out", "fc", OUT)]
    )
    assert pixels.planes("x") == 8 and pixels.maximum["x"] == 255 and pixels.is_pixels("x")


CASES = {
    "weight outside ternary": (
        lambda: Conv2d("c", "x", [[[[0.5]]]]),
        r"node 'c': weight 0.5 at \(0, 0, 0, 0\) is outside the ternary set .*; quantize",
    ),
    "weight outside binary": (
        lambda: Linear("l", "x", [[1, 0]], "binary"),
        r"node 'l': weight 0 at \(0, 1\) is outside the binary set",
    ),
    "weight 2": (lambda: Linear("l", "x", [[2]]), "weight 2 at"),
    "weight NaN": (lambda: Linear("l", "x", [[np.nan]]), "node 'l': weight holds NaN or infinity"),
    "weight infinite": (lambda: Linear("l", "x", [[np.inf]]), "holds NaN or infinity"),
    "weight axes": (lambda: Linear("l", "x", [1]), r"weight has shape \(1,\), expected 2 axes"),
    "weight empty": (lambda: Linear("l", "x", ONE((0, 2))), "weight has shape"),
    "weight kind": (lambda: Linear("l", "x", [[1]], "int8"), "'int8' is not ternary or binary"),
    "stride 0": (lambda: conv("c", "x", stride=0), r"stride \(0, 0\) must be 2 integers of at"),
    "stride real": (lambda: conv("c", "x", stride=(1.5, 1)), "stride .* must be 2 integers"),
    "three paddings": (
        lambda: Conv2d("c", "x", ONE((1, 1, 3, 3)), padding=(1, 1, 1)),
        "padding .* must be 4 integers",
    ),
    "padding as large as the kernel": (
        lambda: Conv2d("c", "x", ONE((1, 1, 3, 3)), padding=3),
        "padding .* must be smaller than kernel",
    ),
    "groups 0": (lambda: conv("c", "x", groups=0), "groups 0 must be at least 1"),
    "groups that do not divide": (
        lambda: conv("c", "x", o=3, groups=2),
        "3 output channels do not divide into 2 groups",
    ),
    "coding": (lambda: Input("x", (1, 1, 1), "phase"), "coding 'phase' is not one of"),
    "input shape": (lambda: Input("x", (1, 0, 1)), "shape .* must be 3 integers of at least 1"),
    "bits": (lambda: Input("x", (1, 1, 1), bits=9), "node 'x': bits 9 must be 1 to 8"),
    "seed": (lambda: Input("x", (1, 1, 1), seed=-1), "node 'x': seed -1 must be"),
    "pool mode": (lambda: Pool("p", "x", "mean"), "pool mode 'mean' is not one of"),
    "merge mode": (lambda: Merge("m", ("a", "b"), "mul"), "merge mode 'mul' is not one of"),
    "merge of one": (lambda: Merge("m", ("a",), "add"), "node 'm': add of 1 inputs"),
    "values beyond 24 bits": (
        lambda: net(
            Merge("m", ("x", "x"), "add", (8, 8)),
            Merge("p", ("m", "m"), "add", (8, 8)),
            Merge("q", ("p", "p"), "add", (7, 7)),
            source="q",
        ),
        "node 'q': its values reach 67108864, more than 16777215; add or pool fewer streams",
    ),
    "shift of bits": (
        lambda: Merge("m", ("a", "b"), "or", (0, 1)),
        "node 'm': merge 'or' joins 1-bit spikes of one size and cannot shift them",
    ),
    "shifts of three": (lambda: Merge("m", ("a", "b"), "add", (0, 1, 2)), "must be 2 integers"),
    "large shift": (lambda: Merge("m", ("a", "b"), "add", (0, 9)), "must be 0 to 8"),
    "andnot of three": (lambda: Merge("m", tuple("abc"), "andnot"), "node 'm': andnot of 3 inputs"),
    "no inputs": (lambda: neuron("n"), "node 'n': has no inputs"),
    "amplitude": (
        lambda: Neuron("n", "c", NeuronRule([1]), amplitude=-1.0),
        "node 'n': amplitude -1.0 must be a positive real number",
    ),
    "readout mode": (lambda: Readout("o", "f", OUT, "softmax"), "readout mode 'softmax' is not"),
    "scale per class": (
        lambda: Readout("o", "f", OUT, scale=np.array([1.0, 2.0])),  # type: ignore[arg-type]
        "node 'o': a scale per class would change the order of the classes; train the last",
    ),
    "scale NaN": (lambda: Readout("o", "f", OUT, scale=float("nan")), "scale nan must be a posi"),
    "readout reset": (
        lambda: Readout("o", "f", NeuronRule([1])),
        "node 'o': readout 'membrane' cannot have reset 'subtract'; 'count' needs a reset",
    ),
    "count without reset": (
        lambda: Readout("o", "f", OUT, "count"),
        "readout 'count' cannot have reset 'none'",
    ),
    "readout delay": (
        lambda: Readout("o", "f", NeuronRule([1], "none", delay=1)),
        "a readout has no delay",
    ),
    "steps 0": (lambda: net(source="x", steps=0), "steps 0 must be an integer, 1 to"),
    "steps real": (lambda: net(source="x", steps=4.0), "steps 4.0 must be an integer"),
    "network name": (lambda: net(source="x", name="My-Net"), "name 'My-Net' must match"),
    "node name": (lambda: net(conv("A b", "x"), source="x"), "node 'A b': names must match"),
    "duplicate name": (
        lambda: net(conv("c", "x"), conv("c", "x"), source="x"),
        "node 'c': the name is used twice",
    ),
    "unknown node": (
        lambda: net(source="y"),
        "node 'fc': reads unknown node 'y'; known nodes are x, fc, out",
    ),
    "cycle": (
        lambda: net(conv("c", "n"), neuron("n", "c"), source="n"),
        "node '[cn]': is part of a cycle through '[cn]'; only feed-forward graphs",
    ),
    "itself": (lambda: net(conv("c", "c"), source="x"), "node 'c': is part of a cycle"),
    "unused branch": (
        lambda: net(conv("c", "x"), neuron("n", "c"), source="x"),
        "node 'n': nothing reads it; remove it or connect it to the readout",
    ),
    "two inputs": (
        lambda: net(Input("z", (2, 4, 4), "frames"), Merge("m", ("x", "z"), "add"), source="m"),
        "needs exactly one Input",
    ),
    "no readout": (
        lambda: Network(1, [Input("x", (1, 1, 1)), Linear("fc", "x", [[1]])]),
        "needs exactly one Readout",
    ),
    "reading a readout": (
        lambda: net(conv("c", "out"), neuron("n", "c"), source="x"),
        "reads the readout 'out'",
    ),
    "pooled sums into a layer": (
        lambda: net(conv("c", "x"), Pool("p", "c", "sum"), source="p", size=8),
        "node 'fc': reads the weighted sums of 'p'; put a Neuron between",
    ),
    "or of weighted sums": (
        lambda: net(conv("c", "x"), Pool("p", "c", "or"), neuron("n", "p"), source="n", size=8),
        "node 'p': pool 'or' needs 1-bit spikes, but 'c' makes weighted sums; use 'max' or 'sum'",
    ),
    "pools of a pool's sums": (
        lambda: net(
            conv("c", "x"),
            Pool("p", "c", "max"),
            Pool("q", "p", "max"),
            neuron("n", "q"),
            source="n",
            size=2,
        ),
        "node 'q': pools the sums of 'p', which is a pool already; make them one pool",
    ),
    "max behind once": (
        lambda: net(
            conv("c", "x"),
            neuron("n", "c", reset="once"),
            Pool("p", "n", "max"),
            source="p",
            size=8,
        ),
        "node 'p': pool 'max' behind reset 'once' lets several spikes through; use 'first'",
    ),
    "pixels into a pool": (
        lambda: net(Pool("p", "x", "sum"), source="p", coding="direct", size=8),
        "node 'p': reads the pixels of 'x', which only Conv2d and Linear can",
    ),
    "channels": (
        lambda: net(conv("c", "x", c=3), neuron("n", "c"), source="n"),
        "node 'c': weights for 3 input channels, but 'x' has 2",
    ),
    "kernel too large": (
        lambda: net(Conv2d("c", "x", ONE((2, 2, 5, 5))), neuron("n", "c"), source="n"),
        r"node 'c': kernel \(5, 5\) is larger than the padded map \(4, 4\)",
    ),
    "linear size": (
        lambda: net(source="x", size=30),
        r"node 'fc': weights for 30 inputs, but 'x' has \(2, 4, 4\) = 32",
    ),
    "neuron without sums": (
        lambda: net(neuron("n", "x", shifts=(), coef=(ONE(2),)), source="n"),
        "node 'n': needs at least one weighted sum",
    ),
    "shifts": (
        lambda: net(conv("c", "x"), neuron("n", "c", shifts=(0, 1)), source="n"),
        "node 'n': rule has 2 shifts and 0 coefficients for 1 weighted and 0 spike inputs",
    ),
    "coefficients": (
        lambda: net(conv("c", "x"), neuron("n", "c", "x"), source="n"),
        "1 shifts and 0 coefficients for 1 weighted and 1 spike inputs",
    ),
    "rule channels": (
        lambda: net(conv("c", "x"), neuron("n", "c", n=3), source="n"),
        "node 'n': rule has 3 channels, 'c' has 2",
    ),
    "bias steps": (
        lambda: net(conv("c", "x"), neuron("n", "c", bias=ONE((3, 2))), source="n"),
        "node 'n': bias has 3 steps, the network 4",
    ),
    "reset none": (
        lambda: net(conv("c", "x"), neuron("n", "c", reset="none"), source="n"),
        "node 'n': reset 'none' is for readouts only",
    ),
    "inputs of two shapes": (
        lambda: net(
            conv("c", "x"),
            Conv2d("d", "x", ONE((2, 2, 3, 3))),
            neuron("n", "c", "d", shifts=(0, 0)),
            source="n",
        ),
        r"node 'n': inputs 'c' \(2, 4, 4\) and 'd' \(2, 2, 2\) differ in shape",
    ),
    "readout of a map": (
        lambda: Network(
            1,
            [
                Input("x", (2, 4, 4)),
                conv("c", "x"),
                Readout("out", "c", NeuronRule([1, 1], "none")),
            ],
        ),
        "node 'out': a readout reads a 1 x 1 map, not",
    ),
    "pool too large": (
        lambda: net(Pool("p", "x", "sum", 5), source="p"),
        r"node 'p': pool window \(5, 5\) is larger than the map \(4, 4\)",
    ),
    "or of sums": (
        lambda: net(Pool("p", "x", "sum"), Pool("q", "p", "or"), source="q", size=2),
        "node 'q': pool 'or' needs 1-bit spikes, but 'p' goes up to 4; use 'sum'",
    ),
    "or behind once": (
        lambda: net(
            conv("c", "x"), neuron("n", "c", reset="once"), Pool("p", "n", "or"), source="p", size=8
        ),
        "pool 'or' behind reset 'once' lets several spikes through; use 'first'",
    ),
    "or behind a concatenation of once": (
        lambda: pooled("concat", "or", "a", "b", "s"),
        "node 'p': pool 'or' behind reset 'once' lets several spikes through; use 'first'",
    ),
    "max behind once and more": (
        lambda: pooled("and", "max", "s", "b"),
        "node 'p': pool 'max' behind reset 'once' lets several spikes through",
    ),
    "or behind once but some": (
        lambda: pooled("andnot", "or", "b", "s"),
        "node 'p': pool 'or' behind reset 'once' lets several spikes through",
    ),
    "or behind a first of once": (
        lambda: pooled("first", "or", "b"),
        "node 'p': pool 'or' behind reset 'once' lets several spikes through",
    ),
    "merge of two shapes": (
        lambda: net(Pool("p", "x", "or"), Merge("m", ("x", "p"), "add"), source="m"),
        "node 'm': inputs 'x' .* and 'p' .* cannot meet in 'add'",
    ),
    "and of sums": (
        lambda: net(Merge("m", ("x", "x"), "add"), Merge("q", ("m", "x"), "and"), source="q"),
        "node 'q': merge 'and' needs 1-bit spikes, but 'm' goes up to 2",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_network_is_refused_with_one_sentence(case):
    make, message = CASES[case]
    with pytest.raises(NetworkError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_weights_and_rules_cannot_be_changed_behind_the_checks():
    node, rule = conv("c", "x"), NeuronRule([1, 2])
    for array in (node.weight, rule.threshold, rule.bias, rule.reset_by, rule.v_init):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 3


def test_exit_codes():
    assert (SternaError.exit_code, NetworkError.exit_code) == (1, 1)
    assert (UsageError.exit_code, ToolMissing.exit_code) == (2, 3)


def test_nodes_of_a_kind_or_a_sentence():
    network = net(conv("c", "x"), neuron("cn", "c"), source="cn")
    assert network.weighted("c") is network["c"] and network.neuron("cn") is network["cn"]
    with pytest.raises(NetworkError, match="'cn': is a Neuron, not a Conv2d or Linear"):
        network.weighted("cn")
    for of_kind in (network.neuron, network.pool, network.merge):
        with pytest.raises(NetworkError, match="'c': is a Conv2d, not a (Neuron or|Pool|Merge)"):
            of_kind("c")
