"""Which frames of a padded batch are speech of the utterance and which are padding."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """lengths (batch,) -> bool (batch, frames), true on the utterance's own frames."""
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]


def pack_left(features: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, frames, bands), bool (batch, frames) -> each row's kept frames in order, then zeros; counts (batch,).

    The result has as many frames as the fullest row; in a graph that is being exported, whose shapes cannot depend on
    values, as many as the features.
    """
    counts = kept.sum(dim=1)
    frames = kept.shape[1] if torch.compiler.is_compiling() else int(counts.max())
    position = torch.arange(kept.shape[1], device=kept.device)
    place = torch.where(kept, position, position + kept.shape[1])  # none twice, because ONNX has no stable sort
    order = torch.argsort(place, dim=1)[:, :frames]
    packed = features.gather(1, order[:, :, None].expand(-1, -1, features.shape[2]))
    return torch.where(frame_mask(counts, frames)[:, :, None], packed, 0.0), counts


def reflected(frames: Tensor, lengths: Tensor | None, *, before: int, after: int) -> Tensor:
    """(batch, frames, channels) continued at each row's own two ends by reflection, without repeating the edge.

    (batch, before + frames + after, channels); what lies further past a row's end is reflected too. A row that is
    shorter than the reach is reflected again and again, and one of a single frame repeated.
    """
    count = frames.shape[1]
    positions = torch.arange(-before, count + after, device=frames.device)
    if lengths is None:
        return frames.index_select(1, _reflected(positions, torch.full((1,), count, device=frames.device)))
    index = _reflected(positions, lengths.to(frames.device)[:, None])
    return frames.gather(1, index[:, :, None].expand(-1, -1, frames.shape[2]))


def _reflected(positions: Tensor, count: Tensor) -> Tensor:
    last = count - 1
    wrapped = positions % (2 * last).clamp_min(1)
    return torch.minimum(wrapped, (2 * last - wrapped).clamp_min(0))
