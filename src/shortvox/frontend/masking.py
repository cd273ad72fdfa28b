"""Which frames of a padded batch are speech of the utterance and which are padding."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """lengths (batch,) -> bool (batch, frames), true on the utterance's own frames."""
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]
