"""SpeechBrain (Ravanelli et al., 2021): the ECAPA-TDNN of its VoxCeleb recipe, `embedding_model.ckpt`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from shortvox.errors import ModelError
from shortvox.export.importers.kind import Kind, kind
from shortvox.export.importers.layout import Pieces, Source, kernel, layer, norm, pointwise, size
from shortvox.frontend.frontend import FrontEndSettings

CHANNELS = 1024
MAPS = 3 * CHANNELS


def recognise(found: Mapping[str, Tensor]) -> tuple[str, Pieces]:
    if "blocks.1.res2net_block.blocks.0.conv.conv.weight" not in found:
        raise ModelError("not an ECAPA-TDNN, the one network of SpeechBrain that is known")
    if (channels := size(found, "blocks.0.conv.conv.weight")) != CHANNELS:
        raise ModelError(f"an ECAPA-TDNN of {channels} channels; known is {CHANNELS}")
    pieces = _block("stem", "blocks.0")
    for block in range(3):
        own, theirs = f"blocks.{block}", f"blocks.{block + 1}"
        pieces |= _block(f"{own}.reduce", f"{theirs}.tdnn1") | _block(f"{own}.expand", f"{theirs}.tdnn2")
        for index in range(7):
            pieces |= _block(f"{own}.res2.{index}", f"{theirs}.res2net_block.blocks.{index}")
        pieces |= layer(f"{own}.excitation.squeeze", f"{theirs}.se_block.conv1.conv", pointwise)
        pieces |= layer(f"{own}.excitation.excite", f"{theirs}.se_block.conv2.conv", pointwise)
    pieces |= layer("aggregate", "mfa.conv.conv", pointwise) | norm("aggregate_norm", "mfa.norm.norm")
    attention = "asp.tdnn.conv.conv"
    pieces |= layer("pooling.frame", attention, lambda weight: pointwise(weight)[:, :MAPS])
    pieces["pooling.context.weight"] = Source(f"{attention}.weight", lambda weight: pointwise(weight)[:, MAPS:])
    pieces |= norm("pooling.norm", "asp.tdnn.norm.norm") | layer("pooling.score", "asp.conv.conv", pointwise)
    pieces |= norm("pooled_norm", "asp_bn.norm") | layer("embedding", "fc.conv", pointwise)
    return f"ecapa-speechbrain-{CHANNELS}", pieces


def _block(own: str, theirs: str) -> Pieces:
    return layer(f"{own}.delay.linear", f"{theirs}.conv.conv", kernel) | norm(f"{own}.norm", f"{theirs}.norm.norm")


kind("speechbrain")(Kind(toolkit="SpeechBrain", frontend=FrontEndSettings(features="speechbrain"), recognise=recognise))
