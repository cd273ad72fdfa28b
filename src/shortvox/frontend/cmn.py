"""Cepstral (here: log-mel) mean normalisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from shortvox.frontend.masking import frame_mask
from shortvox.registry import Registry

SLIDING_WINDOW = 300  # frames

Normaliser = Callable[[Tensor, Tensor | None], Tensor]
normaliser: Registry[Normaliser] = Registry("CMN")


@normaliser("none")
def keep(features: Tensor, lengths: Tensor | None = None) -> Tensor:
    return features


@normaliser("utterance")
def utterance_cmn(features: Tensor, lengths: Tensor | None = None) -> Tensor:
    """(batch, frames, bands) minus each utterance's own mean over its own frames; padding becomes zero."""
    if lengths is None:
        return features - features.mean(dim=1, keepdim=True)
    mask = frame_mask(lengths, features.shape[1]).unsqueeze(2).to(features.dtype)
    mean = (features * mask).sum(dim=1, keepdim=True) / lengths.clamp_min(1).to(features.dtype)[:, None, None]
    return torch.where(mask.bool(), features - mean, 0.0)


@normaliser("sliding")
def sliding_cmn(features: Tensor, lengths: Tensor | None = None) -> Tensor:
    """(batch, frames, bands) minus, at frame t, the mean over the utterance's frames in [t - 150, t + 150).

    At the edges the window is moved inwards, not shortened; an utterance of at most 300 frames thus loses its own mean.
    Padding becomes zero. Kaldi's `apply-cmvn-sliding --cmn-window=300 --center=true --norm-vars=false`.
    """
    batch, frames, bands = features.shape
    own = torch.full((batch,), frames, device=features.device) if lengths is None else lengths
    mask = frame_mask(own, frames)[:, :, None]
    # In float64, because differences of float32 sums would lose precision with every minute of speech.
    sums = functional.pad(torch.where(mask, features, 0.0).double().cumsum(dim=1), (0, 0, 1, 0))
    at = torch.arange(frames, device=features.device) - SLIDING_WINDOW // 2
    first = torch.minimum(at[None, :], own[:, None] - SLIDING_WINDOW).clamp_min(0)
    last = torch.minimum(first + SLIDING_WINDOW, own[:, None])

    def up_to(frame: Tensor) -> Tensor:
        return sums.gather(1, frame[:, :, None].expand(-1, -1, bands))

    mean = (up_to(last) - up_to(first)) / (last - first)[:, :, None]
    return torch.where(mask, features - mean.to(features.dtype), 0.0)
