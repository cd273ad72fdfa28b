"""ISKConvNet34: r-vector ResNet34 with improved selective kernels (docs/methods/isk.md has the sources).

The r-vector layout (Zeinali et al., 2019) is a ResNet34 over the filter bank: 3x3 stem, four stages of 3, 4, 6 and 3
basic blocks (convolution, batch norm, ReLU), mean and standard deviation over time of every band and channel, linear.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.models.backbone import Backbone, backbone
from shortvox.models.layers import BatchNorm, masked, masked_mean, mean_and_sd
from shortvox.models.maps import Scales
from shortvox.models.planes import PlaneConv, ResidualStages, Shortcut, shortened

REDUCTION = 8
NARROWEST = 16


class SelectiveKernel(nn.Module):
    """A short and a long 3x3 convolution, mixed by channel: (batch, frames, bands, channels), the same shape out.

    The long one is dilated in time. Each branch ends with batch norm; the mixing weights come from what the sum of the
    branches is like (Li et al., 2019, "Selective kernel networks"). That squeeze is the mean and the standard deviation
    over time of the average over bands, so that it sees how much an utterance varies, which grows with its length;
    without `deviation` it is the mean alone, as in the original selective kernels.
    """

    def __init__(self, channels: int, *, deviation: bool = True, dilation: int = 2) -> None:
        super().__init__()
        self.deviation = deviation
        self.short = PlaneConv(channels, channels)
        self.short_norm = BatchNorm(channels)
        self.long = PlaneConv(channels, channels, dilation=dilation)
        self.long_norm = BatchNorm(channels)
        hidden = max(channels // REDUCTION, NARROWEST)
        self.squeeze = nn.Linear((1 + deviation) * channels, hidden)
        self.squeeze_norm = BatchNorm(hidden)
        self.select = nn.Linear(hidden, 2 * channels)

    def forward(self, planes: Tensor, lengths: Tensor | None = None) -> Tensor:
        planes = masked(planes, lengths)
        short = self.short_norm(self.short(planes), lengths)
        long = self.long_norm(self.long(planes), lengths)
        share = self.shares(short.mean(dim=2) + long.mean(dim=2), lengths)[:, 0]
        return torch.lerp(long, short, share[:, None, None].to(short.dtype))

    def shares(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, frames, channels), averages over bands -> (batch, 2, channels): short and long, summing to one."""
        if self.deviation:
            squeezed = torch.cat(mean_and_sd(frames, lengths), dim=1)
        else:
            squeezed = masked_mean(frames.float(), lengths)
        hidden = functional.relu(self.squeeze_norm(self.squeeze(squeezed)))
        return self.select(hidden).float().unflatten(1, (2, -1)).softmax(dim=1)


class IskBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU, selective kernel, shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, deviation: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.first = PlaneConv(inputs, outputs, stride=stride)
        self.first_norm = BatchNorm(outputs)
        self.second = SelectiveKernel(outputs, deviation=deviation)
        self.shortcut = Shortcut(inputs, outputs, stride=stride)

    def forward(self, planes: Tensor, lengths: Tensor | None = None) -> Tensor:
        own = shortened(lengths, self.stride)
        hidden = functional.relu(self.first_norm(self.first(planes, lengths), own))
        return functional.relu(self.second(hidden, own) + self.shortcut(planes, own), inplace=True)


class IskConvNet(Backbone):
    """ISKConvNet34 of any width: 3x3 stem, four stages, statistics over time, linear, batch norm.

    `width` channels after the stem. `concat` pools the outputs of all four stages side by side (multi-scale statistics
    pooling) instead of the last alone. `deviation` belongs to the squeeze of the selective kernels.
    """

    def __init__(
        self, *, width: int, bands: int = 64, dim: int = 256, concat: bool = False, deviation: bool = True
    ) -> None:
        super().__init__()
        self.bands = bands
        self.dim = dim
        self.first_pooled = 0 if concat else -1
        self.stem = PlaneConv(1, width)
        self.stem_norm = BatchNorm(width)
        self.stages = ResidualStages(width, partial(IskBlock, deviation=deviation))
        channels = sum(ResidualStages.channels(width, bands)[self.first_pooled :])
        self.embedding = nn.Linear(2 * channels, dim)
        self.norm = BatchNorm(dim)

    def trunk(self, features: Tensor, lengths: Tensor | None = None) -> Scales:
        planes = functional.relu(self.stem_norm(self.stem(features[..., None], lengths), lengths))
        return self.stages(planes, lengths)[self.first_pooled :]

    def pool(self, scales: Scales) -> Tensor:
        statistics = [part for maps in scales for part in mean_and_sd(*maps)]
        return self.norm(self.embedding(torch.cat(statistics, dim=1))).float()

    def blocks_in_order(self) -> tuple[tuple[str, ...], ...]:
        return (("stem", "stem_norm"), *self.stages.names("stages"), ("embedding", "norm"))

    def embedding_norm(self) -> BatchNorm:
        return self.norm


@backbone("isk34")
def isk34() -> IskConvNet:
    """ISKConvNet34, width 32 (Wu et al., 2021)."""
    return IskConvNet(width=32)


@backbone("isk34-concat")
def isk34_concat() -> IskConvNet:
    """ISKConvNet34 + concat, width 32: statistics of all four stages (Wu et al., 2021)."""
    return IskConvNet(width=32, concat=True)


@backbone("isk34-mean")
def isk34_mean() -> IskConvNet:
    """ISKConvNet34, width 32, whose selective kernels squeeze by the mean alone."""
    return IskConvNet(width=32, deviation=False)


@backbone("isk34-concat-mean")
def isk34_concat_mean() -> IskConvNet:
    """ISKConvNet34 + concat, width 32, whose selective kernels squeeze by the mean alone."""
    return IskConvNet(width=32, concat=True, deviation=False)


@backbone("isk34-16")
def isk34_16() -> IskConvNet:
    """ISKConvNet34, width 16, for CPU work."""
    return IskConvNet(width=16, dim=192)


@backbone("isk34-16-concat")
def isk34_16_concat() -> IskConvNet:
    """ISKConvNet34 + concat, width 16, for CPU work."""
    return IskConvNet(width=16, dim=192, concat=True)


@backbone("isk34-8")
def isk34_8() -> IskConvNet:
    """ISKConvNet34, width 8, 32 bands, for minutes-long experiments."""
    return IskConvNet(width=8, bands=32, dim=128)


@backbone("isk34-8-concat")
def isk34_8_concat() -> IskConvNet:
    """ISKConvNet34 + concat, width 8, 32 bands, for minutes-long experiments."""
    return IskConvNet(width=8, bands=32, dim=128, concat=True)


@backbone("isk34-8-mean")
def isk34_8_mean() -> IskConvNet:
    """ISKConvNet34, width 8, 32 bands, whose selective kernels squeeze by the mean alone."""
    return IskConvNet(width=8, bands=32, dim=128, deviation=False)


@backbone("isk34-8-concat-mean")
def isk34_8_concat_mean() -> IskConvNet:
    """ISKConvNet34 + concat, width 8, 32 bands, whose selective kernels squeeze by the mean alone."""
    return IskConvNet(width=8, bands=32, dim=128, concat=True, deviation=False)
