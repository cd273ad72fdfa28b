"""SpecAugment: blank a stretch of time and a band of frequency (Park et al., 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from shortvox.frontend.masking import frame_mask


def spec_augment(
    features: Tensor,
    lengths: Tensor | None = None,
    *,
    generator: torch.Generator,
    time_frames: int = 10,
    frequency_bands: int = 8,
    each: int = 1,
    rank: int = 0,
    ranks: int = 1,
) -> Tensor:
    """(batch, frames, bands) with one time and one frequency stretch per item set to the item's mean.

    Widths are uniform in 0…`time_frames` and 0…`frequency_bands`; stretch and mean lie within an item's own `lengths`
    frames, so that padding changes nothing. Stretches are drawn for the items of all `ranks`, and this rank takes those
    of its own items, so that the split of a batch changes nothing; an item is `each` rows of the batch.
    """
    batch, frames, bands = features.shape
    own = torch.full((batch,), frames) if lengths is None else lengths.cpu()
    in_time = _stretch(own, frames, time_frames, generator, each, rank, ranks)
    in_frequency = _stretch(torch.full((batch,), bands), bands, frequency_bands, generator, each, rank, ranks)
    blanked = in_time[:, :, None] | in_frequency[:, None, :]
    return torch.where(blanked.to(features.device), _mean(features, lengths), features)


def _mean(features: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return features.mean(dim=(1, 2), keepdim=True)
    mask = frame_mask(lengths, features.shape[1])[:, :, None]
    count = lengths.to(features)[:, None, None] * features.shape[2]
    return torch.where(mask, features, 0.0).sum(dim=(1, 2), keepdim=True) / count


def _stretch(
    own: Tensor, size: int, widest: int, generator: torch.Generator, each: int, rank: int, ranks: int
) -> Tensor:
    """Bool (batch, size): one random stretch within the first own[i] of row i, drawn on the CPU so devices agree."""
    drawn = (len(own) // each * ranks, each)
    width = torch.randint(0, widest + 1, drawn, generator=generator)[rank::ranks].reshape(-1, 1)
    place = torch.rand(drawn, generator=generator)[rank::ranks].reshape(-1, 1)
    width = torch.minimum(width, own[:, None] - 1)
    start = (place * (own[:, None] - width + 1)).floor()
    position = torch.arange(size)[None, :]
    return (position >= start) & (position < start + width)
