"""From frame-level maps to one vector per utterance."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.frontend.masking import frame_mask
from shortvox.models.layers import VARIANCE_FLOOR, BatchNorm, mean_and_sd


class AttentiveStatistics(nn.Module):
    """Channel-dependent attentive statistics pooling: (batch, frames, channels) -> (batch, 2 channels).

    Weighted mean and standard deviation. The attention sees each frame beside the utterance's own mean and standard
    deviation (Desplanques et al., 2020; the tanh after the batch norm is common practice, not the paper's). Without
    `context` it sees the frame alone and has no tanh (Okabe et al., 2018, as in "H / ASP" of Kwon et al., 2021).

    `floor` is that of every variance.
    """

    def __init__(
        self, channels: int, *, attention: int = 128, context: bool = True, floor: float = VARIANCE_FLOOR
    ) -> None:
        super().__init__()
        self.floor = floor
        # One linear layer over [frame, mean, sd]; the last two are the same for all frames, so their part is
        # computed once per utterance.
        self.frame = nn.Linear(channels, attention)
        self.context = nn.Linear(2 * channels, attention, bias=False) if context else None
        self.norm = BatchNorm(attention)
        self.score = nn.Linear(attention, channels)

    def forward(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden = self.frame(maps)
        if self.context is None:
            hidden = self.norm(functional.relu(hidden), lengths)
        else:
            context = torch.cat(mean_and_sd(maps, lengths, floor=self.floor), dim=1).to(maps.dtype)
            hidden = functional.relu(hidden + self.context(context)[:, None])
            hidden = torch.tanh(self.norm(hidden, lengths))
        return weighted_statistics(maps, lengths, self.score(hidden), floor=self.floor)


class TanhStatistics(nn.Module):
    """Attentive statistics pooling as WeSpeaker has it (Wang et al., 2023): a tanh between the two linear layers alone.

    With `context`, the attention sees each frame beside the utterance's mean and sample standard deviation.
    """

    FLOOR = 1e-10  # of every variance

    def __init__(self, channels: int, *, attention: int = 128, context: bool = True) -> None:
        super().__init__()
        self.frame = nn.Linear(channels, attention)
        self.context = nn.Linear(2 * channels, attention, bias=False) if context else None
        self.score = nn.Linear(attention, channels)

    def forward(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden = self.frame(maps)
        if self.context is not None:
            context = torch.cat(mean_and_sd(maps, lengths, floor=self.FLOOR, sample=True), dim=1)
            hidden = hidden + self.context(context.to(maps.dtype))[:, None]
        return weighted_statistics(maps, lengths, self.score(torch.tanh(hidden)), floor=self.FLOOR)


def weighted_statistics(maps: Tensor, lengths: Tensor | None, scores: Tensor, *, floor: float) -> Tensor:
    """Mean and standard deviation (batch, 2 channels) of frames weighted by the softmax of `scores` over time."""
    scores = scores.float()
    if lengths is not None:
        scores = scores.masked_fill(~frame_mask(lengths, maps.shape[1])[:, :, None], float("-inf"))
    return torch.cat(mean_and_sd(maps, lengths, scores.softmax(dim=1), floor=floor), dim=1)
