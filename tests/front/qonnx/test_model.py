"""QONNX graphs against qonnx' own execution: every quantizer, the classes, and the integers."""

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto
from qonnxcase import QONNX, Writer

from sterna.front.qonnx.model import from_qonnx
from sterna.gen.fold.fold import fold
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run


def mlp(seed: int, kind: str, hidden: Callable[[Writer], Writer], image: bool = True) -> ModelProto:
    """As FINN's TFC: pixels of one bit, two hidden layers, a norm at the end."""
    w = Writer((1, 6, 6), seed)
    w.add("Reshape", w.array(np.array([1, -1], np.int64)))
    w.channels = 36
    w = w.times("Mul", 2.0).times("Sub", 1.0)
    w = w.bipolar() if image else w
    for n, k in ((24, 36), (16, 24)):
        w = hidden(w.matmul(n, k, kind).norm())
    w = w.matmul(5, 16, kind).times("Mul", 0.25)
    return w.times("Add", w.rng.normal(size=5)).model()


def cnv(seed: int, kind: str) -> ModelProto:
    """As FINN's CNV: +-1 without padding, pools between, pixels as they are."""
    w = Writer((2, 12, 12), seed)
    w = w.times("Mul", 2.0).times("Sub", 1.0)
    w = w.conv(6, 3, kind).norm().bipolar(0.5).conv(6, 3, kind).norm().bipolar()
    w = w.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    w = w.conv(8, 3, kind).norm().bipolar()
    w.add("Flatten", axis=1)
    return w.matmul(5, 32, kind).times("Mul", 0.25).model()


def padded(seed: int) -> ModelProto:
    """Activations of 0 and 1, padding, groups and strides, a bias."""
    w = Writer((2, 8, 8), seed)
    w = w.conv(6, 3, pads=[1, 1, 1, 1]).norm().act(0.5, 1)
    w = w.conv(6, 3, pads=[1, 1, 1, 1], group=3, strides=[2, 2]).norm().act(1.0, 1)
    w = w.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    w.add("Flatten", axis=1)
    weight, bias = w.rng.choice([-1, 0, 1], (5, 24)), w.rng.normal(size=5)
    w.add("Gemm", w.array(weight.astype(np.float32)), w.array(bias.astype(np.float32)), transB=1)
    return w.model()


def threshold_net(seed: int, count: int) -> ModelProto:
    w = Writer((8, 5, 5), seed)
    w = w.conv(6, 3)
    table = w.rng.normal(size=(6, count)).astype(np.float32)
    w.add("MultiThreshold", w.array(table), domain=QONNX, out_dtype="UINT2", out_scale=0.5)
    w = w.conv(4, 3)
    w.add("Squeeze", w.array(np.array([2, 3], np.int64)))
    return w.model()


NETS = {
    "tfc_w1a1": lambda: mlp(1, "binary", lambda w: w.bipolar()),
    "tfc_w2a1": lambda: mlp(2, "ternary", lambda w: w.bipolar()),
    "tfc_w1a1_scaled": lambda: mlp(3, "binary", lambda w: w.bipolar(0.3)),
    "tfc_pixels": lambda: mlp(4, "ternary", lambda w: w.bipolar(), image=False),
    "unsigned_bit": lambda: mlp(5, "ternary", lambda w: w.act(0.7, 1)),
    "two_bits": lambda: mlp(6, "ternary", lambda w: w.act(0.4, 2)),
    "two_bits_signed": lambda: mlp(7, "ternary", lambda w: w.act(0.4, 2, signed=1)),
    "two_bits_narrow": lambda: mlp(8, "binary", lambda w: w.act(0.4, 2, signed=1, narrow=1)),
    "three_bits": lambda: mlp(6, "ternary", lambda w: w.act(0.15, 3)),
    "four_bits_narrow": lambda: mlp(8, "ternary", lambda w: w.act(0.1, 4, signed=1, narrow=1)),
    "signed_bit": lambda: mlp(9, "binary", lambda w: w.act(0.4, 1, signed=1)),
    "zero_point": lambda: mlp(10, "binary", lambda w: w.act(0.4, 2, zero=1)),
    "cnv_w1a1": lambda: cnv(11, "binary"),
    "cnv_w2a1": lambda: cnv(12, "ternary"),
    "padded": lambda: padded(13),
    "one_threshold": lambda: threshold_net(14, 1),
    "three_thresholds": lambda: threshold_net(15, 3),
    "fifteen_thresholds": lambda: threshold_net(16, 15),
} | {
    f"rounding_{word.lower()}": lambda word=word, k=k: mlp(
        20 + k, "ternary", lambda w: w.act(0.4, 2, rounding_mode=word)
    )
    for k, word in enumerate(("CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"))
}


def images(model: ModelProto, count: int = 12) -> np.ndarray:
    sizes = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(0).integers(0, 256, (count, *sizes)).astype(np.uint8)


@pytest.mark.parametrize("name", NETS)
def test_every_quantizer_and_class_is_that_of_qonnx(name: str) -> None:
    model = NETS[name]()
    found = from_qonnx(model)
    pixels = images(model)
    check = found.check(pixels)
    assert check.exact and check.classes == 1.0, str(check)
    assert sum(s.sites for s in check.layers) > 0
    assert all(0 < s.spikes < s.sites for s in check.layers if s.what == "spikes"), str(check)
    if found.network.readout.mode == "membrane":  # what the graph gives is compared, too
        assert check.layers[-1].what == "membranes"
    assert sum(s.ties for s in check.layers) == 0
    assert {v.verdict for v in found.report.verdicts} <= {"exact", "exact by substitution"}
    network, report = quantize(found.network, pixels)
    mismatch = max(layer.mismatch for layer in report.layers)
    assert fold(network).interval > 0  # a core has one neuron: nothing is shared
    got = run(network, pixels)
    own = found.replay(pixels).output.argmax(1)
    assert (got.classes == own).mean() >= 1 - 10 * mismatch, mismatch


def test_frames_of_spikes() -> None:
    w = Writer((8, 5, 5), 30)
    w = w.conv(6, 3).norm().bipolar()
    w.add("Flatten", axis=1)
    model = w.matmul(4, 54).model()
    found = from_qonnx(model, input="frames")
    frames = np.random.default_rng(1).integers(0, 2, (1, 30, 8, 5, 5)).astype(np.uint8)
    check = found.check(frames)
    assert check.exact and check.classes == 1.0, str(check)


def test_classes_behind_topk_and_softmax() -> None:
    w = Writer((1, 6, 6), 31)
    w.add("Flatten", axis=1)
    w.channels = 36
    w = w.times("Mul", 2.0).times("Sub", 1.0).bipolar().matmul(5, 36)
    w.add("Softmax", axis=1)
    k = w.array(np.array([1], np.int64))
    w.add("TopK", k, axis=-1, largest=1)
    w.type = TensorProto.INT64
    model = w.model()
    assert from_qonnx(model).check(images(model)).classes == 1.0


def test_fine_quantizers_are_left_out_only_where_asked() -> None:
    w = Writer((2, 6, 6), 32)
    w = w.times("Mul", 2.0).times("Sub", 1.0).act(1 / 128, 8, signed=1)
    w = w.conv(6, 3).norm().bipolar()
    w.add("Flatten", axis=1)
    model = w.matmul(5, 96).model()
    with pytest.raises(NetworkError, match=r"256 levels is left out: .* approximate=True"):
        from_qonnx(model)
    exact = from_qonnx(model, scale=1 / 256)  # (p - 128)/128 are numbers of that quantizer
    check = exact.check(images(model))
    assert check.exact and check.classes == 1.0 and not exact.report.approximated, str(check)
    found = from_qonnx(model, approximate=True)
    assert found.report.approximated
    assert found.check(images(model)).classes > 0.9


def _tail(w: Writer) -> ModelProto:
    w.add("Flatten", axis=1)
    return w.model()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda w: w.conv(4, 3).act(0.5, 5), "32 levels are not built; train it with at most 16"),
        (lambda w: w.conv(4, 3).add("Relu"), "Relu: cannot be built"),
        (lambda w: w.conv(4, 3).add("Sign"), "Sign: cannot be built"),
        (lambda w: w.conv(4, 3).bipolar().conv(4, 3, pads=[1] * 4).bipolar(), "use padding 0"),
        (lambda w: w.conv(4, 3, auto_pad="SAME_UPPER").bipolar(), "auto_pad"),
        (lambda w: w.conv(4, 3).times("Mul", np.ones((1, 4, 4, 4))), "one for each channel"),
        (lambda w: w.conv(4, 3).act(-0.5, 1), "scale -0.5 is not above 0"),
        (lambda w: w.conv(4, 3).act(0.5, 1, rounding_mode="ODD"), "rounding_mode 'ODD'"),
        (lambda w: w.conv(4, 3).add("BipolarQuant", "gone", domain=QONNX), "'gone' is not in the"),
        (lambda w: w.conv(4, 3).add("Quant", domain="my.module"), "of domain 'my.module'"),
        (
            lambda w: w.conv(4, 3).bipolar().times("Mul", -1.0).add("MaxPool", kernel_shape=[2, 2]),
            "a max pool of spikes with a negative factor",
        ),
        (lambda w: w.conv(4, 3).add("MaxPool", kernel_shape=[2, 2], ceil_mode=1), "ceil_mode"),
        (lambda w: w.conv(4, 3).add("Transpose", perm=[0, 2, 3, 1]), "Transpose: cannot be built"),
        (
            lambda w: (
                w.conv(4, 3).act(0.5, 1).add("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1])
            ),
            "count_include_pad 0, its default, divides by another number at the edge",
        ),
        (lambda w: w.conv(4, 6).bipolar().add("Softmax", axis=0), "over axis 0 is not built"),
        (lambda w: w.conv(4, 6).bipolar().add("ArgMax"), "ArgMax: over axis 0 is not built"),
        (lambda w: w.conv(4, 6).bipolar().add("TopK", w.array([1])), "TopK: over axis 3"),
        (lambda w: w.conv(4, 3).add("Cast", to=6), "Cast: to a type that rounds"),
        (lambda w: w.conv(4, 3).bipolar().times("Mul", -1.0), "turns the order of the classes"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(make, says: str) -> None:
    with pytest.raises(NetworkError, match=says) as told:
        from_qonnx(_tail(make(Writer((2, 6, 6), 33))))
    assert "module '" not in str(told.value)
