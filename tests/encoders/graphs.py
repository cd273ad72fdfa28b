"""Small ONNX graphs that stand for speaker encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DIM = 6
Axis = str | int | None


def weights(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Axis]],
    outputs: Mapping[str, Sequence[Axis]],
    constants: Mapping[str, np.ndarray] = {},
    *,
    metadata: Mapping[str, str] = {},
    types: Mapping[str, int] = {},
    opset: int = 17,
) -> Path:
    """A graph on disk; inputs and outputs are float32 where `types` says nothing else."""

    def declared(named: Mapping[str, Sequence[Axis]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape)
            for name, shape in named.items()
        ]

    initialisers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "encoder", declared(inputs), declared(outputs), initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())
    return path


def of_features(
    path: Path,
    *,
    bands: int = 80,
    shape: Sequence[Axis] = ("batch", "frames", 80),
    dim: int = DIM,
    metadata: Mapping[str, str] = {},
) -> Path:
    """Features (batch, frames, bands) -> mean and root mean square over time through a matrix."""
    nodes = [
        helper.make_node("Mul", ["feats", "feats"], ["squares"]),
        helper.make_node("ReduceMean", ["feats"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["squares"], ["power"], axes=[1], keepdims=0),
        helper.make_node("Sqrt", ["power"], ["rms"]),  # so that frames of zeros would change the direction
        helper.make_node("Concat", ["mean", "rms"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "matrix"], ["embs"]),
    ]
    return write(
        path, nodes, {"feats": shape}, {"embs": ["batch", dim]}, {"matrix": weights(2 * bands, dim)}, metadata=metadata
    )


def of_masked(path: Path, *, metadata: Mapping[str, str], bands: int | None = 80, opset: int = 17) -> Path:
    """Input with its lengths -> mean square over each row's own steps, through a matrix; waveforms without bands.

    Waveforms (batch, samples) are framed by a convolution of stride 160; features are (batch, bands, frames).
    """
    nodes = []
    if bands is None:
        bands = 12
        nodes += [
            helper.make_node("Unsqueeze", ["waveforms", "one"], ["channel"]),
            helper.make_node("Conv", ["channel", "filters"], ["x"], strides=[160]),
            helper.make_node("Div", ["lengths", "hop"], ["steps"]),
        ]
        inputs = {"waveforms": ["batch", "samples"], "lengths": ["batch"]}
    else:
        nodes += [
            helper.make_node("Identity", ["audio_signal"], ["x"]),
            helper.make_node("Identity", ["length"], ["steps"]),
        ]
        inputs = {"audio_signal": ["batch", bands, "frames"], "length": ["batch"]}
    nodes += [
        helper.make_node("Mul", ["x", "x"], ["squares"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "two"], ["frames"]),
        helper.make_node("Range", ["zero", "frames", "step"], ["place"]),
        helper.make_node("Unsqueeze", ["steps", "last"], ["column"]),
        helper.make_node("Less", ["place", "column"], ["inside"]),
        helper.make_node("Cast", ["inside"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "one"], ["wide"]),
        helper.make_node("Mul", ["squares", "wide"], ["own"]),
        helper.make_node("ReduceSum", ["own", "twos"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["column"], ["count"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "matrix"], ["embeddings"]),
        helper.make_node("MatMul", ["mean", "more"], ["logits"]),
    ]
    constants = {
        "matrix": weights(bands, DIM),
        "more": weights(bands, 3),
        "filters": weights(12, 160)[:, None],
        "one": np.array([1]),
        "last": np.array([1]),
        "twos": np.array([2]),
        "two": np.array(2),
        "zero": np.array(0),
        "step": np.array(1),
        "hop": np.array([160]),
    }
    names = set().union(*(node.input for node in nodes))
    outputs: dict[str, Sequence[Axis]] = {"embeddings": ["batch", DIM]}
    if "audio_signal" in inputs:
        outputs = {"logits": ["batch", 3], **outputs}
    return write(
        path,
        nodes,
        inputs,
        outputs,
        {name: value for name, value in constants.items() if name in names},
        metadata=metadata,
        types={"lengths": TensorProto.INT64, "length": TensorProto.INT64},
        opset=opset,
    )
