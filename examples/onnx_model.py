"""A network in an ONNX file, which only answers: mi-lightning invert --config onnx_model.yaml."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import mi_lightning as mi


def make() -> None:
    """Write the file that an export would have left: bytes with channels last, one picture at a time."""
    draw = np.random.default_rng(0)
    weights = [numpy_helper.from_array((draw.normal(size=(16 * 12 * 3, 6)) / 2550).astype(np.float32), "w")]
    nodes = [
        helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["numbers"], ["row"]),
        helper.make_node("MatMul", ["row", "w"], ["logits"]),
    ]
    shown = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 6])
    given = helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 16, 12, 3])
    graph = helper.make_graph(nodes, "people", [given], [shown], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "onnx_model.onnx")


def main() -> None:
    """Attack two of the people, by queries."""
    target = mi.OnnxModel(
        "onnx_model.onnx",
        input_shape=(3, 16, 12),
        preprocessing=mi.Preprocessing(scale=255.0, uint8=True, channels_last=True),
    )
    result = mi.attacks.spsa(pairs=8, delta=0.1, max_iterations=3).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.confidence, target.queries)


if __name__ == "__main__":
    make()
    main()
