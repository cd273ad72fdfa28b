"""SE-ResNet34 in the "H / ASP" layout (Kwon et al., "The ins and outs of speaker recognition", ICASSP 2021)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from shortvox.models.backbone import Backbone, backbone
from shortvox.models.layers import VARIANCE_FLOOR, BatchNorm, SqueezeExcitation, instance_norm
from shortvox.models.maps import Scales
from shortvox.models.planes import PlaneConv, ResidualStages, Shortcut, shortened
from shortvox.models.pooling import AttentiveStatistics

REDUCTION = 8
NARROWEST = 4  # what the published width comes to in its first stage; narrow networks need it, the full one does not


class SeBlock(nn.Module):
    """Two 3x3 convolutions, squeeze-excitation, shortcut. ReLU comes before the first batch norm, as published."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = PlaneConv(inputs, outputs, stride=stride)
        self.first_norm = BatchNorm(outputs)
        self.second = PlaneConv(outputs, outputs)
        self.second_norm = BatchNorm(outputs)
        self.excitation = SqueezeExcitation(outputs, bottleneck=max(outputs // REDUCTION, NARROWEST))
        self.shortcut = Shortcut(inputs, outputs, stride=stride)

    def forward(self, planes: Tensor, lengths: Tensor | None = None) -> Tensor:
        own = shortened(lengths, self.stride)
        hidden = self.first_norm(functional.relu(self.first(planes, lengths)), own)
        hidden = self.second_norm(self.second(hidden, own), own)
        return functional.relu(self.excitation(hidden, own) + self.shortcut(planes, own), inplace=True)


class SeResNet(Backbone):
    """SE-ResNet34 of any width: instance norm, 3x3 stem, four stages, attentive statistics, linear, batch norm.

    `width` channels after the stem. The instance norm, over time, takes the place of mean normalisation, so the front
    end needs none (`frontend.cmn: none`). The published layout ends with the linear layer; the batch norm after it is
    ours, so that every backbone has one for `transfer.freeze_norm`. `floor` is that of the pooled variance, and `eps`
    what the instance norm adds to a variance instead of having a floor.
    """

    normalises = True

    def __init__(
        self,
        *,
        width: int,
        bands: int = 64,
        dim: int = 512,
        attention: int = 128,
        floor: float = VARIANCE_FLOOR,
        eps: float = 0.0,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.bands = bands
        self.dim = dim
        self.stem = PlaneConv(1, width, bias=True)
        self.stem_norm = BatchNorm(width)
        self.stages = ResidualStages(width, SeBlock)
        channels = ResidualStages.channels(width, bands)[-1]
        self.pooling = AttentiveStatistics(channels, attention=attention, context=False, floor=floor)
        self.embedding = nn.Linear(2 * channels, dim)
        self.norm = BatchNorm(dim)

    def trunk(self, features: Tensor, lengths: Tensor | None = None) -> Scales:
        planes = self.stem(instance_norm(features, lengths, eps=self.eps)[..., None], lengths)
        planes = self.stem_norm(functional.relu(planes), lengths)
        return self.stages(planes, lengths)[-1:]

    def pool(self, scales: Scales) -> Tensor:
        (maps,) = scales
        return self.norm(self.embedding(self.pooling(*maps))).float()

    def blocks_in_order(self) -> tuple[tuple[str, ...], ...]:
        return (("stem", "stem_norm"), *self.stages.names("stages"), ("pooling", "embedding", "norm"))

    def embedding_norm(self) -> BatchNorm:
        return self.norm


@backbone("se-resnet34")
def se_resnet34() -> SeResNet:
    """SE-ResNet34, width 32, 8.03 M parameters ("H / ASP" of Kwon et al., 2021)."""
    return SeResNet(width=32)


@backbone("se-resnet34-voxceleb-trainer")
def se_resnet34_voxceleb_trainer() -> SeResNet:
    """SE-ResNet34 with the floors of voxceleb_trainer's ResNetSE34V2, for its checkpoints."""
    return SeResNet(width=32, floor=1e-5, eps=1e-5)


@backbone("se-resnet34-16")
def se_resnet34_16() -> SeResNet:
    """SE-ResNet34, width 16, for CPU work: attention and embedding narrowed with it."""
    return SeResNet(width=16, dim=192, attention=64)


@backbone("se-resnet34-8")
def se_resnet34_8() -> SeResNet:
    """SE-ResNet34, width 8 over 32 bands, for minutes-long experiments."""
    return SeResNet(width=8, bands=32, dim=128, attention=32)
