"""ECAPA-TDNN: emphasised channel attention, propagation and aggregation (Desplanques et al., Interspeech 2020)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.models.backbone import Backbone, backbone
from shortvox.models.layers import BatchNorm, SqueezeExcitation, TimeDelay, limit_gradient
from shortvox.models.maps import Maps, Scales
from shortvox.models.pooling import AttentiveStatistics, TanhStatistics


class TdnnBlock(nn.Module):
    """Time-delay layer, ReLU, batch norm, in the paper's order."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 1, dilation: int = 1, reflect: bool = False) -> None:
        super().__init__()
        self.delay = TimeDelay(inputs, outputs, width=width, dilation=dilation, reflect=reflect)
        self.norm = BatchNorm(outputs)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.norm(functional.relu(self.delay(frames, lengths)), lengths)


class SeRes2Block(nn.Module):
    """1x1, Res2 dilated convolutions over channel groups, 1x1, squeeze-excitation, residual."""

    def __init__(self, channels: int, *, dilation: int, scale: int, bottleneck: int, reflect: bool = False) -> None:
        super().__init__()
        group = channels // scale
        self.scale = scale
        self.reduce = TdnnBlock(channels, channels)
        self.res2 = nn.ModuleList(
            TdnnBlock(group, group, width=3, dilation=dilation, reflect=reflect) for _ in range(scale - 1)
        )
        self.expand = TdnnBlock(channels, channels)
        self.excitation = SqueezeExcitation(channels, bottleneck=bottleneck)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        groups = self.reduce(frames, lengths).chunk(self.scale, dim=2)
        outputs = [groups[0]]
        carried = torch.zeros_like(groups[0])
        for group, block in zip(groups[1:], self.res2, strict=True):
            carried = block(group + carried, lengths)
            outputs.append(carried)
        merged = self.expand(torch.cat(outputs, dim=2), lengths)
        return frames + self.excitation(merged, lengths)


class Ecapa(Backbone):
    """ECAPA-TDNN of any width: three SE-Res2 blocks on the running sums, 1x1 aggregation, attentive statistics.

    `channels` must be a multiple of `scale`. The 1x1 aggregation has 3 x `channels` outputs unless `aggregation` says
    otherwise (1536 at 512 and 1024 channels in the paper).

    Published networks differ from the paper and from each other: blocks may take the last block's output instead of the
    running `sums`, convolutions may `reflect` the utterance at its ends, the 1x1 aggregation may have a batch norm
    (`aggregate_norm`), and the `pooling(channels, attention)` may be another.
    """

    def __init__(
        self,
        *,
        channels: int,
        bands: int = 80,
        dim: int = 192,
        scale: int = 8,
        bottleneck: int = 128,
        attention: int = 128,
        aggregation: int | None = None,
        sums: bool = True,
        reflect: bool = False,
        aggregate_norm: bool = False,
        pooling: Callable[..., nn.Module] = AttentiveStatistics,
    ) -> None:
        super().__init__()
        if channels % scale:
            raise ValueError(f"channels must be a multiple of {scale}, got {channels}")
        aggregation = aggregation or 3 * channels
        self.bands = bands
        self.dim = dim
        self.sums = sums
        self.stem = TdnnBlock(bands, channels, width=5, reflect=reflect)
        self.blocks = nn.ModuleList(
            SeRes2Block(channels, dilation=dilation, scale=scale, bottleneck=bottleneck, reflect=reflect)
            for dilation in (2, 3, 4)
        )
        self.aggregate = nn.Linear(3 * channels, aggregation)
        self.aggregate_norm = BatchNorm(aggregation) if aggregate_norm else None
        self.pooling = pooling(aggregation, attention=attention)
        self.pooled_norm = BatchNorm(2 * aggregation)
        self.embedding = nn.Linear(2 * aggregation, dim)
        self.norm = BatchNorm(dim)

    def trunk(self, features: Tensor, lengths: Tensor | None = None) -> Scales:
        running = self.stem(features, lengths)
        outputs = []
        for block in self.blocks:
            outputs.append(block(limit_gradient(running), lengths))
            running = running + outputs[-1] if self.sums else outputs[-1]
        aggregated = functional.relu(self.aggregate(torch.cat(outputs, dim=2)))
        if self.aggregate_norm is not None:
            aggregated = self.aggregate_norm(aggregated, lengths)
        return (Maps(aggregated, lengths),)

    def pool(self, scales: Scales) -> Tensor:
        (maps,) = scales
        pooled = self.pooled_norm(self.pooling(maps.frames, maps.lengths))
        return self.norm(self.embedding(pooled)).float()

    def blocks_in_order(self) -> tuple[tuple[str, ...], ...]:
        blocks = tuple((f"blocks.{at}",) for at in range(len(self.blocks)))
        return (("stem",), *blocks, ("aggregate", "aggregate_norm", "pooling"), ("pooled_norm", "embedding", "norm"))

    def embedding_norm(self) -> BatchNorm:
        return self.norm


@backbone("ecapa-1024")
def ecapa_1024() -> Ecapa:
    """ECAPA-TDNN, 1024 channels, 14.66 M parameters (Desplanques et al., 2020)."""
    return Ecapa(channels=1024, aggregation=1536)


@backbone("ecapa-512")
def ecapa_512() -> Ecapa:
    """ECAPA-TDNN, 512 channels, 6.19 M parameters (Desplanques et al., 2020)."""
    return Ecapa(channels=512, aggregation=1536)


@backbone("ecapa-256")
def ecapa_256() -> Ecapa:
    """ECAPA-TDNN, 256 channels, for CPU work."""
    return Ecapa(channels=256)


@backbone("ecapa-tiny")
def ecapa_tiny() -> Ecapa:
    """ECAPA-TDNN, 256 channels, a third fewer in the aggregation: 1.6 M parameters, below 2 MB in 8 bits."""
    return Ecapa(channels=256, aggregation=512)


@backbone("ecapa-128")
def ecapa_128() -> Ecapa:
    """ECAPA-TDNN, 128 channels, for CPU work: attention and aggregation narrowed with it."""
    return Ecapa(channels=128, bottleneck=64, attention=64, aggregation=256)


@backbone("ecapa-64")
def ecapa_64() -> Ecapa:
    """ECAPA-TDNN, 64 channels, for minutes-long experiments."""
    return Ecapa(channels=64, bottleneck=32, attention=32, dim=128)


_wespeaker = partial(Ecapa, sums=False, pooling=TanhStatistics)
_wespeaker_frames = partial(Ecapa, sums=False, pooling=partial(TanhStatistics, context=False))
_speechbrain = partial(
    Ecapa, sums=False, reflect=True, aggregate_norm=True, pooling=partial(AttentiveStatistics, floor=1e-12)
)


@backbone("ecapa-wespeaker-1024")
def ecapa_wespeaker_1024() -> Ecapa:
    """ECAPA-TDNN as WeSpeaker's c1024: blocks in a row, attention that sees single frames."""
    return _wespeaker_frames(channels=1024)


@backbone("ecapa-wespeaker-512")
def ecapa_wespeaker_512() -> Ecapa:
    """ECAPA-TDNN as WeSpeaker's c512: blocks in a row, attention that sees single frames."""
    return _wespeaker_frames(channels=512)


@backbone("ecapa-wespeaker-context-1024")
def ecapa_wespeaker_context_1024() -> Ecapa:
    """ECAPA-TDNN as WeSpeaker's GLOB_c1024: blocks in a row, attention that sees the utterance too."""
    return _wespeaker(channels=1024)


@backbone("ecapa-wespeaker-context-512")
def ecapa_wespeaker_context_512() -> Ecapa:
    """ECAPA-TDNN as WeSpeaker's GLOB_c512: blocks in a row, attention that sees the utterance too."""
    return _wespeaker(channels=512)


@backbone("ecapa-wespeaker-context-64")
def ecapa_wespeaker_context_64() -> Ecapa:
    """ECAPA-TDNN as WeSpeaker's GLOB, 64 channels, for minutes-long experiments."""
    return _wespeaker(channels=64, bottleneck=32, attention=32, dim=128)


@backbone("ecapa-speechbrain-1024")
def ecapa_speechbrain_1024() -> Ecapa:
    """ECAPA-TDNN as SpeechBrain's: blocks in a row, reflection at the utterance's ends, wide aggregation."""
    return _speechbrain(channels=1024)


@backbone("ecapa-speechbrain-64")
def ecapa_speechbrain_64() -> Ecapa:
    """ECAPA-TDNN as SpeechBrain's, 64 channels, for minutes-long experiments."""
    return _speechbrain(channels=64, bottleneck=32, attention=32, dim=128)
