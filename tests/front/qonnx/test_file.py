"""QONNX files of strangers: read with bounds, refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from onnx import AttributeProto, TensorProto, helper
from qonnxcase import Writer

from sterna.front.qonnx.file import graph_of
from sterna.front.qonnx.model import from_qonnx
from sterna.golden.errors import NetworkError, SternaError, UsageError


def good(seed: int = 0):
    w = Writer((2, 5, 5), seed)
    w = w.conv(4, 3).norm().bipolar()
    w.add("Flatten", axis=1)
    return w.matmul(3, 36).model()


def test_a_file_is_read_as_the_model(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(good().SerializeToString())
    read, whole = graph_of(path), graph_of(good())
    assert [n.kind for n in read.nodes] == [n.kind for n in whole.nodes]
    found = from_qonnx(path)
    assert [v.verdict for v in found.report.verdicts] == ["exact"] * len(found.report.verdicts)


def test_damaged_files_end_in_a_sentence(tmp_path: Path) -> None:
    data, path = good().SerializeToString(), tmp_path / "net.onnx"
    rng = np.random.default_rng(0)
    cases = [b"", b"\x00" * 50, b"not a network", data[: len(data) // 2], data[:-3]]
    for _ in range(200):
        blob = bytearray(data)
        for at in rng.integers(0, len(blob), 3):
            blob[at] = rng.integers(0, 256)
        cases.append(bytes(blob))
    for blob in cases:
        path.write_bytes(blob)
        try:  # some bytes are weights: those files are other networks
            from_qonnx(path)
        except SternaError as e:
            assert "internal" not in str(e)
    for blob in cases[:4]:
        path.write_bytes(blob)
        with pytest.raises(SternaError):
            from_qonnx(path)
    with pytest.raises(SternaError, match="gone.onnx"):
        from_qonnx(tmp_path / "gone.onnx")


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    model = good()
    tensor = next(t for t in model.graph.initializer if len(t.dims) > 1)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.ClearField("raw_data")
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SternaError, match="another file, which is not followed"):
        from_qonnx(path)


def test_what_would_run_code_of_its_own_is_refused() -> None:
    model = good()
    model.functions.add().name = "Quant"
    with pytest.raises(NetworkError, match="functions of its own"):
        from_qonnx(model)
    model = good()
    inner = helper.make_graph([], "g", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", inner))
    assert model.graph.node[0].attribute[-1].type == AttributeProto.GRAPH
    with pytest.raises(NetworkError, match="has a graph inside"):
        from_qonnx(model)


def test_an_attribute_or_an_argument_that_nobody_knows_is_refused() -> None:
    model = good()
    conv = next(n for n in model.graph.node if n.op_type == "Conv")
    conv.attribute.append(helper.make_attribute("winograd", 1))
    with pytest.raises(NetworkError, match="attribute 'winograd' is not known"):
        from_qonnx(model)
    with pytest.raises(UsageError, match="int is no path and no ONNX model"):
        from_qonnx(3)
    with pytest.raises(UsageError, match="input 'rate': random spikes"):
        from_qonnx(good(), input="rate")


def test_graphs_of_two_inputs_or_without_shapes_are_refused() -> None:
    model = good()
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 2]))
    with pytest.raises(NetworkError, match="has 2 inputs"):
        from_qonnx(model)
    model = good()
    model.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_value")
    with pytest.raises(NetworkError, match="its shape is not in the file"):
        from_qonnx(model)
