"""Two-dimensional building blocks over planes (batch, frames, bands, channels), and the 34-layer residual stack.

Channels come last here too. PyTorch's convolutions take that memory layout as it is ("channels last"), up to three
times faster on a CPU than channels first where the channels are few, and batch norm, flattening to frames and
statistics over time are views of it without a copy.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from shortvox.models.layers import BatchNorm, limit_gradient, masked
from shortvox.models.maps import Maps, Scales

DEPTHS = (3, 4, 6, 3)  # blocks of each stage: 34 layers with the stem and the embedding (He et al., 2016)


def shortened(lengths: Tensor | None, stride: int) -> Tensor | None:
    """Lengths (batch,) after a convolution with a stride in time: ceil(T / stride)."""
    return None if lengths is None else (lengths + stride - 1) // stride


class PlaneConv(nn.Module):
    """Convolution over time and frequency, with zeros outside the utterance.

    (batch, frames, bands, in) -> (batch, ceil(frames / stride), ceil(bands / stride), out), or with a stride for each
    of the two. `dilation` is in time.

    A convolution of width 1 is a slice and one linear map of the channels: the same numbers, in fewer operations. A
    strided `Conv2d` of width 1 must not be used here: oneDNN's backward pass for it writes out of bounds where channels
    come last and are fewer than the processor's vectors hold (16 with AVX-512; uxlfoundation/oneDNN#6035).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 3,
        stride: int | tuple[int, int] = 1,
        dilation: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        reach = width // 2
        self.convolution = nn.Conv2d(
            inputs, outputs, width, stride=stride, padding=(dilation * reach, reach), dilation=(dilation, 1), bias=bias
        )
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, planes: Tensor, lengths: Tensor | None = None) -> Tensor:
        if self.convolution.kernel_size == (1, 1):
            in_time, in_bands = self.convolution.stride
            weight = self.convolution.weight.flatten(1)
            return functional.linear(planes[:, ::in_time, ::in_bands], weight, self.convolution.bias)
        return self.convolution(masked(planes, lengths).movedim(-1, 1)).movedim(1, -1)


class Shortcut(nn.Module):
    """The way around a block: the planes as they are, or a 1x1 convolution and batch norm where their shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.changes = stride not in (1, (1, 1)) or inputs != outputs
        if self.changes:
            self.convolution = PlaneConv(inputs, outputs, width=1, stride=stride)
            self.norm = BatchNorm(outputs)

    def forward(self, planes: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`lengths` are those after the stride."""
        return self.norm(self.convolution(planes), lengths) if self.changes else planes


class ResidualStages(nn.Module):
    """Four stages of 3, 4, 6 and 3 residual blocks with 1, 2, 4 and 8 x `width` channels (He et al., 2016).

    (batch, frames, bands, width) -> the maps after each stage, bands and channels flattened. Every stage but the first
    halves frames and bands. `block(inputs, outputs, stride)` makes a module called with planes and lengths.
    """

    def __init__(self, width: int, block: Callable[[int, int, int], nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        inputs = width
        for stage, depth in enumerate(DEPTHS):
            outputs = width * 2**stage
            blocks = nn.ModuleList()
            for index in range(depth):
                blocks.append(block(inputs, outputs, 2 if stage and not index else 1))
                inputs = outputs
            self.stages.append(blocks)

    def names(self, prefix: str) -> tuple[tuple[str, ...], ...]:
        """Those of the stages, in a module that has these as `prefix`."""
        return tuple((f"{prefix}.stages.{at}",) for at in range(len(self.stages)))

    def forward(self, planes: Tensor, lengths: Tensor | None = None) -> Scales:
        scales = []
        for stage, blocks in enumerate(self.stages):
            assert isinstance(blocks, nn.ModuleList)
            for index, block in enumerate(blocks):
                planes = block(limit_gradient(planes), lengths)
                if stage and not index:
                    lengths = shortened(lengths, 2)
            scales.append(Maps(planes.flatten(2), lengths))
        return tuple(scales)

    @staticmethod
    def channels(width: int, bands: int) -> tuple[int, ...]:
        """Channels of the flattened maps after each stage, for planes of `bands` bands."""
        return tuple(-(-bands // 2**stage) * width * 2**stage for stage in range(len(DEPTHS)))
