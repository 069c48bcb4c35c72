"""QONNX graphs for tests: written node by node, as exporters write them."""

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"


class Writer:
    """A graph in the making; each method adds nodes behind ``last``."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0, input_name: str = "image") -> None:
        self.rng = np.random.default_rng(seed)
        self.input = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [1, *shape])
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self.last, self.channels, self.type = input_name, shape[0], TensorProto.FLOAT

    def array(self, value: Any) -> str:
        name = f"w{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> "Writer":
        self.last = self.raw(kind, self.last, *inputs, domain=domain, **attributes)
        return self

    def raw(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        out = f"t{len(self.nodes)}"
        outs = [f"{out}_values", out] if kind == "TopK" else [out]
        name = f"{kind}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), outs, name, domain=domain, **attributes)
        self.nodes.append(node)
        return out

    def quant(self, name: str, scale: float, zero: float, bits: int, **more: Any) -> str:
        values = [self.array(np.array(v, np.float32)) for v in (scale, zero, bits)]
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} | more
        return self.raw("Quant", name, *values, domain=QONNX, **attributes)

    def weights(self, shape: tuple[int, ...], kind: str, scale: float) -> str:
        """Real numbers behind their quantizer: 'binary' or 'ternary' (two bits, narrow)."""
        real = self.array(self.rng.normal(size=shape).astype(np.float32))
        if kind == "binary":
            size = self.array(np.array(scale, np.float32))
            return self.raw("BipolarQuant", real, size, domain=QONNX)
        return self.quant(real, scale, 0, 2, narrow=1)

    def matmul(self, out: int, inputs: int, kind: str = "ternary", scale: float = 0.5) -> "Writer":
        found = self.weights((out, inputs), kind, scale)
        self.add("MatMul", self.raw("Transpose", found, perm=[1, 0]))
        self.channels = out
        return self

    def conv(
        self, out: int, k: int, kind: str = "ternary", scale: float = 0.5, **v: Any
    ) -> "Writer":
        shape = (out, self.channels // v.get("group", 1), k, k)
        self.add("Conv", self.weights(shape, kind, scale), kernel_shape=[k, k], **v)
        self.channels = out
        return self

    def norm(self) -> "Writer":
        c, draw = self.channels, self.rng.normal
        values = [draw(size=c), draw(size=c), draw(size=c), draw(size=c) ** 2 + 0.5]
        names = [self.array(v.astype(np.float32)) for v in values]
        return self.add("BatchNormalization", *names, epsilon=1e-5)

    def bipolar(self, scale: float = 1.0) -> "Writer":
        return self.add("BipolarQuant", self.array(np.array(scale, np.float32)), domain=QONNX)

    def act(self, scale: float, bits: int, zero: float = 0, **more: Any) -> "Writer":
        self.last = self.quant(self.last, scale, zero, bits, **{"signed": 0, **more})
        return self

    def times(self, kind: str, value: Any) -> "Writer":
        return self.add(kind, self.array(np.asarray(value, np.float32)))

    def model(self, output: str | None = None) -> ModelProto:
        last = output or self.last
        out = helper.make_tensor_value_info(last, self.type, None)
        graph = helper.make_graph(self.nodes, "net", [self.input], [out], self.arrays)
        sets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=8)
