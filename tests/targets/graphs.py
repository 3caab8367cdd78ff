"""Small models as others bring them: an ONNX file, an estimator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper


def write_onnx(
    path: Path,
    net: torch.nn.Sequential,
    shape: Sequence[int],
    *,
    batch: int | str = "N",
    last: str | None = None,
    dtype: int = TensorProto.FLOAT,
    channels_last: bool = False,
    domain: str = "",
    external: bool = False,
    twice: bool = False,
) -> str:
    """Write Flatten, Linear and Tanh layers as an ONNX file.

    Args:
        path: The file.
        net: The layers.
        shape: Shape of one input.
        batch: Batch size that the file says.
        last: Operator after the last layer, such as ``Softmax``.
        dtype: Type of the input.
        channels_last: Whether the input has its channels last.
        domain: Of the operator ``last``.
        external: Whether the weights lie in another file.
        twice: Whether the labels are an output, too, the first.
    """
    nodes, weights, at = [], [], "x"
    if dtype != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [at], ["as_float"], to=TensorProto.FLOAT))
        at = "as_float"
    if channels_last:
        nodes.append(helper.make_node("Transpose", [at], ["first"], perm=[0, 3, 1, 2]))
        at = "first"
    for place, layer in enumerate(net):
        if isinstance(layer, torch.nn.Linear):
            for name, value in (("w", layer.weight), ("b", layer.bias)):
                weights.append(numpy_helper.from_array(value.detach().float().numpy(), f"{name}{place}"))
            nodes.append(helper.make_node("Gemm", [at, f"w{place}", f"b{place}"], [f"y{place}"], transB=1))
        else:
            nodes.append(helper.make_node(type(layer).__name__, [at], [f"y{place}"]))
        at = f"y{place}"
    if last is not None:
        nodes.append(helper.make_node(last, [at], ["last"], domain=domain))
        at = "last"
    classes = int(weights[-1].dims[0])
    sizes = (*shape[1:], shape[0]) if channels_last else tuple(shape)
    given = helper.make_tensor_value_info("x", dtype, [batch, *sizes])
    shown = [helper.make_tensor_value_info(at, TensorProto.FLOAT, [batch, classes])]
    if twice:
        nodes.append(helper.make_node("ArgMax", [at], ["label"], axis=1, keepdims=0))
        shown.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [batch]))
    graph = helper.make_graph(nodes, "net", [given], shown, weights)
    domains = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    places = {"save_as_external_data": True, "location": f"{path.stem}.bin", "size_threshold": 0}
    onnx.save(model, str(path), **(places if external else {}))
    return str(path)


class Estimator:
    """What scikit-learn's classifiers have, over a module of logits."""

    def __init__(self, net: torch.nn.Module, classes: Sequence[Any] = (0, 1, 2, 3)) -> None:
        self.net, self.classes_ = net, np.asarray(classes)
        self.n_features_in_ = 6

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        weight = next(self.net.parameters())
        with torch.no_grad():
            return self.net(torch.from_numpy(x).to(weight.dtype)).softmax(1).numpy()

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(x).argmax(1)]
