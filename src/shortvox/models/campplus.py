"""CAM++: a densely connected TDNN with context-aware masking behind a 2-D convolutional head (Wang et al., 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.models.backbone import Backbone, backbone
from shortvox.models.layers import BatchNorm, TimeDelay, limit_gradient, masked, mean_and_sd, own_frames
from shortvox.models.maps import Maps, Scales
from shortvox.models.planes import PlaneConv, Shortcut, shortened

DEPTHS = (12, 24, 16)  # layers of each dense block
DILATIONS = (1, 2, 2)
SEGMENT = 100  # frames at half rate, 2 s
VARIANCE_FLOOR = 1e-10  # the published networks have none: only the gradient needs one
SD_OF_ONE = 1e-2  # of a single frame


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut over (batch, frames, bands, channels); `stride` is over the bands alone."""

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.first = PlaneConv(channels, channels, stride=(1, stride))
        self.first_norm = BatchNorm(channels)
        self.second = PlaneConv(channels, channels)
        self.second_norm = BatchNorm(channels)
        self.shortcut = Shortcut(channels, channels, stride=(1, stride))

    def forward(self, planes: Tensor, lengths: Tensor | None = None) -> Tensor:
        planes = limit_gradient(planes)
        hidden = functional.relu(self.first_norm(self.first(planes, lengths), lengths))
        hidden = self.second_norm(self.second(hidden, lengths), lengths)
        return functional.relu(hidden + self.shortcut(planes, lengths), inplace=True)


class ConvolutionalHead(nn.Module):
    """(batch, frames, bands) -> (batch, frames, channels * ceil(bands / 8)): local patterns of time and frequency."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = PlaneConv(1, channels)
        self.stem_norm = BatchNorm(channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels, stride=stride) for stride in (2, 1, 2, 1))
        self.last = PlaneConv(channels, channels, stride=(1, 2))
        self.last_norm = BatchNorm(channels)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        planes = self.stem_norm(self.stem(features[..., None], lengths), lengths)
        planes = functional.relu(planes)
        for block in self.blocks:
            planes = block(planes, lengths)
        planes = self.last_norm(self.last(limit_gradient(planes), lengths), lengths)
        return functional.relu(planes).flatten(2)


class ContextMask(nn.Module):
    """A gate in (0, 1) for each segment of 100 frames, from its mean and the utterance's (context-aware masking)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(inputs, inputs // 2)
        self.excite = nn.Linear(inputs // 2, outputs)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, frames, in), zero on padding -> (batch, frames, out)."""
        count = frames.shape[1]
        segments = (count + SEGMENT - 1) // SEGMENT
        padded = functional.pad(frames, (0, 0, 0, segments * SEGMENT - count))
        sums = padded.unflatten(1, (segments, SEGMENT)).sum(dim=2, dtype=torch.float32)
        own = own_frames(frames, lengths)
        first = SEGMENT * torch.arange(segments, device=frames.device)
        inside = (own[:, None] - first).clamp(1, SEGMENT)  # 1 where nothing is inside: the sum is 0 there
        context = sums / inside[..., None] + (sums.sum(dim=1) / own[:, None])[:, None]
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(context.to(frames.dtype)))))
        return gate[:, :, None].expand(-1, -1, SEGMENT, -1).flatten(1, 2)[:, :count]


class DenseLayer(nn.Module):
    """(batch, frames, in) -> `growth` more channels: bottleneck, convolution of width 3, context-aware mask."""

    def __init__(self, inputs: int, *, growth: int, bottleneck: int, dilation: int) -> None:
        super().__init__()
        self.norm = BatchNorm(inputs)
        self.reduce = nn.Linear(inputs, bottleneck, bias=False)
        self.reduced_norm = BatchNorm(bottleneck)
        self.local = TimeDelay(bottleneck, growth, width=3, dilation=dilation, bias=False)
        self.mask = ContextMask(bottleneck, growth)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden = limit_gradient(self.reduce(functional.relu(self.norm(frames, lengths))))
        hidden = functional.relu(self.reduced_norm(hidden, lengths))
        hidden = masked(hidden, lengths)
        return self.local(hidden) * self.mask(hidden, lengths)


class DenseBlock(nn.ModuleList):
    """Layers that each hear all before them and add `growth` channels."""

    def __init__(self, inputs: int, *, depth: int, growth: int, bottleneck: int, dilation: int) -> None:
        super().__init__(
            DenseLayer(inputs + growth * number, growth=growth, bottleneck=bottleneck, dilation=dilation)
            for number in range(depth)
        )
        self.outputs = inputs + growth * depth

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, frames, in) -> (batch, frames, outputs)."""
        for layer in self:
            frames = torch.cat([frames, layer(frames, lengths)], dim=2)
        return frames


class CamPlusPlus(Backbone):
    """CAM++ of any width: 2-D head, three dense blocks at half the frame rate, statistics, linear, batch norm.

    `width` channels in the head, `channels` before the first dense block; each layer adds `growth`. The transition
    after a block halves the channels. The standard deviation is a sample's (n - 1), as in the published networks.
    """

    def __init__(
        self,
        *,
        dim: int,
        bands: int = 80,
        width: int = 32,
        channels: int = 128,
        growth: int = 32,
        bottleneck: int = 128,
        depths: tuple[int, ...] = DEPTHS,
    ) -> None:
        super().__init__()
        self.bands = bands
        self.dim = dim
        self.head = ConvolutionalHead(width)
        self.entry = TimeDelay(-(-bands // 8) * width, channels, width=5, stride=2, bias=False)
        self.entry_norm = BatchNorm(channels)
        self.blocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        for depth, dilation in zip(depths, DILATIONS, strict=True):
            block = DenseBlock(channels, depth=depth, growth=growth, bottleneck=bottleneck, dilation=dilation)
            self.blocks.append(block)
            self.transitions.append(Transition(block.outputs))
            channels = block.outputs // 2
        self.last_norm = BatchNorm(channels)
        self.embedding = nn.Linear(2 * channels, dim, bias=False)
        self.norm = BatchNorm(dim, affine=False)

    def trunk(self, features: Tensor, lengths: Tensor | None = None) -> Scales:
        running = self.entry(self.head(features, lengths), lengths)
        lengths = shortened(lengths, 2)
        running = functional.relu(self.entry_norm(running, lengths))
        for block, transition in zip(self.blocks, self.transitions, strict=True):
            running = transition(block(running, lengths), lengths)
        return (Maps(functional.relu(self.last_norm(running, lengths)), lengths),)

    def pool(self, scales: Scales) -> Tensor:
        ((frames, lengths),) = scales
        mean, sd = mean_and_sd(frames, lengths, floor=VARIANCE_FLOOR, sample=True)
        sd = torch.where(own_frames(frames, lengths)[:, None] > 1, sd, SD_OF_ONE)
        return self.norm(self.embedding(torch.cat([mean, sd], dim=1))).float()

    def blocks_in_order(self) -> tuple[tuple[str, ...], ...]:
        dense = tuple((f"blocks.{at}", f"transitions.{at}") for at in range(len(self.blocks)))
        return (("head",), ("entry", "entry_norm"), *dense, ("last_norm", "embedding", "norm"))

    def embedding_norm(self) -> BatchNorm:
        return self.norm


class Transition(nn.Module):
    """Batch norm, ReLU, and half as many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)
        self.linear = nn.Linear(channels, channels // 2, bias=False)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        return limit_gradient(self.linear(functional.relu(self.norm(frames, lengths))))


@backbone("campplus-512")
def campplus_512() -> CamPlusPlus:
    """CAM++, 512-d embedding, 7.18 M parameters (Wang et al., 2023)."""
    return CamPlusPlus(dim=512)


@backbone("campplus-192")
def campplus_192() -> CamPlusPlus:
    """CAM++, 192-d embedding, 6.85 M parameters (Wang et al., 2023)."""
    return CamPlusPlus(dim=192)


@backbone("campplus-tiny")
def campplus_tiny() -> CamPlusPlus:
    """CAM++, narrow and two thirds as deep, 192-d embedding, 1.4 M parameters, for small computers."""
    return CamPlusPlus(dim=192, width=8, channels=96, growth=24, bottleneck=64, depths=(8, 16, 10))


@backbone("campplus-tiny-wide")
def campplus_tiny_wide() -> CamPlusPlus:
    """CAM++, half as deep as campplus-tiny and wider, 192-d embedding, 1.4 M parameters."""
    return CamPlusPlus(dim=192, width=8, channels=128, growth=40, bottleneck=120, depths=(4, 8, 5))


@backbone("campplus-tiny-deep")
def campplus_tiny_deep() -> CamPlusPlus:
    """CAM++, as deep as the published one and narrow, 192-d embedding, 1.4 M parameters."""
    return CamPlusPlus(dim=192, width=8, channels=64, growth=16, bottleneck=48)


@backbone("campplus-64")
def campplus_64() -> CamPlusPlus:
    """CAM++, narrow and shallow, 64-d embedding, for minutes-long experiments."""
    return CamPlusPlus(dim=64, width=8, channels=32, growth=16, bottleneck=32, depths=(3, 4, 3))
