"""A speaker model as one ONNX graph: waveforms in, embeddings out.

Front end and backbone are traced apart and joined at the features. The backbone's trace then knows frames only, not
how they come of samples, which keeps shapes simple and tracing quick; and what belongs to the front end is told by its
name.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shortvox import __version__
from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ModelError
from shortvox.export.fourier import compute_fourier
from shortvox.export.lean import make_lean
from shortvox.frontend.filterbank import HOP
from shortvox.frontend.frontend import FrontEnd
from shortvox.models.backbone import Backbone
from shortvox.models.graphfile import WEIGHTS
from shortvox.models.layers import BatchNorm
from shortvox.models.speaker_model import SpeakerModel

OPSET = 18
IR_VERSION = 8  # the first for this opset: onnxruntime reads both since 1.14
FRONT_END = "frontend/"  # what names of nodes and values begin with, as those of the backbone with WEIGHTS
SHORTEST = HOP  # samples: one frame
LARGEST = 2**31  # numbers in what is folded


class _Embedding(nn.Module):
    """Features and their counts to unit-length embeddings."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, features: Tensor, counts: Tensor) -> Tensor:
        return nn.functional.normalize(self.backbone(features, counts))


class _Affine(nn.Module):
    """A batch norm in evaluation, with its own numbers: one product and one sum for each channel, of what is folded."""

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: BatchNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, getattr(norm, name))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        sd = (self.running_var + self.eps).sqrt()
        scale = 1 / sd if self.weight is None else self.weight / sd
        return scale, (0.0 if self.bias is None else self.bias) - self.running_mean * scale

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        scale, shift = self.scale_and_shift()
        return values * scale + shift


def make_graph(model: SpeakerModel, *, name: str) -> Any:
    """The onnx.ModelProto of a model, in single precision, for any number of rows of any length.

    Inputs `waveforms` (batch, samples) float32 in [-1, 1] at 16 kHz and `lengths` (batch,) int64 in samples; what
    stands after a row's length is not heard. Output `embeddings` (batch, dim) float32 of unit length.
    """
    import onnx.compose

    joined = onnx.compose.merge_models(
        front_end_graph(model.frontend),
        backbone_graph(model.backbone),
        io_map=[("features", "features"), ("counts", "counts")],
        name="shortvox",
        producer_name="shortvox",
        producer_version=__version__,
    )
    _name_axes(joined, {"waveforms": ("batch", "samples"), "lengths": ("batch",), "embeddings": ("batch", None)})
    joined.ir_version = IR_VERSION
    del joined.opset_import[1:]  # that of the other half, the same
    onnx.helper.set_model_props(joined, metadata(model, name=name, precision="fp32"))
    onnx.checker.check_model(joined)
    return joined


def folded(graph: Any) -> Any:
    """A copy of an onnx.ModelProto in which what its backbone computes of weights alone is folded, as a runtime does.

    The weights are no longer there under their names.
    """
    import onnx
    import onnx_ir
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer

    own = onnx.ModelProto()
    own.CopyFrom(graph)
    model = onnx_ir.from_proto(own)
    optimizer.fold_constants(
        model,
        input_size_limit=LARGEST,
        output_size_limit=LARGEST,
        should_fold=lambda node: None if (node.name or "").startswith(WEIGHTS) else False,
    )
    passes.RemoveUnusedNodesPass()(model)
    return onnx_ir.to_proto(model)


def front_end_graph(front_end: FrontEnd) -> Any:
    """The onnx.ModelProto from `waveforms` and `lengths` to `features` and `counts`."""
    make_lean(front_end := copy.deepcopy(front_end))
    return _traced(
        front_end,
        {"waveforms": torch.zeros(3, 80_000), "lengths": torch.tensor([80_000, 8_000, 12_345])},
        ["features", "counts"],
        prefix=FRONT_END,
    )


def backbone_graph(backbone: Backbone) -> Any:
    """The onnx.ModelProto from `features` and `counts` to `embeddings`."""
    return _traced(
        _Embedding(_plain(backbone)).eval(),
        {"features": torch.zeros(3, 500, backbone.bands), "counts": torch.tensor([500, 20, 33])},
        ["embeddings"],
        prefix=WEIGHTS,
    )


def metadata(model: SpeakerModel, *, name: str, precision: str) -> dict[str, str]:
    """What a graph says of itself."""
    return {
        "framework": "shortvox",
        "shortvox_version": __version__,
        "name": name,
        "fingerprint": model.fingerprint(),
        "output_dim": str(model.backbone.dim),
        "sample_rate": str(SAMPLE_RATE),
        "shortest_samples": str(SHORTEST),
        "precision": precision,
        "settings": model.headless().settings.model_dump_json(),
    }


def _plain(backbone: Backbone) -> Backbone:
    """A copy whose batch norms are products and sums, in its lean form, and whose parameters need no gradient."""
    copied = copy.deepcopy(backbone).eval().requires_grad_(False)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, BatchNorm):
                setattr(module, name, _Affine(child))
    make_lean(copied)
    return copied


def _traced(module: nn.Module, inputs: Mapping[str, Tensor], outputs: list[str], *, prefix: str) -> Any:
    """The onnx.ModelProto of a module, tidied, with a prefix to all names inside; batch and time have any size.

    Raises ModelError for a module that cannot be traced. What has one row in the example, or one segment, has one for
    ever: the example must be larger than that.
    """
    import onnx.compose

    dynamic = torch.export.Dim.DYNAMIC
    axes = {name: dict.fromkeys(range(min(2, value.dim())), dynamic) for name, value in inputs.items()}
    with _quiet_exporter(), torch.no_grad():
        try:
            program = torch.export.export(module, tuple(inputs.values()), dynamic_shapes=axes, strict=False)
        except Exception as error:  # of the network's own code too
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"{prefix.rstrip('/')}: cannot be traced ({type(error).__name__}: {reason}); it must not take Python "
                "numbers out of tensors (docs/export.md)"
            ) from error
        traced = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=outputs,
            optimize=False,  # its rewriting rules take longer than all the rest, and onnxruntime has its own
            verbose=False,
        )
        assert traced is not None
        _tidy(traced.model, kept := frozenset(module.state_dict()))
    proto = traced.model_proto
    _drop_zero_biases(proto, kept)
    compute_fourier(proto)
    # Names of shapes mean one thing in each half; what the exporter notes for debugging names files of this machine.
    del proto.graph.value_info[:]
    del proto.graph.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""
    return onnx.compose.add_prefix(proto, prefix, rename_inputs=False, rename_outputs=False)


def _tidy(model: Any, kept: frozenset[str]) -> None:
    """Fold what is constant, and keep one of what is there several times, as the mask of every layer.

    Weights, which are `kept`, stay as they are under their names, so that the model can be made of the graph again
    (models/graphfile.py); runtimes fold what is computed of them alone when they load it.
    """
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer

    graph = model.graph
    weights = [graph.initializers.pop(name) for name in tuple(graph.initializers) if name in kept]
    graph.inputs.extend(weights)  # as inputs they are not constant
    optimizer.fold_constants(model)
    for tidying in (
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
    ):
        tidying(model)
    for weight in weights:
        graph.inputs.remove(weight)
        graph.initializers.add(weight)


def _drop_zero_biases(proto: Any, kept: frozenset[str]) -> None:
    """Take away the zeros that the exporter gives convolutions without a bias: one tensor for all of them, which has no
    one scale when it is quantised with each.
    """
    from onnx import numpy_helper

    zeros = {
        one.name for one in proto.graph.initializer if one.name not in kept and not numpy_helper.to_array(one).any()
    }
    for node in proto.graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2:]
    used = {name for node in proto.graph.node for name in node.input}
    needed = [one for one in proto.graph.initializer if one.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(needed)


def _name_axes(proto: Any, names: Mapping[str, tuple[str | None, ...]]) -> None:
    """Name the axes of inputs and outputs; None keeps a size."""
    for value in [*proto.graph.input, *proto.graph.output]:
        for axis, name in zip(value.type.tensor_type.shape.dim, names[value.name], strict=True):
            if name is not None:
                axis.dim_param = name


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what torch tells of itself: deprecations in its own code, and operators of torchvision that it misses."""
    told = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = told.level
    told.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
            yield
    finally:
        told.setLevel(level)
