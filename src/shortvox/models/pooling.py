"""From frame-level maps to one vector per utterance."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.frontend.masking import frame_mask
from shortvox.models.layers import BatchNorm, mean_and_sd


class AttentiveStatistics(nn.Module):
    """Channel- and context-dependent attentive statistics pooling (Desplanques et al., 2020).

    (batch, frames, channels) -> (batch, 2 channels): weighted mean and standard deviation. The attention sees each
    frame beside the utterance's own mean and standard deviation.
    """

    def __init__(self, channels: int, *, attention: int = 128) -> None:
        super().__init__()
        # One linear layer over [frame, mean, sd]; the last two are the same for all frames, so their part is
        # computed once per utterance.
        self.frame = nn.Linear(channels, attention)
        self.context = nn.Linear(2 * channels, attention, bias=False)
        self.norm = BatchNorm(attention)
        self.score = nn.Linear(attention, channels)

    def forward(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        context = torch.cat(mean_and_sd(maps, lengths), dim=1).to(maps.dtype)
        hidden = functional.relu(self.frame(maps) + self.context(context)[:, None])
        scores = self.score(torch.tanh(self.norm(hidden, lengths))).float()
        if lengths is not None:
            scores = scores.masked_fill(~frame_mask(lengths, maps.shape[1])[:, :, None], float("-inf"))
        return torch.cat(mean_and_sd(maps, lengths, weights=scores.softmax(dim=1)), dim=1)
