"""Memory images decode back to the weights and parameters, in every file format."""

import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from fuzz import Limits, Seeded, random_network
from fuzzrun import random_folding

from sterna.gen.design.specs import conv_spec, is_depthwise
from sterna.gen.fold.fold import fold
from sterna.gen.verilog.elaborate import elaborate, filled_spec, verilog_text
from sterna.gen.verilog.memory_images import (
    MemoryImage,
    check_ranges,
    ident_image,
    mem_texts,
    memory_images,
    region_words,
    rom_crc,
    weights_image,
)
from sterna.gen.verilog.placeholders import Placeholders
from sterna.golden.device.weights_image import parse_weights_image
from sterna.golden.errors import DesignError
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.golden.window import window_split
from sterna.hw.memory.chain import ChainLayout


def weight_of(row, at, kind):
    """One weight of a memory row: ternary bit 0 is +1, bit 1 is -1; binary 1 is +1, 0 is -1."""
    if kind == "binary":
        return 1 if row >> at & 1 else -1
    return {0: 0, 1: 1, 2: -1}[row >> 2 * at & 3]


def decode_weights(node, shape, core, rows):
    """Weights from a memory's rows, by the loop nest (docs/design.md#the-loop-nest) written out."""
    out = np.full(node.weight.shape, 9, np.int8)
    split = window_split(node, shape, core.simd)
    linear = isinstance(node, Linear)
    height, width = (1, 1) if linear else node.kernel
    channels = node.weight.shape[1]
    if core.nest == "arrival":  # folds outside, output groups inside: as the other nest has them
        groups = node.out_channels // core.pe
        rows = [row for group in range(groups) for row in rows[group::groups]]
    at = iter(rows)
    for group in range(node.out_channels // core.pe):
        for row in range(0, height, split.rows):
            for column in range(0, width, split.columns):
                for channel in range(0, channels, split.channels):
                    word = next(at)
                    for p in range(core.pe):
                        lane = p * core.simd
                        for y in range(row, row + split.rows):
                            for x in range(column, column + split.columns):
                                for c in range(channel, channel + split.channels):
                                    value = weight_of(word, lane, node.kind)
                                    lane += 1
                                    o = group * core.pe + p
                                    if linear:  # the stream is (y, x, c), torch is (c, y, x)
                                        depth, high, wide = shape
                                        pixel, ch = divmod(c, depth)
                                        k = ch * high * wide + pixel
                                        assert out[o, k] == 9
                                        out[o, k] = value
                                    else:
                                        assert out[o, c, y, x] == 9
                                        out[o, c, y, x] = value
    assert next(at, None) is None, "rows left over"
    return out


def joined(node, core, words):
    """The rows that narrower ones make up: of tables words of 32 bits, each row begun with a word
    of its own; else as many as there are reads."""
    width = core.pe * core.simd * (2 if node.kind == "ternary" else 1)
    bits = 32 if core.engine == "tables" else -(-width // core.reads)
    each = -(-width // 32) if core.engine == "tables" else core.reads
    return [
        sum(word << bits * k for k, word in enumerate(words[n : n + each]))
        for n in range(0, len(words), each)
    ]


def signed(value, bits):
    return value - (value >> (bits - 1) << bits)


def decode_params(params, rows, pe):
    """Field -> int array [rows a channel, O]."""
    each = params.steps if params.per_step else 1
    out = {name: np.zeros((each, params.rule.channels), int) for name in params.fields}
    for n, row in enumerate(rows):
        group, step = divmod(n, each)
        for p in range(pe):
            at = p * params.width
            for name, bits in params.fields.items():
                out[name][step, group * pe + p] = signed(row >> at & (1 << bits) - 1, bits)
                at += bits
    return out


def grouped():
    """Groups that are not depthwise: the random generator seldom makes them."""
    rng = np.random.default_rng(5)
    rule = NeuronRule(threshold=np.arange(6) + 1, bias=np.arange(18).reshape(3, 6))
    net = Network(
        3,
        [
            Input("x", (6, 4, 4), "frames"),
            Conv2d("c", "x", rng.integers(-1, 2, (6, 2, 3, 3)), groups=3, padding=(1, 1, 1, 1)),
            Neuron("n", ("c",), rule),
            Linear("f", "n", rng.integers(0, 2, (4, 96)) * 2 - 1, kind="binary"),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(4, int), reset="none")),
        ],
    )
    return net, fold(net, {"c": {"pe": 2, "simd": 6, "tp": 1}, "f": {"pe": 2, "simd": 16, "tp": 3}})


def random_design(seed):
    if seed < 0:
        return grouped()
    draw = Seeded(seed)
    net = random_network(draw, Limits(channels=6, side=6, layers=3, steps=8))
    while True:
        try:
            return net, fold(net, random_folding(net, draw))
        except DesignError as e:
            assert "wider than" in str(e)


@pytest.mark.parametrize("seed", range(-1, 30))
def test_images_decode_back(seed):
    net, design = random_design(seed)
    images = {image.name: image for image in memory_images(net, design)}
    convs = [core for core in design.cores if core.op == "conv"]
    assert len(images) == sum(1 if core.engine == "constant" else 2 for core in convs)
    for core in convs:
        node, target = net[core.name], net[core.target]
        if core.engine != "constant":  # which has its weights in the logic
            image = images[f"{core.name}_weights"]
            assert len(image.rows) == image.depth and max(image.rows) < 1 << image.width
            rows = joined(node, core, image.rows)
            found = decode_weights(node, net.shape[node.input], core, rows)
            np.testing.assert_array_equal(found, node.weight)
        image = images[f"{core.name}_params"]
        assert len(image.rows) == image.depth and max(image.rows) < 1 << image.width
        params = conv_spec(net, core, design.family).params
        fields = decode_params(params, image.rows, image.width // params.width)
        rule = target.rule
        bias = np.atleast_2d(rule.bias).astype(int)
        zero = np.zeros_like(bias)
        np.testing.assert_array_equal(fields.get("add", zero), bias)
        if params.fires:
            wanted = rule.threshold + zero if rule.synapse is not None else bias - rule.threshold
            np.testing.assert_array_equal(fields.get("over", zero), wanted)
        start = rule.leak(rule.v_init.astype(int)) if rule.leak else rule.v_init
        np.testing.assert_array_equal(fields.get("start", zero), start + zero)


def test_depthwise_is_among_the_random_ones():
    """The test above sees every kind of core."""
    seen = set()
    for seed in range(-1, 30):
        net, _ = random_design(seed)
        for node in net.nodes:
            if isinstance(node, Conv2d):
                depthwise = is_depthwise(node, net.shape[node.input])
                seen |= {"depthwise" if depthwise else f"groups {node.groups > 1}", node.kind}
            elif isinstance(node, Linear):
                seen.add("linear")
    assert seen == {"depthwise", "groups True", "groups False", "ternary", "binary", "linear"}


IMAGE = MemoryImage("c_weights", 5, 41, [0, 1, 2**41 - 1, 0x155_5555_5555, 0xABCDEF], 3, 3)


def test_every_file_format_holds_the_rows():
    texts = mem_texts(IMAGE)
    assert set(texts) == {".mem", ".hex", ".coe", ".mif"}
    rows = lambda lines: [int(line, 16) for line in lines]  # noqa: E731
    mem = texts[".mem"].splitlines()
    assert mem[0] == "// c_weights: 5 x 41" and rows(mem[1:]) == IMAGE.rows
    assert rows(texts[".hex"].splitlines()) == IMAGE.rows
    vector = texts[".coe"].split("memory_initialization_vector=\n")[1]
    assert vector.endswith(";\n") and rows(vector[:-2].split(",\n")) == IMAGE.rows
    assert texts[".coe"].startswith("memory_initialization_radix=16;\n")
    mif = re.findall(r"^([0-9a-f]+) : ([0-9a-f]+);$", texts[".mif"], re.M)
    assert [(int(a, 16), int(b, 16)) for a, b in mif] == list(enumerate(IMAGE.rows))
    assert "WIDTH=41;\nDEPTH=5;" in texts[".mif"] and texts[".mif"].endswith("END;\n")
    assert all(len(line) == 11 for line in texts[".hex"].splitlines())


def test_region_words_are_those_of_the_chain():
    words = region_words(IMAGE)
    assert words.dtype == np.uint32 and len(words) == 10
    assert [int(low) | int(high) << 32 for low, high in words.reshape(-1, 2)] == IMAGE.rows
    one = region_words(MemoryImage("p", 2, 65, [1 << 64 | 7, 5], 0, 0))
    assert one.tolist() == [7, 0, 1, 0, 5, 0, 0, 0]
    assert ChainLayout(2, 65).words == len(one)


def small(threshold=(5, 9), reset_by=None, bias=None, v_init=None):
    rule = NeuronRule(
        threshold=np.array(threshold),
        reset_by=None if reset_by is None else np.array(reset_by),
        bias=None if bias is None else np.array(bias),
        v_init=None if v_init is None else np.array(v_init),
    )
    return Network(
        2,
        [
            Input("x", (2, 3, 3), "frames"),
            Conv2d("c", "x", np.ones((2, 2, 3, 3))),
            Neuron("n", ("c",), rule),
            Linear("f", "n", np.ones((2, 2))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(2, int), reset="none")),
        ],
    )


RAM = {"c": {"memory": "ram"}}


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"threshold": (5, 16)}, "node 'n': threshold 5 .. 16 is outside the declared range"),
        ({"threshold": (-17, 9)}, "node 'n': threshold -17 .. 9"),
        ({"bias": (0, 2)}, "node 'n': bias 0 .. 2"),
        ({"v_init": (-3, 0)}, "node 'n': v_init -3 .. 0"),
        (
            {"reset_by": (5, 8)},
            "node 'n': reset_by differs from the threshold, but the design was "
            "built without it; fold the network anew",
        ),
    ],
)
def test_parameters_outside_the_declared_ranges_are_refused(other, sentence):
    design = fold(small(threshold=(5, 7)), RAM)
    ranges = design.core("c").ranges
    assert ranges["threshold"] == [-16, 15] and ranges["bias"] == [-2, 1]
    assert "reset_by" not in ranges
    for function in (check_ranges, memory_images):
        with pytest.raises(DesignError) as e:
            function(small(**other), design)
        assert str(e.value).startswith(sentence) and str(e.value).endswith("fold the network anew")
    check_ranges(small(threshold=(-16, 15), bias=(-2, 1)), design)
    # A rom design has its own numbers and no ranges: nothing to refuse.
    check_ranges(small(**other), fold(small(threshold=(5, 7))))


def test_reset_by_of_its_own_has_a_range():
    design = fold(small(reset_by=(1, 3)), RAM)
    low, high = design.core("c").ranges["reset_by"]
    assert low < 1 and high >= 3
    with pytest.raises(DesignError, match="node 'n': reset_by 1 .. 100 is outside"):
        check_ranges(small(reset_by=(1, 100)), design)
    check_ranges(small(reset_by=(low, high)), design)


def test_regions_number_the_ram_memories():
    folding = {"c": {"memory": "ram"}, "f": {"memory": "ram"}}
    images = memory_images(small(), fold(small(), folding))
    assert [(i.name, i.region) for i in images] == [
        ("c_weights", 0),
        ("c_params", 1),
        ("f_weights", 2),
        ("f_params", 3),
    ]
    images = memory_images(small(), fold(small(), {"f": {"memory": "ram"}}))
    assert [i.region for i in images] == [None, None, 0, 1]
    # Fixed memories come behind those of the chain.
    assert [i.number for i in images] == [2, 3, 0, 1]


def test_a_weights_image_holds_fixed_memories_too_and_names_them_by_a_crc():
    net, design = small(), fold(small(), {"f": {"memory": "ram"}})
    images = memory_images(net, design)
    image = parse_weights_image(weights_image(net, design))
    assert sorted(image.regions) == [0, 1, 2, 3] and design.region_count == 2
    for found in images:
        np.testing.assert_array_equal(image.regions[found.number], region_words(found))
    assert sorted(image.reloadable(2)) == [0, 1]
    fixed = [region_words(i).astype("<u4").tobytes() for i in images if i.region is None]
    assert image.rom_crc(2) == rom_crc(images) == zlib.crc32(b"".join(fixed)) != 0
    assert image.rom_crc(4) == 0
    ident = ident_image(net, images)
    assert ident.rows[2] == rom_crc(images)
    assert f"{ident.rows[1]:08x}{ident.rows[0]:08x}" == files.weights_id(net)[:16]


def test_fixed_memories_take_other_weights_only_where_all_widths_are_the_same():
    """A wider sum, or a parameter of other bits, would be cut without a word."""

    def drawn(seed):
        rng = np.random.default_rng(seed)
        net = small(threshold=rng.integers(4, 8, 2))
        nodes = [
            replace(n, weight=rng.integers(-1, 2, n.weight.shape).astype(np.int8))
            if isinstance(n, Conv2d | Linear)
            else n
            for n in net.nodes
        ]
        return Network(net.steps, nodes, net.name)

    nets = [drawn(seed) for seed in range(8)]
    turned = [  # the same sums from weights in other places
        replace(n, weight=np.ascontiguousarray(n.weight[..., ::-1])) if isinstance(n, Conv2d) else n
        for n in nets[0].nodes
    ]
    nets.append(Network(nets[0].steps, turned, nets[0].name))
    built = nets[0]
    exact, wide = fold(built), fold(built, patchable=True)
    assert all(c.widths for c in exact.cores if c.main and c.op == "conv")
    refused = 0
    for net in nets[1:]:
        check_ranges(net, wide)
        weights_image(net, wide)  # what declares its ranges is sized for them
        text = [
            verilog_text(elaborate(n, wide, contents=Placeholders("s", "ecp5")), "t")
            for n in (built, net)
        ]
        assert text[0] == text[1]
        try:
            weights_image(net, exact)
        except DesignError as error:
            assert "its weights need" in str(error) and "--patchable" in str(error)
            refused += 1
        else:
            text = [
                verilog_text(elaborate(n, exact, contents=Placeholders("s", "ecp5")), "t")
                for n in (built, net)
            ]
            assert text[0] == text[1], "the widths that are compared are all that differ"
    assert 0 < refused < len(nets) - 1


def test_placeholders_follow_the_structure_and_fill_whole_blocks():
    net, design = small(), fold(small(), {"f": {"memory": "ram"}})
    what = Placeholders("abc", "ecp5", logic={"c_params"})
    spec = filled_spec(net, design, contents=what)
    core = {c.name: c.spec for c in spec.cores}["c"]
    assert len(core.front.weights) == 512 and core.front.ram_style == "block"
    assert core.front.weights == what.rows("c_weights", 3, core.front.weight_width)
    assert max(core.front.weights) < 1 << core.front.weight_width
    packed = {i.name: i.rows for i in memory_images(net, design)}
    assert core.param_style == "distributed" and list(core.param_rows) == packed["c_params"]
    assert spec.ident == tuple(what.rows("ident", 3, 32)) and spec.weights_id == 0
    ram = {c.name: c.spec for c in spec.cores}["f"]
    assert not ram.front.weights and not ram.param_rows
    assert Placeholders("abd", "ecp5").rows("c_weights", 3, 9) != what.rows("c_weights", 3, 9)
    assert len(Placeholders("", "ice40").rows("x", 257, 3)) == 512
