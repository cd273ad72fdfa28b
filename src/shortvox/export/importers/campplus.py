"""CAM++ as 3D-Speaker and WeSpeaker keep it: the same names and shapes in both."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from shortvox.errors import ModelError
from shortvox.export.importers.layout import Pieces, bands_first, kernel, layer, norm, plane, pointwise, size, then
from shortvox.models.campplus import DEPTHS

FIRST, LAST = "head.conv1.weight", "xvector.dense.linear.weight"
VARIANTS = {192: "campplus-192", 512: "campplus-512"}  # by the dimension of the embedding
WIDTH = 32


def is_campplus(found: Mapping[str, Tensor]) -> bool:
    return FIRST in found or LAST in found


def campplus(found: Mapping[str, Tensor]) -> tuple[str, Pieces]:
    """Raises ModelError for an embedding of another dimension."""
    dim = size(found, LAST)
    if dim not in VARIANTS:
        raise ModelError(f"a CAM++ with embeddings of {dim}; known are {' and '.join(map(str, VARIANTS))}")
    pieces = _head()
    entry = then(bands_first(WIDTH, dim=1), kernel)
    pieces |= layer("entry.linear", "xvector.tdnn.linear", entry, bias=None)
    pieces |= norm("entry_norm", "xvector.tdnn.nonlinear.batchnorm")
    for block, depth in enumerate(DEPTHS):
        for index in range(depth):
            pieces |= _dense(f"blocks.{block}.{index}", f"xvector.block{block + 1}.tdnnd{index + 1}")
        own, theirs = f"transitions.{block}", f"xvector.transit{block + 1}"
        pieces |= norm(f"{own}.norm", f"{theirs}.nonlinear.batchnorm")
        pieces |= layer(f"{own}.linear", f"{theirs}.linear", pointwise, bias=None)
    pieces |= norm("last_norm", "xvector.out_nonlinear.batchnorm")
    pieces |= layer("embedding", "xvector.dense.linear", pointwise, bias=None)
    pieces |= norm("norm", "xvector.dense.nonlinear.batchnorm", affine=False)
    return VARIANTS[dim], pieces


def _head() -> Pieces:
    pieces = layer("head.stem.convolution", "head.conv1", plane, bias=None) | norm("head.stem_norm", "head.bn1")
    for index, name in enumerate(("layer1.0", "layer1.1", "layer2.0", "layer2.1")):
        own, theirs = f"head.blocks.{index}", f"head.{name}"
        for ours, number in (("first", 1), ("second", 2)):
            pieces |= layer(f"{own}.{ours}.convolution", f"{theirs}.conv{number}", plane, bias=None)
            pieces |= norm(f"{own}.{ours}_norm", f"{theirs}.bn{number}")
        if index % 2 == 0:
            pieces |= layer(f"{own}.shortcut.convolution.convolution", f"{theirs}.shortcut.0", plane, bias=None)
            pieces |= norm(f"{own}.shortcut.norm", f"{theirs}.shortcut.1")
    return pieces | layer("head.last.convolution", "head.conv2", plane, bias=None) | norm("head.last_norm", "head.bn2")


def _dense(own: str, theirs: str) -> Pieces:
    return (
        norm(f"{own}.norm", f"{theirs}.nonlinear1.batchnorm")
        | layer(f"{own}.reduce", f"{theirs}.linear1", pointwise, bias=None)
        | norm(f"{own}.reduced_norm", f"{theirs}.nonlinear2.batchnorm")
        | layer(f"{own}.local.linear", f"{theirs}.cam_layer.linear_local", kernel, bias=None)
        | layer(f"{own}.mask.squeeze", f"{theirs}.cam_layer.linear1", pointwise)
        | layer(f"{own}.mask.excite", f"{theirs}.cam_layer.linear2", pointwise)
    )
