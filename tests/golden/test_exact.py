"""run(): the two paths, images, traces, precision settings."""

import numpy as np
import pytest
import torch

from sterna.golden import exact
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import full_precision, run
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.numpyrun import run_arrays
from sterna.golden.result import Difference, Result, compare
from sterna.golden.rule import NeuronRule
from sterna.golden.window import legal_simd


def small(coding="direct", steps=3, mode="membrane", bits=None, **rule):
    rng = np.random.default_rng(5)  # its own: a shared one made the weights depend on the order
    w1, w2 = rng.integers(-1, 2, (4, 2, 3, 3)), rng.integers(-1, 2, (3, 4 * 2 * 2))
    last = {"reset": "subtract" if mode == "count" else "none"} | rule
    return Network(
        steps,
        [
            Input("x", (2, 4, 4), coding, bits),
            Conv2d("conv", "x", w1, padding=1),
            Neuron("hidden", "conv", NeuronRule(np.full(4, 200 if coding == "direct" else 2))),
            Pool("pool", "hidden", "sum"),
            Linear("fc", "pool", w2),
            Readout("out", "fc", NeuronRule(np.full(3, 3), **last), mode),
        ],
    )


def pixels(count=5, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 4, 4), np.uint8)


@pytest.mark.parametrize("mode", ["membrane", "count", "first_spike"])
def test_result_has_the_declared_types_and_does_not_depend_on_the_batch(mode):
    network, images = small(mode=mode), pixels()
    whole = run(network, images, trace="all")
    assert whole.logits.dtype == np.int32 and whole.logits.shape == (5, 3)
    assert whole.classes.dtype == np.int64 and whole.classes.tolist() == [
        max(range(3), key=lambda k: (row[k], -k)) for row in whole.logits.tolist()
    ]
    assert list(whole.spikes) == ["hidden", "pool"]
    assert all(s.dtype == np.uint8 for s in whole.spikes.values())
    assert whole.spikes["pool"].shape == (3, 5, 4, 2, 2) and whole.spikes["pool"].max() > 1
    for batch in (1, 2, 4):
        assert compare(whole, run(network, images, "all", batch=batch)) is None
    assert compare(whole, run(network, torch.tensor(images), "all", exact=True)) is None
    assert compare(whole, run(network, images.astype(np.int64), "all")) is None
    assert list(run(network, images, trace="pool").spikes) == ["pool"]
    assert run(network, images).spikes == {}


@pytest.mark.parametrize("dilation, stride", [((2, 1), 1), ((2, 3), 2)])
def test_dilation_is_torchs(dilation, stride):
    w = np.random.default_rng(2).integers(-1, 2, (4, 1, 3, 2))
    conv = Conv2d("conv", "x", w, stride, (2, 1, 1, 0), groups=2, dilation=dilation)
    images = pixels(4)
    x = torch.nn.functional.pad(torch.from_numpy(images.astype(np.float64)), (1, 0, 2, 1))
    z = torch.nn.functional.conv2d(x, torch.from_numpy(w * 1.0), None, stride, 0, dilation, 2)
    network = Network(
        1,
        [
            Input("x", (2, 4, 4)),
            conv,
            Neuron("n", "conv", NeuronRule(np.full(4, 60))),
            Linear("fc", "n", np.ones((2, z[0].numel()), int)),
            Readout("out", "fc", NeuronRule([1, 1], "none")),
        ],
    )
    assert network.shape["conv"] == tuple(z.shape[1:])
    found = run(network, images, trace="n")
    assert (found.spikes["n"][0] == (z.numpy() >= 60)).all() and found.spikes["n"].any()
    assert (run_arrays(network, images).logits == found.logits).all()
    assert compare(found, run(network, images, trace="n", exact=True)) is None
    assert legal_simd(conv, (2, 4, 4)) == [1]


def test_classes_that_tie_give_the_lowest_index():
    network = Network(
        2,
        [
            Input("x", (1, 1, 1)),
            Linear("fc", "x", np.ones((4, 1))),
            Readout("out", "fc", NeuronRule([1] * 4, "none")),
        ],
    )
    assert run(network, np.full((1, 1, 1, 1), 7, np.uint8)).classes.tolist() == [0]


def test_first_spike_orders_time_then_membrane_then_index():
    # class k fires when its sum reaches the threshold: weights make sums +1, +2, +2, 0, -1 a step
    weight = np.array([[1, 0], [1, 1], [1, 1], [0, 0], [-1, 0]])
    network = Network(
        4,
        [
            Input("x", (2, 1, 1), "frames"),
            Linear("fc", "x", weight),
            Readout("out", "fc", NeuronRule([3, 3, 4, 9, 9], "none"), "first_spike"),
        ],
    )
    result = run(network, np.ones((4, 1, 2, 1, 1), np.uint8))
    order = sorted(range(5), key=lambda k: (-int(result.logits[0, k]), k))
    assert order == [1, 2, 0, 3, 4]  # 1 and 2 at t = 1 with v = 4; 0 at t = 2; then v 0 and -1
    assert result.logits[0, 1] == result.logits[0, 2] and result.classes[0] == 1


def test_classes_that_never_fire_rank_by_the_membrane_on_its_floor():
    rule = NeuronRule([9, 9, 9], "none", floor=[-1, 0, 0])
    network = Network(
        2,
        [
            Input("x", (1, 1, 1), "frames"),
            Linear("fc", "x", [[1], [-1], [-1]]),
            Readout("out", "fc", rule, "first_spike"),
        ],
    )
    result = run(network, np.array([0, 1], np.uint8).reshape(2, 1, 1, 1, 1))
    assert (result.logits[0] - 2**23).tolist() == [1, 0, 0]
    assert run(network, np.ones((2, 1, 1, 1, 1), np.uint8)).logits[0].tolist() == [
        2**23 + 2,
        2**23,
        2**23,
    ]


def test_trace_of_a_wide_stream_is_wider_than_8_bits():
    network = Network(
        1,
        [
            Input("x", (1, 17, 16), "frames"),
            Pool("pool", "x", "sum", (17, 16)),
            Linear("fc", "pool", [[1]]),
            Readout("out", "fc", NeuronRule([1], "none")),
        ],
    )
    result = run(network, np.ones((1, 1, 1, 17, 16), np.uint8), "all")
    assert result.spikes["pool"].dtype == np.uint16 and result.spikes["pool"].item() == 272
    assert result.logits.item() == 272


def test_layers_that_float32_could_round_use_the_oracle(monkeypatch):
    seen = []
    real = torch.nn.functional.conv2d
    monkeypatch.setattr(
        exact.F, "conv2d", lambda x, w, **k: seen.append(x.dtype) or real(x, w, **k)
    )
    # 255 * 16448 is just below 2**22, 255 * 16449 just above
    for fan_in, kind in ((16448, torch.float32), (16449, torch.int32)):
        network = Network(
            1,
            [
                Input("x", (fan_in, 1, 1)),
                Conv2d("conv", "x", np.ones((1, fan_in, 1, 1))),
                Readout("out", "conv", NeuronRule([1], "none")),
            ],
        )
        images = np.full((1, fan_in, 1, 1), 255, np.uint8)
        images[0, 0] = 254
        assert run(network, images).logits.item() == 255 * fan_in - 1
        assert seen.pop() == kind


def test_precision_settings_of_the_caller_change_nothing_and_are_put_back():
    network, images = small(), pixels()
    expected = run(network, images, "all", exact=True)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert compare(run(network, images, "all"), expected) is None
            with full_precision():
                assert not torch.is_autocast_enabled("cpu")
                assert not torch.backends.cudnn.enabled
            assert torch.is_autocast_enabled("cpu") and torch.backends.cudnn.enabled
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_the_oracle():
    network, images = small(), pixels()
    assert (
        compare(run(network, images, "all", device="cuda"), run(network, images, "all", exact=True))
        is None
    )


def test_images_are_checked():
    network = small()
    good = pixels()
    for images, error, message in (
        (good / 255, UsageError, "float64 is not an integer type; give the raw unsigned pixels"),
        (good + np.float32("nan"), UsageError, "holding NaN or infinity"),
        (good[:, :1], UsageError, r"shape \(5, 1, 4, 4\) is not \[B, 2, 4, 4\]"),
        (good[0], UsageError, "is not"),
        (good[:0], UsageError, "the batch is empty"),
        (good.astype(str), UsageError, "is not an integer type"),
        (good.astype(int) + 300, NetworkError, "node 'x': image value .* outside 0 .. 255"),
        (good.astype(int) - 300, NetworkError, "node 'x': image value -.* outside 0 .. 255"),
    ):
        with pytest.raises(error, match=message):
            run(network, images)
    with pytest.raises(NetworkError, match="outside 0 .. 15"):
        run(small(bits=4), np.full_like(good, 16))
    frames = np.zeros((3, 5, 2, 4, 4), np.uint8)
    run(small("frames"), frames)
    with pytest.raises(UsageError, match=r"\[T, B, 2, 4, 4\] with T = 3"):
        run(small("frames"), frames[:2])
    with pytest.raises(UsageError, match=r"transpose: frames are \[T,N,C,H,W\] here, images.swap"):
        run(small("frames"), frames.swapaxes(0, 1))
    with pytest.raises(NetworkError, match="value 2 is outside 0 .. 1; .* input bits = 2"):
        run(small("frames"), frames + 2)
    run(small("frames", bits=3), frames + 7)
    for bad in (frames + 8, frames.astype(int) - 1):
        with pytest.raises(NetworkError, match=r"'x': image value (8|-1) is outside 0 \.\. 7;"):
            run(small("frames", bits=3), bad)


def test_wrong_calls_are_refused():
    with pytest.raises(UsageError, match="cannot trace 'conv'; nodes with spikes are hidden, pool"):
        run(small(), pixels(), trace=["conv"])
    with pytest.raises(UsageError, match="batch 0"):
        run(small(), pixels(), batch=0)
    wide = small(fraction_bits=16)
    wide = Network(1024, wide.nodes)
    with pytest.raises(NetworkError, match="node 'out': .* more than 32 bits"):
        run(wide, pixels())


def test_compare_names_the_first_difference_and_counts_all():
    network, images = small(), pixels()
    a, b = run(network, images, "all"), run(network, images, "all")
    assert compare(a, b) is None
    b.logits[4, 2] += 1
    found = compare(a, b)
    assert found == Difference(
        "logit",
        None,
        None,
        4,
        2,
        None,
        None,
        (int(a.logits[4, 2]), int(b.logits[4, 2])),
        1,
    )
    b.classes[0] = 9
    b.spikes["pool"][2, 0, 0, 0, 0] ^= 1
    b.spikes["pool"][1, 3, 2, 1, 0] ^= 1
    found = compare(a, b, names=("golden", "rtl"))
    assert found is not None
    assert (found.node, found.t, found.b, found.c, found.y, found.x) == ("pool", 1, 3, 2, 1, 0)
    assert found.total == 4
    value = a.spikes["pool"][1, 3, 2, 1, 0]
    assert str(found) == (
        f"first difference in node 'pool' at image 3, t 1, c 2, y 1, x 0: spike is {value} in "
        f"golden but {value ^ 1} in rtl (4 differences in all)"
    )
    b.spikes["hidden"][2, 4, 3, 3, 3] ^= 1
    found = compare(a, b)
    assert found is not None and found.node == "hidden"
    found = compare(a, b, nodes=())
    assert found is not None and found.what == "logit"


def test_compare_never_takes_what_was_not_recorded_for_equal():
    network, images = small(), pixels()
    a, b = run(network, images, "all"), run(network, images, "pool")
    for pair in ((a, b), (b, a)):
        with pytest.raises(UsageError, match="'hidden' was not traced in the"):
            compare(*pair)
    assert compare(a, b, nodes=["pool"]) is None
    with pytest.raises(UsageError, match="logit arrays have shapes"):
        compare(a, Result(a.logits[:2], a.classes[:2]), nodes=())
