"""The whole top in simulation: broken packets, registers, reloading, reset, power-up, repeating."""

import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from combpath import assert_no_comb_path

from sterna.gen.fold.fold import fold
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.gen.verilog.memory_images import memory_images, region_words
from sterna.golden.coding import image_bits
from sterna.golden.device.weights_image import pack_weights_image, parse_weights_image
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.result import Result, compare
from sterna.golden.rule import Decay, NeuronRule
from sterna.hw.control.register_files import csr_json
from sterna.hw.stream.axis import FLAG_EARLY, FLAG_LATE
from sterna.sim.batch import AxiError, BatchModel, SimulationError
from sterna.sim.simulator import weight_writes
from sterna.sim.taps import Tap


def network(seed):
    """The same structure for every seed; other weights, thresholds, biases."""
    rng = np.random.default_rng(seed)
    trits = lambda *shape: rng.integers(-1, 2, shape)  # noqa: E731
    return Network(
        3,
        [
            Input("x", (1, 6, 5), bits=4),
            Conv2d("c", "x", trits(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            Neuron(
                "n",
                ("c",),
                NeuronRule(
                    threshold=rng.integers(8, 15, 4), leak=Decay(2), bias=rng.integers(4, 8, 4)
                ),
            ),
            Pool("p", "n", "or"),
            Conv2d("d", "p", rng.integers(0, 2, (2, 4, 2, 2)) * 2 - 1, kind="binary"),
            Neuron("m", ("d",), NeuronRule(threshold=rng.integers(1, 4, 2), reset="zero")),
            Linear("f", "m", trits(3, 4)),
            Readout(
                "r",
                ("f",),
                NeuronRule(threshold=np.zeros(3, int), reset="none", bias=rng.integers(1, 4, 3)),
            ),
        ],
        name="top",
    )


FOLDING = {
    "c": {"pe": 2, "simd": 9, "tp": 2, "memory": "ram"},  # 36-bit rows: two banks
    "d": {"pe": 1, "simd": 4, "tp": 1, "memory": "ram"},
    "f": {"pe": 3, "simd": 2, "tp": 3, "memory": "ram"},
}


def weights_of(net, design):
    regions = {i.number: region_words(i) for i in memory_images(net, design)}
    return parse_weights_image(
        pack_weights_image(
            files.structure_id(net, design.to_json()), files.weights_id(net), regions
        )
    )


TABLES = FOLDING | {
    "c": {"pe": 4, "simd": 9, "tp": 2, "memory": "ram", "engine": "tables"},
    "d": {"pe": 1, "simd": 16, "tp": 3, "memory": "ram", "engine": "tables"},
}


@pytest.fixture(scope="module")
def ram():
    """A reloadable design whose memories power up at random, and two sets of weights for it."""
    return made(FOLDING)


def made(folding):
    first, second = network(8), network(5)
    design = fold(first, folding, axis_width=16)
    top = elaborate(first, design, taps=True)
    text = verilog_text(top, "top")
    address = {r["name"]: r["address"] for r in csr_json(top.control.registers)["registers"]}
    images = np.random.default_rng(3).integers(0, 16, (8, 1, 6, 5)).astype(np.uint8)
    taps = [Tap.from_json(t) for t in design.taps]
    make = lambda seed: BatchModel.build(  # noqa: E731
        text, "top", taps, 2, 4, seed=seed, random_memory=True, optimize="none"
    )
    return SimpleNamespace(
        first=first,
        second=second,
        design=design,
        text=text,
        address=address,
        images=images,
        make=make,
        rows=image_bits(first.input, images, 3),
        golden=run(first, images, trace="all"),
        golden_2=run(second, images, trace="all"),
        weights=weights_of(first, design),
        weights_2=weights_of(second, design),
    )


def load(model, weights):
    for address, value in weight_writes(weights, len(weights.regions)):
        model.write(address, value)


@pytest.fixture
def model(ram):
    model = ram.make(7)
    load(model, ram.weights)
    return model


def check(ram, model, golden=None, **settings):
    done = model.run(ram.rows, watchdog=3000, **settings)
    result = Result(
        done.words[:, 1:].view(np.int32),
        (done.words[:, 0] & 0xFFFF).astype(np.int64),
        {name: done.spikes(name) for name in ram.golden.spikes},
    )
    assert compare(golden or ram.golden, result) is None
    assert not (done.words[:, 0] >> 16).any()
    return done


def words_of(row):
    """The 16-bit words of an image, uint8 [words, 2]."""
    padded = np.zeros(-(-len(row) // 2) * 2, np.uint8)
    padded[: len(row)] = row
    return padded.reshape(-1, 2)


def packet(golden, index, flags=0):
    head = int(golden.classes[index]) | flags << 16
    return [head, *(int(v) & 0xFFFFFFFF for v in golden.logits[index])]


def test_the_two_networks_differ(ram):
    assert (ram.golden.logits != ram.golden_2.logits).any()
    assert len(np.unique(ram.golden.classes)) > 1 and ram.golden.spikes["m"].any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_power_up_contents_do_not_matter(ram, seed):
    model = ram.make(seed)
    load(model, ram.weights)
    check(ram, model)
    check(ram, model, in_stall=0.4, out_stall=0.4)


def test_interval_is_the_law(ram, model):
    done = check(ram, model)
    law = ram.design.interval
    assert np.all(done.interval[2:] >= law) and np.all(done.interval[2:] <= law * 1.02 + 1)


def test_registers(ram, model):
    at = ram.address
    assert model.read(at["id"]).to_bytes(4, "little") == b"STRN"
    assert model.read(at["version"]) >> 16 == 1
    structure = model.read(at["structure_id_hi"]) << 32 | model.read(at["structure_id_lo"])
    assert f"{structure:016x}" == ram.weights.structure_id[:16]
    weights = model.read(at["weights_id_hi"]) << 32 | model.read(at["weights_id_lo"])
    assert f"{weights:016x}" == files.weights_id(ram.first)[:16]
    assert model.read(at["config"]) == 4 | 6 << 16  # cores, regions
    assert model.read(at["status"]) & 1 == 1  # idle
    done = check(ram, model)
    assert model.read(at["status"]) & 1 == 1
    assert model.read(at["images"]) == len(ram.images)
    total = int(done.clocks[-1, 3] - done.clocks[0, 0])
    assert abs(model.read(at["total_clocks"]) - total) <= 4
    latency = int(done.latency[0])
    assert 0 < model.read(at["image_clocks"]) and latency > 0
    model.write(at["control"], 1)  # clear
    assert model.read(at["images"]) == 0 and model.read(at["total_clocks"]) == 0
    # One image alone: its clocks are the latency seen outside.
    alone = model.run(ram.rows[:1])
    assert abs(model.read(at["image_clocks"]) - int(alone.latency[0])) <= 2
    # An output that never moves makes cores wait; their counters say so.
    model.write(at["control"], 1)
    model.run(np.tile(ram.rows, (5, 1)), out_stall=0.995)  # more images than the FIFOs hold
    assert model.read(at["stall_f"]) > 0 and model.read(at["images"]) == 5 * len(ram.images)
    with pytest.raises(AxiError, match="SLVERR"):
        model.write(at["id"], 1)
    with pytest.raises(AxiError, match="SLVERR"):
        model.read(0x0F00)


def test_retrained_weights_are_loaded_at_run_time(ram, model):
    check(ram, model)
    load(model, ram.weights_2)
    check(ram, model, ram.golden_2)
    at = ram.address
    weights = model.read(at["weights_id_hi"]) << 32 | model.read(at["weights_id_lo"])
    assert f"{weights:016x}" == files.weights_id(ram.second)[:16]
    load(model, ram.weights)
    check(ram, model)
    # Half a load must not carry the identity of whole weights.
    model.write(at["chain_address"], 0)
    model.write(at["chain_data"], 0)
    assert model.read(at["weights_id_lo"]) == 0 and model.read(at["weights_id_hi"]) == 0


def test_memories_read_back_with_their_crc(ram, model):
    at = ram.address
    check(ram, model)  # use them first: they must not change
    for region, words in ram.weights.regions.items():
        model.write(at["chain_address"], region << 24)
        assert [model.read(at["chain_data"]) for _ in words] == words.tolist()
        model.write(at["chain_address"], region << 24)
        model.write(at["crc_words"], len(words))
        for _ in range(100):
            status = model.read(at["status"])
            if status >> 9 & 1:
                break
        assert status >> 8 & 7 == 0b010, "done, not busy, no error"
        assert model.read(at["crc_result"]) == zlib.crc32(words.astype("<u4").tobytes())
    check(ram, model)


def test_one_altered_word_changes_the_crc_and_the_result(ram, model):
    at = ram.address
    region = ram.design.core("c").regions[0]
    words = ram.weights.regions[region]
    word = int(words[0])  # 16 trits, two bits each: all change their sign
    model.write(at["chain_address"], region << 24)
    model.write(at["chain_data"], (word & 0x55555555) << 1 | word >> 1 & 0x55555555)
    model.write(at["chain_address"], region << 24)
    model.write(at["crc_words"], len(words))
    while not model.read(at["status"]) >> 9 & 1:
        pass
    assert model.read(at["crc_result"]) != zlib.crc32(words.astype("<u4").tobytes())
    with pytest.raises(AssertionError):
        check(ram, model)


@pytest.mark.parametrize("cut", [1, 5, 7])
def test_a_packet_that_ends_early_is_flagged_and_the_next_is_right(ram, model, cut):
    at = ram.address
    words = [words_of(row) for row in ram.rows[:3]]
    short = words[1][:cut]
    filled = np.zeros((1, 1, 6, 5), np.uint8)
    sent = np.concatenate([words[0], short, words[2]])
    last = np.zeros(len(sent), bool)
    last[[len(words[0]) - 1, len(words[0]) + cut - 1, -1]] = True
    got = model.feed(sent, last, 3, watchdog=3000)
    whole = np.zeros(len(words[1]) * 2, np.uint8)
    whole[: 2 * cut] = short.reshape(-1)
    nibbles = np.stack([whole & 15, whole >> 4], 1).reshape(-1)[:30]
    filled[0, 0] = nibbles.reshape(6, 5)
    golden = run(ram.first, filled)
    assert got.tolist() == [
        packet(ram.golden, 0),
        packet(golden, 0, FLAG_EARLY),
        packet(ram.golden, 2),
    ]
    assert model.read(at["dropped"]) == 1 and model.read(at["status"]) >> 2 & 3 == 1
    model.write(at["status"], 1 << 2)
    assert model.read(at["status"]) >> 2 & 3 == 0
    check(ram, model)


@pytest.mark.parametrize("extra", [1, 20])
def test_a_packet_that_goes_on_is_cut_and_flagged_and_the_next_is_right(ram, model, extra):
    at = ram.address
    words = [words_of(row) for row in ram.rows[:3]]
    rubbish = np.full((extra, 2), 0xA5, np.uint8)
    sent = np.concatenate([words[0], words[1], rubbish, words[2]])
    last = np.zeros(len(sent), bool)
    size = len(words[0])
    last[[size - 1, 2 * size + extra - 1, -1]] = True
    got = model.feed(sent, last, 3, watchdog=3000)
    assert got.tolist() == [
        packet(ram.golden, 0),
        packet(ram.golden, 1, FLAG_LATE),
        packet(ram.golden, 2),
    ]
    assert model.read(at["dropped"]) == 1 << 16 and model.read(at["status"]) >> 2 & 3 == 2
    check(ram, model)


@pytest.mark.parametrize("words", [1, 4, 9])
def test_reset_in_the_middle_of_an_image(ram, model, words):
    sent = words_of(ram.rows[5])[:words]
    model.feed(sent, [False] * len(sent), 0, max_clocks=60)
    assert model.read(ram.address["status"]) & 1 == 0
    model.reset()
    assert model.read(ram.address["status"]) & 1 == 1
    check(ram, model)


def test_reset_while_results_wait(ram, model):
    """Everything in flight is lost, memories keep their weights."""
    sent = np.concatenate([words_of(row) for row in ram.rows[:3]])
    last = [(n + 1) % 8 == 0 for n in range(len(sent))]
    model.feed(sent, last, 0, max_clocks=ram.design.interval)
    model.reset()
    check(ram, model)
    check(ram, model)


def test_memories_cannot_be_written_while_an_image_is_in_flight(ram, model):
    at = ram.address
    sent = words_of(ram.rows[0])
    model.feed(sent[:4], [False] * 4, 0)
    model.write(at["chain_address"], 0)
    with pytest.raises(AxiError, match="SLVERR"):
        model.write(at["chain_data"], 0xFFFFFFFF)
    with pytest.raises(AxiError, match="SLVERR"):
        model.read(at["chain_data"])
    with pytest.raises(AxiError, match="SLVERR"):
        model.write(at["crc_words"], 1)
    got = model.feed(sent[4:], [False] * (len(sent) - 5) + [True], 1, watchdog=3000)
    assert got.tolist() == [packet(ram.golden, 0)]
    check(ram, model)  # no word was changed


def test_hold_starts_no_image_and_loses_none(ram, model):
    at = ram.address
    model.write(at["control"], 2)
    sent = words_of(ram.rows[0])
    last = [False] * (len(sent) - 1) + [True]
    with pytest.raises(SimulationError, match="nothing moved for 300 clocks"):
        model.feed(sent, last, 1, watchdog=300)
    assert model.read(at["status"]) & 3 == 3  # idle, held
    model.write(at["control"], 0)
    model.reset()
    check(ram, model)


def test_the_last_image_is_repeated(ram, model):
    at = ram.address
    model.run(ram.rows[:4])
    model.write(at["control"], 1)
    model.write(at["repeat"], 5)
    got = model.feed(np.zeros((0, 2), np.uint8), [], 5, watchdog=3000)
    assert got.tolist() == [packet(ram.golden, 3)] * 5
    assert model.read(at["repeat"]) == 0 and model.read(at["images"]) == 5
    check(ram, model)  # and then images again
    model.write(at["repeat"], 1)
    got = model.feed(np.zeros((0, 2), np.uint8), [], 1, watchdog=3000)
    assert got.tolist() == [packet(ram.golden, 7)]


@pytest.mark.parametrize(("flag", "size"), [(FLAG_EARLY, 5), (FLAG_LATE, 11)])
def test_a_repeated_image_keeps_its_flags(ram, model, flag, size):
    """A result is not to be trusted however often it is computed; the packet is counted once."""
    at = ram.address
    words = np.resize(words_of(ram.rows[0]), (size, 2))
    (one,) = model.feed(words, [False] * (size - 1) + [True], 1, watchdog=3000).tolist()
    assert one[0] >> 16 == flag
    model.write(at["repeat"], 2)
    got = model.feed(np.zeros((0, 2), np.uint8), [], 2, watchdog=3000)
    assert got.tolist() == [one, one]
    assert model.read(at["dropped"]) == (1 if flag == FLAG_EARLY else 1 << 16)
    check(ram, model)
    model.write(at["repeat"], 1)  # of a right one
    got = model.feed(np.zeros((0, 2), np.uint8), [], 1, watchdog=3000)
    assert got.tolist() == [packet(ram.golden, 7)]


def test_repeat_needs_a_whole_image(ram, model):
    """After a reset, and in the middle of the first image behind it; asking for none is allowed."""
    at, sent = ram.address, words_of(ram.rows[0])
    last = [False] * (len(sent) - 1) + [True]
    check(ram, model)
    model.reset()
    for words in (0, 4):
        model.feed(sent[:words], last[:words], 0)
        with pytest.raises(AxiError, match="SLVERR"):
            model.write(at["repeat"], 2)
        model.write(at["repeat"], 0)
        assert model.read(at["repeat"]) == 0
    got = model.feed(sent[4:], last[4:], 1, watchdog=3000)
    assert got.tolist() == [packet(ram.golden, 0)] and model.read(at["images"]) == 1
    # A further one: what is under way is completed, and is then the last one.
    second = words_of(ram.rows[1])
    model.feed(second[:4], last[:4], 0)
    model.write(at["repeat"], 2)
    got = model.feed(second[4:], last[4:], 3, watchdog=3000)
    assert got.tolist() == [packet(ram.golden, 1)] * 3


def test_counters_forget_the_images_in_flight_at_a_clear(ram, model):
    at, sent = ram.address, [words_of(row) for row in ram.rows[:3]]
    last = [False] * (len(sent[0]) - 1) + [True]
    model.feed(np.concatenate([sent[0], sent[1][:4]]), last + last[:4], 0)
    model.write(at["control"], 1)
    model.feed(sent[1][4:], last[4:], 2, watchdog=3000)
    counted = ("status", "images", "total_clocks", "image_clocks")
    assert [model.read(at[name]) for name in counted] == [1, 0, 0, 0]
    model.feed(sent[2], last, 1, watchdog=3000)
    idle, images, total, one = (model.read(at[name]) for name in counted)
    assert idle == images == 1 and total == one > 0


@pytest.mark.parametrize("memory", ["rom", "ram"])
def test_no_combinational_path_through_the_top(memory):
    net = network(8)
    silent = NeuronRule(threshold=np.zeros(2, int), reset="none")
    nodes = [*net.nodes[:3], Linear("f", "n", np.ones((2, 120))), Readout("r", ("f",), silent)]
    small = Network(3, nodes, "small")
    folding = {
        "c": {"pe": 1, "simd": 3, "tp": 1, "memory": memory},
        "f": {"pe": 1, "simd": 4, "tp": 3, "memory": memory},
    }
    assert_no_comb_path(elaborate(small, fold(small, folding), taps=memory == "ram"))


@pytest.fixture(scope="module")
def tables():
    return made(TABLES)


def test_tables_are_written_before_an_image_begins(tables):
    """Weights loaded once and again, resets at any time; images are sent without waiting."""
    model, idle = tables.make(3), lambda: model.read(tables.address["status"]) & 1
    assert not idle()
    load(model, tables.weights)
    check(tables, model)
    load(model, tables.weights_2)
    assert not idle()
    check(tables, model, tables.golden_2, in_stall=0.3)
    assert idle()
    model.reset()
    assert not idle()
    check(tables, model, tables.golden_2)
    model.reset()
    while not idle():
        pass
    assert check(tables, model, tables.golden_2).interval[2:].max() <= 1.02 * tables.design.interval
