"""Building blocks over (batch, frames, channels) that know which frames are padding.

Channels come last, so a convolution of width one is a plain linear layer and a wider one is a linear layer over
spliced frames: the time-delay layer as Waibel et al. (1989) and Kaldi define it, and one matrix product on any device.
Where a shape says (batch, frames, …), planes (batch, frames, bands, channels) go through as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.frontend.masking import frame_mask, reflected
from shortvox.ranks import rank_count, sum_over_ranks

VARIANCE_FLOOR = 1e-4
GRADIENT_LIMIT = 1e4  # far above any gradient of a sane training


def masked(frames: Tensor, lengths: Tensor | None) -> Tensor:
    """(batch, frames, …) with the padding set to zero."""
    if lengths is None:
        return frames
    own = frame_mask(lengths, frames.shape[1])
    return torch.where(own.reshape(own.shape + (1,) * (frames.dim() - 2)), frames, 0.0)


def own_frames(frames: Tensor, lengths: Tensor | None) -> Tensor:
    """How many frames of each row are its own, (batch,)."""
    return torch.full(frames.shape[:1], frames.shape[1], device=frames.device) if lengths is None else lengths


def masked_mean(frames: Tensor, lengths: Tensor | None) -> Tensor:
    """(batch, frames, …) -> (batch, …), over each row's own frames."""
    if lengths is None:
        return frames.mean(dim=1)
    counts = lengths.to(frames.dtype).reshape(-1, *[1] * (frames.dim() - 2))
    return masked(frames, lengths).sum(dim=1) / counts


def mean_and_sd(
    frames: Tensor,
    lengths: Tensor | None,
    weights: Tensor | None = None,
    *,
    floor: float = VARIANCE_FLOOR,
    sample: bool = False,
) -> tuple[Tensor, Tensor]:
    """Weighted mean and population standard deviation over time, each (batch, channels), in float32.

    `weights` (batch, frames, channels) sum to one over time; None weighs each own frame alike. The variance has a
    `floor`, so that one frame gives 0.01 and the gradient stays finite. The deviation of a `sample` has one frame less
    in the denominator.
    """
    frames = frames.float()
    if weights is None:
        mean = masked_mean(frames, lengths)
        square = masked_mean((frames - mean[:, None]).square(), lengths)
        if sample:
            counts = own_frames(frames, lengths)[:, None]
            square = square * (counts / (counts - 1).clamp_min(1))
    else:
        weights = weights.float()
        mean = (weights * frames).sum(dim=1)
        square = (weights * (frames - mean[:, None]).square()).sum(dim=1)
    return mean, square.clamp_min(floor).sqrt()


def instance_norm(frames: Tensor, lengths: Tensor | None, *, eps: float = 0.0) -> Tensor:
    """(batch, frames, channels) with mean 0 and sd 1 over each row's own frames; one frame becomes zeros.

    Ulyanov et al., 2016, without learnt scale. Padding is left as it falls. The variance has a floor, or `eps` added.
    """
    frames = frames.float()
    mean = masked_mean(frames, lengths)
    variance = masked_mean((frames - mean[:, None]).square(), lengths)
    sd = (variance + eps if eps else variance.clamp_min(VARIANCE_FLOOR)).sqrt()
    return (frames - mean[:, None]) / sd[:, None]


def limit_gradient(frames: Tensor) -> Tensor:
    """`frames`, whose gradient is clamped on the way back.

    A batch whose items are all alike (single frames after CMN, silence) has no variance, so every batch norm multiplies
    the gradient by 1 / sqrt(eps); a few dozen in a row would overflow.
    """
    if frames.requires_grad:
        frames.register_hook(lambda gradient: gradient.clamp(-GRADIENT_LIMIT, GRADIENT_LIMIT))
    return frames


class TimeDelay(nn.Module):
    """Convolution over time: outside the utterance are zeros, or its `reflect`ion.

    (batch, frames, in) -> (batch, ceil(frames / stride), out).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 1,
        dilation: int = 1,
        stride: int = 1,
        bias: bool = True,
        reflect: bool = False,
    ) -> None:
        super().__init__()
        self.reflect = reflect
        self.width = width
        self.dilation = dilation
        self.stride = stride
        self.linear = nn.Linear(width * inputs, outputs, bias=bias)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        if self.width == 1:
            return self.linear(frames[:, :: self.stride])
        reach = self.dilation * (self.width // 2)
        if self.reflect:
            padded = reflected(frames, lengths, before=reach, after=reach)
        else:
            padded = functional.pad(masked(frames, lengths), (0, 0, reach, reach))
        count = frames.shape[1]
        shifts = [padded[:, step : step + count : self.stride] for step in range(0, 2 * reach + 1, self.dilation)]
        return self.linear(torch.cat(shifts, dim=2))


class SqueezeExcitation(nn.Module):
    """Rescale channels by a gate computed from their mean over time, and over bands (Hu et al., 2018)."""

    def __init__(self, channels: int, *, bottleneck: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, frames, channels) or (batch, frames, bands, channels), the same shape out."""
        mean = masked_mean(frames, lengths)
        if mean.dim() == 3:
            mean = mean.mean(dim=1)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(mean))))
        return frames * gate.reshape(gate.shape[0], *[1] * (frames.dim() - 2), -1)


class BatchNorm(nn.Module):
    """Batch normalisation over (…, channels) whose statistics leave out padding and, on several ranks, span them all.

    With `affine` off nothing is learnt but the statistics.

    `frozen` keeps it in evaluation mode without gradient whatever `train()` is called on the model around it, `kept`
    its statistics only: what it multiplies by and adds goes on learning. With
    `passes` set to 0, the running statistics become the plain mean over the passes in training mode from there on.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.frozen = False
        self.kept = False
        self.passes: int | None = None
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def freeze(self) -> None:
        self.frozen = True
        self.requires_grad_(False)

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, channels) or (batch, frames, …, channels); lengths (batch,) mask the latter's statistics."""
        learning = self.training and not (self.frozen or self.kept)
        if learning and rank_count() > 1:
            return self._synchronised(values, lengths)
        if learning and lengths is not None and values.dim() > 2:
            own = frame_mask(lengths, values.shape[1])
            result = values.new_zeros(values.shape)
            result[own] = self._normalise(values[own], learning).to(result.dtype)
            return result
        return self._normalise(values, learning)

    def _normalise(self, values: Tensor, learning: bool) -> Tensor:
        rows = values.reshape(-1, values.shape[-1])
        if learning and rows.shape[0] == 1:  # one row has no variance: use what was learnt so far
            learning = False
        momentum = self._pass() if learning else 0.0
        return functional.batch_norm(
            rows, self.running_mean, self.running_var, self.weight, self.bias, learning, momentum, self.eps
        ).reshape(values.shape)

    def _pass(self) -> float:
        """What this pass weighs in the running statistics."""
        if self.passes is None:
            return self.momentum
        self.passes += 1
        return 1 / self.passes

    def _synchronised(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """Statistics over all ranks, differentiable, on CPU and GPU alike (torch's own needs a GPU)."""
        rows = values.reshape(-1, values.shape[-1])
        weight = values.new_ones(values.shape[:-1], dtype=torch.float32)
        weight = masked(weight, lengths if values.dim() > 2 else None).reshape(-1, 1)
        wide = rows.float()
        sums = torch.cat([weight.sum(0), (wide * weight).sum(0)])
        total = sum_over_ranks(sums)
        count, mean = total[0].detach(), total[1:] / total[0]
        square = sum_over_ranks(((wide - mean).square() * weight).sum(0))
        variance = square / count
        momentum = self._pass()
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp_min(1)
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(unbiased, momentum)
        normal = (wide - mean) * torch.rsqrt(variance + self.eps)
        if self.weight is not None and self.bias is not None:
            normal = normal * self.weight + self.bias
        return normal.to(values.dtype).reshape(values.shape)
