"""Which frames of a padded batch are speech of the utterance and which are padding."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """lengths (batch,) -> bool (batch, frames), true on the utterance's own frames."""
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]


def pack_left(features: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, frames, bands), bool (batch, frames) -> each row's kept frames in order, then zeros; counts (batch,).

    The result has as many frames as the fullest row.
    """
    counts = kept.sum(dim=1)
    frames = int(counts.max())
    order = torch.argsort(kept.byte(), dim=1, descending=True, stable=True)[:, :frames]
    packed = features.gather(1, order[:, :, None].expand(-1, -1, features.shape[2]))
    return torch.where(frame_mask(counts, frames)[:, :, None], packed, 0.0), counts
