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
    alike: bool = False,
    rank: int = 0,
    ranks: int = 1,
) -> Tensor:
    """(batch, frames, bands) with one time and one frequency stretch per item set to the item's mean.

    Widths are uniform in 0…`time_frames` and 0…`frequency_bands`; stretch and mean lie within an item's own `lengths`
    frames, so that padding changes nothing. Stretches are drawn for the items of all `ranks`, and this rank takes those
    of its own items, so that the split of a batch changes nothing; an item is `each` rows of the batch, which have the
    same stretches where they are to be augmented `alike`.
    """
    batch, frames, bands = features.shape
    own = torch.full((batch,), frames) if lengths is None else lengths.cpu()
    items = batch // each * ranks

    def draw(widest: int) -> tuple[Tensor, Tensor]:
        """Width and place of a stretch for each row, (batch, 1), drawn on the CPU so that devices agree."""
        shape = (items, 1 if alike else each)
        width = torch.randint(0, widest + 1, shape, generator=generator)
        place = torch.rand(shape, generator=generator)
        width, place = (values.expand(items, each)[rank::ranks].reshape(-1, 1) for values in (width, place))
        return width, place

    in_time = _stretch(own, frames, *draw(time_frames))
    in_frequency = _stretch(torch.full((batch,), bands), bands, *draw(frequency_bands))
    blanked = in_time[:, :, None] | in_frequency[:, None, :]
    return torch.where(blanked.to(features.device), _mean(features, lengths), features)


def _mean(features: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return features.mean(dim=(1, 2), keepdim=True)
    mask = frame_mask(lengths, features.shape[1])[:, :, None]
    count = lengths.to(features)[:, None, None] * features.shape[2]
    return torch.where(mask, features, 0.0).sum(dim=(1, 2), keepdim=True) / count


def _stretch(own: Tensor, size: int, width: Tensor, place: Tensor) -> Tensor:
    """Bool (batch, size): `width` (batch, 1) in a row, at the share `place` of where it fits in the first own[i]."""
    width = torch.minimum(width, own[:, None] - 1)
    start = (place * (own[:, None] - width + 1)).floor()
    position = torch.arange(size)[None, :]
    return (position >= start) & (position < start + width)
