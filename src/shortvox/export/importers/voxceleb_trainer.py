"""voxceleb_trainer (Chung et al., 2020): ResNetSE34V2 with attentive statistics, "H / ASP" of Kwon et al. (2021)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from shortvox.errors import ModelError
from shortvox.export.importers.kind import Kind, kind
from shortvox.export.importers.layout import Pieces, bands_first, layer, norm, plane, pointwise, then
from shortvox.frontend.frontend import FrontEndSettings
from shortvox.models.planes import DEPTHS

CHANNELS = 256  # of the last stage; 8 of the 64 bands are left


def recognise(found: Mapping[str, Tensor]) -> tuple[str, Pieces]:
    if "layer1.0.se.fc.0.weight" not in found or "attention.0.weight" not in found:
        raise ModelError("not a ResNetSE34V2, the one network of voxceleb_trainer that is known")
    pieces = layer("stem.convolution", "conv1", plane) | norm("stem_norm", "bn1")
    for stage, depth in enumerate(DEPTHS):
        for index in range(depth):
            own, theirs = f"stages.stages.{stage}.{index}", f"layer{stage + 1}.{index}"
            for ours, number in (("first", 1), ("second", 2)):
                pieces |= layer(f"{own}.{ours}.convolution", f"{theirs}.conv{number}", plane, bias=None)
                pieces |= norm(f"{own}.{ours}_norm", f"{theirs}.bn{number}")
            pieces |= layer(f"{own}.excitation.squeeze", f"{theirs}.se.fc.0")
            pieces |= layer(f"{own}.excitation.excite", f"{theirs}.se.fc.2")
            if stage and not index:
                shortcut = f"{own}.shortcut"
                pieces |= layer(f"{shortcut}.convolution.convolution", f"{theirs}.downsample.0", plane, bias=None)
                pieces |= norm(f"{shortcut}.norm", f"{theirs}.downsample.1")
    rows = bands_first(CHANNELS, dim=0)
    pieces |= layer("pooling.frame", "attention.0", then(pointwise, bands_first(CHANNELS, dim=1)))
    pieces |= norm("pooling.norm", "attention.2")
    pieces |= layer("pooling.score", "attention.3", then(pointwise, rows), bias=rows)
    pieces |= layer("embedding", "fc", _of_mean_and_deviation)
    return "se-resnet34-voxceleb-trainer", pieces


def _of_mean_and_deviation(weight: Tensor) -> Tensor:
    """(out, 2 x maps): the means, then the deviations."""
    halves = weight.unflatten(1, (2, -1))
    return bands_first(CHANNELS, dim=2)(halves).flatten(1)


kind("voxceleb_trainer")(
    Kind(
        toolkit="voxceleb_trainer",
        frontend=FrontEndSettings(features="voxceleb_trainer", bands=64, cmn="none"),
        recognise=recognise,
        prefix="__S__.",
        left_out=("__L__.", "__S__.torchfb."),
    )
)
