"""SpecAugment: blank a stretch of time and a band of frequency (Park et al., 2019)."""

from __future__ import annotations

import torch
from torch import Tensor


def spec_augment(
    features: Tensor,
    *,
    generator: torch.Generator,
    time_frames: int = 10,
    frequency_bands: int = 8,
    rank: int = 0,
    ranks: int = 1,
) -> Tensor:
    """(batch, frames, bands) with one time and one frequency stretch per item set to the item's mean.

    Widths are uniform in 0…`time_frames` and 0…`frequency_bands`. Stretches are drawn for the items of all `ranks`, and
    this rank takes those of its own items, so that the split of a batch changes nothing.
    """
    batch, frames, bands = features.shape
    in_time = _stretch(batch * ranks, frames, time_frames, generator)[rank::ranks]
    in_frequency = _stretch(batch * ranks, bands, frequency_bands, generator)[rank::ranks]
    blanked = in_time[:, :, None] | in_frequency[:, None, :]
    mean = features.mean(dim=(1, 2), keepdim=True)
    return torch.where(blanked.to(features.device), mean, features)


def _stretch(batch: int, size: int, widest: int, generator: torch.Generator) -> Tensor:
    """Bool (batch, size): one random stretch per row, drawn on the CPU so that devices agree."""
    widest = min(widest, size - 1)
    width = torch.randint(0, widest + 1, (batch, 1), generator=generator)
    start = (torch.rand(batch, 1, generator=generator) * (size - width + 1)).floor()
    position = torch.arange(size)[None, :]
    return (position >= start) & (position < start + width)
