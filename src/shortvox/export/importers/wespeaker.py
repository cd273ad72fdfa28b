"""WeSpeaker (Wang et al., 2023): ECAPA-TDNN c512 and c1024 with and without global context, and CAM++."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from shortvox.errors import ModelError
from shortvox.export.importers.campplus import campplus, is_campplus
from shortvox.export.importers.kind import Kind, kind
from shortvox.export.importers.layout import Pieces, Source, Turn, kernel, layer, norm, pointwise, size, then
from shortvox.frontend.frontend import FrontEndSettings

WIDTHS = (512, 1024)
GROUPS = 8


def recognise(found: Mapping[str, Tensor]) -> tuple[str, Pieces]:
    if is_campplus(found):
        return campplus(found)
    if "layer2.se_res2block.0.conv.weight" not in found:
        raise ModelError("neither an ECAPA-TDNN nor a CAM++, the networks of WeSpeaker that are known")
    channels = size(found, "layer1.conv.weight")
    if channels not in WIDTHS:
        raise ModelError(f"an ECAPA-TDNN of {channels} channels; known are {' and '.join(map(str, WIDTHS))}")
    maps = 3 * channels
    context = size(found, "pool.linear1.weight", 1) > maps
    return f"ecapa-wespeaker-{'context-' if context else ''}{channels}", ecapa(channels, context=context)


def ecapa(channels: int, *, context: bool) -> Pieces:
    """The last of the eight groups of a Res2 layer is the one that passes as it is; in ours it is the first."""
    maps, group = 3 * channels, channels // GROUPS
    pieces = layer("stem.delay.linear", "layer1.conv", kernel) | norm("stem.norm", "layer1.bn")
    for block in range(3):
        own, theirs = f"blocks.{block}", f"layer{block + 2}.se_res2block"
        first = _last_first(group, dim=0)
        pieces |= layer(f"{own}.reduce.delay.linear", f"{theirs}.0.conv", then(pointwise, first), bias=first)
        pieces |= norm(f"{own}.reduce.norm", f"{theirs}.0.bn", first)
        for index in range(GROUPS - 1):
            pieces |= layer(f"{own}.res2.{index}.delay.linear", f"{theirs}.1.convs.{index}", kernel)
            pieces |= norm(f"{own}.res2.{index}.norm", f"{theirs}.1.bns.{index}")
        turned = then(pointwise, _last_first(group, dim=1))
        pieces |= layer(f"{own}.expand.delay.linear", f"{theirs}.2.conv", turned) | norm(
            f"{own}.expand.norm", f"{theirs}.2.bn"
        )
        pieces |= layer(f"{own}.excitation.squeeze", f"{theirs}.3.linear1")
        pieces |= layer(f"{own}.excitation.excite", f"{theirs}.3.linear2")
    pieces |= layer("aggregate", "conv", pointwise)
    pieces |= layer("pooling.frame", "pool.linear1", lambda weight: pointwise(weight)[:, :maps])
    if context:
        pieces["pooling.context.weight"] = Source("pool.linear1.weight", lambda weight: pointwise(weight)[:, maps:])
    pieces |= layer("pooling.score", "pool.linear2", pointwise) | norm("pooled_norm", "bn")
    return pieces | layer("embedding", "linear")


def _last_first(group: int, *, dim: int) -> Turn:
    return lambda tensor: torch.roll(tensor, group, dims=dim)


kind("wespeaker")(
    Kind(
        toolkit="WeSpeaker",
        frontend=FrontEndSettings(window="hamming", edges="snip"),
        recognise=recognise,
        left_out=("projection.",),
    )
)
