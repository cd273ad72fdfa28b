"""Cepstral (here: log-mel) mean normalisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from shortvox.frontend.masking import frame_mask
from shortvox.registry import Registry

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
